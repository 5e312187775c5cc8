#!/usr/bin/env bash
# The tests once more, with memory errors and undefined behaviour found, and the whole program where
# memory is gone, files fail, and it is killed and goes on. The broker's tests are left to the main
# run.
. "$(dirname "$0")/tap.sh"
check "every test passes under AddressSanitizer and UBSan" tools/test --asan --quick
check "runs that are killed and go on have no memory error" \
    env ESPALIER_BUILD="$PWD/build/asan" tools/torture --runs 4 --kills 3 --impressions 6000 --days 1
check "runs in which calls fail have no memory error and leak nothing" \
    env ESPALIER_BUILD="$PWD/build/asan" tools/faults --once --budget 40 --kind fail --kind persist
finish
