# score.bats - `espalier score` gives what the trainer itself computes, in order, with the snapshot
# that it says.

load cli.bash
load score.bash

setup() {
    PATH=$ESPALIER_BUILD/tests/bin:$PATH
    use_folder
    mkdir data
    cat >e.ini <<'INI'
[files]
root = data
[output]
partitions = 4
[features]
categorical = user_id, advertiser_id, geo.country, geo.region, device.os, segments
numeric = hour
numeric_log = bid_floor
buckets = creative_id
n_buckets = 8
cross = advertiser_id x geo.country, creative_id x device.os
[model]
layers = 32, 16
head_layers = 8
INI
}

teardown() {
    end_background
}

simulate() { # [option...]
    espalier-sim --out files:data --impressions 3000 --days 1 --fields small --partitions 3 \
        "$@" >/dev/null 2>&1
}

@test "every set-up's scores are the learner's own, to the bit, in the order of each partition" {
    simulate
    for setup in ip esmm esmm-ns essp-split ipsp esp ctr; do
        rm -rf data/espalier.scores espalier-state
        learn one.safetensors 7 "model.setup=$setup" >want
        espalier score --config e.ini --snapshot one.safetensors >/dev/null 2>&1
        score_tool scores e.ini >got
        [ "$(wc -l <got)" = 3000 ]
        same_records want got
        in_order want got 4
    done
}

@test "threads and batches change nothing" {
    simulate
    learn one.safetensors 1 >/dev/null
    for how in "1 64" "2 7" "4 2048" "3 65536"; do
        rm -rf espalier-state data/espalier.scores
        espalier score --config e.ini --snapshot one.safetensors --summary s.json \
            -o run.threads="${how% *}" --read-batch "${how#* }" >/dev/null 2>&1
        jq -r .scores_hash s.json >>hashes
        [ "$(jq .scored s.json)" = 3000 ]
    done
    [ "$(sort -u hashes | wc -l)" = 1 ]
}

