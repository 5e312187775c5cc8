#!/usr/bin/env bash
# Constant load in short: nothing breaks, no descriptor and no thread is left behind. Whether memory
# stays flat takes tools/soak --minutes 30.
. "$(dirname "$0")/tap.sh"
if [ -n "${ESPALIER_TEST_BROKER:-}" ]; then
    check "a minute of training and scoring on a broker leaves nothing open" \
        tools/soak --minutes 1.2 --broker "$ESPALIER_TEST_BROKER" --rate 2000 --days-per-minute 12
else
    skip "a minute of training and scoring on a broker leaves nothing open" "no broker"
fi
finish
