/*
 * partition_clock.h - what one partition's own content says about time: is an event late, is its
 * clock wrong, how far has the partition come.
 *
 * The clock sees every event that decodes, in the partition's order, and nothing else: no other
 * partition, no wall clock. So the same content gives the same rulings, however it is read.
 *
 * LATE     The watermark is the largest accepted time less the grace. An event below the watermark
 *          as it stood when the event was read is late. Late events are no sign of a wrong clock.
 *
 * FUTURE   Where an event carries its log's timestamp, that decides alone: dead if its time is
 *          more than `future` after it, else trusted. The dead leave no trace.
 *
 * AHEAD    Without a timestamp, an event is suspect if it is more than `ahead` beyond the largest
 *          accepted time, or if there is none yet. A suspect is held. Two times agree if they are
 *          at most `ahead` apart.
 *          - When the last three events of the partition were all held and agree pairwise, they
 *            are accepted.
 *          - An event that is not suspect is ruled on at once, and ends the row.
 *          Either way the others that are still held are settled there and then: those that agree
 *          with the event (with all three of the row) are accepted, the others are dead.
 *          - Over ESP_MAX_HELD the oldest is dead.
 *          - When time ends, what is held is accepted.
 *          So a wild record dies wherever it stands, first in its partition or between two honest
 *          ones, and takes nobody with it; a true jump in time is believed at its third record.
 *
 * Held events that are accepted are never late: nothing had passed them when they were read.
 */
#ifndef ESP_JOIN_PARTITION_CLOCK_H
#define ESP_JOIN_PARTITION_CLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/archive.h"
#include "core/timespan.h"

enum { ESP_MAX_HELD = 16 };

struct esp_partition_clock {
    int64_t grace_us, future_us, ahead_us; /* >= 0 */
    int64_t largest_us;                    /* accepted; ESP_TIME_NONE: none yet */
    int64_t held_us[ESP_MAX_HELD];         /* in the order read */
    size_t n_held;
};

enum esp_ruling {
    ESP_RULING_ACCEPT,
    ESP_RULING_LATE,
    ESP_RULING_FUTURE, /* dead */
    ESP_RULING_HOLD,   /* became the newest held one */
};

/* What becomes of the held ones that were there before: the oldest n_settled leave, in order. */
struct esp_settlement {
    size_t n_settled;
    bool accepted[ESP_MAX_HELD]; /* else dead */
};

void esp_partition_clock_init(struct esp_partition_clock *clock, int64_t grace_us,
                              int64_t future_us, int64_t ahead_us);

/* Rules on the next event. log_time_us may be ESP_TIME_NONE. */
enum esp_ruling esp_partition_clock_see(struct esp_partition_clock *clock, int64_t time_us,
                                        int64_t log_time_us, struct esp_settlement *out);

/*
 * The most frequent case of esp_partition_clock_see() alone: nothing is held, and the event is
 * plainly accepted. False: nothing has changed, ask the other.
 */
static inline bool esp_partition_clock_accepts(struct esp_partition_clock *clock, int64_t time_us,
                                               int64_t log_time_us)
{
    int64_t largest_us = clock->largest_us;
    if (clock->n_held > 0 || largest_us == ESP_TIME_NONE || time_us < largest_us - clock->grace_us)
        return false;
    if (log_time_us == ESP_TIME_NONE ? time_us - largest_us > clock->ahead_us
                                     : log_time_us < time_us - clock->future_us)
        return false;
    clock->largest_us = time_us > largest_us ? time_us : largest_us;
    return true;
}

/* Time has ended: everything held is accepted. */
void esp_partition_clock_end(struct esp_partition_clock *clock, struct esp_settlement *out);

/* Largest time less grace; ESP_TIME_NONE before the first accepted event. */
int64_t esp_partition_clock_watermark(const struct esp_partition_clock *clock);

/* The clock in a checkpoint; reading fills one that _init() made with the same spans. Times are at
 * most max_us from zero. */
void esp_partition_clock_archive(struct esp_archive *archive, struct esp_partition_clock *clock,
                                 int64_t max_us);

/* The earliest time that is held less grace; ESP_TIME_NONE: nothing is held. */
int64_t esp_partition_clock_held_watermark(const struct esp_partition_clock *clock);

#endif
