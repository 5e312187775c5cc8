/* ring.c - see ring.h. The only place that allocates segments. */
#include "join/ring.h"

#include <sys/mman.h>

#include "core/buf.h"

enum { HUGE_PAGE = 2 << 20 };

enum esp_status esp_ring_init(struct esp_ring *ring, size_t segment_bytes, size_t max_bytes,
                              struct esp_error *err)
{
    unsigned bits = 0;
    while (bits < ESP_RING_REF_BITS && ((size_t)ESP_RING_UNIT << bits) < segment_bytes)
        bits++;
    if (bits == ESP_RING_REF_BITS || segment_bytes < ESP_RING_MIN_SEGMENT)
        return esp_fail(err, ESP_EINVAL, "a segment of %zu bytes; 4 KiB to 16 GiB are possible",
                        segment_bytes);
    size_t most = (size_t)1 << (ESP_RING_REF_BITS - bits),
           wanted = max_bytes / ESP_RING_UNIT >> bits;
    if (wanted < ESP_N_LANES)
        wanted = ESP_N_LANES;
    *ring = (struct esp_ring){.segment_bytes = (size_t)ESP_RING_UNIT << bits,
                              .unit_bits = bits,
                              .max_segments = max_bytes > 0 && wanted < most ? wanted : most,
                              .retired = ESP_RING_NOWHERE,
                              .free_slots = ESP_RING_NOWHERE,
                              .next_number = 1};
    for (size_t lane = 0; lane < ESP_N_LANES; lane++)
        ring->open[lane] = ESP_RING_NOWHERE;
    return ESP_OK;
}

void esp_ring_lend(struct esp_ring *ring, const struct esp_segment_store *store)
{
    ring->store = store;
    if (ring->next_number < store->first_number)
        ring->next_number = store->first_number;
}

/* ---- memory ---- */

/*
 * Mapped by ourselves rather than allocated: what is unmapped has left the process, while malloc()
 * may keep what is freed.
 */
