# recovery_kafka.bats - a training run over topics that was killed, or lost its state folder, or finds
# records gone, goes on as docs/recovery.md says.

load cli.bash

setup() {
    PATH=$ESPALIER_BUILD/tests/bin:$PATH
    [ -n "${ESPALIER_TEST_BROKER:-}" ] || skip "no broker"
    use_folder
    prefix=bats-$$-$BATS_TEST_NUMBER-$RANDOM-
    pid=
    cat >k.ini <<END
[kafka]
bootstrap.servers = $ESPALIER_TEST_BROKER
[join]
click_window = 30m
install_window = 2h
skew = 30d
[sample]
negatives = 0.5
holdout = 0.1
[features]
categorical = user_id, advertiser_id, app.bundle, geo.country, segments
numeric_log = bid_floor
buckets = hour
[snapshot]
every = 3h
keep = 1000
[drift]
window = 3h
ages = 0, 1, 2
[output]
examples = on
[model a]
setup = ipsp
admit_after = 2
[model b]
setup = esmm
width = 8
batch = 64
END
    for kind in impression click install; do
        printf '[%ss]\ntopic = %s%ss\nschema = %s\n' "$kind" "$prefix" "$kind" \
            "$SOURCE/schemas/$kind.avsc" >>k.ini
    done
}

teardown() {
    [ -z "$pid" ] || kill -KILL "$pid" 2>/dev/null || true
}

simulate() { # [option...]
    espalier-sim --out "kafka:$ESPALIER_TEST_BROKER" --prefix "$prefix" --impressions 12000 --days 1 \
        --fields small --partitions 3 --no-truth-topic --disorder 2m --duplicates 0.01 \
        --unmatched 0.01 --malformed 0.005 "$@" >/dev/null 2>&1
}

# A day of other impressions: 0 is the first.
simulate_day() { # DAY [option...]
    simulate --impressions 3000 --start "2024-05-0$(($1 + 1))" --first $((3000 * $1)) \
        --seed $(($1 + 1)) "${@:2}"
}

# What makes a run of its own of the same inputs: a folder and output topics, as $options.
prepare() { # NAME [option...]
    local name=$1
    options=(--config k.ini -o "state.folder=$name-state")
    for output in snapshot.topic drift.topic output.late_topic output.dead_letter_topic \
        output.examples_topic; do
        options+=(-o "$output=$prefix$name-$output")
    done
    options+=("${@:2}")
    espalier check "${options[@]}" --create-topics >/dev/null
}

learn() { # NAME [option...]
    espalier train "${options[@]}" --summary "$1.json" "${@:2}" >"$1.out" 2>"$1.log" 3>&-
}

start() { # NAME [option...]
    espalier train "${options[@]}" --summary "$1.json" "${@:2}" >"$1.out" 2>"$1.log" 3>&- &
    pid=$!
}

# Waits for a command to say yes while the run goes on.
wait_until() { # NAME COMMAND...
    for _ in {1..3000}; do
        if "${@:2}"; then return; fi
        kill -0 "$pid" 2>/dev/null || break
        read -rt 0.02 <> <(:) || true
    done
    echo "in vain: ${*:2}"
    cat "$1.log"
    return 1
}

end_with() { # SIGNAL
    kill "-$1" "$pid"
    ended=0
    wait "$pid" || ended=$?
    pid=
}

