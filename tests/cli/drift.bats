# drift.bats - espalier drift shows what the records say, each key once, and says what it skips.

load cli.bash

setup() {
    use_folder
    mkdir data
    topic=espalier.drift
}

write() { # lines on stdin
    drift-records files:data "$topic"
}

# Two windows, ages 0 and 1, 100 examples each of weight 1, 40 of them positive.
#
# Pooled, age 0: loss 110 / 200 = 0.55; its units' squares 63 - 2 0.55 110 + 0.55^2 200 = 2.5, so
# 1.96 sqrt(2.5 200/199) / 200 = 0.0155 on either side. Entropy of 0.4 is 0.67301: NE 0.8172.
# Calibration 88 / 80 = 1.1; 60 - 2 1.1 40 + 1.1^2 80 = 68.8: 1.96 sqrt(68.8 200/199) / 80 = 0.204.
# Age 1: 113 / 200 = 0.565; 66.21 - 2 0.565 113 + 0.565^2 200 = 2.365: 0.0151.
# Drift: 3 / 200 = 0.015; 0.55 - 2 0.015 3 + 0.015^2 200 = 0.505: 1.96 sqrt(0.505 200/199) / 200 =
# 0.0070. Mean area (0.7 + 0.8) / 2. Progressive: 58 / 100; 35 - 2 0.58 58 + 0.58^2 100 = 1.36: 0.0230.
hand_made() {
    local both='examples=100 positives=40 w=100 y=40 ww=100 wy=40 yy=40'
    local calm='p=44 pp=30 py=20 wp=44 lp=20 ly=20'
    local pair='paired_examples=100 paired_positives=40 paired_clusters=100 paired_w=100 paired_ww=100'
    cat <<END
start=2026-01-05T00:00:00Z age=0 snapshot=9 $both $calm l=50 wl=50 ll=26 roc_auc=0.7
start=2026-01-05T00:00:00Z age=1 snapshot=8 $both $calm l=52 wl=52 ll=28 $pair paired_d=2 paired_dd=0.29 paired_dw=2
start=2026-01-05T01:00:00Z age=0 snapshot=10 $both $calm l=60 wl=60 ll=37 roc_auc=0.8
start=2026-01-05T01:00:00Z age=1 snapshot=9 $both $calm l=61 wl=61 ll=38.21 $pair paired_d=1 paired_dd=0.26 paired_dw=1
start=2026-01-05T00:00:00Z kind=progressive examples=100 positives=50 w=100 l=58 p=50 y=50 ww=100 wl=58 ll=35 wp=50 wy=50 pp=30 py=25 yy=50 lp=30 ly=30
END
}

@test "the table shows pooled figures worked by hand" {
    hand_made | write
    run --separate-stderr espalier drift --from data
    [ "$status" -eq 0 ]
    diff "$BATS_TEST_DIRNAME/drift_table.txt" <(echo "$output")
    [ -z "$stderr" ]
}

@test "the topic's own folder is as good as the one above" {
    hand_made | write
    espalier drift --from data >above
    espalier drift --from data/$topic >own
    diff above own
}

@test "a configuration names the log and the topic" {
    topic=my.drift
    hand_made | write
    printf '[files]\nroot = data\n[drift]\ntopic = my.drift\n[features]\ncategorical = a\n' >e.ini
    espalier drift --config e.ini >table
    diff "$BATS_TEST_DIRNAME/drift_table.txt" table
}

