/*
 * id_index.h - an open-addressing index from the hash of an id to a reference of 32 bits.
 *
 * A slot is 8 bytes: the hash's upper half and the reference. The ids themselves are compared by
 * the caller, who walks the slots whose half agrees (another id among them: once in 2^32 a pair).
 *
 * Slots come in lines of 8, one cache line each. An entry stands in its home line, or, if that is
 * full, in the first line behind it that has room. So a line with an empty slot has let nobody
 * pass: there every search ends, and most end in the line they began with. Removal pulls entries
 * back to keep it so; there are no tombstones. Behind the last home are some lines more, so that
 * nothing wraps round.
 *
 * A hash's home is its upper half scaled to the number of homes, so homes come in the order of the
 * halves: growing is one sequential sweep in place, needs no look at the ids, and the number of
 * homes need not be a power of two. It grows by an eighth at a load of 2/3: an entry costs 12 to
 * 13.5 bytes, and one line in eight is full. (At 5/6 it is one in three, and each of those makes a
 * second line, and a second wait for main memory, part of every visit.)
 */
#ifndef ESP_JOIN_ID_INDEX_H
#define ESP_JOIN_ID_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "core/archive.h"
#include "core/status.h"
#include "join/prefetch.h"

enum {
    ESP_LINE_SLOTS = 8,
    /* For what the last homes have no room for. The very last line keeps an empty slot; where
     * that one would be needed the table grows. */
    ESP_LINES_BEHIND = 64,
};

/* Slot i is halves[i] and refs[i]. */
struct esp_id_line {
    uint32_t halves[ESP_LINE_SLOTS]; /* upper half of the id's hash; anything if empty */
    uint32_t refs[ESP_LINE_SLOTS];   /* the caller's; 0: the slot is empty */
};

/* Embedded. { 0 } is an empty index without memory. */
struct esp_id_index {
    struct esp_id_line *lines; /* n_homes + ESP_LINES_BEHIND, on a cache line's boundary */
    size_t n_homes, n_used;
    size_t room_bytes; /* of the mapping that lines may grow into; 0: they are from malloc() */
};

/* A slot is named by line * ESP_LINE_SLOTS + i. */
#define ESP_NO_SLOT SIZE_MAX

void esp_id_index_release(struct esp_id_index *index);

/* Makes room for n more entries, as a rule. Slots may move. Errors: ESP_ENOMEM; nothing has
 * changed then. */
enum esp_status esp_id_index_reserve(struct esp_id_index *index, size_t n, struct esp_error *err);

/* Adds an entry (equal hashes are fine); ref is not 0. Slots may move. Errors: ESP_ENOMEM. */
enum esp_status esp_id_index_add(struct esp_id_index *index, uint64_t hash, uint32_t ref,
                                 struct esp_error *err);

/* Empties a slot in use. Other entries may move. */
void esp_id_index_remove(struct esp_id_index *index, size_t slot);

/* How many slots there are, used or not: they are named 0 .. n - 1. */
static inline size_t esp_id_index_n_slots(const struct esp_id_index *index)
{
    return index->n_homes == 0 ? 0 : (index->n_homes + ESP_LINES_BEHIND) * ESP_LINE_SLOTS;
}

/*
 * The index in a checkpoint; reading fills one that is { 0 }. Every entry of it is found by its
 * half then; where the references lead is left to the caller to check.
 */
void esp_id_index_archive(struct esp_archive *archive, struct esp_id_index *index);

/* Bytes in use; a mapping counts as far as it is filled. */
size_t esp_id_index_memory(const struct esp_id_index *index);

static inline uint32_t esp_id_index_ref(const struct esp_id_index *index, size_t slot)
{
    return index->lines[slot / ESP_LINE_SLOTS].refs[slot % ESP_LINE_SLOTS];
}

static inline void esp_id_index_set_ref(struct esp_id_index *index, size_t slot, uint32_t ref)
{
    index->lines[slot / ESP_LINE_SLOTS].refs[slot % ESP_LINE_SLOTS] = ref;
}

static inline size_t esp_id_index_home(const struct esp_id_index *index, uint32_t half)
{
    return (size_t)(((uint64_t)half * index->n_homes) >> 32);
}

