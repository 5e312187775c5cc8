#!/usr/bin/env bash
# Kills at random moments, in short: tools/torture does it at length.
. "$(dirname "$0")/tap.sh"
check "a dozen runs on files, each killed several times, leave what an undisturbed one leaves" \
    tools/torture --runs 12 --kills 4 --impressions 12000 --days 1
if [ -n "${ESPALIER_TEST_BROKER:-}" ]; then
    check "so do three runs on a broker" \
        tools/torture --broker "$ESPALIER_TEST_BROKER" --runs 3 --kills 3 --impressions 12000 --days 1
else
    skip "so do three runs on a broker" "no broker"
fi
finish
