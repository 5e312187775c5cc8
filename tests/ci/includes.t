#!/usr/bin/env bash
# The stages' order, and proof that the check of it can fail.
. "$(dirname "$0")/tap.sh"

said_of() { # TREE
    tools/check-includes "tests/data/includes/$1"
}
refuses() { # TREE LINE...: fails on the tree with exactly these lines
    local said tree=$1
    shift
    if said=$(said_of "$tree"); then
        echo "accepts $tree"
        return 1
    fi
    diff <(printf '%s\n' "$@") <(printf '%s\n' "$said")
}

check "every include follows the data path" tools/check-includes
check "a tree in order is accepted" said_of good
check "an include against the data path is named" refuses backward \
    'src/core/low.c:2: #include "join/high.h": join comes after core'
check "an include of a stage that is not declared is named" refuses undeclared \
    'src/join/high.c:3: #include "event/middle.h": src/CMakeLists.txt does not declare that join depends on event'
check "an include without its stage is named" refuses bare \
    'src/join/high.c:2: #include "high.h": name the stage: "join/high.h"'
check "a folder that the map does not name is named" refuses unmapped \
    'src/extra/extra.c: the order in src/README.md does not name extra'
check "includes against the order of a stage's folders are named" refuses folders \
    'src/join/near/near.c:3: #include "join/far/far.h": join/far comes after join/near' \
    'src/join/near/near.c:4: #include "join/high.h": join/ comes after join/near' \
    'src/join/nowhere/lost.c: src/README.md does not name the folder join/nowhere'
finish
