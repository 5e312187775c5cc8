# determinism.bats - the same events give the same labels, weights and losses, bit for bit, in
# however many partitions, read in whatever chunks, computed by however many threads.

load cli.bash

setup() {
    use_folder
    cat >e.ini <<'END'
[files]
root = one
[join]
click_window = 30m
install_window = 6h
[sample]
negatives = 0.5
[features]
categorical = user_id, advertiser_id, campaign_id, app.bundle, geo.country, segments
numeric_log = bid_floor
buckets = hour
cross = advertiser_id x geo.country
[model]
setup = ipsp
[model whole]
setup = esmm
width = 8
slice = 64
[model two-towers]
setup = ip
batch = 100
END
}

simulate() { # folder partitions [option...]
    mkdir -p "$1"
    espalier-sim --out "files:$1" --partitions "$2" --impressions 20000 --days 1 --fields small \
        --disorder 2m --duplicates 0.01 --unmatched 0.01 "${@:3}" >/dev/null 2>&1
}

# Prints the summary of a run over a folder: everything that was learned and counted.
learn() { # folder [option...]
    espalier train --config e.ini -o "files.root=$1" --summary s.json "${@:2}" >/dev/null 2>log || {
        cat log
        return 1
    }
    cat s.json
}

@test "1, 3 and 8 partitions give equal summaries" {
    for n in 1 3 8; do simulate "p$n" "$n"; done
    learn p1 >p1.json
    learn p3 >p3.json
    learn p8 >p8.json
    [ "$(jq .counters.impressions.read p1.json)" -gt 20000 ]
    [ "$(jq '.models | length' p1.json)" = 3 ]
    cmp p1.json p3.json
    cmp p1.json p8.json
}

@test "chunks of 1, 7 and 512 records interleave partitions in other ways and change nothing" {
    simulate p 5
    learn p >default.json
    learn p --read-batch 1 >one.json
    learn p --read-batch 7 >seven.json
    cmp default.json one.json
    cmp default.json seven.json
}

@test "1, 2 and 3 threads give equal summaries" {
    simulate p 2
    learn p -o run.threads=1 >t1.json
    learn p -o run.threads=2 >t2.json
    learn p -o run.threads=3 >t3.json
    cmp t1.json t2.json
    cmp t1.json t3.json
}

@test "a smaller skew pauses partitions and changes nothing" {
    simulate p 4
    learn p >wide.json
    learn p -o join.skew=1m >narrow.json
    cmp wide.json narrow.json
}

@test "one record stamped a year ahead in each partition changes the labels of no other" {
    simulate clean 3
    simulate wild 3 --wild
    learn clean >clean.json
    learn wild >wild.json
    # The wild ones are dead, three a topic with events in all partitions; nothing else differs.
    [ "$(jq '.counters.impressions.dead' wild.json)" = 3 ]
    [ "$(jq '.counters.clicks.dead' wild.json)" = 3 ]
    diff <(jq 'del(.counters)' clean.json) <(jq 'del(.counters)' wild.json)
    diff <(jq '.counters | map_values(.labelled)' clean.json) \
        <(jq '.counters | map_values(.labelled)' wild.json)
}

@test "another seed gives other weights, so equality above is no accident" {
    simulate p 1
    learn p >a.json
    learn p -o model.seed=7 >b.json
    [ "$(jq -r '.models[0].weights_hash' a.json)" != "$(jq -r '.models[0].weights_hash' b.json)" ]
}

# With so long a window all labels come once the input has ended, and the model is slow.
@test "a stop while the last labels are learned leaves no snapshot or drift record of half of them" {
    simulate p 2
    settings=(-o join.click_window=90d -o model.layers=1024,1024 -o snapshot.keep=1000
        -o sample.holdout=0.1)
    learn p "${settings[@]}" -o state.folder=whole-state >whole.json
    mv p/espalier.snapshots p/espalier.drift .
    espalier train --config e.ini -o files.root=p "${settings[@]}" --summary s.json \
        >/dev/null 2>log 3>&- &
    trainer=$!
    for _ in {1..600}; do
        if [ -n "$(find p/espalier.snapshots -name '*.safetensors' 2>/dev/null)" ]; then break; fi
        read -rt 0.1 <> <(:) || true
    done
    kill -TERM $trainer
    wait $trainer
    [ "$(jq .labels.click s.json)" -lt "$(jq .labels.click whole.json)" ]
    for snapshot in p/espalier.snapshots/*.safetensors; do
        cmp "$snapshot" "espalier.snapshots/${snapshot##*/}"
    done
    espalier drift --from espalier.drift --format csv | sort >whole.csv
    espalier drift --from p/espalier.drift --format csv | sort >half.csv
    [ -z "$(comm -13 whole.csv half.csv)" ]
}
