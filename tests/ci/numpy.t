#!/usr/bin/env bash
# The lines of docs/snapshots-numpy.md, as they stand there, score as `espalier score` does.
. "$(dirname "$0")/tap.sh"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
tool=$ESPALIER_BUILD/tests/bin/score_tool
export PATH=$ESPALIER_BUILD/bin:$PATH

# Python's packages come from its own index; where that cannot be reached there is nothing to test.
python3 -m venv "$folder/venv" >"$folder/said" 2>&1 &&
    "$folder/venv/bin/pip" install --quiet numpy safetensors xxhash >>"$folder/said" 2>&1 || {
    sed 's/^/# /' "$folder/said"
    if [ "${CI:-}" = true ]; then
        check "numpy, safetensors and xxhash can be installed" false
        finish
    else
        echo "1..0 # SKIP pip cannot install numpy, safetensors and xxhash"
    fi
    exit
}

sed -n '/^```python$/,/^```$/{/^```/d;p}' docs/snapshots-numpy.md >"$folder/snapshot_numpy.py"
cat >"$folder/compare.py" <<'PY'
import json, sys
from snapshot_numpy import score

def unwrapped(value):  # bytes stand in JSON as {"bytes": hex}
    return bytes.fromhex(value["bytes"]) if isinstance(value, dict) else value

path, rows_path, scores_path = sys.argv[1:]
ids, rows = [], []
for line in open(rows_path):
    row = json.loads(line)
    ids.append(row["id"])
    rows.append({name: unwrapped(value) for name, value in row["fields"].items()})
want = {line.split()[1]: line.split()[4:] for line in open(scores_path)}
got, worst = score(path, rows), 0
for task, head in enumerate(("ctr", "cvr", "ctcvr")):
    texts = [want[identity][task] for identity in ids]
    assert (head in got) == (texts[0] != "null"), f"{head}: one has it, the other has not"
    if head in got:
        numbers = [float.fromhex(text) for text in texts]
        assert max(numbers) - min(numbers) > 0.01, f"{head}: every score is the same"
        worst = max(worst, max(abs(a - b) for a, b in zip(numbers, got[head])))
print("largest difference", worst, "of", len(rows), "rows")
assert len(rows) == len(want) > 1000 and worst < 1e-5
PY

espalier-sim --out "files:$folder/data" --impressions 2000 --days 1 --fields small --partitions 2 \
    >/dev/null 2>&1
cat >"$folder/e.ini" <<INI
[files]
root = $folder/data
[state]
folder = $folder/state
[features]
categorical = user_id, advertiser_id, geo.country, geo.region, device.os, segments
numeric = hour
numeric_log = bid_floor
buckets = creative_id
buckets_log = campaign_id
n_buckets = 8
cross = advertiser_id x geo.country, creative_id x device.os, segments x geo.region
[model]
layers = 32, 16
head_layers = 8
INI

agrees() { # SETUP [override...]
    rm -rf "$folder/state" "$folder/data/espalier.scores"
    "$tool" learn "$folder/e.ini" "$folder/one.safetensors" 7 "model.setup=$1" "${@:2}" \
        >"$folder/want" &&
        "$tool" rows "$folder/e.ini" "${@:2}" >"$folder/rows" &&
        espalier score --config "$folder/e.ini" --snapshot "$folder/one.safetensors" \
            >"$folder/said" 2>&1 &&
        "$tool" scores "$folder/e.ini" >"$folder/got" &&
        (cd "$folder" && venv/bin/python compare.py one.safetensors rows got)
}

for setup in ip esmm esmm-ns essp-split ipsp esp ctr; do
    check "$setup: NumPy's scores are the program's to 1e-5" agrees "$setup"
done
check "so they are where no number has statistics yet" agrees ipsp "features.n_buckets=4000" \
    "features.categorical=advertiser_id,geo.country,device.os,segments,geo.region"
finish
