/*
 * sorter.h - holds all records and gives them back in the order of a number, stably. In memory: an
 * input that does not fit is refused, not sorted on disk.
 */
#ifndef ESP_LOAD_SORTER_H
#define ESP_LOAD_SORTER_H

#include "core/buf.h"

/* A record, in the sorter's bytes: key, then value. */
struct load_sorted {
    int64_t sort, time_us;
    size_t begin;
    uint32_t key_size, value_size;
};

struct load_sorter {
    struct esp_buf bytes;
    struct load_sorted *items; /* owned */
    size_t n, capacity;
};

/* max_bytes  of keys and values together */
void load_sorter_init(struct load_sorter *sorter, size_t max_bytes);
void load_sorter_release(struct load_sorter *sorter);

/* Takes a copy. Errors: ESP_ELIMIT (more than max_bytes), ESP_ENOMEM. */
enum esp_status load_sorter_add(struct load_sorter *sorter, int64_t sort, int64_t time_us,
                                struct esp_bytes key, struct esp_bytes value,
                                struct esp_error *err);

/* Brings the items into order; equal numbers stay in the order in which they were added. */
void load_sorter_sort(struct load_sorter *sorter);

#endif
