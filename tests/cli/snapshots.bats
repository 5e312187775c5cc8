# snapshots.bats - `espalier train` takes snapshots on boundaries of event time: what was due before
# decides what is in them, and nothing else does.

load cli.bash

setup() {
    use_folder
    cat >e.ini <<'END'
[files]
root = one
[join]
click_window = 30m
install_window = 4h
[sample]
holdout = 0.1
negatives = 0.5
[features]
categorical = user_id, advertiser_id, app.bundle, geo.country
numeric_log = bid_floor
buckets = hour
[model]
layers = 16
head_layers = 8
width = 8
[model whole]
setup = esp
layers = 16
width = 4
batch = 100
[drift]
ages = 0, 1, 2, 4, 8, 16
sparse_from = 4
sparse = 4
END
}

simulate() { # FOLDER PARTITIONS [OPTION...]
    espalier-sim --out "files:$1" --partitions "$2" --impressions 15000 --days 1.5 --fields small \
        --install-window 4h --disorder 2m --duplicates 0.01 "${@:3}" >/dev/null 2>&1
}

# Trains on a folder; its snapshots are also kept below KEPT.
train() { # FOLDER KEPT [OPTION...]
    mkdir "$2"
    rm -rf "$1/espalier.drift"
    KEEP_SNAPSHOTS=$PWD/$2 ASAN_OPTIONS=${ASAN_OPTIONS:-}:verify_asan_link_order=0 \
        LD_PRELOAD=$ESPALIER_BUILD/bin/keep-snapshots.so \
        espalier train --config e.ini -o "files.root=$1" --summary "$2.json" "${@:3}" \
        >"$2.out" 2>"$2.err"
}

# The JSON text in a snapshot's head.
manifest() { # FILE
    local n
    n=$(od -An -tu8 -N8 "$1")
    tail -c +9 "$1" | head -c $((n)) | jq -r '.__metadata__["espalier.manifest"]'
}