static inline void esp_id_index_prefetch(const struct esp_id_index *index, uint64_t hash)
{
    if (index->lines != NULL)
        esp_prefetch(index->lines + esp_id_index_home(index, (uint32_t)(hash >> 32)));
}

/* Bit i is [values[i] == wanted]. */
static inline unsigned esp_line_equal(const uint32_t values[ESP_LINE_SLOTS], uint32_t wanted)
{
#if defined(__SSE2__)
    const __m128i *at = (const __m128i *)(const void *)values;
    __m128i key = _mm_set1_epi32((int)wanted);
    __m128i low = _mm_cmpeq_epi32(_mm_load_si128(at), key);
    __m128i high = _mm_cmpeq_epi32(_mm_load_si128(at + 1), key);
    return (unsigned)_mm_movemask_epi8(
        _mm_packs_epi16(_mm_packs_epi32(low, high), _mm_setzero_si128()));
#else
    unsigned bits = 0;
    for (unsigned i = 0; i < ESP_LINE_SLOTS; i++)
        bits |= (unsigned)(values[i] == wanted) << i;
    return bits;
#endif
}

/*
 * Adds an entry where its home line has room and nobody with the same half, as nearly always; room
 * was reserved. False: nothing was done, esp_id_index_first() and _add() must see to it.
 */
static inline bool esp_id_index_add_apart(struct esp_id_index *index, uint64_t hash, uint32_t ref)
{
    uint32_t half = (uint32_t)(hash >> 32);
    struct esp_id_line *line = index->lines + esp_id_index_home(index, half);
    unsigned empty = esp_line_equal(line->refs, 0);
    if (empty == 0 || (esp_line_equal(line->halves, half) & ~empty) != 0)
        return false;
    int i = __builtin_ctz(empty);
    line->halves[i] = half;
    line->refs[i] = ref;
    index->n_used++;
    return true;
}

/* Fetches the line behind the home line, which is there by now, if that is full: a visit goes on
 * to it, and would wait for main memory once more. */
static inline void esp_id_index_prefetch_next(const struct esp_id_index *index, uint64_t hash)
{
    if (index->lines == NULL)
        return;
    const struct esp_id_line *line =
        index->lines + esp_id_index_home(index, (uint32_t)(hash >> 32));
    if (esp_line_equal(line->refs, 0) == 0)
        esp_prefetch(line + 1);
}

/* The slot with this reference if it stands in its home line, else ESP_NO_SLOT. Not 0. */
static inline size_t esp_id_index_at_home(const struct esp_id_index *index, uint64_t hash,
                                          uint32_t ref)
{
    if (index->n_used == 0)
        return ESP_NO_SLOT;
    size_t line = esp_id_index_home(index, (uint32_t)(hash >> 32));
    unsigned found = esp_line_equal(index->lines[line].refs, ref);
    return found == 0 ? ESP_NO_SLOT : line * ESP_LINE_SLOTS + (size_t)__builtin_ctz(found);
}

/* The first slot with this half, from slot i of a line on, or ESP_NO_SLOT. */
static inline size_t esp_id_index_scan(const struct esp_id_index *index, size_t line, size_t i,
                                       uint32_t half)
{
    for (;; i = 0, line++) {
        const struct esp_id_line *at = &index->lines[line];
        unsigned empty = esp_line_equal(at->refs, 0);
        unsigned found = (esp_line_equal(at->halves, half) & ~empty) >> i << i;
        if (found != 0)
            return line * ESP_LINE_SLOTS + (size_t)__builtin_ctz(found);
        if (empty != 0)
            return ESP_NO_SLOT;
    }
}

/* Walks the slots that may hold the hash: for (slot = first; slot != ESP_NO_SLOT; slot = next). */
static inline size_t esp_id_index_first(const struct esp_id_index *index, uint64_t hash)
{
    uint32_t half = (uint32_t)(hash >> 32);
    if (index->n_used == 0)
        return ESP_NO_SLOT;
    return esp_id_index_scan(index, esp_id_index_home(index, half), 0, half);
}

static inline size_t esp_id_index_next(const struct esp_id_index *index, size_t slot)
{
    size_t line = slot / ESP_LINE_SLOTS, i = slot % ESP_LINE_SLOTS;
    return esp_id_index_scan(index, line, i + 1, index->lines[line].halves[i]);
}

#endif
