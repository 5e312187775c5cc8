# cli.bash - what the tests of the command line share. Each test works in a folder of its own.
# shellcheck shell=bash
bats_require_minimum_version 1.5.0
ESPALIER_BUILD=${ESPALIER_BUILD:-$BATS_TEST_DIRNAME/../../build/test}
PATH=$ESPALIER_BUILD/bin:$PATH
SOURCE=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
unset OPENBLAS_CORETYPE

# For setup().
use_folder() {
    cd "$BATS_TEST_TMPDIR" || exit 1
}

# Fails unless $output is exactly the arguments, one a line.
says() {
    diff <(printf '%s\n' "$@") <(printf '%s\n' "$output")
}

# Fails unless a line of $output is this text.
says_line() {
    grep -qxF -e "$1" <<<"$output" || {
        echo "no such line: $1"
        printf '%s\n' "$output"
        return 1
    }
}

# Fails unless $output has this text.
mentions() {
    grep -qF -e "$1" <<<"$output" || {
        echo "does not mention: $1"
        printf '%s\n' "$output"
        return 1
    }
}