# Fails unless both folders hold the same snapshots, to the byte.
same_snapshots() {
    diff <(cd "$1" && ls) <(cd "$2" && ls)
    local file
    for file in "$1"/*.safetensors; do
        cmp "$file" "$2/$(basename "$file")"
    done
}

@test "a snapshot's number is its boundary by every, its name says model, run and number" {
    simulate one 2
    train one kept
    [ "$(ls kept/main-*.safetensors | wc -l)" -ge 35 ]
    [ "$(ls kept/whole-*.safetensors | wc -l)" -ge 30 ]
    local file
    for file in kept/*.safetensors; do
        manifest "$file" >m.json
        jq -e >/dev/null '.number * 3600000000 == .boundary_us and .every_us == 3600000000' m.json
        [ "$(basename "$file")" = "$(jq -r '"\(.model)-\(.run)-" + ("000000000000\(.number)" | .[-12:])' \
            m.json).safetensors" ]
    done
    # What was learned grows from one to the next, up to the whole.
    for file in kept/main-*.safetensors; do manifest "$file" | jq .examples_learned; done >learned
    sort -nuc learned
    [ "$(tail -n 1 learned)" = "$(jq '.models[0].examples_learned' kept.json)" ]
}

@test "reads of 1, 7 and 512 records, and 1 to 3 threads, write the same snapshots and records" {
    simulate one 5
    train one default
    drift-dump one | sort >default.records
    [ "$(wc -l <default.records)" -gt 300 ]
    local option
    for option in --read-batch=1 --read-batch=7 --read-batch=512 -orun.threads=1 -orun.threads=3; do
        rm -rf other
        train one other "$option"
        same_snapshots default other
        drift-dump one | sort | cmp default.records
    done
}

@test "1, 3 and 8 partitions write the same snapshots and records" {
    local n
    for n in 1 3 8; do
        simulate "p$n" "$n"
        train "p$n" "kept$n"
        drift-dump "p$n" | sort >"records$n"
    done
    same_snapshots kept1 kept3
    same_snapshots kept1 kept8
    cmp records1 records3
    cmp records1 records8
}

@test "what comes later changes no snapshot: a log cut at 20 hours has those of the whole so far" {
    simulate whole 2
    simulate cut 2 --stop-after 20h
    train whole all
    train cut first -o input.at_end=hold
    local n_first n_all file
    n_first=$(ls first/main-*.safetensors | wc -l)
    n_all=$(ls all/main-*.safetensors | wc -l)
    [ "$n_first" -ge 18 ] && [ "$n_first" -lt "$n_all" ]
    for file in first/*.safetensors; do
        cmp "$file" "all/$(basename "$file")"
    done
}

@test "boundaries cut batches, and do nothing else to what is learned" {
    simulate one 2
    # With batches of one example there is nothing to cut.
    for every in 1h 6h 0; do
        train one "kept-$every" -o "snapshot.every=$every" -o drift.window=6h -o model.batch=1 \
            -o "model whole.batch=1"
        jq '[.models[].weights_hash]' "kept-$every.json" >"hash-$every"
    done
    cmp hash-1h hash-6h
    cmp hash-1h hash-0
    # Where boundaries meet, so do the weights: but for the manifest the files are equal.
    local file boundary other n=0
    for file in kept-6h/main-*.safetensors; do
        boundary=$(manifest "$file" | jq .boundary_us)
        # The last of those up to it: where nothing new was learned there is none of its own.
        other=$(ls kept-1h/main-* | awk -F '[-.]' -v most=$((boundary / 3600000000)) \
            '$(NF - 1) + 0 <= most' | tail -n 1)
        diff <(manifest "$file" | jq .checksum) <(manifest "$other" | jq .checksum)
        n=$((n + 1))
    done
    [ "$n" -ge 5 ]
    # The runs are two all the same, since with larger batches the weights would differ.
    [ "$(ls kept-1h kept-6h | sed -n 's/^main-\([0-9a-f]*\)-.*/\1/p' | sort -u | wc -l)" = 2 ]
    train one cut-1h
    train one cut-6h -o snapshot.every=6h -o drift.window=6h
    [ "$(jq -r '.models[0].weights_hash' cut-1h.json)" != \
        "$(jq -r '.models[0].weights_hash' cut-6h.json)" ]
}

@test "snapshot.every = 0 takes none, measures nothing and makes no folder" {
    simulate one 2
    train one kept -o snapshot.every=0
    [ -z "$(ls kept)" ]
    [ ! -e espalier-state ]
    [ ! -e one/espalier.drift ]
    jq -e '.models[0].examples_learned > 1000' kept.json
}

@test "without a holdout there are snapshots, and no drift" {
    simulate one 2
    train one kept -o sample.holdout=0
    [ "$(ls kept/main-*.safetensors | wc -l)" -ge 35 ]
    [ ! -e one/espalier.drift ]
    # Nobody needs an old one: there are the newest of both models, and for a moment the ones before.
    [ "$(awk '{ print $2 }' kept/log | sort -n | tail -n 1)" -le 4 ]
}

@test "as many files as the ladder needs, and none at the end" {
    espalier-sim --out files:long --impressions 20000 --days 6 --fields small --install-window 4h \
        >/dev/null 2>&1
    train long kept
    # A model: ages 0 to 2, every 4th up to 16, those that wait for their window, the newest.
    awk '{ if ($2 > most) most = $2 } END { print most; exit most > 2 * (3 + 4 + 3) }' kept/log
    # It does not grow with the stream.
    [ "$(sed -n 60,150p kept/log | awk '{ print $2 }' | sort -n | tail -n 1)" = \
        "$(sed -n '151,$p' kept/log | awk '{ print $2 }' | sort -n | tail -n 1)" ]
    [ -d espalier-state/snapshots ]
    [ -z "$(ls espalier-state/snapshots)" ]
}

