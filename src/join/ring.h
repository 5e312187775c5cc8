/*
 * ring.h - where the join keeps bytes: append-only segments of one size, freed as a whole.
 * ring_paging.c puts them on files where memory is short, ring_save.c takes them into checkpoints.
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
#include "join/prefetch.h"
#include "join/segment_store.h"

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
    ESP_RING_KEPT = 4, /* empty segments kept for reuse: fresh memory costs a page fault a page */
};

/* A directory slot that is none: the end of a list, a lane that has not begun. */
#define ESP_RING_NOWHERE UINT32_MAX

/*
 * One segment's entry in the directory.
 *
 *     [open] --the next is opened--> [sealed] --_fit()--> [paged]      sealed: it has a number, and
 *                                       |  ^---_load()------'          never changes again
 *                                       '--esp_ring_store()--> [sealed, on file]
 */
struct esp_segment {
    uint8_t *base;     /* NULL: this slot of the directory is free */
    uint32_t n_live;   /* records not yet released */
    uint32_t used;     /* units handed out, the first one included */
    uint8_t lane;      /* enum esp_lane */
    bool is_open;      /* its lane appends here */
    bool is_paged;     /* base is its file, mapped to be read; else it is memory */
    bool is_on_file;   /* there is a file of its number */
    bool is_synced;    /* and nothing that happens to the machine takes it away */
    bool is_named;     /* a checkpoint may name that file: the ring does not drop it */
    bool is_expected;  /* paged, and about to be read in order */
    uint32_t next;     /* in the list of retired or of free slots */
    uint64_t number;   /* in the order of sealing; 0: not sealed */
    uint64_t checksum; /* of its bytes, once it is on file */
    uint32_t n_sealed; /* n_live when it was sealed */
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
    size_t n_bases; /* segments with memory, kept ones included */
    size_t n_kept;
    uint8_t *kept[ESP_RING_KEPT];

    const struct esp_segment_store *store; /* borrowed; NULL: nothing can be paged */
    uint64_t next_number;                  /* for the next one that is sealed */
    uint64_t n_changes;                    /* segments begun and emptied, ever */
    uint64_t n_paged, paged_bytes;         /* mapped now */
    uint64_t paged_out_bytes;              /* written for want of memory, ever */
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
/* Files that no checkpoint can name are dropped, too. */
void esp_ring_release_all(struct esp_ring *ring);

/* From now on segments can be paged. The store is borrowed as long as the ring lives. */
void esp_ring_lend(struct esp_ring *ring, const struct esp_segment_store *store);

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

/* What is mapped from files is not counted. */
size_t esp_ring_memory(const struct esp_ring *ring);

/* ---- ring_paging.c -------------------------------------------------------------------------- */

/*
 * Puts sealed segments on files and maps these in their place until the ring's memory and
 * beside_bytes are max_bytes or less, or nothing is left that can be paged. Records move: what was
 * lent out is gone. Does nothing without a store.
 *
 * Errors: the store's. That segment stays in memory, nothing is lost, the next call tries again.
 */
enum esp_status esp_ring_fit(struct esp_ring *ring, size_t beside_bytes, size_t max_bytes,
                             struct esp_error *err);

/* The opposite, after a restore: takes back into memory what there is room for. */
void esp_ring_load(struct esp_ring *ring, size_t beside_bytes, size_t max_bytes);

/* ---- ring_save.c ---------------------------------------------------------------------------- */

/*
 * A checkpoint and the ring, in order:
 *
 *     esp_ring_before_save()      in the parent, before the fork: what is sealed now may be named
 *     esp_ring_store()            in the child: every sealed segment is on file, for good
 *     esp_ring_archive()          in the child: open segments whole, the others by name
 *     esp_ring_files_archive()    in the child: the names alone, as a list of their own
 *     esp_ring_saved()            in the parent, when the child has succeeded: with that list
 *
 * Where nothing forks one ring does all of it. Without esp_ring_store() all segments that are not
 * on file go whole into the archive.
 */
void esp_ring_before_save(struct esp_ring *ring);

/* Errors: the store's; ESP_EBUG (a file might be named that may be dropped: esp_ring_before_save()
 * was not called). Does nothing without a store. */
enum esp_status esp_ring_store(struct esp_ring *ring, struct esp_error *err);

/*
 * References mean the same in the ring that is read. Reading fills a ring as esp_ring_init() (and
 * esp_ring_lend()) left it, with segments of the same size; that every segment has as many live
 * records as it says, and what is in them, is left to the caller to check. A file is verified byte
 * by byte before it is mapped: one that is missing or damaged is ESP_EDATA.
 */
void esp_ring_archive(struct esp_archive *archive, struct esp_ring *ring);

/* Writes what esp_segment_list_archive() reads. */
void esp_ring_files_archive(struct esp_archive *archive, const struct esp_ring *ring);

/* files is sorted. */
void esp_ring_saved(struct esp_ring *ring, const struct esp_segment_list *files);

/* Adds the files of live segments to a list: a sweep must leave them. Errors: ESP_ENOMEM. */
enum esp_status esp_ring_files(const struct esp_ring *ring, struct esp_segment_list *list,
                               struct esp_error *err);

/* ---- for the parts of the ring -------------------------------------------------------------- */

/* Memory of one segment; NULL: out of memory. */
uint8_t *esp_ring_take_base(struct esp_ring *ring);

/* Keeps it for the next segment, or gives it back to the system. */
void esp_ring_give_base(struct esp_ring *ring, uint8_t *base);

/* Gives kept ones back, but for so many. */
void esp_ring_trim(struct esp_ring *ring, size_t n_to_keep);

static inline bool esp_segment_is_sealed(const struct esp_segment *segment)
{
    return segment->base != NULL && !segment->is_open && segment->n_live > 0;
}

static inline struct esp_bytes esp_segment_bytes(const struct esp_segment *segment)
{
    return esp_bytes(segment->base, (size_t)segment->used * ESP_RING_UNIT);
}

static inline struct esp_segment_file esp_segment_file(const struct esp_segment *segment)
{
    return (struct esp_segment_file){segment->number, (uint64_t)segment->used * ESP_RING_UNIT,
                                     segment->checksum};
}

static inline const void *esp_ring_at(const struct esp_ring *ring, uint32_t ref)
{
    uint32_t unit = ref & ((UINT32_C(1) << ring->unit_bits) - 1);
    return ring->segments[ref >> ring->unit_bits].base + (size_t)unit * ESP_RING_UNIT;
}

/* Reads the page of a record on file, without waiting for it. */
void esp_ring_fetch_paged(const struct esp_ring *ring, uint32_t ref);

/* Fetches a record that will be looked at soon. */
static inline void esp_ring_fetch(const struct esp_ring *ring, uint32_t ref)
{
    if (ring->segments[ref >> ring->unit_bits].is_paged)
        esp_ring_fetch_paged(ring, ref);
    else
        esp_prefetch(esp_ring_at(ring, ref));
}

static inline enum esp_lane esp_ring_lane(const struct esp_ring *ring, uint32_t ref)
{
    return (enum esp_lane)ring->segments[ref >> ring->unit_bits].lane;
}

#endif
