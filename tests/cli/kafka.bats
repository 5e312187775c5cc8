# kafka.bats - what a run learns through a real broker is what it learns from files.

load cli.bash

setup() {
    PATH=$ESPALIER_BUILD/tests/bin:$PATH
    [ -n "${ESPALIER_TEST_BROKER:-}" ] || skip "no broker"
    use_folder
    prefix=bats-$$-$BATS_TEST_NUMBER-$RANDOM-
    common='
[join]
click_window = 30m
install_window = 6h
[features]
categorical = user_id, advertiser_id, campaign_id, app.bundle, geo.country
buckets = hour'
    printf '[files]\nroot = data\n%s\n' "$common" >files.ini
    for kind in impression click install; do
        printf '[%ss]\ntopic = %s%ss\n' "$kind" "$prefix" "$kind" >>files.ini
    done
    printf '[kafka]\nbootstrap.servers = %s\n%s\n' "$ESPALIER_TEST_BROKER" "$common" >kafka.ini
    for kind in impression click install; do
        printf '[%ss]\ntopic = %s%ss\nschema = %s\n' "$kind" "$prefix" "$kind" \
            "$SOURCE/schemas/$kind.avsc" >>kafka.ini
    done
    printf '[output]\nlate_topic = %slate\ndead_letter_topic = %sdead\nexamples_topic = %sexamples\n' \
        "$prefix" "$prefix" "$prefix" >>kafka.ini
    printf '[snapshot]\ntopic = %ssnapshots\n[drift]\ntopic = %sdrift\n' "$prefix" "$prefix" |
        tee -a files.ini >>kafka.ini
}

simulate() { # OUT [option...]
    espalier-sim --out "$1" --impressions 5000 --days 1 --fields small --disorder 1m "${@:2}" \
        >/dev/null 2>&1
}

essence() {
    jq -S '{labels, models, counters: [.counters[] | {read, labelled, duplicate, unmatched, late}]}' "$1"
}

@test "check names the output topics that are missing, makes them, and is then content" {
    simulate "kafka:$ESPALIER_TEST_BROKER" --prefix "$prefix" --partitions 2
    run espalier check --config kafka.ini
    [ "$status" -eq 64 ]
    mentions "topic ${prefix}dead: missing; run again with --create-topics"
    run espalier train --config kafka.ini
    [ "$status" -eq 64 ]
    mentions "output topic ${prefix}late does not exist"
    run espalier check --config kafka.ini --create-topics
    [ "$status" -eq 0 ]
    run espalier check --config kafka.ini
    [ "$status" -eq 0 ]
    says_line ready
}

