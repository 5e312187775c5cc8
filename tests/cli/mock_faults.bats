# mock_faults.bats - whole runs over a cluster of three brokers that fail on demand: what is learned
# and what is written are as they would have been.

load cli.bash

setup() {
    PATH=$ESPALIER_BUILD/tests/bin:$PATH
    use_folder
    mkfifo orders
    # The other end has to be opened, too, before either can go on.
    mock_cluster 3 impressions:3 clicks:2 installs:1 late:2 dead:2 snapshots:2 examples:2 <orders >answers 2>&1 3>&- &
    cluster=$!
    exec 7>orders
    wait_until grep -q : answers
    brokers=$(head -n 1 answers)
    port=$(python3 -c 'import socket
s = socket.create_server(("127.0.0.1", 0))
print(s.getsockname()[1])')
    cat >e.ini <<END
[kafka]
bootstrap.servers = $brokers
socket.timeout.ms = 2000
reconnect.backoff.max.ms = 200
topic.metadata.refresh.interval.ms = 500
[impressions]
schema = $SOURCE/schemas/impression.avsc
[clicks]
schema = $SOURCE/schemas/click.avsc
[installs]
schema = $SOURCE/schemas/install.avsc
[join]
click_window = 30m
install_window = 6h
skew = 30d
[features]
categorical = user_id, advertiser_id, campaign_id
[model]
layers = 16
head_layers = 8
[drift]
enabled = off
[snapshot]
every = 0
[output]
late_topic = late
dead_letter_topic = dead
[serve]
port = $port
END
}

teardown() {
    if [ -n "${pid:-}" ]; then kill -KILL "$pid" 2>/dev/null || true; fi
    exec 7>&- # its last order
    wait
}

# Gives orders to the cluster, one an argument, and waits until they are obeyed.
order() {
    local before
    before=$(wc -l <answers)
    printf '%s\n' "$@" >&7
    wait_until has_lines $((before + $#))
    ! tail -n $# answers | grep -vx ok
}

has_lines() {
    [ "$(wc -l <answers)" -ge "$1" ]
}

wait_until() {
    for _ in {1..300}; do
        if "$@"; then return 0; fi
        read -rt 0.1 <> <(:) || true
    done
    echo "not within 30 s: $*"
    tail -n 20 ./*.log answers
    return 1
}

simulate() { # [option...]
    espalier-sim --out "kafka:$brokers" --impressions 3000 --days 1 --fields small \
        --no-truth-topic --malformed 0.02 "$@" >sim.log 2>&1
}

n_records() { # TOPIC...
    for topic in "$@"; do
        topic_tool "$brokers" ends "$topic"
    done | awk '{ n += $2 } END { print n }'
}

# A mock broker appends once more what is sent again after its answer was lost, where a real one
# knows the sequence number: of a letter each copy has the same key.
n_keys() { # TOPIC
    topic_tool "$brokers" keys "$1" | sort -u | wc -l
}

follow() { # NAME [option...]
    espalier train --config e.ini --follow -o state.folder="$1" --summary "$1.json" "${@:2}" \
        >"$1.out" 2>"$1.log" 3>&- 7>&- &
    pid=$!
}

has_read() { # COUNT
    [ "$(curl --silent --max-time 5 "http://127.0.0.1:$port/metrics" |
        awk '/^espalier_events_read_total/ { n += $2 } END { print n + 0 }')" = "$1" ]
}

# At least so many samples' worth of a metric, those that have a text.
has_counted() { # COUNT METRIC [TEXT]
    [ "$(curl --silent --max-time 5 "http://127.0.0.1:$port/metrics" |
        awk -v metric="$2" -v text="${3:-}" \
            'index($0, metric) == 1 && index($0, text) { n += $NF } END { print n + 0 }')" -ge "$1" ]
}

says_in_log() { # NAME TEXT
    grep -qE -e "$2" "$1.log"
}

stop() {
    kill -TERM "$pid"
    wait "$pid"
    pid=
}

essence() { # NAME
    jq -S '{labels, models, counters}' "$1.json"
}

@test "errors of every request, moved leaders, slow and absent brokers change nothing" {
    simulate
    total=$(n_records impressions clicks installs)
    # Requests: produce 0, fetch 1, list offsets 2, metadata 3, offset commit 8, find coordinator 10,
    # init producer id 22. Errors: unknown topic 3, leader not available 5, not leader 6, request
    # timed out 7, coordinator loading 14, coordinator not available 15, not coordinator 16,
    # not enough replicas 19, storage 56, unknown leader epoch 75.
    order "fail 2 6 2" "fail 2 5 2" "fail 10 15 3" "fail 8 14 2" "fail 8 16 2" "fail 22 15 2"
    order "fail 1 6 3" "fail 1 56 2" "fail 1 75 2" "fail 0 6 2" "fail 0 19 2" "fail 0 7 1"
    follow disturbed
    wait_until has_read "$total"
    # Slow brokers, and leaders that move while the second day comes.
    order "rtt 1 50" "rtt 2 20" "rtt 3 80"
    for leader in 1 2 3; do
        order "leader impressions 0 $leader" "leader impressions 2 $leader" \
            "leader clicks 1 $leader" "leader installs 0 $leader" "leader dead 0 $leader"
        simulate --start "2024-05-0$((leader + 1))" --first $((leader * 3000)) --seed $((leader + 1))
    done
    wait_until has_read "$(n_records impressions clicks installs)"
    # All brokers are away at once, then one after the other.
    order "rtt 1 0" "rtt 2 0" "rtt 3 0" "down 1" "down 2" "down 3"
    wait_until says_in_log disturbed "brokers are down"
    order "up 1" "up 2" "up 3"
    for broker in 1 2 3; do
        order "down $broker" "up $broker"
    done
    simulate --start 2024-05-05 --first 12000 --seed 5
    total=$(n_records impressions clicks installs)
    wait_until has_read "$total"
    stop
    [ "$(jq .models[0].examples_learned disturbed.json)" -gt 10000 ]
    # Every letter is there.
    jq '[.counters[].dead] | add' disturbed.json >dead
    [ "$(cat dead)" -gt 100 ]
    [ "$(n_keys dead)" = "$(cat dead)" ]
    [ "$(n_keys late)" = "$(jq '[.counters[].late] | add' disturbed.json)" ]
    follow undisturbed
    wait_until has_read "$total"
    stop
    diff <(essence disturbed) <(essence undisturbed)
}

# Nobody writes a dead letter again who begins with a snapshot that is newer.
@test "no snapshot is published before the outputs that it stands for have arrived" {
    for topic in impressions clicks installs snapshots; do
        order "leader $topic 0 1"
    done
    order "leader impressions 1 1" "leader impressions 2 1" "leader clicks 1 1" "leader snapshots 1 1"
    order "leader dead 0 3" "leader dead 1 3" "leader late 0 3" "leader late 1 3"
    simulate
    order "down 3"
    follow waiting -o snapshot.every=6h -o snapshot.topic=snapshots -o output.examples=on \
        -o output.examples_topic=examples
    wait_until has_read "$(n_records impressions clicks installs)"
    wait_until has_counted 2 espalier_snapshots_taken_total
    wait_until says_in_log waiting "not published yet.*has not acknowledged all that was written before"
    [ "$(n_records snapshots)" = 0 ]
    order "up 3"
    wait_until has_counted 1 espalier_snapshots_total published
    [ "$(n_records snapshots)" -gt 0 ]
    stop
    [ "$(jq '[.counters[].dead] | add' waiting.json)" = "$(n_keys dead)" ]
    [ "$(jq .examples_written waiting.json)" = "$(n_keys examples)" ]
}

@test "a topic that the brokers do not know for a while is waited for, one that may not be read is said" {
    simulate
    total=$(n_records impressions clicks installs)
    follow hidden
    wait_until has_read "$total"
    order "topic clicks 5" "fail 3 5 2"
    simulate --start 2024-05-02 --first 3000 --seed 2 || true
    order "topic clicks 0"
    wait_until has_read "$(n_records impressions clicks installs)"
    stop
    order "topic clicks 29"
    run --separate-stderr espalier train --config e.ini
    [ "$status" -eq 64 ]
    [[ $stderr == *"topic clicks: Broker: Topic authorization failed"* ]]
}
