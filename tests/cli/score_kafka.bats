# score_kafka.bats - `espalier score` through a real broker: snapshots from their topic, impressions
# and scores of several partitions.

load cli.bash
load score.bash

setup() {
    [ -n "${ESPALIER_TEST_BROKER:-}" ] || skip "no broker"
    PATH=$ESPALIER_BUILD/tests/bin:$PATH
    use_folder
    prefix=bats-$$-$BATS_TEST_NUMBER-$RANDOM-
    cat >e.ini <<INI
[kafka]
bootstrap.servers = $ESPALIER_TEST_BROKER
[output]
partitions = 3
late_topic = ${prefix}late
dead_letter_topic = ${prefix}dead
[snapshot]
topic = ${prefix}snapshots
[score]
topic = ${prefix}scores
[features]
categorical = user_id, advertiser_id, geo.country, geo.region, segments
numeric_log = bid_floor
[model]
layers = 32, 16
head_layers = 8
INI
    for kind in impression click install; do
        printf '[%ss]\ntopic = %s%ss\nschema = %s\n' "$kind" "$prefix" "$kind" \
            "$SOURCE/schemas/$kind.avsc" >>e.ini
    done
}

teardown() {
    end_background
}

simulate() { # [option...]
    espalier-sim --out "kafka:$ESPALIER_TEST_BROKER" --prefix "$prefix" --impressions 3000 \
        --days 1 --fields small --partitions 4 --no-truth-topic "$@" >/dev/null 2>&1
    espalier check --config e.ini --create-topics >/dev/null 2>&1
}

@test "scores are the learner's own, to the bit, keyed, in their partitions and in order" {
    simulate
    learn one.safetensors 7 >want
    score_tool publish e.ini one.safetensors
    espalier score --config e.ini --summary s.json
    score_tool scores e.ini >got
    [ "$(wc -l <got)" = 3000 ]
    same_records want got
    in_order want got 3
    [ "$(jq -c '[.read, .scored, .snapshots.fetched]' s.json)" = '[3000,3000,1]' ]
    # The second run goes on where this one ended, and finds the snapshot in its cache.
    espalier score --config e.ini --summary s.json
    [ "$(jq -c '[.read, .snapshots.reused]' s.json)" = '[0,1]' ]
}

@test "files and a broker give equal scores" {
    simulate
    learn one.safetensors 7 >want
    espalier score --config e.ini --snapshot one.safetensors --summary kafka.json
    mkdir data
    espalier-sim --out files:data --impressions 3000 --days 1 --fields small --partitions 4 \
        >/dev/null 2>&1
    sed -e "s/^\[kafka\]/[files]/; s/^bootstrap.*/root = data/; s/$prefix//; /^schema = /d" \
        e.ini >files.ini
    espalier score --config files.ini --snapshot one.safetensors -o state.folder=other \
        --summary files.json
    [ "$(jq .scores_hash kafka.json)" = "$(jq .scores_hash files.json)" ]
}

@test "a run that follows waits for the topic of snapshots, and swaps as they are published" {
    simulate
    learn one.safetensors 1 >want1
    learn two.safetensors 2 >want2
    sed -i "s/^topic = ${prefix}snapshots/topic = ${prefix}later/" e.ini
    follow
    wait_for log 'snapshots cannot be read; trying again'
    score_tool publish e.ini one.safetensors
    wait_for log 'snapshot=1 '
    wait_for_scores 3000
    score_tool publish e.ini two.safetensors
    wait_for log 'snapshot=2 '
    espalier-sim --out "kafka:$ESPALIER_TEST_BROKER" --prefix "$prefix" --impressions 3000 \
        --days 1 --fields small --no-truth-topic >/dev/null 2>&1
    wait_for_scores 6000
    stop
    score_tool scores e.ini >got
    [ "$(wc -l <got)" = 6000 ]
    grep ' main 1 ' got >got1
    grep ' main 2 ' got >got2
    same_records want1 got1
    same_records want2 got2
    [ "$(jq '.models[0].snapshots_taken' s.json)" = 2 ]
}

@test "an output topic that is missing is named, and check makes it" {
    espalier-sim --out "kafka:$ESPALIER_TEST_BROKER" --prefix "$prefix" --impressions 300 \
        --days 1 --fields small --partitions 2 --no-truth-topic >/dev/null 2>&1
    learn one.safetensors 1 >/dev/null
    run espalier score --config e.ini --snapshot one.safetensors
    [ "$status" -eq 64 ]
    mentions "output topic ${prefix}scores does not exist"
    run espalier check --config e.ini --create-topics
    mentions "writes topic ${prefix}scores: made"
    espalier score --config e.ini --snapshot one.safetensors
}

@test "bounded, without a snapshot or its topic: one clear line" {
    simulate
    run --separate-stderr espalier score --config e.ini
    [ "$status" -eq 65 ]
    [[ $stderr == *"${prefix}snapshots has no snapshot of any model; wait for one with --follow"* ]]
    run --separate-stderr espalier score --config e.ini -o "snapshot.topic=${prefix}nowhere"
    [ "$status" -eq 64 ]
    [[ $stderr == *"${prefix}nowhere"* ]]
}

@test "records that cannot be decoded are dead letters, keyed, and the counters add up" {
    simulate --malformed 0.02
    learn one.safetensors 1 >want
    espalier score --config e.ini --snapshot one.safetensors --summary s.json
    [ "$(jq '.dead > 20 and .read == .scored + .dead' s.json)" = true ]
    score_tool scores e.ini >got
    same_records want got
}

# A linger without end stands for a broker that takes nothing: the producer's queue is full at once.
@test "a stop gives up the scores that no broker takes, and they are scored again" {
    simulate
    learn one.safetensors 7 >want
    follow -o kafka.queue.buffering.max.messages=100 -o kafka.linger.ms=900000 \
        -o kafka.message.timeout.ms=1000000 --snapshot one.safetensors
    wait_for log 'msg="snapshot in use"'
    kill -TERM "$pid"
    code=0
    wait "$pid" || code=$?
    pid=
    [ "$code" -eq 75 ]
    output=$(cat log)
    mentions "were not acknowledged in time: the run was stopped while no broker took them"
    espalier score --config e.ini --snapshot one.safetensors --summary s.json
    [ "$(jq .read s.json)" = 3000 ]
}
