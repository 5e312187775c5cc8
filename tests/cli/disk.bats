# disk.bats - a disk that is full, read-only or failing: training goes on or stops with a clear line,
# and a start on a sound disk goes on from the last checkpoint as if nothing had happened.

load cli.bash

setup() {
    use_folder
    cat >d.ini <<'END'
[files]
root = root
[state]
folder = state
checkpoints = on
every = 10ms
[join]
click_window = 30m
install_window = 3h
[input]
at_end = close
[sample]
holdout = 0.1
[features]
categorical = user_id, advertiser_id, app.bundle
[drift]
ages = 0, 1, 2
[output]
examples = on
[model]
layers = 16
head_layers = 8
width = 8
table_memory = 200KiB
END
    espalier-sim --out files:in --impressions 8000 --days 0.5 --fields small --partitions 2 \
        --disorder 2m --late 0.01 >/dev/null 2>&1
    new_root undisturbed-root
    train undisturbed -o files.root=undisturbed-root -o state.folder=undisturbed-state
}

teardown() {
    if [ -n "${mounted:-}" ]; then umount "$mounted"; fi
}

# Inputs that are shared, outputs of its own.
new_root() { # FOLDER
    mkdir "$1"
    ln -s "$PWD/in/impressions" "$PWD/in/clicks" "$PWD/in/installs" "$1"
}

train() { # NAME [OPTION...]
    espalier train --config d.ini --read-batch 64 --summary "$1.json" "${@:2}" >"$1.out" 2>"$1.log"
}

# What fails, and when: see tests/fault/fault.c.
train_with_fault() { # FAULT NAME [OPTION...]
    ESPALIER_FAULT=$1 ASAN_OPTIONS=${ASAN_OPTIONS:-}:verify_asan_link_order=0 \
        LD_PRELOAD=$ESPALIER_BUILD/bin/espalier-fault.so \
        espalier train --config d.ini --read-batch 64 --summary "$2.json" "${@:3}" \
        >"$2.out" 2>"$2.log"
}

# Mounts a small file system of its own, or skips the test.
mount_small() { # FOLDER OPTIONS
    mkdir "$1"
    mount -t tmpfs -o "$2" none "$1" 2>/dev/null || skip "a tmpfs cannot be mounted here"
    mounted=$PWD/$1
}

records() { # ROOT TOPIC
    for file in "$1/espalier.$2"/partition=0/*.avro; do espalier-cat "$file"; done
}

# Everything that was learned and counted, and every record and snapshot.
same() { # NAME ROOT
    cmp <(jq -S 'del(.checkpoints)' undisturbed.json) <(jq -S 'del(.checkpoints)' "$1.json")
    cmp <(drift-dump undisturbed-root | sort) <(drift-dump "$2" | sort)
    local topic file
    for topic in late examples; do
        cmp <(records undisturbed-root "$topic") <(records "$2" "$topic")
    done
    for file in undisturbed-root/espalier.snapshots/*.safetensors; do
        cmp "$file" "$2/espalier.snapshots/${file##*/}"
    done
}

# The run ended with one line, and that says all of these.
ended_with() { # NAME TEXT...
    local line text
    line=$(grep '^espalier: ' "$1.log")
    for text in "${@:2}"; do
        if [ "$(wc -l <<<"$line")" != 1 ] || ! grep -qF -e "$text" <<<"$line"; then
            echo "no single line with '$text':"
            cat "$1.log"
            return 1
        fi
    done
}

@test "a full disk stops the run with a line, and with room again it goes on" {
    size=$(du -sbc undisturbed-root undisturbed-state | tail -n 1 | cut -f 1)
    mount_small disk "size=$((size / 2))"
    new_root disk/root
    code=0
    train full -o files.root=disk/root -o state.folder=disk/state || code=$?
    [ "$code" = 74 ]
    ended_with full "No space left on device" disk/
    compgen -G "disk/state/checkpoints/*.checkpoint"
    mount -o "remount,size=$((size * 4))" disk
    train again -o files.root=disk/root -o state.folder=disk/state
    grep -F "going on from a checkpoint" again.log
    same again disk/root
}

@test "wherever the room ends the line names a file, and the next start goes on" {
    for room in 5000 60000 200000 400000; do
        rm -rf root state
        new_root root
        code=0
        train_with_fault "room:$room:ENOSPC" "room-$room" || code=$?
        [ "$code" = 74 ]
        ended_with "room-$room" "No space left on device"
        train again
        same again root
    done
}

@test "a checkpoint that cannot be written is said, and training goes on" {
    new_root root
    # The folder of checkpoints alone is on a disk with room for the first and no other.
    mkdir state
    mount_small state/checkpoints size=48k
    code=0
    train full || code=$?
    grep -F "training goes on" full.log | grep -F "No space left on device"
    # The last one is worth a failure: without it the next start would do everything again.
    [ "$code" = 74 ]
    ended_with full "a checkpoint could not be written" "No space left on device"
    cmp <(jq -S 'del(.checkpoints, .stopped)' undisturbed.json) \
        <(jq -S 'del(.checkpoints, .stopped)' full.json)
    mount -o remount,size=100m state/checkpoints
    train again
    grep -F "going on from a checkpoint" again.log
    same again root
}

@test "a state folder on a read-only disk stops the start with a line" {
    mount_small readonly ro
    new_root root
    code=0
    train refused -o state.folder=readonly/state || code=$?
    [ "$code" = 74 ]
    ended_with refused readonly/state "Read-only file system"
}

@test "outputs on a read-only disk stop the run with a line, and the next start goes on" {
    mount_small outputs size=100m
    new_root outputs/root
    mount -o remount,ro outputs
    code=0
    train refused -o files.root=outputs/root || code=$?
    [ "$code" = 74 ]
    ended_with refused "Read-only file system" outputs/root
    mount -o remount,rw outputs
    train again -o files.root=outputs/root
    same again outputs/root
}

@test "short writes are finished, and change nothing" {
    for n in 1 5 9 20; do
        rm -rf root state
        new_root root
        train_with_fault "write:$n:short" short
        same short root
    done
}

@test "an fsync that fails is said, and what it leaves can be gone on from" {
    for n in 1 2 3 5 8 13; do
        rm -rf root state
        new_root root
        code=0
        train_with_fault "sync:$n:EIO" "sync-$n" || code=$?
        [ "$code" = 0 ] || ended_with "sync-$n" "Input/output error"
        grep -F "Input/output error" "sync-$n.log"
        if [ "$code" != 0 ]; then
            train again
            same again root
        fi
    done
}