@test "csv has every field of every record, null as nothing" {
    hand_made | write
    espalier drift --from data --format csv >out.csv
    [ "$(wc -l <out.csv)" -eq 6 ]
    python3 - <<'END'
import csv
rows = list(csv.DictReader(open("out.csv", newline="")))
aged = [r for r in rows if r["kind"] == "holdout" and r["age"] == "1"][0]
want = {"version": "1", "run": "0123456789abcdef", "model": "main", "setup": "ipsp",
        "window_start": "2026-01-05T00:00:00Z", "window_end": "2026-01-05T01:00:00Z",
        "task": "click", "snapshot": "8", "examples": "100", "positives": "40",
        "clusters": "100", "share": "1", "sums_l": "52", "sums_ll": "28", "paired_d": "2",
        "paired_dd": "0.29", "paired_clipped": "0", "production_w": "", "log_loss": "0.52",
        "drift_loss": "0.02", "roc_auc": "", "roc_auc_low": ""}
for key, value in want.items():
    assert aged[key] == value, (key, aged[key])
assert len(aged) == 67, len(aged)
moving = [r for r in rows if r["kind"] == "progressive"][0]
assert moving["age"] == moving["snapshot"] == moving["paired_w"] == ""
END
}

@test "json has the records flat, with the names of csv, and the pooled figures" {
    hand_made | write
    espalier drift --from data --format json >out.json
    espalier drift --from data --format csv | head -n 1 | tr , '\n' | sort >csv.names
    jq -r '.records[0] | keys[]' out.json | sort | diff csv.names -
    [ "$(jq '.records | length' out.json)" -eq 5 ]
    [ "$(jq -c '[.records[] | select(.kind == "progressive") | .age, .paired_w][0:2]' out.json)" = '[null,null]' ]
    [ "$(jq -c '.pooled.entries | map([.task, .model, .curve.whole_days])' out.json)" = '[["click","main",0]]' ]
    jq -e '.pooled.entries[0].curve.points | map(.age) == [0, 1] and
           (.[1].drift_loss | ((.value - 0.015 | fabs) < 1e-12) and
            ((.low - 0.008018 | fabs) < 1e-6) and ((.high - 0.021982 | fabs) < 1e-6)) and
           (.[0].mean_roc_auc - 0.75 | fabs) < 1e-12 and .[1].mean_roc_auc == null' out.json
    jq -e '.read == {records: 5, replaced: 0, unknown_version: 0, unknown_version_files: 0,
                     malformed: 0, damaged_files: 0}' out.json
}

@test "a later record of a key takes the earlier one's place" {
    hand_made | sed 's/l=50 wl=50/l=99 wl=99/' | write
    hand_made | write
    espalier drift --from data >table
    diff "$BATS_TEST_DIRNAME/drift_table.txt" table
    [ "$(espalier drift --from data --format json | jq -c .read.replaced)" = 5 ]
}

@test "records of an unknown version are skipped, counted and said" {
    (hand_made && hand_made | sed 's/$/ version=2/') | write
    run --separate-stderr espalier drift --from data
    [ "$status" -eq 0 ]
    diff "$BATS_TEST_DIRNAME/drift_table.txt" <(echo "$output")
    [ "$(wc -l <<<"$stderr")" -eq 1 ]
    output=$stderr
    mentions "skipped 5 records of an unknown version"
    mentions "a drift record of version 2; this program knows version 1"
    [ "$(espalier drift --from data --format json 2>/dev/null | jq -c .read.unknown_version)" = 5 ]
}

@test "files of another schema are skipped, counted and said" {
    hand_made | write
    topic=other
    hand_made | write
    for file in data/other/*/*.avro; do
        sed 's/"name": "Drift",/"name": "Drold",/' "$file" >"data/espalier.drift/partition=0/z-$(basename "$file")"
    done
    run --separate-stderr espalier drift --from data
    [ "$status" -eq 0 ]
    diff "$BATS_TEST_DIRNAME/drift_table.txt" <(echo "$output")
    output=$stderr
    mentions "skipped 2 files of an unknown version"
    mentions "drift records of an unknown version (schema "
    [ "$(espalier drift --from data --format json 2>/dev/null | jq -c '.read | [.unknown_version_files, .damaged_files]')" = '[2,0]' ]
}

@test "an impossible record is skipped, counted and said, and what follows it is read" {
    hand_made | sed '1s/^/model=first run=fedcba9876543210 /' | write
    sed -i '0,/.fedcba9876543210/s/fedcba9876543210/FEDCBA9876543210/' data/espalier.drift/partition=*/*.avro
    run --separate-stderr espalier drift --from data --format json
    [ "$status" -eq 0 ]
    [ "$(jq -c '.read.malformed, (.records | length)' <<<"$output" | tr '\n' ' ')" = "1 4 " ]
    output=$stderr
    mentions "a drift record with an impossible run; it is skipped"
}

