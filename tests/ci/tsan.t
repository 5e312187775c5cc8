#!/usr/bin/env bash
# What runs on several threads, with data races found: the tests, and the whole program on files,
# trained, killed, gone on with and scored. Brokers are left out: ThreadSanitizer does not know the
# threads of librdkafka, which is not built with it, and would report all that they hand over.
. "$(dirname "$0")/tap.sh"
check "the threaded tests pass under ThreadSanitizer" \
    tools/test --tsan --quick core/logger core/pool core/queue log/kafka learn/learner \
    drift/drift_test serve/http cmd/train_pages cli/serve cli/train cli/follow cli/score.bats \
    snapshot/public state/checkpoint
check "runs that are killed and go on have no data race" \
    env ESPALIER_BUILD="$PWD/build/tsan" tools/torture --runs 3 --kills 3 --impressions 6000 --days 1
finish
