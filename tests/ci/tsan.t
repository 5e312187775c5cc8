#!/usr/bin/env bash
# The tests of what runs on several threads, with data races found.
. "$(dirname "$0")/tap.sh"
check "the threaded tests pass under ThreadSanitizer" \
    tools/test --tsan --quick core/logger core/pool core/queue log/kafka learn/learner \
    drift/drift_test serve/http cmd/train_pages cli/serve cli/train cli/determinism cli/score \
    snapshot/public
finish
