# production.bats - a score that impressions carry, the production model's, is measured beside ours.

load cli.bash

setup() {
    use_folder
    # Impressions that are clicked with the probability that they carry; every tenth carries none.
    python3 - <<'PY'
import random
random.seed(5)
with open("impressions.csv", "w") as i, open("clicks.csv", "w") as c:
    i.write("impression_id,at,ad,score\n")
    c.write("impression_id,at\n")
    for n in range(12000):
        ad = random.randrange(10)
        p = [0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9][ad]
        t = 1714521600 + n * 6
        i.write(f"i{n},{t},{ad},{'' if n % 10 == 0 else p}\n")
        if random.random() < p:
            c.write(f"i{n},{t + 30}\n")
PY
    cat >impression.avsc <<'JSON'
{"type": "record", "name": "Impression", "fields": [
  {"name": "impression_id", "type": "string"},
  {"name": "event_time", "type": {"type": "long", "logicalType": "timestamp-millis"}},
  {"name": "ad", "type": "int"},
  {"name": "score", "type": ["null", "double"], "default": null}]}
JSON
    espalier-load impressions.csv --out files:data --topic impressions --schema impression.avsc \
        --map impression_id=impression_id --map event_time=at:epoch-s --map ad=ad --map score=score
    espalier-load clicks.csv --out files:data --topic clicks \
        --map impression_id=impression_id --map event_time=at:epoch-s
    cat >espalier.ini <<'INI'
[files]
root = data
[installs]
enabled = off
[join]
click_window = 10m
[sample]
holdout = 0.5
[features]
categorical = ad
[model]
layers = 8
head_layers = 4
batch = 16
INI
}

@test "the carried scores are one more model, and each model is compared with them" {
    espalier train -o drift.production_click=score >/dev/null 2>&1
    espalier drift --format csv >drift.csv
    python3 - <<'PY'
import csv, math
rows = list(csv.DictReader(open("drift.csv")))
holdout = [r for r in rows if r["kind"] == "holdout" and r["age"] == "0"]
production = {r["window_start"]: r for r in rows if r["kind"] == "production"}
assert len(production) >= 19 and all(r["model"] == "production" for r in production.values())
# The carried probabilities are true: their loss is the entropy of a click, 0.454 on average.
entropy = lambda p: -p * math.log(p) - (1 - p) * math.log(1 - p)
want = sum(map(entropy, [.05, .1, .2, .3, .4, .5, .6, .7, .8, .9])) / 10
got = sum(float(r["sums_l"]) for r in production.values()) / sum(float(r["sums_w"]) for r in production.values())
assert abs(got - want) < 0.02, (got, want)
lost = weight = 0
late = sorted(production)[len(production) // 2:]
for r in holdout:
    p = production[r["window_start"]]
    # Nine of ten carry a score: the comparison is on these alone.
    assert int(r["production_examples"]) == int(p["examples"]) < int(r["examples"])
    if r["window_start"] in late:
        lost += float(r["production_d"])
        weight += float(r["production_w"])
# No model does better than the truth, and one that has learned for half a day is near it.
assert 0 < lost / weight < 0.05, lost / weight
PY
    espalier drift | grep -q "production"
}

@test "a field for scores that the impressions lack is named before anything is read" {
    run espalier train -o drift.production_click=skore
    [ "$status" -eq 64 ]
    mentions 'skore'
}