# The number of the newest checkpoint.
newest() { # NAME
    local file n=0
    for file in "$1-state"/checkpoints/*.checkpoint; do
        file=${file##*/} && file=${file%.checkpoint}
        [ "$file" = "*" ] || n=$((10#$file))
    done
    echo "$n"
}

has_checkpoint() { # NAME NUMBER
    [ "$(newest "$1")" -ge "$2" ]
}

# Whether one of model a has been taken at this hour of the first day, or later.
has_snapshot() { # NAME HOUR
    local file n
    for file in "$1-state"/snapshots/a-*.safetensors; do
        n=${file##*-} && n=${n%.safetensors}
        if [ "$n" != "*" ] && [ $((3 * 10#$n)) -ge $((476256 + $2)) ]; then return 0; fi
    done
    return 1
}

# Both models' of this hour or later.
is_published() { # HOUR
    espalier snapshot list "${options[@]/#-o/--option}" --format json 2>/dev/null >listed &&
        jq -e "[.[] | select(3 * .number >= 476256 + $1)] | length >= 2" listed >/dev/null
}

essence() { # NAME
    jq -S 'del(.checkpoints, .stopped)' "$1.json"
}

# What a topic says at last: KEY BYTES HASH, by key.
last_words() { # NAME OUTPUT
    topic-dump "$ESPALIER_TEST_BROKER" "$prefix$1-$2" | awk '
        { last[$3] = $4 " " $5 }
        END { for (key in last) print key, last[key] }' | sort
}

# The published ones, of each what is asked for. (From where inputs would be read again depends on how
# partitions were read in turns.)
snapshots() { # NAME KEYS
    espalier snapshot list --config k.ini --option "snapshot.topic=$prefix$1-snapshot.topic" \
        --format json | jq -S "[.[] | {$2}]"
}

# Prints the sum of the records of topics, of KIND... or all.
n_records() {
    for kind in "${@:-impressions}"; do
        topic_tool "$ESPALIER_TEST_BROKER" ends "$prefix$kind"
    done | awk '{ n += $2 } END { print n }'
}

# The runs that are killed follow their inputs, so that none is over before: what is killed is
# reading, learning, or waiting for the day after.
@test "a run over topics that is killed again and again ends as one that was not" {
    simulate_day 0 --late 0.005
    prepare killed -o state.checkpoints=on -o state.every=20ms -o input.at_end=close
    for day in 0 1 2 3; do
        [ $day = 0 ] || { simulate_day $day --late 0.005 3>&- & }
        before=$(newest killed)
        start killed --follow --read-batch 16
        wait_until killed has_snapshot killed $((24 * day + 6))
        wait_until killed has_checkpoint killed $((before + 2))
        end_with KILL
        [ "$ended" = 137 ]
        wait
    done
    learn killed
    grep -qF "going on from a checkpoint" killed.log
    prepare plain
    learn plain
    diff <(essence plain) <(essence killed)
    for output in output.late_topic output.dead_letter_topic output.examples_topic drift.topic; do
        last_words plain "$output" >plain.words
        [ "$(wc -l <plain.words)" -ge 20 ]
        diff plain.words <(last_words killed "$output")
    done
    snapshots plain "model, run, number, size, checksum" >plain.snapshots
    [ "$(jq length plain.snapshots)" -ge 60 ]
    diff plain.snapshots <(snapshots killed "model, run, number, size, checksum")
}

@test "without its folder a run over topics reads again from where the manifest says" {
    simulate --late 0.005 --wild --wrong-clocks 0.002
    prepare plain -o snapshot.resume=on
    learn plain -o state.checkpoints=off
    prepare lost -o snapshot.resume=on -o state.checkpoints=on -o input.at_end=close
    start lost --follow --read-batch 16
    wait_until lost is_published 12
    end_with KILL
    rm -r lost-state
    # What a start without the folder goes on from: the newest that there is of both models.
    is_published 12
    jq 'group_by(.number) | map(select(length == 2)) | last[0].rewind' listed >rewind
    learn lost
    grep -qF "going on from the newest snapshot" lost.log
    for kind in impressions clicks installs; do
        topic=$prefix$kind
        skipped=$(jq "[.[] | select(.topic == \"$topic\").offset] | add" rewind)
        [ "$(jq "[.[] | select(.topic == \"$topic\" and .offset > 0)] | length" rewind)" = 3 ]
        [ "$(jq ".counters[\"$topic\"].read" lost.json)" = $(($(n_records $kind) - skipped)) ]
    done
    [ "$(jq ".counters[\"${prefix}impressions\"].read" lost.json)" -lt 9000 ]
    [ "$(jq '[.counters[].late] | add' lost.json)" -gt 10 ]
    [ "$(jq '[.counters[].dead] | add' lost.json)" -gt 10 ]
    diff <(jq '[.models[].weights_hash]' plain.json) <(jq '[.models[].weights_hash]' lost.json)
    # What is told of late events, dead letters and drift is what was told of them before. (What comes
    # before the part that is read again, and was not delivered yet when the run died, is lost.)
    for output in output.late_topic output.dead_letter_topic drift.topic; do
        last_words lost "$output" >lost.words
        [ "$(wc -l <lost.words)" -ge 10 ]
        diff /dev/null <(comm -13 <(last_words plain "$output") lost.words)
    done
    # The counters in them began anew.
    snapshots plain "model, run, number" >plain.snapshots
    diff plain.snapshots <(snapshots lost "model, run, number")
}

@test "records that were removed behind a checkpoint are a gap, and passed over if that is wanted" {
    simulate_day 0
    prepare cut -o state.checkpoints=on
    learn cut
    topic_tool "$ESPALIER_TEST_BROKER" ends "${prefix}impressions" >before
    simulate_day 1
    total=$(n_records impressions)
    topic_tool "$ESPALIER_TEST_BROKER" truncate "${prefix}impressions" 200
    topic_tool "$ESPALIER_TEST_BROKER" ends "${prefix}impressions" >after
    gaps=($(paste before after | awk '{ print $3 - $2 }'))
    run -65 espalier train "${options[@]}"
    [[ $output =~ "topic ${prefix}impressions, partition "([0-9])": offset "[0-9]+" is wanted, but the first that is still there is "[0-9]+": "([0-9]+)" records are gone" ]]
    [ "${BASH_REMATCH[2]}" = "${gaps[BASH_REMATCH[1]]}" ]
    [ "${BASH_REMATCH[2]}" -gt 100 ]
    learn cut -o state.gap=continue
    gap=$(jq .gap_records cut.json)
    [ "$gap" = $((gaps[0] + gaps[1] + gaps[2])) ]
    [ "$(jq ".counters[\"${prefix}impressions\"].read" cut.json)" = $((total - gap)) ]
    # It is behind the gap: the next start meets none.
    learn cut
    [ "$(jq ".counters[\"${prefix}impressions\"].read" cut.json)" = $((total - gap)) ]
}

has_read() { # COUNT
    [ "$(curl --silent --max-time 5 "http://127.0.0.1:$port/metrics" |
        awk '/^espalier_events_read_total/ { n += $2 } END { print n + 0 }')" = "$1" ]
}

# Follows until all is read, and stops.
follow() { # NAME
    start "$1" --follow -o serve.port="$port"
    wait_until "$1" has_read "$(n_records impressions clicks installs)"
    end_with TERM
    [ "$ended" = 0 ]
}

@test "a run that follows writes checkpoints by itself, and goes on from where it was told to stop" {
    port=$(python3 -c 'import socket
s = socket.socket()
s.bind(("127.0.0.1", 0))
print(s.getsockname()[1])')
    simulate_day 0
    prepare followed
    follow followed
    [ "$(newest followed)" -ge 2 ]
    first=$(jq '[.labels[]] | add' followed.json)
    [ "$first" -gt 1000 ]
    simulate_day 1
    follow followed
    grep -qF "going on from a checkpoint" followed.log
    [ "$(jq '[.labels[]] | add' followed.json)" -gt "$first" ]
    # Time is closed, so that every event is accounted for.
    learn followed -o state.checkpoints=on -o input.at_end=close
    prepare plain
    learn plain
    diff <(essence plain) <(essence followed)
}
