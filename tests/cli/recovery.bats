# recovery.bats - a training run that was stopped or killed goes on from its checkpoint, and ends as
# one that never was.

load cli.bash

setup() {
    use_folder
    cat >r.ini <<'END'
[files]
root = in
[state]
folder = state
checkpoints = on
every = 20ms
[join]
click_window = 30m
install_window = 3h
[input]
at_end = close
[sample]
negatives = 0.5
holdout = 0.1
[features]
categorical = user_id, advertiser_id, app.bundle, geo.country, segments
numeric_log = bid_floor
buckets = hour
cross = advertiser_id x geo.country
[snapshot]
topic = snapshots
[drift]
ages = 0, 1, 2
[output]
examples = on
[model a]
setup = ipsp
batch = 200
admit_after = 2
[model b]
setup = esmm
width = 8
batch = 64
END
}

simulate() { # [option...]
    espalier-sim --out files:in --impressions 60000 --days 1 --fields small --partitions 3 \
        --disorder 2m --duplicates 0.01 --unmatched 0.01 --late 0.005 "$@" >/dev/null 2>&1
}

learn() { # NAME [option...]
    espalier train --config r.ini --summary "$1.json" "${@:2}" >"$1.out" 2>"$1.log" 3>&-
}

# The same in the background, as $pid.
start() { # NAME [option...]
    espalier train --config r.ini --summary "$1.json" "${@:2}" >"$1.out" 2>"$1.log" 3>&- &
    pid=$!
}

# Everything that was learned and counted; how often a process was started changes none of it.
essence() { # NAME
    jq -S 'del(.checkpoints, .stopped)' "$1.json"
}

# A run that nothing disturbs, in folders of its own.
undisturbed() { # NAME [option...]
    mkdir "$1-files"
    cp -r in/impressions in/clicks in/installs "$1-files"
    learn "$1" -o "files.root=$1-files" -o "state.folder=$1-state" -o state.checkpoints=off \
        -o state.every=1m "${@:2}"
}

# The records of a topic, in order.
records() { # FOLDER TOPIC
    for file in "$1/$2"/partition=*/*.avro; do espalier-cat "$file"; done
}

wait_until() { # COMMAND...
    for _ in {1..600}; do
        if "$@"; then return; fi
        read -rt 0.05 <> <(:) || true
    done
    echo "in vain: $*"
    return 1
}
newest_checkpoint() {
    find state/checkpoints -name '*.checkpoint' 2>/dev/null | sort | tail -n 1
}
has_newer() { # THAN
    [[ $(newest_checkpoint) > $1 ]]
}
has_checkpoint() {
    compgen -G 'state/checkpoints/*.checkpoint' >/dev/null
}

# Whether a snapshot of model a with this number or a higher one is published.
has_snapshot() { # NUMBER
    local newest
    newest=$(find in/snapshots -name 'a-*.safetensors' 2>/dev/null | sort | tail -n 1)
    newest=${newest##*-} && newest=${newest%.safetensors}
    [ "$((10#${newest:-0}))" -ge "$1" ]
}

@test "a run that writes checkpoints learns what one without them learns" {
    simulate
    undisturbed plain
    learn kept
    [ "$(jq .checkpoints.written kept.json)" -ge 2 ]
    diff <(essence plain) <(essence kept)
}

@test "a run that is killed again and again ends as one that was not" {
    simulate
    undisturbed plain
    kills=0
    for _ in {1..6}; do
        before=$(newest_checkpoint)
        start killed --read-batch 1
        wait_until has_newer "$before"
        kill -KILL "$pid" || break # it was as fast as that, and is through
        wait "$pid" || true
        kills=$((kills + 1))
    done
    [ "$kills" -ge 2 ]
    learn killed
    grep -qF "going on from a checkpoint" killed.log
    diff <(essence plain) <(essence killed)
}

# Events that no partition sees too late, in so many of them: first/ has the first half of each
# file's blocks, the rest is in second/, in files that come behind.
simulate_halves() { # PARTITIONS
    simulate --impressions 24000 --late 0 --partitions "$1"
    python3 - <<'END'
import glob, os
for path in glob.glob("in/*s/partition=*/*.avro"):
    with open(path, "rb") as file:
        data = file.read()
    sync = data[-16:]
    head, *blocks = data.split(sync)[:-1]
    n_first = (len(blocks) + 1) // 2
    for half, name, some in (("first", path, blocks[:n_first]),
                             ("second", path.replace("+00000", "+00001"), blocks[n_first:])):
        name = half + name[2:]
        os.makedirs(os.path.dirname(name), exist_ok=True)
        if some:
            with open(name, "wb") as file:
                file.write(sync.join([head, *some, b""]))
END
}

