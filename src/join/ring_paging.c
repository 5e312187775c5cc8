/*
 * ring_paging.c - segments on files where memory is short. See ring.h.
 *
 * WHICH  Of the three lanes LONG goes first, then IMPRESSIONS, then WAITING; within a lane the
 * segment that was sealed first. A record is looked up where a click or an install names it, which
 * happens soon after it came or not at all, and each such visit of a paged segment may wait for the
 * disk; it is read once more when its label leaves, but in order, segment by segment, which the
 * system reads ahead. So the segments with the most visits still to come are the newest, and those
 * of lane LONG, whose few visits spread over days, have the fewest for their size. (That the oldest
 * are the next to leave is no reason to keep them: writing and reading 16 MiB once in order costs
 * less than the visits of a new one.)
 *
 * HOW  A segment's bytes go to a file, the file is mapped read-only, and the memory serves the next
 * segment. The mapping is private and never written to, so that a forked child keeps what it saw.
 * A page that is visited comes back into the process's resident memory, as a clean copy that the
 * system may take; so that it also leaves when nobody else wants it, mappings are let go of
 * whenever the cap is looked at.
 *
 * READING  A visit reads its own page and nothing around it (MADV_RANDOM), and those of the clicks
 * that come next are asked for together, before the first of them is waited for. Segments whose
 * labels are leaving, and the next in line, are read ahead as a whole.
 */
#include <sys/mman.h>
#include <unistd.h>

#include "core/hash.h"
#include "join/ring.h"

/* Lower goes earlier. */
static int lane_rank(enum esp_lane lane)
{
    return lane == ESP_LANE_LONG ? 0 : lane == ESP_LANE_IMPRESSIONS ? 1 : 2;
}

/* Would a leave memory before b? */
static bool goes_before(const struct esp_segment *a, const struct esp_segment *b)
{
    int a_rank = lane_rank((enum esp_lane)a->lane), b_rank = lane_rank((enum esp_lane)b->lane);
    return a_rank != b_rank ? a_rank < b_rank : a->number < b->number;
}

/* The sealed segment in memory that goes first, or NULL. */
static struct esp_segment *first_to_go(struct esp_ring *ring)
{
    struct esp_segment *first = NULL;
    for (size_t i = 0; i < ring->n_segments; i++) {
        struct esp_segment *segment = &ring->segments[i];
        if (esp_segment_is_sealed(segment) && !segment->is_paged &&
            (first == NULL || goes_before(segment, first)))
            first = segment;
    }
    return first;
}

static enum esp_status page_out(struct esp_ring *ring, struct esp_segment *segment,
                                struct esp_error *err)
{
    const struct esp_segment_store *store = ring->store;
    struct esp_bytes bytes = esp_segment_bytes(segment);
    if (!segment->is_on_file) {
        enum esp_status status = store->write(store->context, segment->number, bytes, err);
        if (status != ESP_OK)
            return status;
        segment->checksum = esp_hash(bytes);
        segment->is_on_file = true;
        ring->paged_out_bytes += bytes.size;
    }
    struct esp_segment_file file = esp_segment_file(segment);
    void *base = NULL;
    enum esp_status status = store->map(store->context, &file, &base, err);
    if (status != ESP_OK) {
        segment->is_on_file = segment->is_named; /* the next try begins with a file */
        return status;
    }
    (void)madvise(base, bytes.size, MADV_RANDOM);
    esp_ring_give_base(ring, segment->base);
    segment->base = base;
    segment->is_paged = true;
    ring->n_paged++;
    ring->paged_bytes += bytes.size;
    return ESP_OK;
}

/* Some hundred nanoseconds a mapping, nothing beside what was stored since the last time. */
static void shed(const struct esp_ring *ring)
{
    for (size_t i = 0; ring->n_paged > 0 && i < ring->n_segments; i++) {
        const struct esp_segment *segment = &ring->segments[i];
        if (segment->is_paged && !segment->is_expected)
            (void)madvise(segment->base, esp_segment_bytes(segment).size, MADV_DONTNEED);
    }
}

