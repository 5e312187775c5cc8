#!/usr/bin/env bash
# What cmake --install leaves: a program that runs, a library that exports what its header says and
# nothing else, and a program of somebody else's that is built against it.
. "$(dirname "$0")/tap.sh"
prefix=$(mktemp -d)
trap 'rm -rf "$prefix"' EXIT

installs() {
    cmake --install "$ESPALIER_BUILD" --prefix "$prefix"
    local file
    for file in bin/espalier bin/espalier-sim bin/espalier-load include/espalier/espalier.h \
        share/doc/espalier/LICENSE share/doc/espalier/chart.js.copyright \
        share/doc/espalier/docs/design.md \
        share/doc/espalier/docs/examples/score.c \
        share/espalier/schemas/impression.avsc; do
        [ -e "$prefix/$file" ] || { echo "$file is missing" && return 1; }
    done
}
library() {
    find "$prefix" -name "$1"
}
exports_the_header() {
    diff <(sed -n 's/^ESPALIER_API .*[ *]\(espalier_[a-z0-9_]*\)(.*/\1/p' \
        include/espalier/*.h | sort) \
        <(nm -D --defined-only "$(library libespalier.so)" | awk '{ print $3 }' | sort)
}
needs_no_trainer() {
    readelf -d "$(library libespalier.so)" >"$prefix/dynamic" &&
        grep -q 'SONAME.*libespalier.so.0' "$prefix/dynamic" &&
        ! grep -E 'NEEDED.*(rdkafka|openblas|glib)' "$prefix/dynamic"
}
# Core, feature, model and the snapshot's reader: nothing that logs, joins, learns or talks to others.
has_no_trainer() {
    nm "$(library libespalier.so)" | awk '{ print $NF }' | sort -u >"$prefix/symbols"
    grep -q '^espalier_scorer_score$' "$prefix/symbols" &&
        ! grep -E '^(rd_kafka|cblas|esp_(log|decoder|writer|joiner|sampler|learner|trainer|optimizer|table_row|publisher)_)' \
            <(grep -v '^esp_log_loss$' "$prefix/symbols")
}
flags_of_package() {
    PKG_CONFIG_PATH=$(dirname "$(library espalier.pc)") pkg-config --cflags --libs espalier
}
builds_the_example() {
    local flags
    flags=$(flags_of_package) || return 1
    cat >"$prefix/example.c" <<'C'
#include <espalier/espalier.h>
#include <stdio.h>

int main(void)
{
    printf("%s %016llx\n", espalier_version(),
           (unsigned long long)espalier_feature_key_int("advertiser_id", 7));
    return 0;
}
C
    # The flags are several words.
    # shellcheck disable=SC2086
    gcc -std=c11 -Wall -Wextra -Werror "$prefix/example.c" -o "$prefix/example" $flags &&
        g++ -Wall -Wextra -Werror -x c++ -fsyntax-only "$prefix/example.c" $flags &&
        LD_LIBRARY_PATH=$(dirname "$(library libespalier.so)") "$prefix/example" |
        grep -E "^$("$prefix/bin/espalier" --version | grep -oE '[0-9]+\.[0-9]+\.[0-9]+') [0-9a-f]{16}$"
}

# What docs/examples/score.c prints for impressions is what the learner computes of them.
scores_as_the_learner() {
    local flags bin=$prefix/bin tool=$ESPALIER_BUILD/tests/bin/score_tool
    flags=$(flags_of_package) || return 1
    # The flags are several words.
    # shellcheck disable=SC2086
    gcc -std=c11 -Wall -Wextra -Werror \
        "$prefix/share/doc/espalier/docs/examples/score.c" -o "$prefix/score" $flags || return 1
    "$bin/espalier-sim" --out "files:$prefix/data" --impressions 2000 --days 1 --fields small \
        --partitions 1 >/dev/null 2>&1
    cat >"$prefix/e.ini" <<INI
[files]
root = $prefix/data
[features]
categorical = advertiser_id, geo.country, geo.region, segments
numeric_log = bid_floor
buckets = hour
n_buckets = 4
cross = advertiser_id x geo.country
[model]
layers = 16
head_layers = 8
INI
    "$tool" learn "$prefix/e.ini" "$prefix/main.safetensors" 7 >"$prefix/want" &&
        "$tool" rows "$prefix/e.ini" >"$prefix/rows" &&
        python3 - "$prefix/rows" >"$prefix/lines" <<'PY' || return 1
import json, sys
for line in open(sys.argv[1]):
    fields = json.loads(line)["fields"]
    text = lambda v: json.dumps(v, separators=(",", ":"))
    print(" ".join(f"{name}={text(value)}" for name, value in fields.items()))
PY
    LD_LIBRARY_PATH=$(dirname "$(library libespalier.so)") "$prefix/score" \
        "$prefix/main.safetensors" <"$prefix/lines" >"$prefix/got" || return 1
    python3 - "$prefix/want" "$prefix/got" <<'PY'
import sys
want = [[float.fromhex(p) for p in line.split()[4:]] for line in open(sys.argv[1])]
got = [[float(p) for p in line.split()] for line in open(sys.argv[2])]
assert len(want) == len(got) == 2000
assert all(f"{a:.9g}" == f"{b:.9g}" for x, y in zip(want, got) for a, b in zip(x, y))
PY
}

check "everything is installed" installs
check "the library exports what the header declares and nothing else" exports_the_header
check "the library needs neither librdkafka nor OpenBLAS" needs_no_trainer
check "the library has nothing of the trainer" has_no_trainer
check "a program outside builds with pkg-config, and runs" builds_the_example
check "the example in docs/ scores impressions as the learner does" scores_as_the_learner
finish