# Whether there is a checkpoint of six in the morning or later; its head has the watermark.
has_checkpoint_of_day() {
    local newest
    newest=$(find state/checkpoints -name '*.checkpoint' 2>/dev/null | sort | tail -n 1)
    [ -n "$newest" ] && [ "$(od -An -td8 -j24 -N8 "$newest")" -ge 1714543200000000 ]
}

# The run that is killed follows the first half, so that it is not over before.
@test "in however many partitions, read in whatever chunks, killed once, all end alike" {
    simulate_halves 1
    undisturbed plain
    for partitions in 1 3 8; do
        rm -r in first second
        simulate_halves $partitions
        for chunk in 1 7 512; do
            name=killed-$partitions-$chunk
            rm -rf in state
            cp -r first in
            start $name --read-batch $chunk --follow
            wait_until has_checkpoint_of_day
            kill -KILL "$pid"
            wait "$pid" || true
            cp -r second/. in
            learn $name --read-batch $chunk
            grep -qE 'going on from a checkpoint.*watermark="?2024-05-01T[01]' $name.log
            echo $name
            diff <(essence plain) <(essence $name)
        done
    done
}

# Starts, and stops in order once a snapshot is there.
stop_at() { # NAME SNAPSHOT [option...]
    start "$1" --read-batch 1 "${@:3}"
    wait_until grep -qF msg=starting "$1.log"
    wait_until has_snapshot "$2"
    kill -TERM "$pid"
    wait "$pid"
}

@test "a run that is told to stop finishes its batch, writes a checkpoint and is gone on from" {
    simulate
    undisturbed plain
    stop_at stopped 476259 -o state.every=1h
    jq -e '.stopped and .checkpoints.written == 2' stopped.json
    [ "$(ls state/checkpoints | tail -n 1)" = 0000000002.checkpoint ]
    learn stopped
    diff <(essence plain) <(essence stopped)
}

@test "what is held at the end is gone on from when more files are there" {
    simulate
    mv in first
    simulate --first 60000 --start 2024-05-02 --seed 2
    mv in second
    # A log's files are in the order of their names: the second day's come behind.
    for file in second/*/partition=*/*.avro; do
        mv "$file" "${file/+00000/+00001}"
    done
    mkdir in && cp -r first/. second/. in/
    undisturbed plain
    rm -r in && cp -r first in
    learn grown -o input.at_end=hold
    [ "$(jq '.counters.impressions.pending' grown.json)" -gt 0 ]
    learn again -o input.at_end=hold
    diff <(essence grown) <(essence again)
    cp -r second/. in/
    [ "$(find in/impressions -name '*.avro' | wc -l)" = 6 ]
    learn grown
    diff <(essence plain) <(essence grown)
}

@test "a run that is complete says so and changes nothing" {
    simulate
    learn whole
    learn again
    grep -qF "this run is complete" again.log
    diff <(essence whole) <(essence again)
}

@test "a run that was stopped while it ended goes on with that alone, followed or not" {
    # Nothing is due before the end, and to learn what is due then takes a while: more than what
    # waits between the threads, which is learned in any case. All is due before one boundary.
    simulate --impressions 200000
    big=(-o join.click_window=90d -o 'model a.layers=256, 256' -o snapshot.every=10d
        -o drift.window=10d)
    undisturbed plain "${big[@]}"
    whole=$(jq .models[0].examples_learned plain.json)
    start ending "${big[@]}"
    wait_until test -e in/espalier.examples
    kill -TERM "$pid"
    wait "$pid"
    once=$(jq .models[0].examples_learned ending.json)
    [ "$once" -lt "$whole" ]
    start again --follow "${big[@]}" -o input.at_end=auto
    wait_until grep -qF "the run before has ended time" again.log
    wait_until grep -qF "msg=starting" again.log
    kill -TERM "$pid"
    wait "$pid"
    twice=$(jq .models[0].examples_learned again.json)
    [ "$twice" -lt "$whole" ]
    learn ended --follow "${big[@]}" -o input.at_end=auto
    grep -qF "the run before has ended time" ended.log
    diff <(essence plain) <(essence ended)
    learn again --follow "${big[@]}" -o input.at_end=auto
    grep -qF "this run is complete" again.log
}

@test "a checkpoint of another configuration is refused with the option that differs" {
    simulate
    learn first
    run -64 espalier train --config r.ini -o drift.ages=0,1,3
    mentions "[drift] ages"
    mentions "give this run another [state] folder"
    run -64 espalier train --config r.ini -o 'model a.batch=128'
    mentions "[model a] batch"
}

