/*
 * id_index.h - an open-addressing index from the hash of an id to a reference of 32 bits.
 *
 * A slot is 8 bytes: the hash's upper half and the reference. The ids themselves are compared by
 * the caller, who walks the slots whose half agrees (another id among them: once in 2^32 a pair).
 *
 * A hash's home is its upper half scaled to the number of slots, so homes come in the order of the
 * halves: growing is one sequential sweep, needs no look at the ids, and the number of slots need
 * not be a power of two. It grows by a quarter at a load of 0.8, so that an entry costs 10 to 12.5
 * bytes. Linear probing; removal shifts back, so there are no tombstones.
 */
#ifndef ESP_JOIN_ID_INDEX_H
#define ESP_JOIN_ID_INDEX_H

#include <stddef.h>
#include <stdint.h>

#include "core/status.h"

struct esp_id_slot {
    uint32_t half; /* upper half of the id's hash */
    uint32_t ref;  /* the caller's; 0: the slot is empty */
};

/* Embedded. { 0 } is an empty index without memory. */
struct esp_id_index {
    struct esp_id_slot *slots; /* n_slots; at least one is empty */
    size_t n_slots, n_used;
};

void esp_id_index_release(struct esp_id_index *index);

/* Makes room for n more entries. Slots may move. Errors: ESP_ENOMEM; nothing has changed then. */
enum esp_status esp_id_index_reserve(struct esp_id_index *index, size_t n, struct esp_error *err);

/* Adds an entry (equal hashes are fine). Room was reserved; ref is not 0. */
void esp_id_index_add(struct esp_id_index *index, uint64_t hash, uint32_t ref);

/* Empties a slot that esp_id_index_first() or _next() gave. Other slots may move. */
void esp_id_index_remove(struct esp_id_index *index, struct esp_id_slot *slot);

static inline size_t esp_id_index_home(const struct esp_id_index *index, uint32_t half)
{
    return (size_t)(((uint64_t)half * index->n_slots) >> 32);
}

static inline void esp_id_index_prefetch(const struct esp_id_index *index, uint64_t hash)
{
    __builtin_prefetch(index->slots + esp_id_index_home(index, (uint32_t)(hash >> 32)), 1);
}

/* The next slot at or after `slot` whose half agrees, or NULL. */
static inline struct esp_id_slot *esp_id_index_scan(const struct esp_id_index *index,
                                                    struct esp_id_slot *slot, uint32_t half)
{
    const struct esp_id_slot *end = index->slots + index->n_slots;
    for (; slot->ref != 0; slot++, slot = slot == end ? index->slots : slot)
        if (slot->half == half)
            return slot;
    return NULL;
}

/* Walks the slots that may hold the hash: for (slot = first; slot; slot = next). */
static inline struct esp_id_slot *esp_id_index_first(const struct esp_id_index *index,
                                                     uint64_t hash)
{
    uint32_t half = (uint32_t)(hash >> 32);
    if (index->n_used == 0)
        return NULL;
    return esp_id_index_scan(index, index->slots + esp_id_index_home(index, half), half);
}

static inline struct esp_id_slot *esp_id_index_next(const struct esp_id_index *index,
                                                    struct esp_id_slot *slot)
{
    uint32_t half = slot->half;
    slot++;
    return esp_id_index_scan(index, slot == index->slots + index->n_slots ? index->slots : slot,
                             half);
}

size_t esp_id_index_memory(const struct esp_id_index *index);

#endif
