/*
 * calendar_sort.h - sorts one bucket's entries by (time, key, compare).
 *
 * Times first, as packed integers. Groups of equal time, which are large where clocks tick in
 * seconds, are then sorted by their keys: the bytes that all keys of a group share are skipped and
 * the next eight are compared as one integer, so that ids with a long common prefix sort fast too.
 */
#ifndef ESP_JOIN_CALENDAR_SORT_H
#define ESP_JOIN_CALENDAR_SORT_H

#include "join/calendar.h"

/* Scratch for a group of equal times. */
struct esp_calendar_tie {
    uint64_t prefix; /* eight bytes of the key, big-endian, zeros behind its end */
    uint64_t packed;
};

/* Order of two references of equal time: by key, then as the caller's compare says. */
int esp_calendar_compare(const struct esp_calendar_order *order, uint32_t a, uint32_t b);

/*
 * Sorts n entries of (time in bucket) << 32 | ref in place. scratch and ties have room for n.
 */
void esp_calendar_sort(const struct esp_calendar_order *order, uint64_t *entries, uint64_t *scratch,
                       struct esp_calendar_tie *ties, size_t n);

#endif
