/*
 * join_helper.h - events for tests of the join, a driver that pushes them in any interleaving, and
 * what came out, in a form that can be compared.
 */
#ifndef ESP_TESTS_JOIN_HELPER_H
#define ESP_TESTS_JOIN_HELPER_H

#include "core/buf.h"
#include "join/joiner.h"
#include "testkit.h"

enum { JOIN_ID_SIZE = 24, JOIN_PAYLOAD_SIZE = 48 };

/* One event, with its bytes. */
struct join_event {
    enum esp_event_kind kind;
    uint32_t partition;
    int64_t time_us, log_time_us;
    uint8_t reject;
    size_t id_size, click_id_size, payload_size;
    size_t id_at; /* in the payload; SIZE_MAX: the id stands apart */
    char id[JOIN_ID_SIZE], click_id[JOIN_ID_SIZE], payload[JOIN_PAYLOAD_SIZE];
};

/* A header that points into the event. */
struct esp_header join_event_header(const struct join_event *event, int64_t offset);

/* A label with copies of its bytes. */
struct join_label {
    struct esp_label label; /* id and payload are not set */
    size_t id_size, payload_size;
    char id[JOIN_ID_SIZE], payload[JOIN_PAYLOAD_SIZE];
};

/* What a run gave. { 0 } is empty; join_result_clear() frees. */
struct join_result {
    GArray *labels;      /* struct join_label */
    GArray *turned_away; /* struct esp_turned_away, raw not set */
    struct esp_join_counters counters[ESP_N_EVENT_KINDS];
};
void join_result_init(struct join_result *result);
void join_result_clear(struct join_result *result);

/* Takes up to capacity labels out of the joiner, in one call; returns how many. */
size_t join_take(struct esp_joiner *joiner, size_t capacity, struct join_result *result);

/* Appends what the last call turned away. */
void join_take_turned_away(struct esp_joiner *joiner, struct join_result *result);

/* Pushes n events of one partition, whose first has this offset. */
void join_push(struct esp_joiner *joiner, const struct join_event *events, size_t n, int64_t offset,
               struct join_result *result);

/* Ends all partitions with close, closes the joiner, takes all labels and the counters. */
void join_finish(struct esp_joiner *joiner, const struct esp_joiner_config *config,
                 struct join_result *result);

/* Fails the test, and says what differs first, unless labels and counters are the same. */
bool join_results_equal(const struct join_result *got, const struct join_result *want);

/* The sink of an archive that is written into a struct esp_buf, its context. */
enum esp_status join_archive_sink(void *context, const void *bytes, size_t n,
                                  struct esp_error *err);

/* A label as a line for a message. Freed by the caller. */
char *join_label_text(const struct join_label *label);

#endif
