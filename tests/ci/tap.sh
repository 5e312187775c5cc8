# tap.sh - sourced by the scripts here: check NAME COMMAND... prints one line of TAP, and what the
# command said if it failed; skip NAME WHY says what was not checked; finish prints the plan.
# shellcheck shell=bash
set -u
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 70
export ESPALIER_BUILD=${ESPALIER_BUILD:-$PWD/build/test}
n_checks=0

check() {
    local name=$1 said
    shift
    n_checks=$((n_checks + 1))
    if said=$("$@" 2>&1 </dev/null); then
        echo "ok $n_checks - $name"
    else
        echo "not ok $n_checks - $name"
        tail -n 80 <<<"$said" | sed 's/^/# /'
    fi
}

skip() {
    n_checks=$((n_checks + 1))
    echo "ok $n_checks - $1 # SKIP $2"
}

finish() {
    echo "1..$n_checks"
}