@test "a run goes on where the last one ended, and from latest where told" {
    simulate
    learn one.safetensors 1 >/dev/null
    espalier score --config e.ini --snapshot one.safetensors --summary s.json >/dev/null 2>&1
    [ "$(jq .scored s.json)" = 3000 ]
    espalier score --config e.ini --snapshot one.safetensors --summary s.json >/dev/null 2>&1
    [ "$(jq .read s.json)" = 0 ]
    cp data/impressions/partition=1/*.avro data/impressions/partition=1/later.avro
    espalier score --config e.ini --snapshot one.safetensors --summary s.json >/dev/null 2>&1
    [ "$(jq .scored s.json)" -gt 900 ]
    [ "$(jq .scored s.json)" -lt 1100 ]
    espalier score --config e.ini --snapshot one.safetensors --summary s.json \
        -o score.topic=others -o score.from=latest >/dev/null 2>&1
    [ "$(jq .read s.json)" = 0 ]
    [ -e espalier-state/score.impressions.others.json ]
}

@test "positions that cannot be right are refused, with the mend" {
    simulate
    learn one.safetensors 1 >/dev/null
    mkdir espalier-state
    for content in '{"version": 1' '{"version": 2, "next": []}' \
        '{"version": 1, "topic": "clicks", "output": "espalier.scores", "root": "data", "next": []}' \
        '{"version": 1, "topic": "impressions", "output": "espalier.scores", "root": "data", "next": [1, 2, 3, 4]}' \
        '{"version": 1, "topic": "impressions", "output": "espalier.scores", "root": "data", "next": [-4]}' \
        '{"version": 2, "topic": "impressions", "output": "espalier.scores", "root": "data", "next": [4], "last": ["4"]}'; do
        echo "$content" >espalier-state/score.impressions.espalier.scores.json
        run --separate-stderr espalier score --config e.ini --snapshot one.safetensors
        [ "$status" -eq 65 ]
        [[ $stderr == *"score.impressions.espalier.scores.json: "*"remove it"* ]]
    done
    [ ! -e data/espalier.scores ]
}

@test "several models score every impression, those that are named or all" {
    simulate
    mkdir snapshots
    learn snapshots/a.safetensors 3 model.setup=ctr >/dev/null
    sed 's/^\[model\]/[model other]/' e.ini >other.ini
    score_tool learn other.ini snapshots/b.safetensors 4 >want
    espalier score --config e.ini --snapshot snapshots --summary s.json >/dev/null 2>&1
    [ "$(jq -c '[.scored, .records]' s.json)" = '[3000,6000]' ]
    [ "$(jq -c '[.models[].name]' s.json)" = '["main","other"]' ]
    score_tool scores e.ini >got
    grep ' other ' got >others
    same_records want others
    [ "$(grep -c ' main 3 .* null null$' got)" = 3000 ]
    espalier score --config e.ini --snapshot snapshots --model other -o score.topic=t \
        --summary s.json >/dev/null 2>&1
    [ "$(jq .records s.json)" = 3000 ]
    run --separate-stderr espalier score --config e.ini --snapshot snapshots --model nobody \
        -o score.topic=t2
    [ "$status" -eq 65 ]
    [[ $stderr == *"snapshots has no snapshot of each model that is to score"* ]]
    run --separate-stderr espalier score --config e.ini --snapshot nowhere
    [ "$status" -eq 64 ]
    [[ $stderr == *"--snapshot nowhere: No such file or directory; name a snapshot"* ]]
}

@test "without a snapshot a bounded run says so, and one that follows waits for it" {
    simulate
    mkdir snapshots
    run --separate-stderr espalier score --config e.ini --snapshot snapshots
    [ "$status" -eq 65 ]
    [[ $stderr == *"espalier: snapshots has no snapshot of any model; wait for one with --follow"* ]]
    follow --snapshot snapshots
    wait_for log 'msg=starting'
    learn made.safetensors 2 >want
    mv made.safetensors snapshots/
    wait_for log 'snapshot=2'
    wait_for_scores 3000
    stop
    score_tool scores e.ini >got
    same_records want got
    [ "$(jq .stopped s.json)" = true ]
}

@test "a swap leaves no gap and no torn score: each record is that of the snapshot that it names" {
    simulate
    mkdir snapshots kept
    learn one.safetensors 1 >want1
    learn two.safetensors 2 >want2
    learn three.safetensors 3 >want3
    learn bad.safetensors 9 >/dev/null
    mv data/impressions/partition=2/*.avro kept/
    cp one.safetensors snapshots/
    follow --snapshot snapshots
    wait_for log 'snapshot=1 '
    wait_for_scores 1900
    # One that is cut off and one that is altered come between: the one before stays in use.
    head -c 5000 bad.safetensors >cut
    mv cut snapshots/cut.safetensors
    wait_for log 'cut.safetensors'
    alter bad.safetensors
    mv bad.safetensors snapshots/
    wait_for log 'snapshot refused, the one before stays in use'
    mv two.safetensors snapshots/
    wait_for log 'snapshot=2 '
    mv kept/*.avro data/impressions/partition=2/later.avro
    wait_for_scores 3000
    mv three.safetensors snapshots/
    wait_for log 'snapshot=3 '
    stop
    score_tool scores e.ini >got
    [ "$(wc -l <got)" = 3000 ]
    [ "$(cut -d' ' -f2 got | sort -u | wc -l)" = 3000 ]
    [ "$(grep -c ' main 1 ' got)" -gt 0 ]
    [ "$(grep -c ' main 2 ' got)" -gt 900 ]
    [ -z "$(comm -13 <(cat want1 want2 want3 | cut -d' ' -f2- | sort) <(records got))" ]
    [ "$(jq -c '.models[0] | [.snapshots_taken, .snapshots_refused]' s.json)" = '[3,1]' ]
    [ "$(jq .snapshots.passed_over s.json)" = 1 ]
    [ "$(jq .scored s.json)" = 3000 ]
}

@test "what is no sound snapshot is refused with the reason" {
    simulate
    learn one.safetensors 1 >/dev/null
    head -c 1000 one.safetensors >cut.safetensors
    : >empty.safetensors
    cp one.safetensors altered.safetensors
    alter altered.safetensors
    for name in cut empty altered missing; do
        run --separate-stderr espalier score --config e.ini --snapshot "$name.safetensors"
        [ "$status" -ne 0 ]
        [[ $stderr == *"$name.safetensors"* ]]
        [ ! -e data/espalier.scores ]
    done
}

@test "a model whose field the impressions lack is refused, others go on" {
    simulate
    mkdir snapshots
    learn snapshots/a.safetensors 1 >want
    # Another writer's impressions have a field that ours have not.
    espalier-sim --out files:wide --impressions 500 --days 1 --fields small --partitions 1 \
        >/dev/null 2>&1
    python3 - wide/impressions/partition=0/*.avro <<'PY'
import sys
for path in sys.argv[1:]:
    data = open(path, "rb").read()
    open(path, "wb").write(data.replace(b'"user_id"', b'"user_no"', 1))
PY
    sed -e 's/^\[model\]/[model wide]/' -e 's/user_id/user_no/' -e 's/root = data/root = wide/' \
        e.ini >wide.ini
    score_tool learn wide.ini snapshots/w.safetensors 2 >/dev/null
    espalier score --config e.ini --snapshot snapshots --summary s.json >/dev/null 2>log
    grep -F 'snapshot refused' log | grep -F 'no field \"user_no\"' | grep -F 'did you mean user_id?'
    [ "$(jq .records s.json)" = 3000 ]
    [ "$(jq '.models[1] | .name == "wide" and .snapshots_refused == 1' s.json)" = true ]
    score_tool scores e.ini >got
    same_records want got
    run --separate-stderr espalier score --config e.ini --snapshot snapshots/w.safetensors \
        -o score.topic=t
    [ "$status" -eq 65 ]
    [[ $stderr == *'no model can score: feature: no field "user_no"'* ]]
}

@test "the next snapshot may have other features and another set-up" {
    simulate
    mkdir snapshots
    cp -r data all
    rm data/impressions/partition=2/*.avro
    learn snapshots/one.safetensors 5 files.root=all >want1
    score_tool learn e.ini two.safetensors 3 files.root=all model.setup=essp-split \
        features.categorical=placement,device.make,creative_id features.cross= \
        features.numeric=bid_floor features.numeric_log=hour features.buckets=advertiser_id >want2
    follow --snapshot snapshots
    wait_for log 'snapshot=5 '
    wait_for_scores 1900
    touch -d '1 minute' two.safetensors
    mv two.safetensors snapshots/
    wait_for log 'snapshot=3 '
    cp all/impressions/partition=2/*.avro data/impressions/partition=2/
    wait_for_scores 3000
    stop
    score_tool scores e.ini >got
    [ "$(wc -l <got)" = 3000 ]
    [ "$(grep -c ' main 3 ' got)" -gt 900 ]
    [ -z "$(comm -13 <(cat want1 want2 | cut -d' ' -f2- | sort) <(records got))" ]
}

# As many models as there may be, each with fields of its own, and one of them changes its fields.
@test "64 models with 64 lists of fields, and a 65th list takes the place of one" {
    espalier-sim --out files:data --impressions 200 --days 1 --fields small --partitions 1 \
        >/dev/null 2>&1
    mkdir snapshots
    learn_list() { # MODEL NUMBER LIST
        sed -e "s/^\[model\]/[model m$1]/" -e "s/^categorical = .*/categorical = $3/" \
            -e '/^numeric\|^buckets\|^cross\|^n_buckets/d' e.ini >m.ini
        score_tool learn m.ini made.safetensors "$2" model\ "m$1".layers=8 \
            model\ "m$1".head_layers=8 >/dev/null
        mv made.safetensors "snapshots/m$1-$2.safetensors"
    }
    fields=(advertiser_id user_id campaign_id creative_id app.bundle geo.country geo.region
        device.os exchange placement ad_format hour)
    lists=()
    for ((i = 0; i < ${#fields[@]}; i++)); do
        for ((j = i + 1; j < ${#fields[@]}; j++)); do
            lists+=("${fields[i]}, ${fields[j]}")
        done
    done
    for ((m = 0; m < 64; m++)); do
        learn_list "$m" 1 "${lists[m]}"
    done
    follow --snapshot snapshots
    wait_for log 'model=m63 '
    learn_list 7 2 "${lists[64]}"
    wait_for log 'snapshot=2'
    stop
    ! grep refused log || return 1
}

@test "what cannot be decoded goes to the dead letters, and the counters add up" {
    simulate --malformed 0.05
    learn one.safetensors 1 >want
    espalier score --config e.ini --snapshot one.safetensors --summary s.json >/dev/null 2>&1
    [ "$(jq '.dead > 50 and .read == .scored + .dead and .records == .scored' s.json)" = true ]
    [ "$(jq '[.dead_by_reason[]] | add' s.json)" = "$(jq .dead s.json)" ]
    [ -d data/espalier.dead-letter-espalier.scores ]
    score_tool scores e.ini >got
    same_records want got
    rm -rf espalier-state
    run --separate-stderr espalier score --config e.ini --snapshot one.safetensors \
        -o input.max_dead_share=0.01 -o score.topic=t
    [ "$status" -eq 65 ]
    [[ $stderr == *"records cannot be used, mostly: no id"* ]]
}

@test "ids that are numbers are written in decimal" {
    simulate
    learn one.safetensors 1 >/dev/null
    espalier score --config e.ini --snapshot one.safetensors -o impressions.id=creative_id \
        >/dev/null 2>&1
    score_tool scores e.ini >got
    [ "$(cut -d' ' -f2 got | grep -cE '^30[0-9]{5}$')" = 3000 ]
}

@test "SIGTERM finishes the batch and keeps the positions" {
    simulate
    learn one.safetensors 1 >/dev/null
    follow --snapshot one.safetensors
    wait_for log 'snapshot in use'
    wait_for_scores 3000
    stop
    before=$(jq .scored s.json)
    espalier score --config e.ini --snapshot one.safetensors --summary s.json >/dev/null 2>&1
    [ $((before + $(jq .scored s.json))) = 3000 ]
    score_tool scores e.ini >got
    [ "$(cut -d' ' -f2 got | sort -u | wc -l)" = 3000 ]
    [ "$(wc -l <got)" = 3000 ]
}

@test "partitions that the topic gains while it is followed are scored from their first record" {
    simulate
    learn one.safetensors 1 >want
    mv data/impressions/partition=2 kept
    follow --snapshot one.safetensors -o input.look_for_partitions=100ms -o score.from=earliest
    wait_for_scores 1900
    mv kept data/impressions/partition=2
    wait_for log 'topic impressions has 3 partitions now, 2 before'
    wait_for_scores 3000
    stop
    score_tool scores e.ini >got
    same_records want got
    [ "$(jq '.next | length' espalier-state/score.impressions.espalier.scores.json)" = 3 ]
}

@test "a trainer's snapshots are found in the folder where it publishes them" {
    simulate
    espalier train --config e.ini -o join.install_window=6h >/dev/null 2>&1
    espalier score --config e.ini --summary s.json >/dev/null 2>&1
    newest=$(find data/espalier.snapshots -name '*.safetensors' | sort | tail -n 1)
    [ "$(jq -r '.models[0] | "main-\(.run)"' s.json)" = "$(basename "$newest" | cut -c 1-21)" ]
    [ "$(jq .scored s.json)" = 3000 ]
}

@test "a run shows itself over HTTP, and metrics are what docs/scoring.md lists" {
    simulate --malformed 0.02
    mkdir snapshots
    learn one.safetensors 1 >/dev/null
    port=$(python3 -c 'import socket
s = socket.socket()
s.bind(("127.0.0.1", 0))
print(s.getsockname()[1])')
    follow --snapshot snapshots -o "serve.port=$port"
    wait_for log 'msg=serving'
    [ "$(curl -s -o answer -w '%{http_code}' "http://127.0.0.1:$port/readyz")" = 503 ]
    grep -q 'waiting for a snapshot' answer
    mv one.safetensors snapshots/
    wait_for log 'snapshot=1 '
    wait_for_scores 2900
    [ "$(curl -s -o answer -w '%{http_code}' "http://127.0.0.1:$port/readyz")" = 200 ]
    [ "$(curl -s "http://127.0.0.1:$port/healthz")" = ok ]
    curl -s "http://127.0.0.1:$port/" | grep -q 'snapshot 1 of'
    curl -s "http://127.0.0.1:$port/metrics" >metrics
    stop
    [ "$(sed -n 's/^espalier_scores_written_total //p' metrics)" = "$(jq .records s.json)" ]
    [ "$(sed -n 's/^espalier_events_read_total{topic_kind="impression"} //p' metrics)" = 3000 ]
    grep -qF 'espalier_score_snapshots_total{model="main",fate="taken"} 1' metrics
    if command -v promtool >/dev/null; then
        [ -z "$(promtool check metrics <metrics)" ]
    fi
    # Each family of the table, with its type and words, and none besides but the trainer's.
    grep -oE '^\| `espalier_[a-z_]+` \| (counter|gauge) \|' "$SOURCE/docs/scoring.md" |
        tr -d '|`' | awk '{ print $1, $2 }' | sort >listed
    sed -n 's/^# TYPE \(espalier_[a-z_]*\) /\1 /p' metrics |
        grep -vE '^espalier_(build_info|ready|thread_silence_seconds|http_answers_total|http_cut_connections_total) ' |
        sort >shown
    diff listed shown
    while IFS='|' read -r _ name _ _ words; do
        name=$(tr -d '` ' <<<"$name")
        words=$(sed 's/^ *//; s/ *|* *$//' <<<"$words")
        grep -qxF "# HELP $name $words" metrics || { echo "$name: $words" && return 1; }
    done < <(grep -E '^\| `espalier_' "$SOURCE/docs/scoring.md")
}

@test "check tells what score would read and write" {
    simulate
    run --separate-stderr espalier check --config e.ini -o score.models=a,b
    [ "$status" -eq 0 ]
    says_line "score          reads topic impressions with snapshots of a, b from data/espalier.snapshots"
    mentions "writes topic espalier.scores: made with its first record"
    run --separate-stderr espalier check --config e.ini -o score.topic=clicks
    [ "$status" -eq 64 ]
    [[ $stderr == *"[score] topic = clicks: is [clicks] topic too"* ]]
}
