#!/usr/bin/env bash
# Systematic faults, in short: rare calls one by one, of frequent ones a share that differs from
# commit to commit. tools/faults --all does them all.
. "$(dirname "$0")/tap.sh"
seed=$((16#$(git rev-parse --short=6 HEAD 2>/dev/null || echo 1)))
check "whichever call fails or is the last, the end is clear and the next start is as undisturbed" \
    tools/faults --budget 50 --seed "$seed"
finish
