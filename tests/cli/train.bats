# `espalier train` and `check` over simulated files: what they count is what the simulator says is
# true, nothing that should not matters to what is learned, and bad input is named and counted.
load cli

# Three days of a small campaign in which everything goes wrong a little.
setup_file() {
    cd "$BATS_FILE_TMPDIR" || exit 1
    PATH=${ESPALIER_BUILD:-$BATS_TEST_DIRNAME/../../build/test}/bin:$PATH
    campaign=(espalier-sim --fields small --impressions 12000 --days 3 --install-window 1d)
    "${campaign[@]}" --out files:rough --partitions 3 --duplicates 0.01 --unmatched 0.02 \
        --late 0.01 --malformed 0.002 --wrong-clocks 0.001
    local n
    for n in 1 3 8; do
        "${campaign[@]}" --out "files:clean-$n" --partitions "$n"
    done
    "${campaign[@]}" --out files:wild --partitions 3 --wild
    cat >config.ini <<'INI'
[join]
install_window = 1d
[features]
categorical = user_id, advertiser_id, creative_id, app.bundle, geo.country, device.os, hour, segments
[model main]
layers = 32, 16
head_layers = 16
INI
}

setup() {
    use_folder
}

# Trains on a folder of that name; the summary is NAME.json, or what --summary says.
train() { # FOLDER [OPTION...]
    local folder=$1
    shift
    espalier train --config "$BATS_FILE_TMPDIR/config.ini" -o "files.root=$folder" \
        --summary "$(basename "$folder").json" "$@"
}

# A copy that may be damaged, without the outputs of other runs.
copy_of() { # FOLDER
    mkdir "$1"
    cp -r "$BATS_FILE_TMPDIR/$1"/{impressions,clicks,installs} "$1/"
}

@test "every event is counted as what the simulator says it is" {
    copy_of rough
    run -0 train rough
    diff <(jq '.counters' "$BATS_FILE_TMPDIR/rough/truth.json") \
        <(jq '.counters | map_values({read, labelled, duplicate, unmatched, late, dead})' rough.json)
}

@test "the counters of each topic add up" {
    copy_of rough
    run -0 train rough -o input.at_end=hold
    jq -e '.counters[] | .read == .labelled + .duplicate + .unmatched + .late + .dead + .pending' \
        rough.json
    jq -e '.counters.impressions.pending > 0' rough.json
}

