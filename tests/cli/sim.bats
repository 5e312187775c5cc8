# sim.bats - espalier-sim: the same bytes again, the same events in any number of partitions, exact
# counts, and the comparison with a trainer.

load cli.bash

setup() {
    use_folder
}

simulate() { # folder [option...]
    espalier-sim --out "files:$1" --impressions 3000 --fields small "${@:2}"
}

troubled=(--duplicates 0.05 --unmatched 0.1 --late 0.02 --wrong-clocks 0.02 --malformed 0.02)

@test "the same seed gives the same bytes" {
    simulate a "${troubled[@]}" --wild
    simulate b "${troubled[@]}" --wild
    diff -r a b
}

@test "another seed gives other bytes" {
    simulate a
    simulate b --seed 2
    run ! diff -rq a b
}

@test "the truth does not depend on the number of partitions" {
    simulate a --partitions 1 --duplicates 0.05 --unmatched 0.1
    simulate b --partitions 7 --duplicates 0.05 --unmatched 0.1
    cmp a/truth.json b/truth.json
    [ "$(find b/impressions -name '*.avro' | wc -l)" = 7 ]
}

@test "trouble on the way changes no label of the events that arrive" {
    simulate a
    simulate b --duplicates 0.05 --unmatched 0.1
    diff <(jq '.total' a/truth.json) <(jq '.total' b/truth.json)
    [ "$(jq '.counters.clicks.duplicate' a/truth.json)" = 0 ]
    [ "$(jq '.counters.clicks.duplicate' b/truth.json)" -gt 0 ]
    [ "$(jq '.counters.installs.unmatched' b/truth.json)" -ge \
        "$(jq '.counters.installs.unmatched' a/truth.json)" ]
}

@test "each event read is in exactly one counter" {
    simulate a "${troubled[@]}" --wild
    jq -e '.counters[] | .read == .labelled + .duplicate + .unmatched + .late + .dead' a/truth.json
    # Labels and counters tell of the same: impressions, clicks and installs that count.
    jq -e '.counters.impressions.labelled == .total.click.n
        and .counters.clicks.labelled == .total.click.n_positive
        and .counters.clicks.labelled == .total.install_given_click.n
        and .counters.installs.labelled == .total.install.n_positive' a/truth.json
}

