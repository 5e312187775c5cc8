/*
 * join_twin.h - the definition of the join, done literally: rule on each partition's events by
 * its content, collect what is not late, sort, join in that order, sort the labels.
 *
 * Quadratic and without any structure of the joiner; it shares nothing with it but the types.
 */
#ifndef ESP_TESTS_JOIN_TWIN_H
#define ESP_TESTS_JOIN_TWIN_H

#include "join_helper.h"

/* A partition's events in its order. */
struct join_partition_events {
    const struct join_event *events;
    size_t n;
};

/*
 * What is left when the input has ended and time was closed.
 *
 * partitions  n; every partition of the configuration that has events, in any order
 */
void join_twin(const struct esp_joiner_config *config,
               const struct join_partition_events *partitions, size_t n,
               struct join_result *result);

/* The largest maturity that W has passed when all partitions have been read but none has ended. */
int64_t join_twin_watermark(const struct esp_joiner_config *config,
                            const struct join_partition_events *partitions, size_t n);

#endif
