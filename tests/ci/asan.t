#!/usr/bin/env bash
# The tests once more, with memory errors and undefined behaviour found. The broker's are left to
# the main run.
. "$(dirname "$0")/tap.sh"
check "every test passes under AddressSanitizer and UBSan" tools/test --asan --quick
finish
