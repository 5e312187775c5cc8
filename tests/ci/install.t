#!/usr/bin/env bash
# What cmake --install leaves: a program that runs, a library that exports what its header says and
# nothing else, and a program of somebody else's that is built against it.
. "$(dirname "$0")/tap.sh"
prefix=$(mktemp -d)
trap 'rm -rf "$prefix"' EXIT

installs() {
    cmake --install "$ESPALIER_BUILD" --prefix "$prefix"
    local file
    for file in bin/espalier bin/espalier-sim bin/espalier-load include/espalier/espalier.h \
        share/doc/espalier/LICENSE share/doc/espalier/chart.js.copyright \
        share/doc/espalier/docs/design.md \
        share/espalier/schemas/impression.avsc; do
        [ -e "$prefix/$file" ] || { echo "$file is missing" && return 1; }
    done
}
library() {
    find "$prefix" -name "$1"
}
exports_the_header() {
    diff <(sed -n 's/^ESPALIER_API .*[ *]\(espalier_[a-z0-9_]*\)(.*/\1/p' \
        include/espalier/*.h | sort) \
        <(nm -D --defined-only "$(library libespalier.so)" | awk '{ print $3 }' | sort)
}
needs_no_trainer() {
    readelf -d "$(library libespalier.so)" >"$prefix/dynamic" &&
        grep -q 'SONAME.*libespalier.so.0' "$prefix/dynamic" &&
        ! grep -E 'NEEDED.*(rdkafka|openblas|glib)' "$prefix/dynamic"
}
builds_the_example() {
    local flags
    PKG_CONFIG_PATH=$(dirname "$(library espalier.pc)")
    export PKG_CONFIG_PATH
    flags=$(pkg-config --cflags --libs espalier) || return 1
    cat >"$prefix/example.c" <<'C'
#include <espalier/espalier.h>
#include <stdio.h>

int main(void)
{
    printf("%s %016llx\n", espalier_version(),
           (unsigned long long)espalier_feature_key_int("advertiser_id", 7));
    return 0;
}
C
    # The flags are several words.
    # shellcheck disable=SC2086
    gcc -std=c11 -Wall -Wextra -Werror "$prefix/example.c" -o "$prefix/example" $flags &&
        g++ -Wall -Wextra -Werror -x c++ -fsyntax-only "$prefix/example.c" $flags &&
        LD_LIBRARY_PATH=$(dirname "$(library libespalier.so)") "$prefix/example" |
        grep -E "^$("$prefix/bin/espalier" --version | grep -oE '[0-9]+\.[0-9]+\.[0-9]+') [0-9a-f]{16}$"
}

check "everything is installed" installs
check "the library exports what the header declares and nothing else" exports_the_header
check "the library needs neither librdkafka nor OpenBLAS" needs_no_trainer
check "a program outside builds with pkg-config, and runs" builds_the_example
finish