/* The oldest sealed segment of a lane behind this number, or NULL. */
static struct esp_segment *next_in_line(struct esp_ring *ring, enum esp_lane lane, uint64_t number)
{
    struct esp_segment *next = NULL;
    for (size_t i = 0; i < ring->n_segments; i++) {
        struct esp_segment *segment = &ring->segments[i];
        if (esp_segment_is_sealed(segment) && segment->lane == lane && segment->number > number &&
            (next == NULL || segment->number < next->number))
            next = segment;
    }
    return next;
}

static void expect(struct esp_segment *segment)
{
    if (!segment->is_paged || segment->is_expected)
        return;
    size_t n_bytes = esp_segment_bytes(segment).size;
    segment->is_expected = true;
    (void)madvise(segment->base, n_bytes, MADV_NORMAL);
    (void)madvise(segment->base, n_bytes, MADV_WILLNEED);
}

/* Reads ahead what labels leave from: in lane IMPRESSIONS in the order of arrival, but for
 * disorder; in lane LONG more slowly. */
static void read_ahead(struct esp_ring *ring)
{
    enum { N_AHEAD = 2 };
    if (ring->n_paged == 0)
        return;
    for (size_t i = 0; i < ring->n_segments; i++) {
        struct esp_segment *segment = &ring->segments[i];
        if (segment->lane == ESP_LANE_IMPRESSIONS && segment->n_live < segment->n_sealed)
            expect(segment);
    }
    struct esp_segment *next = next_in_line(ring, ESP_LANE_LONG, 0);
    if (next != NULL)
        expect(next);
    next = next_in_line(ring, ESP_LANE_IMPRESSIONS, 0);
    for (int i = 0; i < N_AHEAD && next != NULL; i++) {
        expect(next);
        next = next_in_line(ring, ESP_LANE_IMPRESSIONS, next->number);
    }
}

void esp_ring_fetch_paged(const struct esp_ring *ring, uint32_t ref)
{
    const struct esp_segment *segment = &ring->segments[ref >> ring->unit_bits];
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t at = (size_t)((const uint8_t *)esp_ring_at(ring, ref) - segment->base) / page * page;
    if (!segment->is_expected)
        (void)madvise(segment->base + at, 1, MADV_WILLNEED);
}

enum esp_status esp_ring_fit(struct esp_ring *ring, size_t beside_bytes, size_t max_bytes,
                             struct esp_error *err)
{
    if (ring->store == NULL)
        return ESP_OK;
    shed(ring);
    read_ahead(ring);
    while (esp_ring_memory(ring) + beside_bytes > max_bytes) {
        struct esp_segment *segment = ring->n_kept > 1 ? NULL : first_to_go(ring);
        if (segment != NULL) {
            enum esp_status status = page_out(ring, segment, err);
            if (status != ESP_OK)
                return status;
        } else if (ring->n_kept > 0) {
            esp_ring_trim(ring, ring->n_kept - 1); /* the last one as long as another may go */
        } else {
            break;
        }
    }
    return ESP_OK;
}

static bool load(struct esp_ring *ring, struct esp_segment *segment)
{
    uint8_t *base = esp_ring_take_base(ring);
    if (base == NULL)
        return false;
    struct esp_bytes bytes = esp_segment_bytes(segment);
    memcpy(base, bytes.data, bytes.size);
    munmap(segment->base, bytes.size);
    segment->base = base;
    segment->is_paged = segment->is_expected = false;
    ring->n_paged--;
    ring->paged_bytes -= bytes.size;
    return true;
}

void esp_ring_load(struct esp_ring *ring, size_t beside_bytes, size_t max_bytes)
{
    while (esp_ring_memory(ring) + ring->segment_bytes + beside_bytes <= max_bytes) {
        struct esp_segment *last = NULL;
        for (size_t i = 0; i < ring->n_segments; i++) {
            struct esp_segment *segment = &ring->segments[i];
            if (segment->is_paged && (last == NULL || goes_before(last, segment)))
                last = segment;
        }
        if (last == NULL || !load(ring, last))
            break;
    }
    shed(ring); /* every record was looked at */
}
