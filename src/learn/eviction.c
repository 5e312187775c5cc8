/*
 * eviction.c - bulk eviction without memory of its own.
 *
 * The time below which rows go is found by radix selection, 11 bits a pass over the rows' meta; a
 * last pass over the index removes the keys. A table of 10 million rows takes some tenths of a
 * second for an eighth of it.
 */
#include "learn/eviction.h"

enum { DIGIT_BITS = 11, N_DIGITS = 1 << DIGIT_BITS };

/* Free rows are marked by a step count that no row in use can have. */
static bool in_use(const struct esp_table *table, size_t row)
{
    return table->meta[row].steps != UINT32_MAX;
}

/* Times in the order of unsigned numbers. */
static uint64_t age_key(const struct esp_row_meta *meta)
{
    return (uint64_t)meta->trained_us ^ UINT64_C(1) << 63;
}

/*
 * The n-th smallest age key (n from 1) of the rows that may go, and how many of those that equal
 * it are among the n.
 */
static uint64_t select_key(const struct esp_table *table, size_t n, size_t *out_n_equal)
{
    uint64_t prefix = 0, mask = 0;
    for (int shift = 64 - DIGIT_BITS;; shift = shift > DIGIT_BITS ? shift - DIGIT_BITS : 0) {
        size_t counts[N_DIGITS] = {0};
        uint64_t digit_mask = (uint64_t)(N_DIGITS - 1) << shift;
        for (size_t row = table->n_features; row < table->n_begun; row++) {
            uint64_t key = age_key(&table->meta[row]);
            if (in_use(table, row) && (key & mask) == prefix)
                counts[(key & digit_mask) >> shift]++;
        }
        size_t digit = 0;
        while (n > counts[digit])
            n -= counts[digit++];
        prefix |= (uint64_t)digit << shift;
        mask |= digit_mask;
        if (shift == 0)
            break;
    }
    *out_n_equal = n;
    return prefix;
}

/* Empties a slot and closes the gap: what was pushed past it by probing moves back. */
static void remove_slot(struct esp_table *table, size_t slot)
{
    size_t mask = table->capacity - 1;
    size_t hole = slot;
    for (size_t i = (slot + 1) & mask; table->keys[i] != 0; i = (i + 1) & mask) {
        size_t home = (size_t)table->keys[i] & mask;
        if (((i - home) & mask) < ((i - hole) & mask))
            continue; /* the search for it begins after the hole */
        table->keys[hole] = table->keys[i];
        table->row_of[hole] = table->row_of[i];
        hole = i;
    }
    table->keys[hole] = 0;
    table->n_used--;
}

void esp_table_evict(struct esp_table *table, size_t n)
{
    size_t n_evictable = table->n_used - table->n_features;
    n = n < n_evictable ? n : n_evictable;
    if (n == 0)
        return;
    size_t n_equal;
    uint64_t last = select_key(table, n, &n_equal);
    for (size_t row = table->n_features; row < table->n_begun; row++) {
        uint64_t key = age_key(&table->meta[row]);
        if (!in_use(table, row) || key > last || (key == last && n_equal == 0))
            continue;
        n_equal -= key == last;
        table->meta[row].steps = UINT32_MAX;
        table->meta[row].place = table->first_free;
        table->first_free = (uint32_t)row;
    }
    for (size_t slot = 0; slot < table->capacity;) {
        if (table->keys[slot] != 0 && !in_use(table, table->row_of[slot]))
            remove_slot(table, slot); /* another key may have moved here: look again */
        else
            slot++;
    }
    table->n_evicted += n;
}
