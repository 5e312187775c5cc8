#!/usr/bin/env bash
# Real events, where ESPALIER_DATA names the folder that has them.
. "$(dirname "$0")/tap.sh"
if [ -z "${ESPALIER_DATA:-}" ]; then
    echo "1..0 # SKIP ESPALIER_DATA names no folder with real events"
    exit
fi
# Its lines `name value expected` are wanted in the record of a run that passes, too.
said=$(tests/real/run "$ESPALIER_DATA" "$ESPALIER_BUILD" 2>&1 </dev/null) && passed=yes
while IFS= read -r line; do
    echo "# $line"
done <<<"$said"
check "every figure of the real events that must be exact is" [ "${passed:-}" = yes ]
finish
