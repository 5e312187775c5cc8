#!/usr/bin/env bash
# Pages that are a program's output are up to date.
. "$(dirname "$0")/tap.sh"

manual_is_printed() {
    diff docs/manual.md <("$ESPALIER_BUILD/bin/espalier" manual)
}

check "docs/manual.md is what espalier manual prints" manual_is_printed
finish
