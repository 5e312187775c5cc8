/*
 * ring.h - where the join keeps bytes: append-only segments of one size, freed as a whole.
 *
 *     lane IMPRESSIONS  [segment][segment][segm...       each lane appends to its newest
 *     lane LONG         [segment][se...                  segment; a segment goes when nothing
 *     lane WAITING      [s...                            in it is live any more
 *
 * What was appended never moves and never changes, so a segment may be a mapped file and a
 * checkpoint need not copy it: whatever can change about a record is kept elsewhere, and how many
 * live records a segment has is kept beside it, not in it. Records live about equally long within
 * a lane (that is what lanes are for), so that segments empty in the order they were filled.
 *
 * A record is named by a reference of 31 bits, in units of 16 bytes, never 0: the directory slot
 * of its segment above, the unit in the segment below. So one ring holds at most 32 GiB. The first
 * unit of a segment is not handed out.
 */
#ifndef ESP_JOIN_RING_H
#define ESP_JOIN_RING_H

#include <stddef.h>
#include <stdint.h>

#include "core/archive.h"
#include "core/bytes.h"
#include "core/status.h"

enum esp_lane {
    ESP_LANE_IMPRESSIONS, /* impressions until their click stage */
    ESP_LANE_LONG,        /* impressions from then to their last label, and click ids */
    ESP_LANE_WAITING,     /* clicks and installs until W has passed their time */
    ESP_N_LANES
};

enum {
    ESP_RING_UNIT = 16,
    ESP_RING_MIN_SEGMENT = 4096,
    ESP_RING_REF_BITS = 31,
};

/* A directory slot that is none: the end of a list, a lane that has not begun. */
#define ESP_RING_NOWHERE UINT32_MAX

/* One segment's entry in the directory. */
struct esp_segment {
    uint8_t *base;     /* NULL: this slot of the directory is free */
    uint32_t n_live;   /* records not yet released */
    uint32_t used;     /* units handed out, the first one included */
    uint8_t lane;      /* enum esp_lane */
    bool is_open;      /* its lane appends here */
    uint32_t next;     /* in the list of retired or of free slots */
    uint8_t *recycled; /* free slot: memory kept for the next segment, or NULL */
};

struct esp_ring {
    struct esp_segment *segments; /* the directory */
    size_t n_segments, capacity;
    size_t segment_bytes; /* a power of two */
    unsigned unit_bits;   /* units a segment: 2^unit_bits */
    uint32_t open[ESP_N_LANES];
    size_t max_segments; /* n_segments is at most that */
    uint32_t retired;    /* list of segments without live records, still readable */
    uint32_t free_slots;
    size_t n_bases;    /* segments with memory, kept ones included */
    size_t n_recycled; /* kept ones */
};

/*
 * Allocates nothing.
 *
 * segment_bytes  is rounded up to a power of two
 * max_bytes      of all segments: rounded down to whole ones, at least one a lane; 0: as many as
 *                references can name
 * Errors: ESP_EINVAL.
 */
enum esp_status esp_ring_init(struct esp_ring *ring, size_t segment_bytes, size_t max_bytes,
                              struct esp_error *err);
void esp_ring_release_all(struct esp_ring *ring);

/* The largest record, head and all, that fits into a segment. */
static inline size_t esp_ring_max_record(const struct esp_ring *ring)
{
    return ring->segment_bytes - ESP_RING_UNIT;
}

/* Begins a new segment in a lane. Errors: ESP_ENOMEM, ESP_ELIMIT (max_bytes are in use). */
enum esp_status esp_ring_open(struct esp_ring *ring, enum esp_lane lane, struct esp_error *err);

/*
 * Takes room for size bytes (at most esp_ring_max_record()), aligned to 16, live at once.
 *
 * *out_at  to be filled by the caller before the next call, and not touched afterwards
 * Errors: as esp_ring_open().
 */
static inline enum esp_status esp_ring_append(struct esp_ring *ring, enum esp_lane lane,
                                              size_t size, uint32_t *out_ref, void **out_at,
                                              struct esp_error *err)
{
    uint32_t n_units = (uint32_t)((size + ESP_RING_UNIT - 1) / ESP_RING_UNIT);
    uint32_t slot = ring->open[lane];
    if (slot == ESP_RING_NOWHERE ||
        n_units > (UINT32_C(1) << ring->unit_bits) - ring->segments[slot].used) {
        enum esp_status status = esp_ring_open(ring, lane, err);
        if (status != ESP_OK)
            return status;
        slot = ring->open[lane];
    }
    struct esp_segment *segment = &ring->segments[slot];
    *out_ref = slot << ring->unit_bits | segment->used;
    *out_at = segment->base + (size_t)segment->used * ESP_RING_UNIT;
    segment->used += n_units;
    segment->n_live++;
    return ESP_OK;
}

/* Puts a segment without live records among the retired, unless it is open. */
void esp_ring_retire(struct esp_ring *ring, uint32_t slot);

/* The record will not be asked for again; its bytes stay until esp_ring_reclaim(). */
static inline void esp_ring_release(struct esp_ring *ring, uint32_t ref)
{
    uint32_t slot = ref >> ring->unit_bits;
    if (--ring->segments[slot].n_live == 0)
        esp_ring_retire(ring, slot);
}

/* Frees the segments without live records. What was lent out from them is gone. */
void esp_ring_reclaim(struct esp_ring *ring);

size_t esp_ring_memory(const struct esp_ring *ring);

/*
 * The ring in a checkpoint: references mean the same in the one that is read. Reading fills a ring
 * as esp_ring_init() left it, with segments of the same size; that every segment has as many live
 * records as it says, and what is in them, is left to the caller to check.
 */
void esp_ring_archive(struct esp_archive *archive, struct esp_ring *ring);

static inline const void *esp_ring_at(const struct esp_ring *ring, uint32_t ref)
{
    uint32_t unit = ref & ((UINT32_C(1) << ring->unit_bits) - 1);
    return ring->segments[ref >> ring->unit_bits].base + (size_t)unit * ESP_RING_UNIT;
}

static inline enum esp_lane esp_ring_lane(const struct esp_ring *ring, uint32_t ref)
{
    return (enum esp_lane)ring->segments[ref >> ring->unit_bits].lane;
}

#endif
