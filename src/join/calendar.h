/*
 * calendar.h - a priority queue of references by event time, for millions that come and go in
 * almost that order.
 *
 * Entries lie unsorted in buckets of 2^shift microseconds, 8 bytes each: the time within the
 * bucket and the reference. Only the earliest bucket is ever open: its entries are sorted by
 * (time, order of the caller), so only what leaves is sorted. What is added at or before the open
 * bucket goes to a small heap beside it. Buckets are found by a hash of their number and ordered
 * by a heap of their own, so neither gaps in time nor wild times cost more than a bucket each.
 *
 *     heap of buckets:  [ 17 | 19 | 18 | 251 ]   each a list of chunks
 *     open bucket 16:   run  [. . . . . . .]  sorted; taken from the front
 *                       side (heap)           added since, for buckets <= 16
 */
#ifndef ESP_JOIN_CALENDAR_H
#define ESP_JOIN_CALENDAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/archive.h"
#include "core/bytes.h"
#include "core/status.h"

struct esp_calendar_entry {
    int64_t time_us;
    uint32_t ref; /* the caller's, all 32 bits */
};

/*
 * How entries of equal time are ordered. Called while sorting, so it must depend on the two
 * references alone; key gives what comes first in the comparison as bytes, so that groups of equal
 * times (millisecond and second clocks have large ones) are sorted without a call a comparison;
 * compare decides where keys are equal.
 */
struct esp_calendar_order {
    struct esp_bytes (*key)(const void *context, uint32_t ref);
    int (*compare)(const void *context, uint32_t a, uint32_t b);
    const void *context;
};

struct esp_calendar_bucket;
struct esp_calendar_chunk;
struct esp_calendar_tie;

struct esp_calendar {
    struct esp_calendar_order order;
    unsigned shift;
    struct esp_calendar_bucket **map; /* chains by hash of the number; n_map is a power of two */
    size_t n_map;
    struct esp_calendar_bucket **heap; /* by number, the earliest first */
    size_t n_buckets, heap_capacity;
    struct esp_calendar_bucket *last; /* where the last entry went: the next goes there as a rule */
    struct esp_calendar_chunk *spare; /* empty chunks, kept */
    size_t n_chunks;                  /* spare ones included */

    bool is_open;
    int64_t open_number;  /* if is_open: entries of this bucket and before go to the side */
    int64_t run_start_us; /* of the open bucket */
    uint64_t *run;        /* (time in bucket) << 32 | ref */
    uint64_t *run_scratch;
    uint64_t n_runs; /* opened so far: the number of this one */
    size_t run_at, run_n, run_capacity, scratch_capacity;
    struct esp_calendar_entry *side;
    size_t side_n, side_capacity;
    struct esp_calendar_tie *ties;
    size_t tie_capacity;

    size_t n;              /* entries */
    int64_t not_before_us; /* no entry has a time below */
};

/* A bucket is 2^shift us wide, shift <= 32. Allocates nothing. */
void esp_calendar_init(struct esp_calendar *calendar, unsigned shift,
                       struct esp_calendar_order order);
void esp_calendar_release(struct esp_calendar *calendar);

/* Errors: ESP_ENOMEM; nothing was added then. */
enum esp_status esp_calendar_add(struct esp_calendar *calendar, int64_t time_us, uint32_t ref,
                                 struct esp_error *err);

static inline struct esp_calendar_entry esp_calendar_front(const struct esp_calendar *calendar)
{
    uint64_t packed = calendar->run[calendar->run_at];
    return (struct esp_calendar_entry){calendar->run_start_us + (int64_t)(packed >> 32),
                                       (uint32_t)packed};
}

/* esp_calendar_peek() and _pop() where the front is not simply that of the run. */
enum esp_status esp_calendar_look(struct esp_calendar *calendar, int64_t limit_us,
                                  struct esp_calendar_entry *out, bool *out_found,
                                  struct esp_error *err);
void esp_calendar_take(struct esp_calendar *calendar);

/*
 * The earliest entry if its time is below the limit; opens a bucket if need be.
 * *out_found is false where there is none. Errors: ESP_ENOMEM.
 */
static inline enum esp_status esp_calendar_peek(struct esp_calendar *calendar, int64_t limit_us,
                                                struct esp_calendar_entry *out, bool *out_found,
                                                struct esp_error *err)
{
    *out_found = false;
    if (calendar->not_before_us >= limit_us)
        return ESP_OK;
    if (calendar->side_n > 0 || calendar->run_at == calendar->run_n)
        return esp_calendar_look(calendar, limit_us, out, out_found, err);
    *out = esp_calendar_front(calendar);
    *out_found = out->time_us < limit_us;
    calendar->not_before_us = out->time_us;
    return ESP_OK;
}

/* Takes off the entry that esp_calendar_peek() gave last; nothing was added in between. */
static inline void esp_calendar_pop(struct esp_calendar *calendar)
{
    calendar->n--;
    if (calendar->side_n > 0)
        esp_calendar_take(calendar);
    else
        calendar->run_at++;
}

/*
 * The reference that comes about k places behind the front, or 0: for prefetching. Exact within
 * the run; the side heap is only roughly in order.
 */
static inline uint32_t esp_calendar_ahead(const struct esp_calendar *calendar, size_t k)
{
    if (k < calendar->run_n - calendar->run_at)
        return (uint32_t)calendar->run[calendar->run_at + k];
    return k < calendar->side_n ? calendar->side[k].ref : 0;
}

size_t esp_calendar_memory(const struct esp_calendar *calendar);

/*
 * The calendar in a checkpoint; reading fills one that _init() made with the same width. Its times
 * are at most max_us from zero then. Where the references lead is left to the caller to check, and
 * after that esp_calendar_is_sound(), which compares what they lead to.
 */
void esp_calendar_archive(struct esp_archive *archive, struct esp_calendar *calendar,
                          int64_t max_us);

/* Do the invariants in calendar.c hold? Linear in the entries. */
bool esp_calendar_is_sound(const struct esp_calendar *calendar);

/* Calls visit once an entry, in no order. For checks. */
void esp_calendar_each(const struct esp_calendar *calendar,
                       void (*visit)(void *context, int64_t time_us, uint32_t ref), void *context);

#endif
