# stop_kafka.bats - a run that is told to stop is gone within 25 seconds while its broker hangs (as
# one does whose machine is stopped: connections stand, nothing is answered) or is gone, and says what
# was not delivered. The broker is of its own, for it is stopped and killed.

load cli.bash

setup_file() {
    [ -n "${ESPALIER_TEST_BROKER:-}" ] || return 0
    export ESPALIER_KAFKA_DIR=$BATS_FILE_TMPDIR/kafka
    local port
    port=$(python3 -c 'import socket
s = socket.socket()
s.bind(("127.0.0.1", 0))
print(s.getsockname()[1])')
    "$BATS_TEST_DIRNAME/../../tools/kafka" up --port "$port" >/dev/null 3>&-
    export BROKER=127.0.0.1:$port
}

teardown_file() {
    [ -n "${BROKER:-}" ] || return 0
    hang CONT
    "$BATS_TEST_DIRNAME/../../tools/kafka" down
}

setup() {
    [ -n "${BROKER:-}" ] || skip "no broker"
    use_folder
    prefix=t$BATS_TEST_NUMBER-
    pid=
    {
        printf '[kafka]\nbootstrap.servers = %s\n' "$BROKER"
        printf 'linger.ms = 900000\nmessage.timeout.ms = 1000000\n' # nothing is sent before a flush
        printf '[features]\ncategorical = advertiser_id, geo.country\n'
        printf '[join]\nclick_window = 30m\ninstall_window = 1h\n'
        for kind in impression click install; do
            printf '[%ss]\ntopic = %s%ss\nschema = %s\n' "$kind" "$prefix" "$kind" \
                "$SOURCE/schemas/$kind.avsc"
        done
        printf '[output]\nexamples = on\n'
        for output in late dead_letter examples; do
            printf '%s_topic = %s%s\n' $output "$prefix" $output
        done
        printf '[snapshot]\ntopic = %ssnapshots\n' "$prefix"
        printf '[drift]\ntopic = %sdrift\n[score]\ntopic = %sscores\n' "$prefix" "$prefix"
    } >k.ini
    hang CONT
}

simulate() { # [OPTION...]
    espalier-sim --out "kafka:$BROKER" --prefix "$prefix" --impressions 5000 --days 1 --fields small \
        --partitions 2 --no-truth-topic "$@" >/dev/null 2>&1
    espalier check --config k.ini --create-topics >/dev/null
}

teardown() {
    [ -z "$pid" ] || kill -KILL "$pid" 2>/dev/null || true
}

# STOP or CONT: the broker's process.
hang() {
    [ ! -s "$ESPALIER_KAFKA_DIR/pid" ] || kill "-$1" "$(<"$ESPALIER_KAFKA_DIR/pid")" || true
}

wait_for() { # COMMAND...
    for _ in {1..600}; do
        ! "$@" >/dev/null 2>&1 || return 0
        read -rt 0.1 <> <(:) || true
    done
    cat log
    return 1
}

stop_run() {
    local begun=$SECONDS
    kill -TERM "$pid"
    timeout 60 tail --pid="$pid" -f /dev/null
    status=0
    wait "$pid" || status=$?
    pid=
    output=$(cat log)
    echo "exit code $status after $((SECONDS - begun)) s"
    printf '%s\n' "$output"
    [ $((SECONDS - begun)) -lt 25 ]
}

start_train() {
    port=$(python3 -c 'import socket
s = socket.socket()
s.bind(("127.0.0.1", 0))
print(s.getsockname()[1])')
    espalier train --config k.ini --follow -o serve.port="$port" "$@" >out 2>log 3>&- &
    pid=$!
}
# Everything is read, learned as far as it is mature, and written as far as the queue takes it.
has_read_all() {
    curl --silent --max-time 5 "http://127.0.0.1:$port/metrics" >page &&
        grep -q '^espalier_events_read_total{topic_kind="impression"} 50[0-9][0-9]$' page &&
        grep -q '^espalier_examples_total [1-9]' page
}

@test "train: a broker that hangs while all outputs have records to deliver" {
    simulate --malformed 0.01 --late 0.01
    start_train
    wait_for has_read_all
    hang STOP
    stop_run
    [ "$status" -eq 75 ]
    for topic in late dead_letter examples; do
        grep -E "${prefix}$topic: [0-9]+ records were not acknowledged in time: the run was stopped" log
    done
    hang CONT
}

@test "train: a broker that hangs while the output queue is full" {
    simulate --malformed 0.01
    start_train -o kafka.queue.buffering.max.messages=50
    wait_for grep -q 'level=info msg=starting' log
    wait_for curl --silent --fail "http://127.0.0.1:$port/readyz"
    hang STOP
    stop_run
    hang CONT
    [ "$status" -eq 75 ]
    mentions "records were not acknowledged in time: the run was stopped while no broker took them"
}

@test "score: a broker that hangs while scores wait for it" {
    simulate
    "$ESPALIER_BUILD/tests/bin/score_tool" learn k.ini one.safetensors 7 >/dev/null
    espalier score --config k.ini --follow --snapshot one.safetensors \
        -o kafka.queue.buffering.max.messages=50 >out 2>log 3>&- &
    pid=$!
    wait_for grep -q 'msg="snapshot in use"' log
    hang STOP
    stop_run
    hang CONT
    [ "$status" -eq 75 ]
    mentions "${prefix}scores: "
    mentions "records were not acknowledged in time: the run was stopped while no broker took them"
}

@test "train: a registry that takes connections and never answers" {
    cp k.ini r.ini
    printf '[schemas]\n500 = %s/impression.avsc\n501 = %s/click.avsc\n502 = %s/install.avsc\n' \
        "$SOURCE/schemas" "$SOURCE/schemas" "$SOURCE/schemas" >>k.ini
    simulate --framing confluent:500
    python3 -c '
import socket, time
server = socket.create_server(("127.0.0.1", 0))
print(server.getsockname()[1], flush=True)
server.accept()
print("asked", flush=True)
time.sleep(300)' >port 3>&- &
    silent=$!
    wait_for test -s port
    sed -i '/^schema = /d' r.ini
    printf '[schema]\nregistry = http://127.0.0.1:%s\nregistry_timeout = 5m\n' \
        "$(head -n 1 port)" >>r.ini
    espalier train --config r.ini --follow --summary s.json >out 2>log 3>&- &
    pid=$!
    wait_for grep -q asked port
    stop_run
    kill $silent
    [ "$status" -eq 0 ]
    [ "$(jq '[.counters[].read] | add' s.json)" = 0 ]
}

@test "train and score: a broker that is killed" {
    simulate
    start_train
    wait_for has_read_all
    first=$pid
    "$ESPALIER_BUILD/tests/bin/score_tool" learn k.ini one.safetensors 7 >/dev/null
    espalier score --config k.ini --follow --snapshot one.safetensors \
        -o kafka.queue.buffering.max.messages=50 >out 2>score.log 3>&- &
    second=$!
    wait_for grep -q 'msg="snapshot in use"' score.log
    kill -KILL "$(<"$ESPALIER_KAFKA_DIR/pid")"
    pid=$first
    stop_run
    [ "$status" -eq 75 ]
    mentions "records were not acknowledged in time"
    mv score.log log
    pid=$second
    stop_run
    [ "$status" -eq 75 ]
    mentions "${prefix}scores: "
}