@test "the trainer counts exactly what the truth says" {
    simulate events --partitions 3 --impressions 20000 "${troubled[@]}" --wild
    cat >e.ini <<'INI'
[files]
root = events
[join]
click_window = 1h
install_window = 7d
[features]
categorical = ad_format
[model]
setup = ctr
INI
    espalier train --config e.ini --summary s.json >/dev/null
    diff <(jq -S '.counters' events/truth.json) <(jq -S '.counters
        | map_values({read, labelled, duplicate, unmatched, late, dead})' s.json)
    run espalier-sim compare --truth events/truth.json --summary s.json
    [ "$status" -eq 0 ]
    mentions "above best"
    [ "$(grep -c '^main .* click ' <<<"$output")" = 1 ]
}

@test "windows of the truth add up to its total" {
    simulate a --days 1 --window 2h
    [ "$(jq '.windows | length' a/truth.json)" = 12 ]
    jq -e '([.windows[].click.n] | add) == .total.click.n
        and ([.windows[].install.n_positive] | add) == .total.install.n_positive
        and .windows[1].start == "2024-05-01T02:00:00Z"' a/truth.json
}

@test "rates come out as configured" {
    # 40,000 impressions: 2,000 +- 44 clicks, 600 +- 20 installs; four deviations.
    simulate a --impressions 40000 --ctr 0.05 --cvr 0.3 --days 4
    jq -e '.total.click.n_positive | . > 1700 and . < 2300' a/truth.json
    jq -e '.total.install.n_positive | . > 480 and . < 720' a/truth.json
    # The labels are drawn from the probabilities: those explain them.
    jq -e '.total.click | (.n_positive - .mean_probability * .n) | fabs < 180' a/truth.json
}

@test "a narrower window has fewer labels of the same events" {
    simulate a --click-window 1h
    simulate b --click-window 10s
    cmp a/clicks/partition=0/*.avro b/clicks/partition=0/*.avro
    [ "$(jq .counters.clicks.labelled a/truth.json)" -gt "$(jq .counters.clicks.labelled b/truth.json)" ]
}

@test "a campaign that is cut off leaves out what is due later, and nothing else" {
    simulate whole --days 1
    simulate cut --days 1 --stop-after 12h
    [ "$(jq .counters.impressions.read cut/truth.json)" -lt "$(jq .counters.impressions.read whole/truth.json)" ]
    jq -e '.counters[] | .read == .labelled + .duplicate + .unmatched + .late + .dead' cut/truth.json
}

@test "delivery by the wall clock delivers the same" {
    simulate a --days 1 --stop-after 1d
    simulate b --days 1 --stop-after 1d --realtime 100000
    cmp a/truth.json b/truth.json
}

@test "a campaign without end stops in good order when it is asked to" {
    espalier-sim --out files:a --impressions 0 --rate 100000 --realtime 3600 >log &
    pid=$!
    timeout 20 bash -c 'until [ -n "$(find a/impressions -name "*.avro" -size +0 2>/dev/null)" ]; do
        sleep 0.05; done'
    kill -INT $pid
    wait $pid
    grep -q interrupted log
    jq -e '.interrupted and .impressions > 0' a/truth.json
}

@test "of a live campaign all that is due already comes at once, and is the same" {
    simulate a --first 0
    simulate b --first 0 --live --start 2024-05-01
    diff -r a b
    simulate c --live --start 2024-05-01
    simulate d --live --start 2024-05-01
    diff -r c d
}

@test "a live campaign waits for what is not due yet, and can be had again from its start" {
    # At least 500 impressions a second, whatever the hour: the last one is due in the last 0.1 s.
    second=(--rate 3600000 --impressions 0 --disorder 0 --stop-after 1s)
    simulate a --live "${second[@]}"
    end_ms=$(date +%s%3N)
    start_s=$(jq '.start | fromdate' a/truth.json)
    [ "$end_ms" -ge $((start_s * 1000 + 900)) ]
    [ "$(jq .counters.impressions.read a/truth.json)" -ge 490 ]
    simulate b "${second[@]}" --start "$(jq -r .start a/truth.json)" --first "$(jq .first a/truth.json)"
    diff -r a b
}

@test "a live campaign with a history goes on until it is asked to stop" {
    espalier-sim --out files:a --live --rate 36000 --start now-2h --fields small >log &
    pid=$!
    timeout 20 bash -c 'until [ "0$(du -sb a/impressions 2>/dev/null | cut -f 1)" -gt 2500000 ]; do
        sleep 0.05; done'
    kill -TERM $pid
    wait $pid
    grep -q interrupted log
    # An impression has some 120 bytes, and at ten a second these did not come as the clock went.
    jq -e '.interrupted and .impressions > 15000 and .counters.installs.labelled > 0' a/truth.json
    # Nothing is ahead of the clock.
    jq -e '.impressions < 2.1 * 36000 * 1.5 and (.windows[-1].start | fromdate) <= now' a/truth.json
}

@test "a live campaign that is begun again has ids of its own, and the same preferences" {
    simulate a --live --start 2024-05-01
    simulate b --live --start 2024-05-01T00:00:01Z
    for run in a b; do
        LC_ALL=C grep -ahoE '[0-9a-f]{16}' $run/impressions/*/*.avro | sort -u >$run.ids
        [ "$(wc -l <$run.ids)" -ge 3000 ]
    done
    # What both have is of the container and its schema, which are no ids.
    [ "$(comm -12 a.ids b.ids | wc -l)" -le 5 ]
    rate='.total.click.mean_probability'
    jq -en --slurpfile a a/truth.json --slurpfile b b/truth.json \
        "(\$a[0]$rate - \$b[0]$rate) | fabs < 0.01"
}

@test "new ads have a truth of their own" {
    simulate a --new-ads 0.5,0.2
    # Half of the campaign by time, a fifth of it: 300 of 3,000, give or take.
    jq -e '.new_ads.click.n | . > 200 and . < 400' a/truth.json
    simulate b
    jq -e 'has("new_ads") | not' b/truth.json
}

@test "drift changes what is true later" {
    simulate a --days 2
    simulate b --days 2 --rate-drift 8
    simulate c --days 2 --preference-drift 1d
    late='[.windows[-12:][].click | .mean_probability * .n] | add'
    [ "$(jq "$late | floor" b/truth.json)" -gt "$(jq "2 * ($late) | floor" a/truth.json)" ]
    run ! diff -q a/truth.json c/truth.json
}

@test "its schemas are those of schemas/" {
    simulate a --impressions 100 --partitions 1
    for kind in impression click install; do
        # A container's header holds its schema as text.
        jq -cS 'walk(if type == "object" then del(.doc) else . end)' "$SOURCE/schemas/$kind.avsc" >want
        LC_ALL=C grep -aom1 '{"type":"record".*}' "a/${kind}s/partition=0/"*.avro |
            python3 -c 'import json, sys
data = sys.stdin.buffer.readline().decode("latin-1")
print(json.dumps(json.JSONDecoder().raw_decode(data)[0]))' | jq -cS . >got
        diff want got
    done
}

@test "a folder that has events already is left alone" {
    simulate a
    run simulate a
    [ "$status" -eq 64 ]
    mentions "a/impressions has events already"
}

@test "what is wrong on the command line is named with the mend" {
    run espalier-sim
    [ "$status" -eq 64 ]
    mentions "--out is missing; give --out files:DIR or --out kafka:HOST:PORT"
    run espalier-sim --out files:a --ctr 2
    [ "$status" -eq 64 ]
    says "espalier-sim: --ctr 2: give a number from 1e-06 to 0.9"
    run espalier-sim --out files:a --grace 5
    [ "$status" -eq 64 ]
    mentions "give a span such as 90s, 10m, 12h or 2d"
    run espalier-sim --out files:a --impressions 0
    [ "$status" -eq 64 ]
    mentions "needs --rate"
    run espalier-sim --out files:a --days 1 --rate 5
    [ "$status" -eq 64 ]
    run espalier-sim --out files:a --live
    [ "$status" -eq 64 ]
    mentions "--live needs --rate"
    run espalier-sim --out files:a --live --rate 5 --realtime 2
    [ "$status" -eq 64 ]
    mentions "--live and --realtime exclude each other"
    run espalier-sim --out files:a --start now-5
    [ "$status" -eq 64 ]
    mentions "now, or how long before, as in now-2h"
    run espalier-sim --out files:a --framing single
    [ "$status" -eq 64 ]
    run espalier-sim --out files:a --crosses 0.5
    [ "$status" -eq 64 ]
    says "espalier-sim: --crosses 0.5: give two deviations from 0 to 8, as in 1.5,0.8"
    run espalier-sim --out files:a stray
    [ "$status" -eq 64 ]
    [ ! -e a ]
}

@test "every seed makes a truth of the same difficulty" {
    for seed in 1 2 3 4; do
        simulate s$seed --impressions 30000 --days 4 --seed $seed
        jq -e '.total.click.expected_ne > 0.65 and .total.click.expected_ne < 0.77
            and .total.install_given_click.expected_ne > 0.79
            and .total.install_given_click.expected_ne < 0.89' s$seed/truth.json
    done
}

@test "without effects and products nothing can be told from the fields" {
    simulate a --impressions 20000 --effects 0,0 --crosses 0,0
    jq -e '.total[] | .expected_ne > 0.9999 and .expected_ne < 1.01' a/truth.json
}

@test "products alone tell something, and a linear model finds nothing of it" {
    simulate a --impressions 100000 --days 4 --effects 0,0 --crosses 1.5,1 --ctr 0.2 --linear lin.json
    jq -e '.total.click.expected_ne < 0.85' a/truth.json
    # The last quarter of the windows: what is learned of single fields is noise.
    jq -e '.models[0].windows | .[length * 3 / 4 | floor:] | map(.click)
        | (map(.w) | add) as $w | (map(.wl) | add) as $wl | (map(.wy) | add / $w) as $q
        | $wl / $w / -($q * ($q | log) + (1 - $q) * (1 - $q | log)) > 0.99' lin.json
}

@test "a linear model learns the labels that a join makes" {
    simulate a --impressions 20000 --linear lin.json --duplicates 0.05 --unmatched 0.1
    for task in click install_given_click install; do
        diff <(jq -c --arg t $task '.windows[] | [.start, .[$t].n, .[$t].n_positive]' a/truth.json) \
            <(jq -c --arg t $task '.models[0].windows[] | [.start, (.[$t].w | floor), (.[$t].wy | floor)]' \
                lin.json)
    done
    run espalier-sim compare --truth a/truth.json --summary lin.json
    [ "$status" -eq 0 ]
    [ "$(grep -c '^linear ' <<<"$output")" = 3 ]
    # What it wrote elsewhere stays as it was.
    simulate b --impressions 20000 --duplicates 0.05 --unmatched 0.1
    diff -r a b
    run espalier-sim --out files:c --impressions 10 --linear missing/lin.json
    [ "$status" -eq 74 ]
    mentions "cannot write --linear missing/lin.json"
}

@test "a folder that cannot be written is a failure of its own" {
    : >plain
    run espalier-sim --out files:plain/in
    [ "$status" -eq 74 ]
    mentions "plain/in"
}

@test "compare refuses files that do not belong together" {
    simulate a
    run espalier-sim compare --truth a/truth.json --summary a/truth.json
    [ "$status" -eq 65 ]
    mentions 'has no list "models"'
    echo '{"models": [{"name": "m", "windows": [{"start": "1999-01-01T00:00:00Z", "click": {"w": 1}}]}]}' >s.json
    run espalier-sim compare --truth a/truth.json --summary s.json
    [ "$status" -eq 65 ]
    mentions "no window in common"
    run espalier-sim compare --truth a/truth.json
    [ "$status" -eq 64 ]
}

@test "compare divides by the best loss" {
    cat >t.json <<'JSON'
{"total": {"click": {"n": 20}}, "windows": [
 {"start": "A", "click": {"n": 10, "n_positive": 5, "best_loss": 0.5}},
 {"start": "B", "click": {"n": 10, "n_positive": 5, "best_loss": 0.4}}]}
JSON
    cat >s.json <<'JSON'
{"models": [{"name": "m", "setup": "ctr", "windows": [
 {"start": "A", "click": {"w": 10, "wl": 6, "wy": 5}},
 {"start": "B", "click": {"w": 10, "wl": 4.4, "wy": 5}},
 {"start": "C", "click": {"w": 10, "wl": 9, "wy": 5}}]}]}
JSON
    # Whole: (6 + 4.4) / 20 over (5 + 4) / 20; the last tenth is window B. H(1/2) = ln 2.
    run espalier-sim compare --truth t.json --summary s.json
    [ "$status" -eq 0 ]
    mentions "0.52000   0.45000   0.7502   0.6492   +15.56 %"
    mentions "0.44000   0.40000   0.6348   0.5771   +10.00 %"
}

@test "help teaches and version answers" {
    run espalier-sim --help
    [ "$status" -eq 0 ]
    mentions "Examples:"
    mentions "--preference-drift=SPAN"
    run espalier-sim compare --help
    [ "$status" -eq 0 ]
    mentions "best"
    run espalier-sim --version
    [ "$status" -eq 0 ]
    [[ $output == espalier-sim\ * ]]
}
