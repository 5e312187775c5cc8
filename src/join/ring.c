/* ring.c - see ring.h. The only place that allocates segments. */
#include "join/ring.h"

#include <sys/mman.h>

#include "core/buf.h"

enum {
    HUGE_PAGE = 2 << 20,
    MAX_RECYCLED = 4, /* empty segments kept for reuse: fresh memory costs a page fault a page */
};

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
                              .free_slots = ESP_RING_NOWHERE};
    for (size_t lane = 0; lane < ESP_N_LANES; lane++)
        ring->open[lane] = ESP_RING_NOWHERE;
    return ESP_OK;
}

void esp_ring_release_all(struct esp_ring *ring)
{
    for (size_t i = 0; i < ring->n_segments; i++) {
        free(ring->segments[i].base);
        free(ring->segments[i].recycled);
    }
    free(ring->segments);
    *ring = (struct esp_ring){.retired = ESP_RING_NOWHERE, .free_slots = ESP_RING_NOWHERE};
}

static uint8_t *new_base(const struct esp_ring *ring)
{
    size_t align = ring->segment_bytes < HUGE_PAGE ? ESP_RING_MIN_SEGMENT : HUGE_PAGE;
    uint8_t *base = aligned_alloc(align, ring->segment_bytes);
    /* Only a hint: fewer page faults while filling, fewer TLB misses while reading. */
    if (base != NULL && ring->segment_bytes >= HUGE_PAGE)
        (void)madvise(base, ring->segment_bytes, MADV_HUGEPAGE);
    return base;
}

/* A directory slot without a segment: one that was freed (its kept memory and all), or a new one.*/
static enum esp_status take_slot(struct esp_ring *ring, uint32_t *out, struct esp_error *err)
{
    if (ring->free_slots != ESP_RING_NOWHERE) {
        *out = ring->free_slots;
        ring->free_slots = ring->segments[*out].next;
        return ESP_OK;
    }
    if (ring->n_segments == ring->max_segments)
        return esp_fail(err, ESP_ELIMIT,
                        "the join's store is full: what waits for its labels takes %zu MiB, and no "
                        "more is allowed; shorten join.click_window or join.install_window, lower "
                        "join.skew, or raise join.memory (32 GiB is the most that one join holds)",
                        ring->n_segments * ring->segment_bytes >> 20);
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
    uint8_t *base = segment->recycled;
    if (base != NULL) {
        ring->n_recycled--;
    } else {
        base = new_base(ring);
        if (base == NULL) {
            segment->next = ring->free_slots;
            ring->free_slots = slot;
            return esp_fail(err, ESP_ENOMEM, "out of memory for a segment of %zu bytes",
                            ring->segment_bytes);
        }
        ring->n_bases++;
    }
    *segment = (struct esp_segment){
        .base = base, .used = 1, .lane = (uint8_t)lane, .is_open = true, .next = ESP_RING_NOWHERE};
    uint32_t before = ring->open[lane];
    ring->open[lane] = slot;
    if (before != ESP_RING_NOWHERE) {
        ring->segments[before].is_open = false;
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
        uint8_t *base = segment->base;
        *segment = (struct esp_segment){.next = ring->free_slots};
        ring->free_slots = slot;
        if (ring->n_recycled < MAX_RECYCLED) {
            segment->recycled = base;
            ring->n_recycled++;
        } else {
            free(base);
            ring->n_bases--;
        }
    }
}

size_t esp_ring_memory(const struct esp_ring *ring)
{
    return ring->n_bases * ring->segment_bytes + ring->capacity * sizeof *ring->segments;
}

/* ---- in a checkpoint ---- */

/* The bytes of a segment that has live records. Reading, its memory is there to be filled. */
static void archive_bytes(struct esp_archive *archive, const struct esp_segment *segment)
{
    esp_archive_bytes(archive, segment->base, (size_t)segment->used * ESP_RING_UNIT);
}

/*
 * One slot of the directory. Of a segment without live records (retired, or open and not used yet)
 * only the place is kept, as nothing will be asked of it.
 */
