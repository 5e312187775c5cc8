/* join_trial_helper.h - random streams of events, and configurations of the join to go with them.
 */
#ifndef ESP_TESTS_JOIN_TRIAL_HELPER_H
#define ESP_TESTS_JOIN_TRIAL_HELPER_H

#include "join_twin.h"

enum { JOIN_MAX_PARTITIONS = 24, JOIN_MAX_EVENTS = 400 };

/* A random stream and how it is pushed. */
struct join_trial {
    struct esp_joiner_config config;
    size_t n_at_start[ESP_N_EVENT_KINDS]; /* partitions; the others are added as they are needed */
    size_t n_partitions;                  /* of all topics, each with at least one event */
    struct join_partition_events partitions[JOIN_MAX_PARTITIONS];
    struct join_event events[JOIN_MAX_EVENTS];
    struct test_random random;
};

/* Windows, graces and numbers of partitions, in units of the scale. */
void join_trial_config(struct join_trial *trial, int64_t scale_us);

/* One event at about this time, of the kind that is set: late at times, its clock wrong at times.
 */
void join_trial_event(struct join_trial *trial, struct join_event *event, int64_t about_us,
                      int64_t scale_us, bool has_log_time);

/* Configuration and events by a seed. */
void join_trial_random(struct join_trial *trial, uint64_t seed, size_t max_events);

/* Spreads one stream, whose disorder is within the grace, over n partitions a topic. */
void join_trial_spread(struct join_trial *trial, const struct join_event *events, size_t n_events,
                       uint32_t n);

#endif
