#!/usr/bin/env bash
. "$(dirname "$0")/tap.sh"
check "every source is formatted as .clang-format says" tools/format --check
finish
