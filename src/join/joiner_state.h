/*
 * joiner_state.h - the joiner's state, and the calls between its parts:
 *
 *     arrivals.c    an event comes in: late, dead, held, or stored
 *     pairing.c     W passes an event's own time: it finds its partner or it does not
 *     departures.c  W passes a maturity: a label leaves
 *     paging.c      what it holds, below its cap
 *     joiner.c      the public face, and the essay
 *     joiner_rewind.c, joiner_archive.c, joiner_check.c
 *                   where to read again from; checkpoints; whether the invariants hold
 */
#ifndef ESP_JOIN_JOINER_STATE_H
#define ESP_JOIN_JOINER_STATE_H

#include "core/hash.h"
#include "join/calendar.h"
#include "join/clicked.h"
#include "join/id_index.h"
#include "join/joiner.h"
#include "join/outcasts.h"
#include "join/partition_clock.h"
#include "join/partition_rewinds.h"
#include "join/stored.h"
#include "join/watermark.h"

/* Times and spans beyond this are refused, so that sums of four of them do not overflow. */
#define ESP_JOIN_MAX_US (INT64_C(1) << 60)

enum {
    /* In a slot of the index: the reference is an index into the clicked table. */
    ESP_REF_CLICKED = INT32_MIN,
    /* In an entry of the calendar `later`: the label is of ESP_STAGE_WHOLE, not _INSTALL. */
    ESP_REF_WHOLE = INT32_MIN,
};

/*
 * What is looked up in memory is fetched ahead, so many at a time and all in one go: a prefetch
 * whose page is not in the TLB blocks what comes after it, unless that is another prefetch.
 */
enum { ESP_AHEAD = 16 };

/* An event that its partition's clock holds: the header, pointing into bytes of its own. */
struct esp_held {
    struct esp_header header;
    uint8_t *bytes;
    size_t n_bytes;
};

struct esp_join_partition {
    struct esp_partition_clock clock;
    struct esp_held *held; /* (clock.n_held), room for ESP_MAX_HELD; NULL until one is held */
    size_t n_held;
    int64_t held_since; /* offset of the first that was held since none was; if n_held > 0 */
    struct esp_rewinds rewinds;
};

struct esp_joiner {
    struct esp_joiner_config config;
    bool has_installs;
    size_t n_partitions;             /* of all three topics */
    size_t first[ESP_N_EVENT_KINDS]; /* where a topic's partitions begin in the next two */
    struct esp_join_partition *partitions;
    struct esp_watermark_source *sources;
    int64_t watermark_us; /* W */
    bool is_closed;

    struct esp_ring ring;
    struct esp_id_index pending;   /* id -> its one impression: a record, or a clicked entry */
    struct esp_id_index click_ids; /* click id -> record in lane LONG. installs_by_click only */
    struct esp_clicked_table clicked;

    struct esp_calendar due;        /* every record of lane IMPRESSIONS, by t_i */
    struct esp_calendar later;      /* impressions in lane LONG, by their next label's maturity */
    struct esp_calendar contenders; /* impressions whose id is taken, by t_i */
    struct esp_calendar clicks;     /* waiting, by t_c */
    struct esp_calendar installs;   /* waiting, by t_z */
    struct esp_calendar click_ends; /* click ids, by the time that they are free again */

    /* Hashes of the ids at places begin .. begin + n of the run of `due` with this number. */
    struct {
        uint64_t run;
        size_t begin, n;
        uint64_t hashes[2 * ESP_AHEAD];
    } ahead;
    size_t n_clicks_ahead; /* clicks yet to be applied whose impressions were fetched */
    int64_t position_us;   /* everything before is done: paired, and its labels left */
    int64_t left_us;       /* maturity of the last label that left; ESP_TIME_NONE: none has */
    uint64_t next_ticket;

    struct esp_join_counters counters[ESP_N_EVENT_KINDS];
    uint64_t n_stored;     /* impressions stored and still pending */
    uint64_t record_bytes; /* their payloads */
    uint64_t held_bytes;
    size_t n_writers; /* that the impressions of a state that was read need */
    struct esp_outcasts outcasts;
    struct {
        uint64_t n_changes; /* the ring's, when the cap was last looked at */
        uint64_t over_bytes, n_failures;
        struct esp_error failure; /* the last one */
    } paging;
};

/* An impression, wherever its parts stand. */
struct esp_impression {
    const struct esp_stored *stored;
    const struct esp_long_head *head; /* NULL until its click stage has passed */
    uint32_t ref;                     /* its record */
    uint32_t clicked;                 /* index of its entry in the clicked table, 0: none */
    int64_t click_us, install_us;     /* as known so far */
};

static inline const struct esp_stored *esp_impression_record(const struct esp_joiner *joiner,
                                                             uint32_t ref)
{
    const uint8_t *at = esp_ring_at(&joiner->ring, ref);
    if (esp_ring_lane(&joiner->ring, ref) == ESP_LANE_LONG)
        at += sizeof(struct esp_long_head);
    return (const struct esp_stored *)(const void *)at;
}

static inline const struct esp_stored *esp_plain_record(const struct esp_joiner *joiner,
                                                        uint32_t ref)
{
    return esp_ring_at(&joiner->ring, ref);
}