@test "only records of an unknown version: one line" {
    hand_made | sed 's/$/ version=3/' | write
    run --separate-stderr espalier drift --from data
    [ "$status" -eq 65 ]
    [ -z "$output" ]
    [ "${stderr_lines[-1]}" = "espalier: topic espalier.drift has no drift record of a version that this program knows" ]
}

@test "an empty topic: one line" {
    mkdir -p data/$topic/partition=0
    run espalier drift --from data
    [ "$status" -eq 65 ]
    says "espalier: topic espalier.drift has no drift records yet; \`espalier train\` writes them once a window of the holdout is complete"
}

@test "no topic: one line" {
    run espalier drift --from data
    [ "$status" -eq 64 ]
    says "espalier: there is no topic espalier.drift; \`espalier train\` writes it once a window of the holdout is complete"
    run espalier drift --from nowhere
    [ "$status" -eq 64 ]
    says "espalier: --from nowhere: No such file or directory"
}

@test "wrong arguments are named" {
    hand_made | write
    for wrong in "--format xml" "--task clicks" "--by year" "--since yesterday" "data" "--max-age old" \
        "--since 2026-01-06 --until 2026-01-05" "--config e.ini"; do
        # shellcheck disable=SC2086
        run espalier drift --from data $wrong
        [ "$status" -eq 64 ] || {
            echo "$wrong: $status"
            return 1
        }
    done
    run espalier drift --from data --format xml
    mentions "--format xml: write table, csv or json"
    run espalier drift --from data --model other
    [ "$status" -eq 64 ]
    says "espalier: topic espalier.drift has 5 drift records, and none is of the models, task, run and times that were asked for"
}

@test "models, tasks, runs and times are chosen" {
    (
        hand_made
        hand_made | sed 's/^/model=next task=install /'
        hand_made | sed 's/^/run=fedcba9876543210 /; s/2026-01-05/2026-01-04/'
    ) | write
    names() {
        espalier drift --from data --format json "$@" 2>said |
            jq -c '[.records[] | .run[0:2] + .model + .task] | unique'
    }
    [ "$(names)" = '["01mainclick","01nextinstall"]' ]
    grep -q "left out 5 records of older runs" said
    [ "$(names --run all)" = '["01mainclick","01nextinstall","femainclick"]' ]
    [ "$(names --run fed)" = '["femainclick"]' ]
    [ "$(names --model next)" = '["01nextinstall"]' ]
    [ "$(names --model next --model main --task click)" = '["01mainclick"]' ]
    [ "$(names --until 2026-01-05)" = '["femainclick"]' ]
    [ "$(espalier drift --from data --format csv --since 2026-01-05T01:00:00Z | wc -l)" -eq 5 ]
    [ "$(espalier drift --from data --run all --format json --max-age 59m | jq '[.records[].age] | max')" -eq 0 ]
    [ "$(espalier drift --from data --run all --format json --max-age 1h | jq '[.records[].age] | max')" -eq 1 ]
    run espalier drift --from data --run all
    mentions "main (run fedcba98): A model 1 h old loses 0.0150 nats (0.0080 to 0.0220) on clicks"
}

@test "scores that impressions carried stand beside the model, with their share and what was clipped" {
    local all='start=2026-01-05T00:00:00Z examples=100 positives=40 w=100 p=40 y=40 ww=100 wl=50 ll=26 l=50 wp=40 wy=40 pp=30 py=20 yy=40 lp=20 ly=20'
    write <<END
$all age=0 production_examples=80 production_positives=36 production_clusters=80 production_clipped=3 production_w=80 production_d=-4 production_dd=1 production_dw=-4 production_ww=80
$all kind=production model=live setup=
END
    espalier drift --from data >table
    # -4 / 80; 1 + 2 0.05 (-4) + 0.05^2 80 = 0.8: 1.96 sqrt(0.8 80/79) / 80 = 0.0221
    run cat table
    says_line "main                      80  80.0 %        3   -0.0500 (-0.0721 to -0.0279)"
    grep -q "^live   carried scores" table
}

