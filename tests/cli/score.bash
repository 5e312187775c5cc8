# score.bash - what the tests of `espalier score` share. e.ini is the test's configuration.
# shellcheck shell=bash

# Writes a snapshot; the learner's own scores go to stdout.
learn() { # SNAPSHOT NUMBER [override...]
    score_tool learn e.ini "$1" "$2" "${@:3}"
}

# Records of both without their partition, which is of the input in one and of the output in the other.
records() { # FILE
    cut -d' ' -f2- "$1" | sort
}

same_records() { # WANT GOT
    diff <(records "$1") <(records "$2") >difference || {
        head -n 5 difference
        return 1
    }
}

# Every output partition has the records of each input partition in their order, and those ids
# whose hash chooses it.
in_order() { # WANT GOT PARTITIONS
    python3 - "$@" <<'PY'
import subprocess, sys
place, n = {}, int(sys.argv[3])
for i, line in enumerate(open(sys.argv[1])):
    partition, identity = line.split()[:2]
    place[identity] = (int(partition), i)
last, checked = {}, 0
for line in open(sys.argv[2]):
    output, identity, model = line.split()[:3]
    partition, i = place[identity]
    assert last.get((output, partition, model), -1) < i, "out of order: " + line
    last[output, partition, model] = i
    if checked < 20:
        java = subprocess.check_output(["score_tool", "partition", str(n), identity], text=True)
        assert java.strip() == output, "wrong partition: " + line
        checked += 1
assert len({key[0] for key in last}) == n
PY
}

# Turns one bit of a file's data.
alter() { # FILE
    python3 - "$1" <<'PY'
import sys
data = bytearray(open(sys.argv[1], "rb").read())
data[-1000] ^= 1
open(sys.argv[1], "wb").write(data)
PY
}

# Waits for a text in a file, at most 30 s.
wait_for() { # FILE TEXT
    for ((i = 0; i < 300; i++)); do
        grep -qF -e "$2" "$1" 2>/dev/null && return 0
        read -r -t 0.1 <> <(:) || true
    done
    echo "no \"$2\" in $1 after 30 s:"
    cat "$1"
    return 1
}

# Waits until so many scores are written, at most 30 s.
wait_for_scores() { # COUNT
    for ((i = 0; i < 300; i++)); do
        score_tool scores e.ini >got 2>/dev/null || true
        [ "$(wc -l <got)" -lt "$1" ] || return 0
        read -r -t 0.1 <> <(:) || true
    done
    echo "$(wc -l <got) scores after 30 s, not $1"
    return 1
}

follow() { # [option...]
    espalier score --config e.ini --follow --summary s.json "$@" >said 2>log &
    pid=$!
}

stop() {
    kill -TERM "$pid"
    wait "$pid"
    pid=
}

# For teardown().
end_background() {
    if [ -n "${pid:-}" ]; then
        kill "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    fi
}