@test "a damaged checkpoint is set aside and the one before is taken" {
    simulate
    undisturbed plain
    stop_at damaged 476258 -o state.every=1h
    stop_at damaged 476262 -o state.every=1h
    newest=$(find state/checkpoints -name '*.checkpoint' | sort | tail -1)
    size=$(stat -c %s "$newest")
    printf 'x' | dd of="$newest" bs=1 seek=$((size / 2)) conv=notrunc status=none
    learn damaged
    grep -qF "$newest" damaged.log
    grep -qF "is set aside" damaged.log
    diff <(essence plain) <(essence damaged)
}

@test "where no checkpoint can be used the run stops, and goes on when one is put back" {
    simulate
    undisturbed plain
    learn held -o input.at_end=hold
    cp -r state/checkpoints kept
    for file in state/checkpoints/*.checkpoint; do
        printf 'x' | dd of="$file" bs=1 seek=100 conv=notrunc status=none
    done
    for _ in 1 2; do # what was set aside is not forgotten at the next start
        run -65 espalier train --config r.ini
        mentions "no checkpoint can be used"
        mentions "another [state] folder"
    done
    rm state/checkpoints/*.bad
    cp kept/* state/checkpoints
    learn held
    diff <(essence plain) <(essence held)
}

@test "a run without checkpoints is refused beside those of another" {
    simulate
    undisturbed plain
    learn held -o input.at_end=hold
    ls state/snapshots >before
    run -64 espalier train --config r.ini -o state.checkpoints=off
    mentions "[state] checkpoints = on"
    diff before <(ls state/snapshots)
    learn held
    diff <(essence plain) <(essence held)
}

@test "a second process on the same folder is refused" {
    simulate
    start first --follow
    wait_until has_checkpoint
    run -64 espalier train --config r.ini
    mentions "state"
    kill -TERM "$pid"
    wait "$pid"
}

@test "without its folder a run goes on from its newest snapshot, to the same weights" {
    simulate
    undisturbed plain -o snapshot.resume=on
    start lost --read-batch 4 -o snapshot.resume=on
    wait_until has_snapshot 476264
    kill -KILL "$pid"
    wait "$pid" || true
    rm -r state
    learn lost -o snapshot.resume=on
    grep -qF "going on from the newest snapshot" lost.log
    [ "$(jq .labels_before lost.json)" -gt 1000 ]
    diff <(jq '[.models[].weights_hash]' plain.json) <(jq '[.models[].weights_hash]' lost.json)
    # What is due from the boundary on is what it was; what came before is counted apart.
    [ "$(jq '[.labels[]] | add' plain.json)" = "$(jq '([.labels[]] | add) + .labels_before' lost.json)" ]
}

@test "without the optimizers' state it learns on, and says what restarts" {
    simulate
    start lost --read-batch 4
    wait_until has_snapshot 476264
    kill -KILL "$pid"
    wait "$pid" || true
    rm -r state
    learn lost
    grep -qF 'restarts="optimizers, admission counts and progressive validation"' lost.log
    learn again -o state.folder=anew -o state.lost=restart
    [ "$(jq .labels_before again.json)" = 0 ]
}

@test "where models have no boundary in common a run begins with the first record" {
    simulate
    learn first
    rm -r state
    # The newest of a is older than the oldest of b.
    find in/snapshots -name 'a-*' | sort | sed 1d | xargs rm
    find in/snapshots -name 'b-*' | sort | sed '$d' | xargs rm
    learn lost
    grep -qF "no boundary that all its models have one for" lost.log
    diff <(jq '[.models[].weights_hash]' first.json) <(jq '[.models[].weights_hash]' lost.json)
}

@test "models go on from the newest boundary that all were taken at" {
    simulate
    learn first -o snapshot.resume=on -o snapshot.keep=5
    rm -r state
    # Of b the one is missing that a has for its newest.
    rm "$(find in/snapshots -name 'a-*' | sort | tail -1)"
    rm "$(find in/snapshots -name 'b-*' | sort | tail -2 | head -1)"
    learn lost -o snapshot.resume=on -o snapshot.keep=5
    grep -qF "going on from the newest snapshot" lost.log
    diff <(jq '[.models[].weights_hash]' first.json) <(jq '[.models[].weights_hash]' lost.json)
}

@test "a run whose snapshots hold all that is due says that it has learned nothing" {
    simulate
    learn first -o snapshot.resume=on
    rm -r state
    learn lost -o snapshot.resume=on
    grep -qF "nothing was learned: every label that is due" lost.log
    [ "$(jq '[.labels[]] | add' lost.json)" = 0 ]
    diff <(jq '[.models[].weights_hash]' first.json) <(jq '[.models[].weights_hash]' lost.json)
    run ! grep -qF "nothing was learned" first.log
}
