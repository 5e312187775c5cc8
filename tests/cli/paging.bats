# paging.bats - past join.memory the join pages to the state folder, and learns the same.

load cli.bash

setup() {
    use_folder
    cat >r.ini <<'END'
[files]
root = in
[state]
folder = state
checkpoints = off
lost = restart
[join]
click_window = 1d
install_window = 1d
[input]
at_end = close
[sample]
negatives = 0.02
holdout = 0.01
[features]
categorical = advertiser_id, geo.country
[drift]
ages = 0
[model a]
setup = ipsp
width = 4
batch = 256
END
    # Nothing leaves before the end, so that all 50 MB of records wait; 48 MiB is the least that
    # join.memory can be: the segments that are written to take it all.
    espalier-sim --out files:in --impressions 300000 --days 1 --fields small --partitions 2 \
        --disorder 1m >/dev/null 2>&1
}

learn() { # NAME [option...]
    espalier train --config r.ini --summary "$1.json" "${@:2}" >"$1.out" 2>"$1.log" 3>&-
}

# Everything that was learned and counted, wherever the join kept it.
essence() { # NAME
    jq -S 'del(.checkpoints, .stopped, .join)' "$1.json"
}

n_segments() {
    find state/segments -name '*.segment*' 2>/dev/null | wc -l
}

# The second day's files, behind the first's.
add_later() { # FOLDER
    for file in later/*/partition=*/*.avro; do
        to=$1/${file#later/}
        cp "$file" "${to%/*}/z-later.avro"
    done
}

# In vain after a minute.
wait_until() { # COMMAND...
    for _ in {1..1200}; do
        if "$@"; then return; fi
        read -rt 0.05 <> <(:) || true
    done
    echo "in vain: $*"
    return 1
}
has_segment() {
    compgen -G 'state/segments/*.segment' >/dev/null
}
has_checkpoint() {
    compgen -G 'state/checkpoints/*.checkpoint' >/dev/null
}

@test "a run below its cap learns what one without a cap learns, and leaves no file" {
    learn free
    learn capped -o join.memory=48MiB
    jq -e '.join.paged_out_bytes == 0' free.json
    jq -e '.join.paged_out_bytes > 20e6 and .join.paged_bytes == 0' capped.json
    jq -e '.join.paging_failures == 0' capped.json
    [ ! -e state/segments ]
    diff <(essence free) <(essence capped)
    # What cannot be paged is above such a cap, and that is said.
    grep -qF "that cannot be paged" capped.log
}

@test "where the state folder cannot be written to the run goes on in memory and says why" {
    learn free
    mkdir -p state
    ln -s nowhere state/segments
    learn failing -o join.memory=48MiB
    jq -e '.join.paged_out_bytes == 0 and .join.paging_failures > 0' failing.json
    grep -qF "the join cannot page to [state] folder and goes on in memory" failing.log
    [ "$(grep -cF "cannot page" failing.log)" = 1 ]
    diff <(essence free) <(essence failing)
}

@test "killed while it pages and gone on from, it ends as if nothing had been" {
    cp -r in undisturbed # its snapshots are its own, too
    learn free -o files.root=undisturbed
    kills=0
    for _ in 1 2 3; do
        rm -f seen
        learn killed -o join.memory=48MiB -o state.checkpoints=on -o state.every=50ms \
            --read-batch 64 &
        pid=$!
        # The next checkpoint after this start is in place, and more was paged since.
        before=$(find state/checkpoints -name '*.checkpoint' 2>/dev/null | sort | tail -1)
        wait_until eval "! kill -0 $pid 2>/dev/null || { has_segment && has_checkpoint && [ \
            \"\$(find state/checkpoints -name '*.checkpoint' | sort | tail -1)\" != '$before' ]; }"
        kill -KILL "$pid" 2>/dev/null && kills=$((kills + 1))
        wait "$pid" || true
    done
    [ "$kills" -ge 2 ]
    learn killed -o join.memory=48MiB -o state.checkpoints=on -o state.keep=1
    grep -qF "going on from a checkpoint" killed.log
    diff <(essence free) <(essence killed)
    # Nothing waits any more, and the one checkpoint that is kept names nothing.
    [ "$(n_segments)" = 0 ]
}

@test "a checkpoint whose segment is damaged is set aside, and the one before is taken" {
    espalier-sim --out files:later --impressions 200000 --days 1 --fields small --partitions 2 \
        --disorder 1m --first 300000 --start 2024-05-02 --seed 2 >/dev/null 2>&1
    sed -i 's/_window = 1d/_window = 2d/' r.ini
    cp -r in both
    add_later both
    learn free -o files.root=both
    learn held -o state.checkpoints=on -o state.every=1h -o input.at_end=hold
    n=$(n_segments)
    [ "$n" -ge 1 ]
    add_later in
    learn held -o state.checkpoints=on -o state.every=1h -o input.at_end=hold
    [ "$(n_segments)" -gt "$n" ]
    # The newest is named by the second checkpoint alone.
    newest=$(find state/segments -name '*.segment' | sort | tail -1)
    printf 'x' | dd of="$newest" bs=1 seek=70000 conv=notrunc status=none
    learn held -o state.checkpoints=on -o state.every=1h -o input.at_end=close
    grep -qF "$newest: the segment is damaged" held.log
    grep -qF "is set aside" held.log
    diff <(essence free) <(essence held)
}
