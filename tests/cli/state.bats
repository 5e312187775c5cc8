# state.bats - the state folder: who may use it, and the rights of all that the program makes.

load cli.bash
load score.bash

setup() {
    PATH=$ESPALIER_BUILD/tests/bin:$PATH
    use_folder
    mkdir data
    cat >e.ini <<'END'
[files]
root = data
[join]
click_window = 30m
install_window = 4h
[features]
categorical = user_id, advertiser_id
numeric_log = bid_floor
[model]
layers = 8
head_layers = 4
[drift]
ages = 0, 1, 2
END
    espalier-sim --out files:data --impressions 3000 --days 0.5 --fields small --install-window 4h \
        >/dev/null 2>&1
}

# Holds a lock as another process would, until the file descriptor 9 is closed.
hold() { # NAME
    mkdir -p espalier-state
    exec 9<>"espalier-state/$1"
    flock -n 9
}

@test "a second training run on a state folder is refused in one line, and score is not" {
    learn one.safetensors 1 >/dev/null
    hold lock
    run --separate-stderr -64 espalier train --config e.ini 9>&-
    output=$stderr
    mentions "espalier: the state folder espalier-state is in use by another process (it holds the lock lock); stop that one, or name another folder in [state] folder"
    [ "$(wc -l <<<"$stderr")" = 1 ]
    espalier score --config e.ini --snapshot one.safetensors 9>&- >/dev/null 2>&1
    exec 9>&-
    espalier train --config e.ini >/dev/null 2>&1
    # Who holds it is named once it has signed.
    hold lock
    run --separate-stderr -64 espalier train --config e.ini 9>&-
    [[ $stderr =~ "in use by process "[0-9]+" on host $(hostname) since 2"[-0-9T:]+"Z (" ]]
}

@test "a second process that scores a topic to an output is refused, one with another output is not" {
    learn one.safetensors 1 >/dev/null
    hold score.impressions.espalier.scores.lock
    run --separate-stderr -64 espalier score --config e.ini --snapshot one.safetensors 9>&-
    output=$stderr
    mentions "in use by another process (it holds the lock score.impressions.espalier.scores.lock)"
    [ ! -e data/espalier.scores ]
    espalier score --config e.ini --snapshot one.safetensors -o score.topic=other 9>&- \
        >/dev/null 2>&1
    espalier train --config e.ini 9>&- >/dev/null 2>&1
}

@test "whatever the umask, files are 0640 and folders 0750" {
    learn one.safetensors 1 >/dev/null
    mkdir -p out/faults
    touch before
    (
        umask 0
        ! espalier train --config e.ini -o output.faults=out/faults -o model.dense_optimizer=sgd \
            -o model.dense_rate=100 -o model.dense_l2=1 -o state.folder=out/faulty
        espalier train --config e.ini -o output.examples=on -o state.folder=out/state \
            -o state.checkpoints=on --summary out/summary.json
        espalier score --config e.ini --snapshot one.safetensors -o state.folder=out/state \
            --summary out/score.json
        espalier drift --from data --html out/drift.html
        espalier snapshot list --from data/espalier.snapshots
    ) >log 2>&1
    find . -newer before -type f ! -name log ! -name wrong ! -perm 640 >wrong
    find . -newer before -type d ! -perm 750 ! -path . ! -path ./out ! -path ./data \
        ! -path ./out/faults >>wrong
    find . -newer before -type f >made
    cat made log
    grep -q drift.html made
    grep -q score.json made
    grep -q espalier.scores made
    grep -q espalier.examples made
    grep -q 'espalier.snapshots/.*safetensors' made
    grep -q 'faults/.*jsonl' made
    grep -q summary.json made
    grep -q 'state/checkpoints/.*checkpoint' made
    diff /dev/null wrong
}