@test "what is turned away stands in the output folders" {
    copy_of rough
    run -0 train rough
    strings rough/espalier.dead-letter/partition=0/*.avro | grep -q "no id"
    jq -e '.counters.impressions.late > 0' rough.json
    [ -n "$(find rough/espalier.late/partition=0 -name '*.avro' -size +1k)" ]
}

@test "two runs, whatever the threads and the size of a read, write the same summary" {
    run -0 train "$BATS_FILE_TMPDIR/clean-3" --summary one.json
    run -0 train "$BATS_FILE_TMPDIR/clean-3" --summary two.json -o run.threads=1
    run -0 train "$BATS_FILE_TMPDIR/clean-3" --summary three.json -o run.threads=3 --read-batch 7
    cmp one.json two.json
    cmp one.json three.json
}

@test "1, 3 and 8 partitions give the same labels, weights and losses" {
    local n
    for n in 1 3 8; do
        run -0 train "$BATS_FILE_TMPDIR/clean-$n"
    done
    cmp clean-1.json clean-3.json
    cmp clean-1.json clean-8.json
}

@test "a record a year ahead in every partition is a dead letter and changes nothing else" {
    copy_of wild
    run -0 train wild
    run -0 train "$BATS_FILE_TMPDIR/clean-3"
    jq -e '[.counters[].dead] == [3, 3, 3]' wild.json
    cmp <(jq '.models, .labels' wild.json) <(jq '.models, .labels' clean-3.json)
}

@test "a day's training is better than guessing" {
    run -0 train "$BATS_FILE_TMPDIR/clean-3" -o model\ main.batch=64
    jq -e '.models[0].tasks.click | .roc_auc.value > 0.55 and .normalised_entropy.value < 1.1' \
        clean-3.json
}

@test "the models' figures fit a terminal of 80 columns, beyond which it would cut them" {
    run -0 --separate-stderr train "$BATS_FILE_TMPDIR/clean-1"
    local line n=0
    for line in "${lines[@]}"; do
        [[ $line == model\ \ task* ]] && n=1
        ((n == 0)) || { [ "${#line}" -lt 80 ] && n=$((n + 1)); }
        [[ $line == impressions:* ]] && break
    done
    [ "$n" -eq 6 ] # a heading, three tasks, the first counters
    [[ ${lines[*]} =~ main\ +click\ +0\.[0-9]{4}\ +[0-9.]+\ +0\.[0-9]{3} ]]
}

@test "every set-up learns from one join" {
    {
        cat "$BATS_FILE_TMPDIR/config.ini"
        for setup in ip esmm esmm-ns essp-split ipsp esp ctr; do
            printf '[model %s]\nsetup = %s\nlayers = 16\nhead_layers = 8\n' "$setup" "$setup"
        done
    } >all.ini
    run -0 espalier train --config all.ini -o "files.root=$BATS_FILE_TMPDIR/clean-3" \
        --summary all.json
    jq -e '[.models[].setup] == ["ipsp", "ip", "esmm", "esmm-ns", "essp-split", "ipsp", "esp", "ctr"]' \
        all.json
    jq -e '[.models[].steps > 0] | all' all.json
    # A model learns the same alone and in company.
    run -0 train "$BATS_FILE_TMPDIR/clean-3"
    [ "$(jq '.models[0].weights_hash' all.json)" = "$(jq '.models[0].weights_hash' clean-3.json)" ]
}

@test "sampled negatives are weighed, and the holdout is left out" {
    run -0 train "$BATS_FILE_TMPDIR/clean-3" -o sample.negatives=0.1 -o sample.holdout=0.2
    jq -e '(.impressions_kept + .impressions_sampled_out) == .labels.click' clean-3.json
    jq -e '.models[0].tasks.click.weight / .labels.click | . > 0.75 and . < 0.85' clean-3.json
    jq -e '.impressions_holdout / .impressions_kept | . > 0.15 and . < 0.25' clean-3.json
}

@test "a truncated file is named and counted, and the rest goes on" {
    copy_of rough
    local file
    file=$(echo rough/clicks/partition=1/*.avro)
    truncate -s "$(($(stat -c %s "$file") / 2))" "$file"
    run -0 train rough
    mentions "$file: the file ends in the middle of a block"
    jq -e '.damaged_files == 1 and .skipped_bytes > 0' rough.json
    jq -e '.counters.impressions.labelled > 11000' rough.json
}

@test "a foreign file is named and counted, and the rest goes on" {
    copy_of rough
    echo "no Avro at all" >rough/installs/partition=0/0.avro
    run -0 train rough
    mentions "rough/installs/partition=0/0.avro: the file is not an Avro container"
    jq -e '.damaged_files == 1' rough.json
    diff <(jq '.counters.installs.read' "$BATS_FILE_TMPDIR/rough/truth.json") \
        <(jq '.counters.installs.read' rough.json)
}

@test "a file of another kind of event is refused wherever it stands, though it has id and time" {
    copy_of rough
    local name
    # Names that tell offsets would say that the strangers overlap.
    mv rough/impressions/partition=0/*.avro rough/impressions/partition=0/m.avro
    mv rough/installs/partition=1/*.avro rough/installs/partition=1/m.avro
    for name in 0 zz; do # before and after the topic's own
        cp rough/clicks/partition=1/*.avro "rough/impressions/partition=0/$name.avro"
        cp rough/impressions/partition=1/*.avro "rough/installs/partition=1/$name.avro"
    done
    cp rough/impressions/partition=1/*.avro rough/clicks/partition=0/zz.avro
    run -0 train rough
    for name in 0 zz; do
        mentions "impressions/partition=0/$name.avro: topic impressions: its records are espalier.Click, as those of topic clicks are; here they are espalier.Impression"
    done
    mentions "clicks/partition=0/zz.avro: topic clicks: its records are espalier.Impression, as those of topic impressions are; here they are espalier.Click"
    mentions "installs/partition=1/zz.avro: topic installs: its records are espalier.Impression"
    jq -e '.damaged_files == 5' rough.json
    diff <(jq '.counters' "$BATS_FILE_TMPDIR/rough/truth.json") \
        <(jq '.counters | map_values({read, labelled, duplicate, unmatched, late, dead})' rough.json)
}

@test "files of an older schema are read without what it lacks, and that is said" {
    copy_of rough
    # The same records, with a field under another name.
    python3 - rough/impressions/partition=1/*.avro <<'END'
import sys
for path in sys.argv[1:]:
    data = open(path, "rb").read()
    assert data.count(b'"advertiser_id"') == 1
    open(path, "wb").write(data.replace(b'"advertiser_id"', b'"advertiser_no"', 1))
END
    run -0 train rough
    mentions 'topic impressions: files with another schema, espalier.Impression; it lacks 1 of the features (advertiser_id ...), which are missing there'
    jq -e '.damaged_files == 0' rough.json
}

@test "a run in which too many records fail stops and says which schema it tried" {
    espalier-sim --out files:broken --fields small --impressions 4000 --malformed 0.5
    run -65 train broken
    mentions "records cannot be used, mostly: no id (schema tried: espalier.Impression)"
    mentions "input.max_dead_share"
    run -0 train broken -o input.max_dead_share=1
}

@test "a field that no schema has is named before anything is learned" {
    run -64 train "$BATS_FILE_TMPDIR/clean-3" -o features.categorical=advertser_id
    mentions 'no field "advertser_id" in schema Impression; did you mean advertiser_id?'
    run -64 train "$BATS_FILE_TMPDIR/clean-3" -o clicks.id=nothing
    mentions 'no field "nothing" in schema Click'
}

@test "a time field of the wrong type is named with the mend" {
    run -64 train "$BATS_FILE_TMPDIR/clean-3" -o impressions.time=advertiser_id
    mentions '"advertiser_id" is a long without a unit; set time_unit to s, ms, us or ns'
}

@test "a step that is not finite leaves its batch in a file and stops the run" {
    mkdir faults
    run -65 train "$BATS_FILE_TMPDIR/clean-3" -o output.faults=faults \
        -o "model main.dense_optimizer=sgd" -o "model main.dense_rate=100" \
        -o "model main.dense_l2=1" # weights grow a hundredfold each step
    mentions "is not finite; the batch is in faults/main-step-"
    jq -es 'length > 0' faults/main-step-*.jsonl
}

@test "examples are written where the configuration wants them" {
    copy_of rough
    run -0 train rough -o output.examples=on
    jq -e '.examples_written == .labels.click + .labels.install' rough.json
    [ -n "$(find rough/espalier.examples/partition=0 -name '*.avro' -size +100k)" ]
}

@test "a run that follows ends at a signal and accounts for what it read" {
    espalier train --config "$BATS_FILE_TMPDIR/config.ini" --follow --summary follow.json \
        -o "files.root=$BATS_FILE_TMPDIR/clean-3" >out 2>log 3>&- &
    local pid=$!
    for _ in {1..600}; do
        grep -q "msg=starting" log && break
        sleep 0.1
    done
    kill -TERM "$pid"
    wait "$pid"
    jq -e '.counters[] | .read == .labelled + .duplicate + .unmatched + .late + .dead + .pending' \
        follow.json
}

@test "check tells what would be read, learned and written, and reads without a trace" {
    copy_of rough
    run -0 espalier check --config "$BATS_FILE_TMPDIR/config.ini" -o files.root=rough
    says_line "ready"
    mentions "topic impressions, 3 partitions, id impression_id, time event_time, grace 10m"
    mentions "segments                     categorical, array of int"
    mentions "espalier.dead-letter: made with its first record"
    [ "$(ls rough)" = "$(printf 'clicks\nimpressions\ninstalls')" ]
}
