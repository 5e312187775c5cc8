/*
 * lookup.h - reading an embedding table, live or mapped. Nothing here writes.
 *
 * An open-addressing index with linear probing: key k is in the first slot from k & mask on that
 * holds it; an empty slot (0) before it means that it is not there. Keys are hashes already.
 */
#ifndef ESP_MODEL_LOOKUP_H
#define ESP_MODEL_LOOKUP_H

#include <stdint.h>

#include "feature/features.h"

#define ESP_NO_ROW UINT32_MAX

/* Borrows everything. */
struct esp_table_view {
    const uint64_t *keys;     /* (mask + 1); 0: empty */
    const uint32_t *row_of;   /* (mask + 1) row of each slot; NULL: a slot is its row */
    size_t mask;              /* capacity - 1; the capacity is a power of two */
    const float *rows;        /* row r begins at rows + r * stride; D weights first */
    size_t stride;            /* floats */
    const uint32_t *defaults; /* (F) each feature's default row */
};

/* The slot of a key, or the empty slot where its search ends. */
static inline size_t esp_table_slot(const struct esp_table_view *view, uint64_t key)
{
    size_t slot = (size_t)key & view->mask;
    while (view->keys[slot] != key && view->keys[slot] != 0)
        slot = (slot + 1) & view->mask;
    return slot;
}

/* The row of a key, or ESP_NO_ROW. */
static inline uint32_t esp_table_find(const struct esp_table_view *view, uint64_t key)
{
    size_t slot = esp_table_slot(view, key);
    if (view->keys[slot] == 0)
        return ESP_NO_ROW;
    return view->row_of ? view->row_of[slot] : (uint32_t)slot;
}

static inline void esp_table_prefetch_slot(const struct esp_table_view *view, uint64_t key)
{
    size_t slot = (size_t)key & view->mask;
    __builtin_prefetch(&view->keys[slot]);
    if (view->row_of)
        __builtin_prefetch(&view->row_of[slot]);
}

/*
 * Finds the row of every pair of rows [first, first + n) of a batch: its own, or its feature's
 * default row.
 *
 * rows  one for each pair, by the pair's index in the batch
 */
void esp_table_resolve(const struct esp_table_view *view, const struct esp_feature_batch *batch,
                       size_t first, size_t n, uint32_t *rows);

#endif