@test "bf16 halves the rows, and is another run" {
    simulate one 2
    train one full
    train one half -o snapshot.rows=bf16
    local a b
    a=$(ls full/main-* | tail -n 1)
    b=$(ls half/main-* | tail -n 1)
    [ "${a#full/}" != "${b#half/}" ]
    [ "$(stat -c %s "$b")" -lt "$(stat -c %s "$a")" ]
    tail -c +9 "$b" | head -c $(($(od -An -tu8 -N8 "$b"))) |
        jq -e '.["embedding.0.rows"].dtype == "BF16"'
    # The weights that learn are not rounded.
    diff <(jq '[.models[].weights_hash]' full.json) <(jq '[.models[].weights_hash]' half.json)
    # Rounded rows lose next to nothing.
    [ "$(drift-dump one | wc -l)" -gt 300 ]
}

@test "snapshot.resume adds one tensor, which is another run and other bytes but nothing that is learned" {
    simulate one 2
    train one plain
    train one whole -o snapshot.resume=on
    local a b
    a=$(ls plain/main-* | tail -n 1)
    b=$(ls whole/main-* | tail -n 1)
    [ "${a#plain/}" != "${b#whole/}" ]
    [ "$(stat -c %s "$b")" -gt "$(stat -c %s "$a")" ]
    diff <(jq '[.models[].weights_hash]' plain.json) <(jq '[.models[].weights_hash]' whole.json)
    header() { tail -c +9 "$1" | head -c $(($(od -An -tu8 -N8 "$1"))) | jq 'del(.__metadata__)'; }
    header "$b" | jq -e '.["resume.learner"].dtype == "U8"'
    diff <(header "$a") <(header "$b" | jq --argjson plain "$(header "$a")" \
        'with_entries(select(.key as $name | $plain | has($name)))')
    espalier snapshot verify --from "$b"
    espalier snapshot export --from "$a" -o a.safetensors
    espalier snapshot export --from "$b" -o b.safetensors
    diff <(header a.safetensors) <(header b.safetensors)
    data() { tail -c +$((9 + $(od -An -tu8 -N8 "$1"))) "$1"; }
    cmp <(data a.safetensors) <(data b.safetensors)
}

@test "snapshot.resume with rounded rows is one clear line" {
    simulate one 1
    run -64 train one kept -o snapshot.resume=on -o snapshot.rows=bf16
    output=$(cat kept.err)
    mentions '[snapshot] resume = on: needs rows = f32, for nothing learns on from rounded rows; choose one'
}

@test "a state folder that is a file, or below one, is one clear line" {
    simulate one 1
    touch taken
    run -74 train one kept -o state.folder=taken
    output=$(cat kept.err)
    mentions 'taken: cannot be written to: Not a directory; name another in [state] folder'
    [ "$(wc -l <kept.err)" = 1 ]
    rm -r kept
    mkdir -p made
    touch made/snapshots
    run -74 train one kept -o state.folder=made
    output=$(cat kept.err)
    mentions 'made/snapshots: cannot be written to: Not a directory; name another in [state] folder'
    rm -r kept
    run -74 train one kept -o state.folder=no/such/place
    output=$(cat kept.err)
    mentions 'no/such/place: the folder cannot be made: No such file or directory'
}

@test "a state folder without the right to write is one clear line" {
    [ "$(id -u)" != 0 ] || skip "root may write everywhere"
    simulate one 1
    mkdir closed
    chmod 500 closed
    run -74 train one kept -o state.folder=closed
    chmod 700 closed
    output=$(cat kept.err)
    mentions 'closed/snapshots: the folder cannot be made: Permission denied'
}

@test "what a killed run of another configuration left in the state folder goes at the next start" {
    simulate one 1
    mkdir -p espalier-state/snapshots
    local left=espalier-state/snapshots/main-0123456789abcdef-000000000007.safetensors
    touch "$left" "$left.publish" "$left.tmp" "${left/main/.main}.publish.tmp" \
        espalier-state/snapshots/mine.safetensors
    train one kept
    [ "$(ls -A espalier-state/snapshots)" = mine.safetensors ]
}

@test "a file system without links takes copies, and publishes the same" {
    simulate one 1
    train one linked
    mv one/espalier.snapshots published
    NO_LINKS=yes train one copied
    same_snapshots published one/espalier.snapshots
    [ -z "$(ls espalier-state/snapshots)" ]
}
