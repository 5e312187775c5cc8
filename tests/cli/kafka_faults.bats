# kafka_faults.bats - a broker that is killed and started again, or hangs, changes nothing that is
# learned; a topic that is cut off, deleted or made anew under a run ends it with one clear line.
#
# The broker is this file's own, since others use the tests'.

load cli.bash

setup_file() {
    [ -n "${ESPALIER_TEST_BROKER:-}" ] || return 0 # and setup() skips
    export ESPALIER_KAFKA_DIR=$BATS_FILE_TMPDIR/kafka
    broker=127.0.0.1:$(free_port)
    export broker
    "$BATS_TEST_DIRNAME/../../tools/kafka" up --port "${broker#*:}" 3>&-
}

teardown_file() {
    [ -z "${ESPALIER_KAFKA_DIR:-}" ] || "$BATS_TEST_DIRNAME/../../tools/kafka" down
}

# Two in a row, below those that the kernel gives away.
free_port() {
    python3 -c 'import socket
for port in range(21092, 30000, 2):
    try:
        for p in (port, port + 1):
            socket.create_server(("127.0.0.1", p)).close()
        print(port)
        break
    except OSError:
        pass'
}

setup() {
    [ -n "${ESPALIER_TEST_BROKER:-}" ] || skip "no broker"
    PATH=$ESPALIER_BUILD/tests/bin:$PATH
    use_folder
    prefix=t$BATS_TEST_NUMBER-
    port=$(free_port)
    cat >e.ini <<END
[kafka]
bootstrap.servers = $broker
socket.timeout.ms = 2000
reconnect.backoff.max.ms = 200
[join]
click_window = 30m
install_window = 6h
skew = 30d
[features]
categorical = user_id, advertiser_id, campaign_id
[model]
layers = 16
head_layers = 8
[serve]
port = $port
[state]
lost = restart
[score]
topic = ${prefix}scores
[output]
late_topic = ${prefix}late
dead_letter_topic = ${prefix}dead
[snapshot]
topic = ${prefix}snapshots
[drift]
topic = ${prefix}drift
END
    for kind in impression click install; do
        printf '[%ss]\ntopic = %s%ss\nschema = %s\n' "$kind" "$prefix" "$kind" \
            "$SOURCE/schemas/$kind.avsc" >>e.ini
    done
}

teardown() {
    if [ -n "${stopped:-}" ]; then kill -CONT "$stopped" 2>/dev/null || true; fi
    if [ -n "${pid:-}" ]; then kill -KILL "$pid" 2>/dev/null || true; fi
}

simulate() { # [option...]
    espalier-sim --out "kafka:$broker" --prefix "$prefix" --impressions 4000 --days 1 --fields small \
        --partitions 2 --no-truth-topic "$@" >/dev/null 2>&1
}

# The second day, of other impressions.
simulate_more() {
    simulate --start 2024-05-02 --first 4000 --seed 2
}

kafka() {
    "$SOURCE/tools/kafka" "$@" 3>&- >/dev/null
}

n_records() { # KIND...
    for kind in "$@"; do
        topic_tool "$broker" ends "$prefix$kind"
    done | awk '{ n += $2 } END { print n }'
}

follow() { # NAME [option...]
    espalier train --config e.ini --follow -o state.folder="$1" --summary "$1.json" "${@:2}" \
        >"$1.out" 2>"$1.log" 3>&- &
    pid=$!
}

