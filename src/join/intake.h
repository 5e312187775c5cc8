/*
 * intake.h - which partition to read next: the one furthest behind in event time, none that is
 * more than the skew ahead, and what counts as idle.
 *
 * Holds no reader and reads no clock: the caller says what it read, and what time it is.
 *
 *     for (;;) {
 *         now and then: esp_intake_add_partitions(...) for those that are new in the log
 *         if (esp_intake_next(...) == ESP_INTAKE_DONE) break;
 *         esp_log_read(readers[kind][partition], ..., wait_us, &n, &position, err);
 *         esp_decoder_headers(...); esp_joiner_push(...);   and what it turned away
 *         esp_intake_note(...);                             and what ending it turned away
 *         esp_joiner_advance(...) until it gives fewer than asked for
 *     }
 *     if (close_at_end) esp_joiner_close(...), and advance to the last label
 */
#ifndef ESP_JOIN_INTAKE_H
#define ESP_JOIN_INTAKE_H

#include "join/joiner.h"

struct esp_intake_config {
    size_t n_partitions[ESP_N_EVENT_KINDS];
    int64_t skew_us;       /* further ahead of the furthest behind: paused */
    int64_t idle_after_us; /* silent that long at the confirmed end: idle. follow only */
    bool follow;
    bool close_at_end; /* input.at_end = close */
};

struct esp_intake;

/* joiner is borrowed: the intake tells it of idle and ended partitions. Errors: ESP_ENOMEM. */
enum esp_status esp_intake_new(const struct esp_intake_config *config, struct esp_joiner *joiner,
                               struct esp_intake **out, struct esp_error *err);
void esp_intake_free(struct esp_intake *intake);

/*
 * n more partitions of a topic were found while a run follows: tells the joiner, and reads them
 * from now on. Until such a one has given its first record, or was read to its confirmed end in
 * vain, W stands; in the latter case it is idle at once.
 *
 * On failure nothing has changed. Errors: as esp_joiner_add_partitions().
 */
enum esp_status esp_intake_add_partitions(struct esp_intake *intake, enum esp_event_kind kind,
                                          size_t n, struct esp_error *err);

/* What to do next. */
enum esp_intake_step {
    ESP_INTAKE_READ, /* read *kind, *partition; wait for records no longer than *wait_us */
    ESP_INTAKE_DONE, /* bounded: everything has ended */
};

/* now_us is monotonic. A partition at its end is asked again at least every 100 ms in a follow. */
enum esp_intake_step esp_intake_next(struct esp_intake *intake, int64_t now_us,
                                     enum esp_event_kind *out_kind, uint32_t *out_partition,
                                     int64_t *out_wait_us);

/*
 * The outcome of that read, after its records were pushed into the joiner.
 *
 * n         records read
 * position  as esp_log_read() gave it
 * Errors: as esp_joiner_end().
 */
enum esp_status esp_intake_note(struct esp_intake *intake, enum esp_event_kind kind,
                                uint32_t partition, size_t n, enum esp_log_position position,
                                int64_t now_us, struct esp_error *err);

/*
 * The intake in a checkpoint, after its joiner. Reading fills one that _new() made with the same
 * configuration for the joiner that was read, and that may have more partitions of a topic: the
 * others are as if just added.
 */
void esp_intake_archive(struct esp_archive *archive, struct esp_intake *intake);

/* How many partitions are idle or paused now, and of how many the log has confirmed the end at
 * least once; for counters. */
size_t esp_intake_n_idle(const struct esp_intake *intake);
size_t esp_intake_n_paused(const struct esp_intake *intake);
size_t esp_intake_n_reached(const struct esp_intake *intake);

#endif