/* The record that a slot of `pending` leads to. */
static inline uint32_t esp_slot_record(const struct esp_joiner *joiner, size_t slot)
{
    uint32_t slot_ref = esp_id_index_ref(&joiner->pending, slot);
    if ((slot_ref & (uint32_t)ESP_REF_CLICKED) == 0)
        return slot_ref;
    return joiner->clicked.entries[slot_ref & ~(uint32_t)ESP_REF_CLICKED].ref;
}

/* The slot of an id in `pending`, or ESP_NO_SLOT. */
size_t esp_pending_find(const struct esp_joiner *joiner, uint64_t hash, struct esp_bytes id);

/* The slot of this very record in `pending`, or ESP_NO_SLOT: a duplicate or a contender. */
size_t esp_pending_find_record(const struct esp_joiner *joiner, uint64_t hash, uint32_t ref);

static inline void esp_impression_view(const struct esp_joiner *joiner, size_t slot,
                                       struct esp_impression *out)
{
    uint32_t slot_ref = esp_id_index_ref(&joiner->pending, slot);
    *out = (struct esp_impression){
        .ref = slot_ref, .click_us = ESP_TIME_NONE, .install_us = ESP_TIME_NONE};
    if ((slot_ref & (uint32_t)ESP_REF_CLICKED) != 0) {
        out->clicked = slot_ref & ~(uint32_t)ESP_REF_CLICKED;
        const struct esp_clicked *entry = &joiner->clicked.entries[out->clicked];
        out->ref = entry->ref;
        out->click_us = entry->click_us;
        out->install_us = entry->install_us;
    }
    out->stored = esp_impression_record(joiner, out->ref);
    if (esp_ring_lane(&joiner->ring, out->ref) == ESP_LANE_LONG) {
        out->head = esp_ring_at(&joiner->ring, out->ref);
        out->click_us = out->head->click_us;
    }
}

/* Counts an impression out of what is pending, under the counter given. */
static inline void esp_impression_done(struct esp_joiner *joiner, const struct esp_stored *stored,
                                       uint64_t *counter)
{
    joiner->record_bytes -= stored->size;
    joiner->n_stored--;
    joiner->counters[ESP_IMPRESSION].pending--;
    (*counter)++;
}

/*
 * arrivals.c. Each takes its event as read: counts it, and stores it or turns it away.
 * Errors: ESP_ENOMEM, ESP_ELIMIT.
 */
enum esp_status esp_arrival(struct esp_joiner *joiner, enum esp_event_kind kind, uint32_t partition,
                            const struct esp_header *header, struct esp_error *err);
/* What the join itself cannot take, and NONE if it can. None of it moves time. */
enum esp_reject esp_arrival_reject(const struct esp_joiner *joiner,
                                   const struct esp_header *header);
enum esp_status esp_arrivals_end(struct esp_joiner *joiner, enum esp_event_kind kind,
                                 uint32_t partition, struct esp_error *err);
void esp_arrivals_release(struct esp_join_partition *partition);

/* joiner_rewind.c. The record at this offset (or what was held before it) has raised a partition's
 * largest time, which was before_us, into a new bucket. */
void esp_rewind_note(struct esp_joiner *joiner, struct esp_join_partition *partition,
                     struct esp_rewind point);

/* The points of a partition that is read from its first record on. */
void esp_rewind_init(const struct esp_joiner *joiner, struct esp_join_partition *partition);

/*
 * joiner_check.c. The number of the first invariant of joiner.c that is broken, 0: none. *out_what
 * says what is wrong. Reads no further than a broken state allows.
 */
enum { ESP_UNSOUND_NO_MEMORY = -1 }; /* to find out */
int esp_joiner_unsound(const struct esp_joiner *joiner, const char **out_what);

/* pairing.c. Applies what waits below the limit (at most W), in the order of the definition.
 * Errors: ESP_ENOMEM. */
enum esp_status esp_pairing_until(struct esp_joiner *joiner, int64_t limit_us,
                                  struct esp_error *err);

/* Does anything wait with a time below the limit? True may be wrong, false is not. */
static inline bool esp_pairing_may_wait(const struct esp_joiner *joiner, int64_t limit_us)
{
    return joiner->clicks.not_before_us < limit_us || joiner->installs.not_before_us < limit_us ||
           joiner->contenders.not_before_us < limit_us;
}

/* Gives an impression its id, or makes the later of two a contender. Errors: ESP_ENOMEM. */
enum esp_status esp_pairing_enroll(struct esp_joiner *joiner, uint32_t ref, uint64_t hash,
                                   struct esp_error *err);

/* departures.c. As esp_joiner_advance(). */
enum esp_status esp_departures(struct esp_joiner *joiner, struct esp_label *labels, size_t capacity,
                               size_t *out_n, struct esp_error *err);

/* paging.c. Pages until the memory is below the cap. What was lent out is gone. */
void esp_paging_fit(struct esp_joiner *joiner);

/* After an archive was read: takes into memory what there is room for. */
void esp_paging_restored(struct esp_joiner *joiner);

/* The same where the ring has changed since. */
static inline void esp_paging_look(struct esp_joiner *joiner)
{
    if (joiner->ring.n_changes != joiner->paging.n_changes)
        esp_paging_fit(joiner);
}

#endif
