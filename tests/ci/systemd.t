#!/usr/bin/env bash
# The units for systemd: accepted, installed, and a sandbox that the programs can work in, as far as
# that shows without a manager that runs.
. "$(dirname "$0")/tap.sh"
unset OPENBLAS_CORETYPE
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
units=(train score)

# The programs are found by their name in /usr/local/bin or /usr/bin; here they are not installed.
here() { # NAME
    sed "s#^ExecStart=espalier#ExecStart=$ESPALIER_BUILD/bin/espalier#" \
        "tools/systemd/espalier-$1@.service" >"$work/espalier-$1@x.service"
    echo "$work/espalier-$1@x.service"
}
verified() {
    local said
    said=$(systemd-analyze verify --man=no "$(here "$1")" 2>&1) && [ -z "$said" ] || {
        printf '%s\n' "$said"
        return 1
    }
}
# 0 is none, 100 (written 10.0) is the most.
exposed_little() {
    systemd-analyze security --offline=true --threshold=15 "$(here "$1")"
}
says() { # NAME LINE...
    local line
    for line in "${@:2}"; do
        grep -qxF -e "$line" "tools/systemd/espalier-$1@.service" || { echo "$line" && return 1; }
    done
}
supervised() {
    says "$1" Type=notify NotifyAccess=main WatchdogSec=60 Restart=on-failure \
        'RestartPreventExitStatus=64 65' TimeoutStopSec=25 KillMode=mixed DynamicUser=yes
}
# The sandbox of both is the same.
same_sandbox() {
    diff <(sed -n '/^NoNewPrivileges/,$p' tools/systemd/espalier-train@.service) \
        <(sed -n '/^NoNewPrivileges/,$p' tools/systemd/espalier-score@.service)
}
installed() {
    cmake --install "$ESPALIER_BUILD" --prefix "$work/prefix" >/dev/null &&
        cmp "tools/systemd/espalier-$1@.service" \
            "$work/prefix/lib/systemd/system/espalier-$1@.service"
}

"$ESPALIER_BUILD/bin/espalier-sim" --out "files:$work/data" --impressions 2000 --days 1 --fields small \
    >/dev/null 2>&1
cat >"$work/e.ini" <<INI
[files]
root = $work/data
[features]
categorical = advertiser_id, geo.country
[state]
folder = $work/state
INI
# What the programs ask the kernel for is within the filter.
calls_are_allowed() {
    NOTIFY_SOCKET=$work/nobody strace -f -qq -o "$work/trace" \
        "$ESPALIER_BUILD/bin/espalier" train --config "$work/e.ini" >/dev/null 2>&1 &&
        python3 - "$work/trace" tools/systemd/espalier-train@.service <<'END'
import re, subprocess, sys
def expand(name):
    if not name.startswith("@"):
        return {name}
    said = subprocess.run(["systemd-analyze", "syscall-filter", name], capture_output=True,
                          text=True, check=True).stdout
    lines = [line.strip() for line in said.splitlines()[1:]]
    return set().union(*(expand(line) for line in lines if line and not line.startswith("#")))
allowed = set()
for line in open(sys.argv[2]):
    if line.startswith("SystemCallFilter="):
        words = line.split("=", 1)[1].split()
        calls = set().union(*(expand(word.lstrip("~")) for word in words))
        allowed = allowed - calls if words[0].startswith("~") else allowed | calls
used = set(re.findall(r"^\d+ +([a-z_0-9]+)\(", open(sys.argv[1]).read(), re.M))
assert len(used) > 30, used
assert used <= allowed, used - allowed
END
}
# prctl(PR_SET_MDWE), Linux 6.3, forbids what MemoryDenyWriteExecute does.
denies_writing_and_executing() {
    python3 - "$ESPALIER_BUILD/bin/espalier" "$work/e.ini" <<'END'
import ctypes, os, sys
if ctypes.CDLL(None, use_errno=True).prctl(65, 1, 0, 0, 0) != 0:
    print("this kernel cannot say; the filter of calls is what is left")
    sys.exit(0)
os.environ["NOTIFY_SOCKET"] = "/nobody"
os.execv(sys.argv[1], ["espalier", "train", "--config", sys.argv[2]])
END
}

for unit in "${units[@]}"; do
    check "espalier-$unit@.service is accepted" verified "$unit"
    check "espalier-$unit@.service exposes little" exposed_little "$unit"
    check "espalier-$unit@.service supervises" supervised "$unit"
    check "espalier-$unit@.service is installed" installed "$unit"
done
check "both have one sandbox" same_sandbox
check "a run makes no system call that the units forbid" calls_are_allowed
check "a run needs no memory that is both written and executed" denies_writing_and_executing
finish
