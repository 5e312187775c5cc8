/*
 * partition_rewinds.h - where one partition can be read again from, so that lateness comes out as
 * it did.
 *
 * What a partition's clock rules on an event depends on what it had accepted before, and of that
 * on two things alone: the largest time, and what it holds. So whoever reads on from a record
 * before which nothing was held, with the clock set to the largest time as it was then, gets the
 * same rulings. Such a record and that time are a point: struct esp_rewind in joiner.h.
 *
 * A point is kept for every bucket of event time that the partition's largest time has entered:
 * the record that raised it there; or, if something was held then, the one that was the first to
 * be held, since when the largest time had stood still.
 *
 * WHICH POINT  Let L be a point's largest time. Before it, nothing with a time above L was
 * accepted, nor is anything of before still held. So with L < t every event that is accepted and
 * has a time of t or more stands at the point or behind it.
 *
 * INVARIANTS
 *  (1) There is at least one point; offsets and largest times never fall from one to the next.
 *  (2) The first point is below what may still be asked for, if the partition was read from there.
 */
#ifndef ESP_JOIN_PARTITION_REWINDS_H
#define ESP_JOIN_PARTITION_REWINDS_H

#include "core/archive.h"
#include "join/joiner.h"

enum { ESP_MAX_REWINDS = 128 };

struct esp_rewinds {
    int64_t next_us; /* a largest time of this or more is in a new bucket */
    unsigned shift;  /* a bucket is 2^shift us wide, or wider where there would be too many */
    size_t n;
    struct esp_rewind points[ESP_MAX_REWINDS];
};

/* Begins with one point: where the partition will be read from. */
void esp_rewinds_init(struct esp_rewinds *rewinds, unsigned shift, struct esp_rewind first);

/*
 * The largest time has reached next_us. Points that are earlier than any of use go; where there
 * are too many every second goes.
 *
 * point       the new one
 * largest_us  the largest time now
 * needed_us   esp_rewinds_find() will not be asked for less; ESP_TIME_NONE: for anything
 */
void esp_rewinds_note(struct esp_rewinds *rewinds, struct esp_rewind point, int64_t largest_us,
                      int64_t needed_us);

/* The last point behind which every accepted event of before_us or later stands; NULL: they are
 * all too late. */
const struct esp_rewind *esp_rewinds_find(const struct esp_rewinds *rewinds, int64_t before_us);

/* The points in a checkpoint; reading fills what _init() made. */
void esp_rewinds_archive(struct esp_archive *archive, struct esp_rewinds *rewinds, int64_t max_us);

#endif