@test "the smallest configuration works as it stands, with a schema a topic beside it" {
    simulate "kafka:$ESPALIER_TEST_BROKER" --prefix "$prefix" --partitions 2
    mkdir schemas
    for kind in impression click install; do
        cp "$SOURCE/schemas/$kind.avsc" "schemas/$prefix${kind}s.avsc"
    done
    cat >small.ini <<END
[kafka]
bootstrap.servers = $ESPALIER_TEST_BROKER
[impressions]
topic = ${prefix}impressions
[clicks]
topic = ${prefix}clicks
[installs]
topic = ${prefix}installs
[features]
categorical = advertiser_id, app.bundle, geo.country, device.os
END
    espalier check --config small.ini --create-topics >/dev/null
    espalier train --config small.ini --summary s.json
    [ "$(jq ".counters[\"${prefix}impressions\"].labelled" s.json)" = 5000 ]
}

@test "a topic that does not exist is named before anything is read" {
    run espalier train --config kafka.ini
    [ "$status" -eq 64 ]
    mentions "[impressions] topic = ${prefix}impressions: the cluster has no topic ${prefix}impressions"
}

@test "files and a broker give equal counters, metrics and weights" {
    mkdir data
    simulate files:data --prefix "$prefix" --partitions 3
    simulate "kafka:$ESPALIER_TEST_BROKER" --prefix "$prefix" --partitions 2
    espalier check --config kafka.ini --create-topics >/dev/null
    espalier train --config files.ini --summary files.json
    espalier train --config kafka.ini --summary kafka.json
    diff <(essence files.json) <(essence kafka.json)
    [ "$(jq .models[0].examples_learned files.json)" -gt 4000 ]
}

@test "one record a year ahead and one an hour ahead in each partition change no other's label" {
    mkdir data
    simulate files:data --prefix "$prefix" --partitions 1
    simulate "kafka:$ESPALIER_TEST_BROKER" --prefix "$prefix" --partitions 2 --wild
    espalier check --config kafka.ini --create-topics >/dev/null
    espalier train --config files.ini --summary files.json
    espalier train --config kafka.ini --summary kafka.json
    [ "$(jq ".counters[\"${prefix}impressions\"].dead" kafka.json)" = 4 ]
    diff <(jq '{labels, models}' files.json) <(jq '{labels, models}' kafka.json)
}

@test "examples and dead letters arrive in their topics" {
    simulate "kafka:$ESPALIER_TEST_BROKER" --prefix "$prefix" --partitions 2 --malformed 0.01
    espalier check --config kafka.ini -o output.examples=on --create-topics >/dev/null
    espalier train --config kafka.ini -o output.examples=on --summary s.json
    written=$(jq .examples_written s.json)
    dead=$(jq '[.counters[].dead] | add' s.json)
    [ "$written" -gt 4000 ]
    [ "$dead" -gt 10 ]
    # Read back what was written: the dead letters' own topic decodes with its own schema.
    cat >back.ini <<END
[kafka]
bootstrap.servers = $ESPALIER_TEST_BROKER
[impressions]
topic = ${prefix}dead
schema = $SOURCE/schemas/dead_letter.avsc
framing = single-object
id = offset
time = @log
[clicks]
topic = ${prefix}late
schema = $SOURCE/schemas/dead_letter.avsc
framing = single-object
id = offset
time = @log
[installs]
enabled = off
[model]
setup = ctr
[features]
categorical = reason
[output]
late_topic = ${prefix}x
dead_letter_topic = ${prefix}y
END
    espalier check --config back.ini --create-topics >/dev/null
    espalier train --config back.ini --summary back.json
    [ "$(jq ".counters[\"${prefix}dead\"].read" back.json)" = "$dead" ]
    [ "$(jq ".counters[\"${prefix}dead\"].dead" back.json)" = 0 ]
}

@test "with --follow a run goes on until a signal, and then leaves with its summary" {
    simulate "kafka:$ESPALIER_TEST_BROKER" --prefix "$prefix" --partitions 2
    espalier check --config kafka.ini --create-topics >/dev/null
    espalier train --config kafka.ini --follow --summary s.json >out 2>log 3>&- &
    pid=$!
    # The watermark stands at the last events; labels up to an hour before them are learned. The
    # second wave goes to the same topics and must be read by the same run.
    simulate "kafka:$ESPALIER_TEST_BROKER" --prefix "$prefix" --partitions 2 --seed 2
    for _ in $(seq 100); do
        if espalier_reads_all "$pid"; then break; fi
        read -rt 0.1 <> <(:) || true
    done
    kill -TERM "$pid"
    wait "$pid"
    [ "$(jq ".counters[\"${prefix}impressions\"].read" s.json)" = 10000 ]
}

# The run has logged both waves of impressions (progress lines come every ten seconds).
espalier_reads_all() {
    kill -0 "$1" && events=$(sed -n 's/.* events=\([0-9]*\).*/\1/p' log | tail -n 1) &&
        [ "${events:-0}" -ge 10000 ]
}

# No chunk fits into the producer's queue, as if the broker took none. Learning may have ended by
# then, or wait for room among the files to publish.
@test "a stop gives up the snapshots that no broker takes, also when all is learned" {
    simulate "kafka:$ESPALIER_TEST_BROKER" --prefix "$prefix"
    espalier check --config kafka.ini --create-topics >/dev/null
    port=$(python3 -c 'import socket
s = socket.socket()
s.bind(("127.0.0.1", 0))
print(s.getsockname()[1])')
    for every in 1h 8h; do
        mkdir state-$every
        espalier train --config kafka.ini -o kafka.queue.buffering.max.kbytes=1 -o sample.holdout=0 \
            -o snapshot.every=$every -o drift.window=$every -o state.folder=state-$every \
            -o serve.port="$port" -o serve.stall_after=1s --summary $every.json \
            >/dev/null 2>$every.log 3>&- &
        trainer=$!
        for _ in {1..600}; do
            if [ "$(find state-$every -name '*.publish' | wc -l)" -ge 2 ]; then break; fi
            read -rt 0.1 <> <(:) || true
        done
        # To wait for a broker is no standstill, however long it takes.
        for _ in {1..25}; do
            curl --silent --fail --max-time 20 "http://127.0.0.1:$port/healthz"
            read -rt 0.1 <> <(:) || true
        done
        kill -TERM $trainer
        wait $trainer
        grep "is not published: the run was told to stop" $every.log
        [ "$(jq '.models[0].snapshots.given_up' $every.json)" -gt 0 ]
    done
}

@test "what a stopped run could not publish is published by the run that goes on" {
    simulate "kafka:$ESPALIER_TEST_BROKER" --prefix "$prefix" --partitions 2
    espalier check --config kafka.ini --create-topics >/dev/null
    options=(-o state.checkpoints=on -o sample.holdout=0 -o snapshot.every=2h -o drift.enabled=off)
    espalier train --config kafka.ini "${options[@]}" -o kafka.queue.buffering.max.kbytes=1 \
        --summary stopped.json >/dev/null 2>stopped.log 3>&- &
    trainer=$!
    for _ in {1..600}; do
        if [ "$(find espalier-state -name '*.publish' | wc -l)" -ge 4 ]; then break; fi
        read -rt 0.1 <> <(:) || true
    done
    kill -TERM $trainer
    wait $trainer
    grep "is not published yet: the run was told to stop; it will be when that goes on" stopped.log
    [ "$(jq '.models[0].snapshots.given_up' stopped.json)" -gt 0 ]
    [ "$(espalier snapshot list --config kafka.ini --format json | jq length)" = 0 ]
    [ "$(find espalier-state -name '*.publish' | wc -l)" -ge 4 ]
    espalier train --config kafka.ini "${options[@]}" --summary whole.json >/dev/null 2>whole.log
    [ "$(find espalier-state -name '*.publish' | wc -l)" = 0 ]
    jq -e '.models[0].snapshots | .given_up == 0 and .refused == 0' whole.json
    newest=$(jq -r '.models[0].snapshots.newest_boundary' whole.json)
    [ "$newest" = "$(jq -r '.models[0].snapshots.newest_boundary' stopped.json)" ]
    espalier snapshot list --config kafka.ini --format json >list.json
    [ "$(jq length list.json)" = 3 ]
    [ "$(jq -r '.[-1].boundary' list.json)" = "$newest" ]
    # Each partition has a point to read again from, before what its labels depend on: here the
    # newest boundary less both windows, 6 h and 30 min.
    espalier snapshot show --config kafka.ini --format json >show.json
    jq -e '.rewind | length == 6 and all(.offset >= -2)' show.json
    reach=$(date -ud "$newest - 390 minutes" +%FT%TZ)
    jq -e --arg reach "$reach" '[.rewind[] | select(.largest_time != null)] |
        length > 2 and all(.largest_time < $reach)' show.json
    espalier snapshot show --config kafka.ini | grep -E "^${prefix}clicks +1 +[0-9]+  2024-05-"
}

# The broker goes by its own clock, or it would remove the old events at once.
@test "check compares how long topics keep records with what a start without its state needs" {
    topic_tool "$ESPALIER_TEST_BROKER" create "${prefix}impressions" 1 retention.ms=3600000 \
        retention.bytes=500000000 message.timestamp.type=LogAppendTime
    topic_tool "$ESPALIER_TEST_BROKER" create "${prefix}clicks" 1 cleanup.policy=compact,delete \
        retention.ms=864000000 message.timestamp.type=LogAppendTime
    topic_tool "$ESPALIER_TEST_BROKER" create "${prefix}installs" 1 retention.ms=-1
    simulate "kafka:$ESPALIER_TEST_BROKER" --prefix "$prefix"
    run espalier check --config kafka.ini --create-topics -o clicks.grace=10m -o snapshot.every=2h \
        -o drift.window=2h
    [ "$status" -eq 0 ]
    # 30m + 6h + 10m + 2h
    says_line "               keeps 1h; a start without its state needs 520m of it"
    says_line "               warning: retention.ms keeps 1h, and 520m is needed; raise it to 31200000 or more"
    mentions "warning: retention.bytes keeps 500000000 bytes a partition, whatever their age, and 520m is needed"
    says_line "               keeps 10d; a start without its state needs 520m of it"
    says_line "               warning: cleanup.policy = compact,delete removes all but the last record of a key; set it to delete"
    says_line "               keeps records of any age; a start without its state needs 520m of it"
    [ "$(grep -c warning <<<"$output")" = 3 ]
}