@test "the sentence says loss, gain, chance, or that there are too few examples" {
    local all='start=2026-01-05T00:00:00Z examples=100 w=100 y=40 ww=100'
    local pair='paired_examples=100 paired_clusters=100 paired_w=100 paired_ww=100 paired_dd=1'
    for case in "positives=40 paired_d=4 paired_dw=4" "positives=40 paired_d=-4 paired_dw=-4" \
        "positives=40 paired_d=1 paired_dw=1" "positives=20 paired_d=4 paired_dw=4"; do
        positives=${case%% *}
        printf '%s\n' "$all $positives age=0 l=50 wl=50 ll=26" \
            "$all $case age=24 l=50 wl=50 ll=26 $pair paired_$positives" | write
        espalier drift --from data | sed -n 's/^main: //p'
    done >said
    # 4 / 100; 1 - 2 0.04 4 + 0.04^2 100 = 0.84: 1.96 sqrt(0.84 100/99) / 100 = 0.0181; for 1: 0.0196
    diff - said <<'END'
A model 24 h old loses 0.0400 nats (0.0219 to 0.0581) on clicks, 8 % of the loss of one up to date.
A model 24 h old gains 0.0400 nats (0.0219 to 0.0581) on clicks, 8 % of the loss of one up to date.
A model 24 h old shows no loss on clicks that can be told from chance: 0.0100 nats (-0.0096 to 0.0296).
There are too few examples (20 clicks) to tell what a model 24 h old loses on clicks.
END
}

@test "csv quotes what needs it" {
    write <<<'start=2026-01-05T00:00:00Z age=0 examples=0 model=a,"b" setup='
    espalier drift --from data --format csv | grep -q '^1,0123456789abcdef,"a,""b""",,holdout,2026-01-05T00:00:00Z,' 
}

@test "a page that cannot be written is said, and leaves the one that is there" {
    hand_made | write
    run espalier drift --from data --html nowhere/page.html
    [ "$status" -eq 74 ]
    mentions "espalier: --html nowhere/page.html: cannot be written: No such file or directory"
    espalier drift --from data --html page.html >/dev/null
    [ "$(find . -name 'page.html*' | wc -l)" -eq 1 ]
}

@test "a broker's topic gives what a folder gives, without what a tombstone took away" {
    [ -n "${ESPALIER_TEST_BROKER:-}" ] || skip "no broker"
    hand_made | write
    topic=bats-$$-$RANDOM-drift
    (
        hand_made | sed 's/l=50 wl=50/l=99 wl=99/'
        hand_made
        hand_made | sed 's/^/model=gone /; s/$/ version=2/'
        echo "start=2026-01-05T00:00:00Z age=0 examples=0 model=taken"
        echo "tombstone 0123456789abcdef/taken/holdout/1767571200000000-1767574800000000/click/0"
    ) | drift-records "kafka:$ESPALIER_TEST_BROKER" "$topic"
    printf '[kafka]\nbootstrap.servers = %s\n[drift]\ntopic = %s\n[features]\ncategorical = a\n' \
        "$ESPALIER_TEST_BROKER" "$topic" >e.ini
    for kind in impression click install; do
        printf '[%ss]\nschema = %s\n' "$kind" "$SOURCE/schemas/$kind.avsc" >>e.ini
    done
    espalier drift --config e.ini >table
    diff "$BATS_TEST_DIRNAME/drift_table.txt" table
    espalier drift --from data --format csv | sort >folder.csv
    espalier drift --config e.ini --format csv | sort | diff folder.csv -
    [ "$(espalier drift --config e.ini --format json | jq -c '.read | [.records, .replaced, .unknown_version]')" = '[17,5,5]' ]
}