static uint8_t *map_base(size_t size)
{
    size_t align = size < HUGE_PAGE ? 0 : HUGE_PAGE;
    uint8_t *all =
        mmap(NULL, size + align, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (all == MAP_FAILED)
        return NULL;
    if (align == 0)
        return all;
    size_t before = (align - (uintptr_t)all % align) % align;
    if (before > 0)
        munmap(all, before);
    if (before < align)
        munmap(all + before + size, align - before);
    /* Only a hint: fewer page faults while filling, fewer TLB misses while reading. */
    (void)madvise(all + before, size, MADV_HUGEPAGE);
    return all + before;
}

uint8_t *esp_ring_take_base(struct esp_ring *ring)
{
    if (ring->n_kept > 0)
        return ring->kept[--ring->n_kept];
    uint8_t *base = map_base(ring->segment_bytes);
    ring->n_bases += base != NULL;
    return base;
}

void esp_ring_give_base(struct esp_ring *ring, uint8_t *base)
{
    if (ring->n_kept < ESP_RING_KEPT) {
        ring->kept[ring->n_kept++] = base;
        return;
    }
    munmap(base, ring->segment_bytes);
    ring->n_bases--;
}

void esp_ring_trim(struct esp_ring *ring, size_t n_to_keep)
{
    while (ring->n_kept > n_to_keep) {
        munmap(ring->kept[--ring->n_kept], ring->segment_bytes);
        ring->n_bases--;
    }
}

/* Takes a segment's bytes away, and its file if that is the ring's alone. */
static void empty_segment(struct esp_ring *ring, struct esp_segment *segment)
{
    if (segment->is_paged) {
        struct esp_bytes mapped = esp_segment_bytes(segment);
        munmap(segment->base, mapped.size);
        ring->n_paged--;
        ring->paged_bytes -= mapped.size;
    } else {
        esp_ring_give_base(ring, segment->base);
    }
    if (segment->is_on_file && !segment->is_named)
        ring->store->drop(ring->store->context, segment->number);
}

void esp_ring_release_all(struct esp_ring *ring)
{
    for (size_t i = 0; i < ring->n_segments; i++) {
        if (ring->segments[i].base != NULL)
            empty_segment(ring, &ring->segments[i]);
    }
    esp_ring_trim(ring, 0);
    free(ring->segments);
    *ring = (struct esp_ring){.retired = ESP_RING_NOWHERE, .free_slots = ESP_RING_NOWHERE};
}

size_t esp_ring_memory(const struct esp_ring *ring)
{
    return ring->n_bases * ring->segment_bytes + ring->capacity * sizeof *ring->segments;
}

/* ---- filling and emptying ---- */

static enum esp_status say_full(const struct esp_ring *ring, struct esp_error *err)
{
    size_t full_mib = ring->n_segments * ring->segment_bytes >> 20;
    if (ring->n_segments == (size_t)1 << (ESP_RING_REF_BITS - ring->unit_bits))
        return esp_fail(err, ESP_ELIMIT,
                        "the join's store is full: what waits for its labels takes %zu MiB, the "
                        "most that one join holds, on files included; shorten join.click_window or "
                        "join.install_window, or lower join.skew",
                        full_mib);
    return esp_fail(err, ESP_ELIMIT,
                    "the join's store is full: what waits for its labels takes %zu MiB, and no "
                    "more is allowed; shorten join.click_window or join.install_window, lower "
                    "join.skew, or raise join.memory (32 GiB is the most that one join holds)",
                    full_mib);
}

/* A directory slot without a segment: one that was freed, or a new one. */
static enum esp_status take_slot(struct esp_ring *ring, uint32_t *out, struct esp_error *err)
{
    if (ring->free_slots != ESP_RING_NOWHERE) {
        *out = ring->free_slots;
        ring->free_slots = ring->segments[*out].next;
        return ESP_OK;
    }
    if (ring->n_segments == ring->max_segments)
        return say_full(ring, err);
    enum esp_status status = esp_array_grow((void **)&ring->segments, &ring->capacity,
                                            ring->n_segments + 1, sizeof *ring->segments, err);
    if (status != ESP_OK)
        return status;
    *out = (uint32_t)ring->n_segments++;
    ring->segments[*out] = (struct esp_segment){.next = ESP_RING_NOWHERE};
    return ESP_OK;
}

void esp_ring_retire(struct esp_ring *ring, uint32_t slot)
{
    struct esp_segment *segment = &ring->segments[slot];
    if (segment->n_live > 0 || segment->is_open)
        return; /* an open one is retired when the next is opened */
    segment->next = ring->retired;
    ring->retired = slot;
}

enum esp_status esp_ring_open(struct esp_ring *ring, enum esp_lane lane, struct esp_error *err)
{
    uint32_t slot = ESP_RING_NOWHERE;
    enum esp_status status = take_slot(ring, &slot, err);
    if (status != ESP_OK)
        return status;
    struct esp_segment *segment = &ring->segments[slot];
    uint8_t *base = esp_ring_take_base(ring);
    if (base == NULL) {
        segment->next = ring->free_slots;
        ring->free_slots = slot;
        return esp_fail(err, ESP_ENOMEM, "out of memory for a segment of %zu bytes",
                        ring->segment_bytes);
    }
    *segment = (struct esp_segment){
        .base = base, .used = 1, .lane = (uint8_t)lane, .is_open = true, .next = ESP_RING_NOWHERE};
    uint32_t before = ring->open[lane];
    ring->open[lane] = slot;
    ring->n_changes++;
    if (before != ESP_RING_NOWHERE) {
        ring->segments[before].is_open = false;
        ring->segments[before].number = ring->next_number++;
        ring->segments[before].n_sealed = ring->segments[before].n_live;
        esp_ring_retire(ring, before);
    }
    return ESP_OK;
}

void esp_ring_reclaim(struct esp_ring *ring)
{
    while (ring->retired != ESP_RING_NOWHERE) {
        uint32_t slot = ring->retired;
        struct esp_segment *segment = &ring->segments[slot];
        ring->retired = segment->next;
        empty_segment(ring, segment);
        ring->n_changes++;
        *segment = (struct esp_segment){.next = ring->free_slots};
        ring->free_slots = slot;
    }
}
