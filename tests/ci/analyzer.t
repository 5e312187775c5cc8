#!/usr/bin/env bash
# gcc's static analyzer over src/; a finding is an error.
. "$(dirname "$0")/tap.sh"
check "the analyzer's build is configured" \
    cmake --preset analyze -DCMAKE_COMPILE_WARNING_AS_ERROR=ON
check "gcc -fanalyzer finds nothing in src/" cmake --build --preset analyze -- --quiet -k 0
finish
