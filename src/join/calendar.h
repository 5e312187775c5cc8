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
    int64_t open_number; /* if is_open: entries of this bucket and before go to the side */
    uint64_t *run;       /* (time in bucket) << 32 | ref */
    uint64_t *run_scratch;
    size_t run_at, run_n, run_capacity, scratch_capacity;
    struct esp_calendar_entry *side;
    size_t side_n, side_capacity;
    struct esp_calendar_tie *ties;
    size_t tie_capacity;

    size_t n; /* entries */
};

/* A bucket is 2^shift us wide, shift <= 32. Allocates nothing. */
void esp_calendar_init(struct esp_calendar *calendar, unsigned shift,
                       struct esp_calendar_order order);
void esp_calendar_release(struct esp_calendar *calendar);

/* Errors: ESP_ENOMEM; nothing was added then. */
enum esp_status esp_calendar_add(struct esp_calendar *calendar, int64_t time_us, uint32_t ref,
                                 struct esp_error *err);

/*
 * The earliest entry if its time is below the limit; opens a bucket if need be.
 * *out_found is false where there is none. Errors: ESP_ENOMEM.
 */
enum esp_status esp_calendar_peek(struct esp_calendar *calendar, int64_t limit_us,
                                  struct esp_calendar_entry *out, bool *out_found,
                                  struct esp_error *err);

/* Takes off the entry that esp_calendar_peek() gave last; nothing was added in between. */
void esp_calendar_pop(struct esp_calendar *calendar);

/* The reference k places behind the front of the open bucket's run, or 0: for prefetching. */
static inline uint32_t esp_calendar_ahead(const struct esp_calendar *calendar, size_t k)
{
    size_t at = calendar->run_at + k;
    return at < calendar->run_n ? (uint32_t)calendar->run[at] : 0;
}

size_t esp_calendar_memory(const struct esp_calendar *calendar);

/* Calls visit once an entry, in no order. For checks. */
void esp_calendar_each(const struct esp_calendar *calendar,
                       void (*visit)(void *context, int64_t time_us, uint32_t ref), void *context);

#endif
