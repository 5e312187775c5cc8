#!/usr/bin/env bash
# What clang has to say: its warnings, clang-tidy, and some seconds of every fuzz target.
. "$(dirname "$0")/tap.sh"
check "the fuzz targets are configured" cmake --preset fuzz -DCMAKE_COMPILE_WARNING_AS_ERROR=ON
check "everything builds with clang, without a warning" \
    cmake --build --preset fuzz -- --quiet -k 0
for source in tests/fuzz/*_fuzz.c; do
    name=$(basename "$source" _fuzz.c)
    check "the fuzz target $name survives 5 seconds" tools/fuzz "$name" 5
done
tidy() { # prints findings alone, as many lines come before
    local said code=0
    said=$(run-clang-tidy -quiet -j 2 -p build/fuzz -extra-arg=-include \
        -extra-arg="$PWD/tests/ci/analyzer.h" "$@" 2>&1) || code=$?
    grep -E -A 3 ': (.\[[0-9;]*m)*(warning|error): ' <<<"$said" | head -n 40
    return "$code"
}
# As for gcc's analyzer, status.c alone is left out: analyzer.h says what the function in it does.
check "clang-tidy finds nothing in src/ and tools/" tidy "$PWD/(src|tools)/(?!core/status\.c)"
finish
