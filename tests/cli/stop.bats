# stop.bats - a run that is told to stop is gone within 25 seconds, whatever it waits for; a second
# signal kills it. What only a real broker can show is in stop_kafka.bats.

load cli.bash

setup() {
    use_folder
    espalier-sim --out files:data --impressions 2000 --days 1 --fields small --partitions 2 \
        >/dev/null 2>&1
    features='
[features]
categorical = advertiser_id, geo.country
'
    printf '[files]\nroot = data\n%s' "$features" >e.ini
    pid=
}

teardown() {
    [ -z "$pid" ] || kill -KILL "$pid" 2>/dev/null || true
}

wait_for() { # FILE TEXT
    for _ in {1..600}; do
        ! grep -qF -e "$2" "$1" 2>/dev/null || return 0
        read -rt 0.1 <> <(:) || true
    done
    echo "$1 never said: $2"
    cat "$1"
    return 1
}

# Sends the signal and sets $status once the run has ended by itself; fails if that takes longer
# than a supervisor waits.
stop_run() { # [SIGNAL]
    local begun=$SECONDS
    kill "-${1:-TERM}" "$pid"
    timeout 60 tail --pid="$pid" -f /dev/null
    status=0
    wait "$pid" || status=$?
    pid=
    output=$(cat log)
    echo "exit code $status after $((SECONDS - begun)) s"
    printf '%s\n' "$output"
    [ $((SECONDS - begun)) -lt 25 ]
}

@test "a run over files ends at a signal with code 0" {
    espalier train --config e.ini --follow --summary s.json >out 2>log 3>&- &
    pid=$!
    wait_for log 'msg=starting'
    stop_run
    [ "$status" -eq 0 ]
    mentions 'msg="stopping: the batch under way is finished"'
    [ "$(jq .stopped s.json)" = true ]
}

@test "a run that waits for its broker from the start on ends, and says what it waited for" {
    printf '[kafka]\nbootstrap.servers = 127.0.0.1:1\n%s' "$features" >k.ini
    for kind in impression click install; do
        printf '[%ss]\nschema = %s\n' "$kind" "$SOURCE/schemas/$kind.avsc" >>k.ini
    done
    for command in train score; do
        espalier $command --config k.ini --follow >out 2>log 3>&- &
        pid=$!
        wait_for log 'kafka: '
        stop_run
        [ "$status" -eq 75 ]
        mentions "espalier: topic impressions: no answer from a broker"
    done
}

@test "a page's reader that does not read holds nothing up" {
    port=$(python3 -c 'import socket
s = socket.socket()
s.bind(("127.0.0.1", 0))
print(s.getsockname()[1])')
    espalier train --config e.ini --follow -o serve.port="$port" >out 2>log 3>&- &
    pid=$!
    wait_for log 'msg=serving'
    exec 4<>"/dev/tcp/127.0.0.1/$port"
    printf 'GET /metrics HTTP/1.1\r\n' >&4 # and the rest never comes
    stop_run
    exec 4>&-
    [ "$status" -eq 0 ]
}

# Nobody reads the log, the pipe is full, and whoever writes a line waits for ever: the main thread,
# which would pass the signal on, is the first.
hung_run() { # SIGNAL... ; prints the exit code and the seconds since the first one
    python3 - "$@" <<'END'
import os, signal, subprocess, sys, time

def wait_until(happens):
    deadline = time.monotonic() + 60
    while not happens():
        assert time.monotonic() < deadline
        time.sleep(0.01)

reader, writer = os.pipe()
os.set_blocking(writer, False)
try:
    while True:
        os.write(writer, b"x" * 4096)
except BlockingIOError:
    os.set_blocking(writer, True)
run = subprocess.Popen(["espalier", "train", "--config", "e.ini", "--follow"], stderr=writer)
wait_until(lambda: "pipe" in open(f"/proc/{run.pid}/task/{run.pid}/wchan").read())
def is_caught(number):
    line = next(x for x in open(f"/proc/{run.pid}/status") if x.startswith("SigCgt"))
    return int(line.split()[1], 16) >> (number - 1) & 1
begun = time.monotonic()
for i, name in enumerate(sys.argv[1:]):
    if i > 0: # the first one has arrived, and nobody would catch the next
        wait_until(lambda: not is_caught(signal.SIGTERM) and not is_caught(signal.SIGINT))
    run.send_signal(getattr(signal, name))
code = run.wait(60)
print(code, int(time.monotonic() - begun))
END
}

@test "a run that hangs leaves all the same, with code 75" {
    read -r code seconds < <(hung_run SIGTERM)
    echo "exit code $code after $seconds s"
    [ "$code" -eq 75 ]
    [ "$seconds" -lt 25 ]
}

@test "the second signal kills at once, whichever of the two it is" {
    [[ $(hung_run SIGTERM SIGTERM) == "-15 "[0-9] ]]
    [[ $(hung_run SIGTERM SIGINT) == "-2 "[0-9] ]]
    [[ $(hung_run SIGINT SIGTERM) == "-15 "[0-9] ]]
}