# Waits until a command says yes, at most 30 s.
wait_until() {
    for _ in {1..300}; do
        if "$@"; then return 0; fi
        read -rt 0.1 <> <(:) || true
    done
    echo "not within 30 s: $*"
    cat ./*.log
    return 1
}

has_read() { # COUNT
    [ "$(curl --silent --max-time 5 "http://127.0.0.1:$port/metrics" |
        awk '/^espalier_events_read_total/ { n += $2 } END { print n + 0 }')" = "$1" ]
}

# Records that were read, or are counted as gone.
has_passed() { # COUNT
    [ "$(curl --silent --max-time 5 "http://127.0.0.1:$port/metrics" |
        awk '/^espalier_(events_read|gap_records)_total/ { n += $2 } END { print n + 0 }')" = "$1" ]
}

has_ended() {
    ! kill -0 "$pid" 2>/dev/null
}

says_in_log() { # NAME TEXT
    grep -qE -e "$2" "$1.log"
}

stop() {
    kill -TERM "$pid"
    wait "$pid"
    pid=
}

# The run ends by itself, with this code and this text.
ends_with() { # NAME CODE TEXT
    wait_until has_ended
    local code=0
    wait "$pid" || code=$?
    pid=
    grep -E "^espalier: " "$1.log"
    [ "$code" = "$2" ]
    grep -qE -e "^espalier: $3" "$1.log"
}

essence() { # NAME
    jq -S '{labels, models, counters}' "$1.json"
}

@test "a broker that is killed, and one that hangs, change nothing that is learned" {
    simulate
    espalier check --config e.ini --create-topics >/dev/null
    follow disturbed
    wait_until has_read "$(n_records impressions clicks installs)"
    kafka kill
    wait_until says_in_log disturbed "kafka: .*(refused|disconnected|Disconnected)"
    kafka resume
    simulate_more
    total=$(n_records impressions clicks installs)
    wait_until has_read "$total"
    # It takes connections and answers nothing, until requests have timed out.
    stopped=$(<"$ESPALIER_KAFKA_DIR/pid")
    kill -STOP "$stopped"
    wait_until says_in_log disturbed "kafka: .*timed out"
    kill -CONT "$stopped"
    simulate --start 2024-05-03 --first 8000 --seed 3
    total=$(n_records impressions clicks installs)
    wait_until has_read "$total"
    stop
    follow undisturbed
    wait_until has_read "$total"
    stop
    diff <(essence disturbed) <(essence undisturbed)
    [ "$(jq .models[0].examples_learned disturbed.json)" -gt 8000 ]
}

@test "records that retention removes under a run are a gap with its size" {
    simulate
    espalier check --config e.ini --create-topics >/dev/null
    follow cut
    wait_until has_read "$(n_records impressions clicks installs)"
    kill -STOP "$pid"
    simulate_more
    topic_tool "$broker" truncate "${prefix}impressions" 5
    kill -CONT "$pid"
    ends_with cut 65 "topic ${prefix}impressions, partition [01]: offset [0-9]+ is wanted, but the first that is still there is [0-9]+: [0-9]+ records are gone"
}

@test "a run that may go on behind a gap counts what is gone" {
    simulate
    espalier check --config e.ini --create-topics >/dev/null
    follow cut -o state.gap=continue
    wait_until has_read "$(n_records impressions clicks installs)"
    kill -STOP "$pid"
    simulate_more
    topic_tool "$broker" truncate "${prefix}impressions" 5
    kill -CONT "$pid"
    wait_until has_passed "$(n_records impressions clicks installs)"
    stop
    grep -q "going on behind a gap" cut.log
    [ "$(jq .gap_records cut.json)" -gt 3000 ]
}

@test "a gap behind a checkpoint stops the next run, or is counted where the user says so" {
    simulate
    espalier check --config e.ini --create-topics >/dev/null
    follow gap
    total=$(n_records impressions clicks installs)
    wait_until has_read "$total"
    stop
    others=$(n_records clicks installs)
    topic_tool "$broker" ends "${prefix}impressions" >before
    simulate_more
    topic_tool "$broker" truncate "${prefix}impressions" 5
    topic_tool "$broker" ends "${prefix}impressions" >after
    follow gap
    ends_with gap 65 "topic ${prefix}impressions, partition 0: offset [0-9]+ is wanted, .*: [0-9]+ records are gone; with \[state\] gap = continue"
    follow gap -o state.gap=continue
    total=$((total + 10 + $(n_records clicks installs) - others))
    wait_until has_read "$total"
    stop
    gone=$(paste -d' ' before after | awk '{ n += $3 - $2 } END { print n }')
    [ "$gone" -gt 3000 ]
    [ "$(jq .gap_records gap.json)" = "$gone" ]
}

@test "a topic that was made anew between two runs is not taken for the one before" {
    simulate
    espalier check --config e.ini --create-topics >/dev/null
    follow anew
    wait_until has_read "$(n_records impressions clicks installs)"
    stop
    topic_tool "$broker" delete "${prefix}clicks"
    topic_tool "$broker" create "${prefix}clicks" 2
    follow anew
    ends_with anew 65 "topic ${prefix}clicks, partition [01]: offset [0-9]+ is beyond the end, 0: the topic was cut off, or made anew"
    topic_tool "$broker" delete "${prefix}clicks"
    topic_tool "$broker" create "${prefix}clicks" 1
    follow anew
    ends_with anew 64 ".*topic ${prefix}clicks has 1 partitions, and had 2 when the state was saved"
}

@test "a topic that was made anew and has grown past where a run was is told by what it holds" {
    simulate
    espalier check --config e.ini --create-topics >/dev/null
    follow anew
    wait_until has_read "$(n_records impressions clicks installs)"
    stop
    topic_tool "$broker" delete "${prefix}impressions"
    simulate --impressions 6000 --first 100000 --seed 7
    follow anew
    ends_with anew 65 "topic ${prefix}impressions, partition [01]: offset [0-9]+ holds another record than was read there: the topic was made anew; to begin anew, give the run another \[state\] folder"
}

@test "a topic that is deleted under a run ends it" {
    simulate
    espalier check --config e.ini --create-topics >/dev/null
    follow deleted
    wait_until has_read "$(n_records impressions clicks installs)"
    topic_tool "$broker" delete "${prefix}clicks"
    ends_with deleted 75 "${prefix}clicks \[[01]\] is gone: the topic was deleted"
}

@test "a topic that is made anew under a run is not taken for the one before" {
    simulate
    espalier check --config e.ini --create-topics >/dev/null
    follow anew
    wait_until has_read "$(n_records impressions clicks installs)"
    kill -STOP "$pid"
    topic_tool "$broker" delete "${prefix}clicks"
    topic_tool "$broker" create "${prefix}clicks" 2
    kill -CONT "$pid"
    wait_until has_ended
    code=0
    wait "$pid" || code=$?
    pid=
    cat anew.log
    [ "$code" = 65 ] || [ "$code" = 75 ]
    grep -qE "clicks.*(made anew|is gone)" anew.log
}

@test "scoring says that its topic was made anew, and by how much" {
    simulate
    espalier check --config e.ini --create-topics >/dev/null
    score_tool learn e.ini one.safetensors 1 >/dev/null
    espalier score --config e.ini --snapshot one.safetensors >/dev/null 2>&1
    topic_tool "$broker" delete "${prefix}impressions"
    simulate --impressions 100
    run --separate-stderr espalier score --config e.ini --snapshot one.safetensors
    [ "$status" -eq 65 ]
    [[ $stderr =~ partition\ [01]:\ offset\ [0-9]+\ is\ beyond\ the\ end,\ [0-9]+:\ the\ topic\ was\ cut\ off ]]
    simulate --first 100000 --impressions 6000
    run --separate-stderr espalier score --config e.ini --snapshot one.safetensors
    [ "$status" -eq 65 ]
    [[ $stderr =~ offset\ [0-9]+\ holds\ another\ record\ than\ was\ read\ there:\ the\ topic\ was\ made\ anew ]]
    [[ $stderr == *"says where to go on: remove it to go on elsewhere"* ]]
    topic_tool "$broker" truncate "${prefix}impressions" 3
    rm -r espalier-state
    espalier score --config e.ini --snapshot one.safetensors --summary s.json >/dev/null 2>&1
    [ "$(jq .scored s.json)" = 6 ]
    jq '.next = [1, 1]' espalier-state/score.*.json >positions
    mv positions espalier-state/score.*.json
    run --separate-stderr espalier score --config e.ini --snapshot one.safetensors
    [ "$status" -eq 65 ]
    [[ $stderr == *"offset 1 is wanted, but the first that is still there is "*" records are gone; "*"remove it to go on without them"* ]]
}
