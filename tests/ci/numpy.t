#!/usr/bin/env bash
# The lines of docs/snapshots-numpy.md, NumPy's and PyTorch's, as they stand there, score as
# `espalier score` does.
. "$(dirname "$0")/tap.sh"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
tool=$ESPALIER_BUILD/tests/bin/score_tool
export PATH=$ESPALIER_BUILD/bin:$PATH

# Python's packages come from its own index; where that cannot be reached there is nothing to test.
install() { # FOLDER
    "$folder/numpy/bin/pip" --python "$folder/$1/bin/python" install --quiet \
        numpy safetensors xxhash >>"$folder/said" 2>&1
}
python3 -m venv "$folder/numpy" >"$folder/said" 2>&1 && install numpy || {
    sed 's/^/# /' "$folder/said"
    if [ "${CI:-}" = true ]; then
        check "numpy, safetensors and xxhash can be installed" false
        finish
    else
        echo "1..0 # SKIP pip cannot install numpy, safetensors and xxhash"
    fi
    exit
}

# PyTorch's packages for CPUs are not on that index; Debian's Python has it (tools/setup --for ci).
no_torch="no python3 can import torch"
for python in python3 /usr/bin/python3; do
    if "$python" -c 'import torch' 2>/dev/null; then
        no_torch="pip cannot install safetensors and xxhash beside torch"
        "$python" -m venv --without-pip --system-site-packages "$folder/torch" &&
            install torch && no_torch='' || sed 's/^/# /' "$folder/said"
        break
    fi
done
[ -z "$no_torch" ] || [ "${CI:-}" != true ] || check "PyTorch can be used: $no_torch" false

lines() { # WHICH
    awk -v want="$1" '/^```python$/ { n++; on = 1; next } /^```$/ { on = 0 } on && n == want' \
        docs/snapshots-numpy.md
}
lines 1 >"$folder/snapshot_numpy.py"
lines 2 >"$folder/snapshot_torch.py"
cat >"$folder/compare.py" <<'PY'
import json, sys

def unwrapped(value):  # bytes stand in JSON as {"bytes": hex}
    return bytes.fromhex(value["bytes"]) if isinstance(value, dict) else value

def torch_scores(path, rows):
    network = Network(path).eval()
    scores = network(rows)
    sum(p.sum() for p in scores.values()).backward()
    assert all(p.grad is not None for p in network.parameters()), "a weight has no gradient"
    return {head: p.tolist() for head, p in scores.items()}

def agree(got, want):
    assert set(got) == set(want), f"scores of {set(got)}, not of {set(want)}"
    for head in want:
        assert len(got[head]) == len(want[head])
        assert max(want[head]) - min(want[head]) > 0.01, f"{head}: every score is the same"
        gaps = [abs(a - b) for a, b in zip(got[head], want[head])]
        print(f"{folder}: {head}: largest difference {max(gaps)} of {len(gaps)} rows")
        assert all(gap < 1e-5 for gap in gaps), f"{head}: no agreement"

def agree_in(folder):  # with the program
    ids, rows = [], []
    for line in open(f"{folder}/rows"):
        row = json.loads(line)
        ids.append(row["id"])
        rows.append({name: unwrapped(value) for name, value in row["fields"].items()})
    texts = {line.split()[1]: line.split()[4:] for line in open(f"{folder}/scores")}
    assert len(rows) == len(texts) > 1000
    want = {}
    for task, head in enumerate(("ctr", "cvr", "ctcvr")):
        if texts[ids[0]][task] != "null":
            want[head] = [float.fromhex(texts[i][task]) for i in ids]
    agree(score(f"{folder}/one.safetensors", rows), want)

def agree_on_bare_rows(folder):  # with NumPy
    rows = [json.loads(line)["fields"] for line in open(f"{folder}/rows")][:100]
    rows = [row | {"segments": []} for row in rows] + [{}, {"segments": []}]
    path = f"{folder}/one.safetensors"
    agree(score(path, rows), snapshot_numpy.score(path, rows))

import snapshot_numpy
score, n_failed = snapshot_numpy.score, 0
if sys.argv[1] == "torch":
    from snapshot_torch import Network
    score = torch_scores
for folder in sys.argv[2:]:
    try:
        agree_in(folder)
        if sys.argv[1] == "torch" and folder == "ip":
            agree_on_bare_rows(folder)
    except Exception as error:
        n_failed += 1
        print(f"{folder}: {type(error).__name__}: {error}")
sys.exit(n_failed > 0 or len(sys.argv) < 3)
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

scored() { # NAME SETUP [override...]: a snapshot, its impressions, espalier score's scores of them
    rm -rf "$folder"/{state,data/espalier.scores}
    mkdir "$folder/$1" &&
        "$tool" learn "$folder/e.ini" "$folder/$1/one.safetensors" 7 "model.setup=$2" "${@:3}" \
            >/dev/null &&
        "$tool" rows "$folder/e.ini" "${@:3}" >"$folder/$1/rows" &&
        espalier score --config "$folder/e.ini" --snapshot "$folder/$1/one.safetensors" \
            >"$folder/said" 2>&1 &&
        "$tool" scores "$folder/e.ini" >"$folder/$1/scores"
}
scored_in_bf16() {
    scored bf16 ip snapshot.rows=bf16 && grep -aq '"dtype":"BF16"' "$folder/bf16/one.safetensors"
}
agrees() { # numpy|torch NAME...
    (cd "$folder" && "$1/bin/python" compare.py "$@")
}

setups="ip esmm esmm-ns essp-split ipsp esp ctr"
for setup in $setups; do
    check "$setup: the program scores with a snapshot that it wrote" scored "$setup" "$setup"
    check "$setup: NumPy's scores are the program's to 1e-5" agrees numpy "$setup"
done
check "no-statistics: it does so where no number has statistics yet" scored no-statistics ipsp \
    "features.n_buckets=4000" \
    "features.categorical=advertiser_id,geo.country,device.os,segments,geo.region"
check "no-statistics: NumPy's scores are the program's to 1e-5" agrees numpy no-statistics
check "bf16: it does so with rows in bf16" scored_in_bf16

# Once for all of them: PyTorch takes long to start.
all="PyTorch's scores are the program's to 1e-5: $setups no-statistics bf16"
if [ -z "$no_torch" ]; then
    # shellcheck disable=SC2086
    check "$all" agrees torch $setups no-statistics bf16
else
    skip "$all" "$no_torch"
fi
finish