static void archive_segment(struct esp_archive *archive, struct esp_ring *ring,
                            struct esp_segment *segment)
{
    bool has_base = segment->base != NULL;
    esp_archive_bool(archive, &has_base);
    esp_archive_u32(archive, &segment->next);
    if (!has_base)
        return;
    esp_archive_u8(archive, &segment->lane);
    esp_archive_bool(archive, &segment->is_open);
    esp_archive_u32(archive, &segment->n_live);
    esp_archive_u32(archive, &segment->used);
    bool is_sound = segment->lane < ESP_N_LANES && segment->used >= 1 &&
                    segment->used <= UINT32_C(1) << ring->unit_bits &&
                    segment->n_live < segment->used;
    if (!esp_archive_check(archive, is_sound, "a segment of the join's store"))
        return;
    if (esp_archive_reads(archive)) {
        segment->base = new_base(ring);
        if (segment->base == NULL) {
            esp_archive_fail(archive, ESP_ENOMEM, "out of memory for a segment of %zu bytes",
                             ring->segment_bytes);
            return;
        }
        ring->n_bases++;
    }
    if (segment->n_live > 0)
        archive_bytes(archive, segment);
}

/* The length of a list of slots; more than n_segments if it does not end in the directory. */
static size_t list_length(const struct esp_ring *ring, uint32_t slot)
{
    size_t n = 0;
    for (; slot != ESP_RING_NOWHERE && n <= ring->n_segments; n++) {
        if (slot >= ring->n_segments)
            return SIZE_MAX;
        slot = ring->segments[slot].next;
    }
    return n;
}

/* Is every slot free, open, retired or in use, as its list and its lane say? */
static bool directory_is_sound(const struct esp_ring *ring)
{
    size_t n_free = 0, n_retired = 0, n_open = 0;
    for (size_t i = 0; i < ring->n_segments; i++) {
        const struct esp_segment *segment = &ring->segments[i];
        n_free += segment->base == NULL;
        n_open += segment->is_open;
        n_retired += segment->base != NULL && segment->n_live == 0 && !segment->is_open;
    }
    if (list_length(ring, ring->free_slots) != n_free ||
        list_length(ring, ring->retired) != n_retired)
        return false;
    for (uint32_t slot = ring->free_slots; slot != ESP_RING_NOWHERE;
         slot = ring->segments[slot].next) {
        if (ring->segments[slot].base != NULL)
            return false;
    }
    for (uint32_t slot = ring->retired; slot != ESP_RING_NOWHERE;
         slot = ring->segments[slot].next) {
        const struct esp_segment *segment = &ring->segments[slot];
        if (segment->base == NULL || segment->n_live > 0 || segment->is_open)
            return false;
    }
    for (size_t lane = 0; lane < ESP_N_LANES; lane++) {
        uint32_t slot = ring->open[lane];
        if (slot == ESP_RING_NOWHERE)
            continue;
        if (slot >= ring->n_segments || !ring->segments[slot].is_open ||
            ring->segments[slot].lane != lane)
            return false;
        n_open--;
    }
    return n_open == 0;
}

void esp_ring_archive(struct esp_archive *archive, struct esp_ring *ring)
{
    enum { LEAST_BYTES = 5 }; /* of a slot of the directory */
    size_t n = ring->n_segments;
    esp_archive_mark(archive, "ring", 1);
    esp_archive_same(archive, ring->segment_bytes, "the size of a segment of the join's store");
    esp_archive_count(archive, &n, LEAST_BYTES);
    if (n > ring->max_segments)
        esp_archive_fail(archive, ESP_EDATA,
                         "what waits for its labels takes %zu MiB, and join.memory allows %zu; "
                         "raise it to what it was",
                         n * ring->segment_bytes >> 20,
                         ring->max_segments * ring->segment_bytes >> 20);
    if (esp_archive_reads(archive) && esp_archive_is_ok(archive) && n > 0) {
        ring->segments = calloc(n, sizeof *ring->segments);
        if (ring->segments == NULL)
            esp_archive_fail(archive, ESP_ENOMEM, "out of memory for %zu segments", n);
        else
            ring->n_segments = ring->capacity = n;
    }
    for (size_t i = 0; i < n && esp_archive_is_ok(archive); i++)
        archive_segment(archive, ring, &ring->segments[i]);
    for (size_t lane = 0; lane < ESP_N_LANES; lane++)
        esp_archive_u32(archive, &ring->open[lane]);
    esp_archive_u32(archive, &ring->retired);
    esp_archive_u32(archive, &ring->free_slots);
    if (esp_archive_is_ok(archive))
        esp_archive_check(archive, directory_is_sound(ring), "the directory of the join's store");
}
