/*
 * joiner_check.c - runs the invariants that stand at the head of joiner.c.
 *
 * A state that was read from a checkpoint is held against them before it is used, and may be
 * anything: so nothing is looked at before what leads to it was found to be sound.
 */
#include "core/check.h"
#include "join/joiner_state.h"

/* What a unit of the ring is the first of, as the calendars say. Two bits each. */
enum mark {
    MARK_NOTHING,
    MARK_IMPRESSION, /* in `due` or `later` */
    MARK_OTHER,      /* a click or install that waits, a click id */
    MARK_CONTENDER,  /* an impression, in `contenders` too */
};

struct probe {
    const struct esp_joiner *joiner;
    int number; /* of the first invariant that is broken; 0: none yet */
    const char *what;
    uint8_t *marks;                     /* a quarter byte a unit */
    uint32_t *n_live;                   /* (n_segments) as the calendars say */
    uint64_t n_bytes;                   /* payloads of contenders, and of holders of ids */
    size_t n_slots, n_long, n_clicked;  /* of `pending` */
    uint64_t n_held[ESP_N_EVENT_KINDS]; /* events */
};

static bool hold(struct probe *probe, int number, bool condition, const char *what)
{
    if (!condition && probe->number == 0) {
        probe->number = number;
        probe->what = what;
    }
    return probe->number == 0;
}

static int64_t less(int64_t time_us, int64_t span_us)
{
    return time_us == ESP_TIME_NONE ? ESP_TIME_NONE : time_us - span_us;
}

static bool is_time(int64_t time_us)
{
    return time_us >= -ESP_JOIN_MAX_US && time_us <= ESP_JOIN_MAX_US;
}

/* ---- records --------------------------------------------------------------------------------- */

static enum mark mark_of(const struct probe *probe, uint32_t ref)
{
    return (enum mark)(probe->marks[ref / 4] >> ref % 4 * 2 & 3);
}

static void set_mark(struct probe *probe, uint32_t ref, enum mark mark)
{
    uint8_t *byte = &probe->marks[ref / 4];
    *byte = (uint8_t)((*byte & ~(3u << ref % 4 * 2)) | (unsigned)mark << ref % 4 * 2);
}

/* Is there a whole record in a live segment of this lane? */
static bool is_record(const struct esp_ring *ring, uint32_t ref, enum esp_lane lane,
                      size_t head_bytes)
{
    uint32_t slot = ref >> ring->unit_bits, unit = ref & ((UINT32_C(1) << ring->unit_bits) - 1);
    if (ref >> ESP_RING_REF_BITS != 0 || slot >= ring->n_segments)
        return false;
    const struct esp_segment *segment = &ring->segments[slot];
    if (segment->base == NULL || segment->n_live == 0 || segment->lane != lane || unit == 0 ||
        unit >= segment->used)
        return false;
    size_t room = (size_t)(segment->used - unit) * ESP_RING_UNIT;
    if (room < head_bytes + ESP_STORED_HEAD)
        return false;
    room -= head_bytes + ESP_STORED_HEAD;
    const uint8_t *at = esp_ring_at(ring, ref);
    const struct esp_stored *stored = (const void *)(at + head_bytes);
    size_t id_end = (size_t)stored->id_at + stored->id_size;
    bool is_placed = id_end <= stored->size || stored->id_at == stored->size;
    return is_placed && stored->size <= room && id_end <= room &&
           esp_stored_fits(ring, esp_stored_payload(stored), esp_stored_id(stored));
}

/* An entry that keeps its record. */
static bool keep(struct probe *probe, uint32_t ref, enum esp_lane lane, size_t head_bytes,
                 enum mark mark)
{
    const struct esp_ring *ring = &probe->joiner->ring;
    if (!hold(probe, 10, is_record(ring, ref, lane, head_bytes), "a reference to a record") ||
        !hold(probe, 10, mark_of(probe, ref) == MARK_NOTHING, "a second entry of a record"))
        return false;
    set_mark(probe, ref, mark);
    probe->n_live[ref >> ring->unit_bits]++;
    return true;
}

/* ---- entries of the calendars ---------------------------------------------------------------- */

static void visit_due(void *context, int64_t time_us, uint32_t ref)
{
    struct probe *probe = context;
    const struct esp_joiner *joiner = probe->joiner;
    if (!keep(probe, ref, ESP_LANE_IMPRESSIONS, 0, MARK_IMPRESSION))
        return;
    hold(probe, 10, esp_plain_record(joiner, ref)->time_us == time_us && is_time(time_us),
         "the time of an impression");
    hold(probe, 7, time_us >= less(joiner->position_us, joiner->config.click_window_us),
         "a click label that should have left");
}

/* When a label of an impression in lane LONG is due. */
static int64_t maturity_of(const struct esp_joiner *joiner, const struct esp_long_head *head,
                           const struct esp_stored *stored, bool is_whole)
{
    int64_t click_stage_us = stored->time_us + joiner->config.click_window_us;
    if (is_whole)
        return click_stage_us + joiner->config.install_window_us;
    int64_t install_us = head->click_us + joiner->config.install_window_us;
    return install_us > click_stage_us ? install_us : click_stage_us;
}

static void visit_later(void *context, int64_t time_us, uint32_t entry)
{
    struct probe *probe = context;
    const struct esp_joiner *joiner = probe->joiner;
    bool is_whole = (entry & (uint32_t)ESP_REF_WHOLE) != 0;
    uint32_t ref = entry & ~(uint32_t)ESP_REF_WHOLE;
    if (!keep(probe, ref, ESP_LANE_LONG, sizeof(struct esp_long_head), MARK_IMPRESSION))
        return;
    const struct esp_long_head *head = esp_ring_at(&joiner->ring, ref);
    const struct esp_stored *stored = esp_impression_record(joiner, ref);
    bool has_click = head->click_us != ESP_TIME_NONE;
    bool is_possible = is_time(stored->time_us) && (is_whole ? head->ticket_and_whole % 2 == 1
                                                             : has_click && joiner->has_installs);
    if (has_click)
        is_possible = is_possible && is_time(head->click_us) && head->click_us >= stored->time_us &&
                      head->click_us - stored->time_us <= joiner->config.click_window_us;
    if (!hold(probe, 10, is_possible, "an impression past its click stage"))
        return;
    hold(probe, 10, time_us == maturity_of(joiner, head, stored, is_whole),
         "the maturity of a label");
    hold(probe, 10, head->ticket_and_whole / 2 < joiner->next_ticket, "a ticket");
    hold(probe, 7, time_us >= joiner->position_us, "a label that should have left");
    hold(probe, 12, stored->time_us <= less(joiner->position_us, joiner->config.click_window_us),
         "a click stage that has not passed");
}

static void visit_waiting(void *context, int64_t time_us, uint32_t ref)
{
    struct probe *probe = context;
    const struct esp_joiner *joiner = probe->joiner;
    if (!keep(probe, ref, ESP_LANE_WAITING, 0, MARK_OTHER))
        return;
    /* A click id is filed one day with the ids changed round. */
    const struct esp_stored *stored = esp_plain_record(joiner, ref);
    hold(probe, 10,
         esp_stored_fits(&joiner->ring, esp_stored_id(stored), esp_stored_payload(stored)),
         "the size of a click id");
    hold(probe, 10, stored->time_us == time_us && is_time(time_us), "the time of what waits");
    hold(probe, 7, time_us > joiner->position_us, "a click or install that should be joined");
}

static void visit_click_end(void *context, int64_t time_us, uint32_t ref)
{
    struct probe *probe = context;
    if (keep(probe, ref, ESP_LANE_LONG, 0, MARK_OTHER))
        hold(probe, 10, esp_plain_record(probe->joiner, ref)->time_us == time_us,
             "the end of a click id");
}

static void visit_contender(void *context, int64_t time_us, uint32_t ref)
{
    struct probe *probe = context;
    const struct esp_joiner *joiner = probe->joiner;
    bool is_impression = is_record(&joiner->ring, ref, ESP_LANE_IMPRESSIONS, 0) &&
                         mark_of(probe, ref) == MARK_IMPRESSION;
    if (!hold(probe, 10, is_impression, "a reference to a contender"))
        return;
    set_mark(probe, ref, MARK_CONTENDER);
    hold(probe, 10, esp_plain_record(joiner, ref)->time_us == time_us, "the time of a contender");
    hold(probe, 7, time_us > joiner->position_us, "a contender that should have its id");
    probe->n_bytes += esp_plain_record(joiner, ref)->size;
}

static void probe_calendars(struct probe *probe)
{
    const struct esp_joiner *joiner = probe->joiner;
    esp_calendar_each(&joiner->due, visit_due, probe);
    esp_calendar_each(&joiner->later, visit_later, probe);
    esp_calendar_each(&joiner->clicks, visit_waiting, probe);
    esp_calendar_each(&joiner->installs, visit_waiting, probe);
    esp_calendar_each(&joiner->click_ends, visit_click_end, probe);
    esp_calendar_each(&joiner->contenders, visit_contender, probe);
    for (size_t i = 0; i < joiner->ring.n_segments; i++)
        hold(probe, 8, joiner->ring.segments[i].n_live == probe->n_live[i],
             "a segment's number of live records");
    if (probe->number != 0)
        return; /* their order is that of records which may not be there */
    const struct esp_calendar *calendars[] = {&joiner->due,        &joiner->later,
                                              &joiner->contenders, &joiner->clicks,
                                              &joiner->installs,   &joiner->click_ends};
    for (size_t i = 0; i < sizeof calendars / sizeof *calendars; i++)
        hold(probe, 11, esp_calendar_is_sound(calendars[i]), "the order of a calendar");
}

/* ---- ids ------------------------------------------------------------------------------------- */

/* Does the slot lead to an impression, by way of the clicked table or not? */
static bool probe_slot(struct probe *probe, size_t slot)
{
    const struct esp_joiner *joiner = probe->joiner;
    uint32_t ref = esp_id_index_ref(&joiner->pending, slot);
    const struct esp_clicked *entry = NULL;
    if ((ref & (uint32_t)ESP_REF_CLICKED) != 0) {
        uint32_t index = ref & ~(uint32_t)ESP_REF_CLICKED;
        if (!hold(probe, 3, index > 0 && index < joiner->clicked.n, "a clicked entry"))
            return false;
        entry = &joiner->clicked.entries[index];
        ref = entry->ref;
    }
    const struct esp_ring *ring = &joiner->ring;
    uint32_t segment = ref >> ring->unit_bits;
    bool is_there = ref >> ESP_RING_REF_BITS == 0 && segment < ring->n_segments &&
                    mark_of(probe, ref) == MARK_IMPRESSION;
    if (!hold(probe, 2, is_there, "an id that leads to no impression"))
        return false;
    bool is_long = esp_ring_lane(ring, ref) == ESP_LANE_LONG;
    const struct esp_stored *stored = esp_impression_record(joiner, ref);
    if (entry != NULL && is_long) {
        const struct esp_long_head *head = esp_ring_at(ring, ref);
        hold(probe, 3, head->click_us != ESP_TIME_NONE && entry->install_us != ESP_TIME_NONE,
             "an install without a click");
    } else if (entry != NULL) {
        hold(probe, 12,
             entry->click_us >= stored->time_us && entry->click_us <= joiner->position_us,
             "the time of a click");
    }
    if (entry != NULL && entry->install_us != ESP_TIME_NONE)
        hold(probe, 12, entry->install_us <= joiner->position_us && is_time(entry->install_us),
             "the time of an install");
    probe->n_slots++;
    probe->n_long += is_long;
    probe->n_clicked += entry != NULL;
    probe->n_bytes += stored->size;
    return true;
}

static bool is_filed_under(const struct esp_id_index *index, size_t slot, uint64_t hash)
{
    return index->lines[slot / ESP_LINE_SLOTS].halves[slot % ESP_LINE_SLOTS] ==
           (uint32_t)(hash >> 32);
}

/* Is the slot the one that its id leads to? All slots lead to records by now. */
static void probe_id(struct probe *probe, size_t slot)
{
    const struct esp_joiner *joiner = probe->joiner;
    struct esp_bytes id =
        esp_stored_id(esp_impression_record(joiner, esp_slot_record(joiner, slot)));
    uint64_t hash = esp_hash(id);
    hold(probe, 2,
         is_filed_under(&joiner->pending, slot, hash) && esp_pending_find(joiner, hash, id) == slot,
         "the place of an id");
}

static void probe_pending(struct probe *probe)
{
    const struct esp_joiner *joiner = probe->joiner;
    size_t n = esp_id_index_n_slots(&joiner->pending);
    for (size_t slot = 0; slot < n; slot++)
        if (esp_id_index_ref(&joiner->pending, slot) != 0 && !probe_slot(probe, slot))
            return;
    for (size_t slot = 0; slot < n && probe->number == 0; slot++)
        if (esp_id_index_ref(&joiner->pending, slot) != 0)
            probe_id(probe, slot);
    hold(probe, 2, probe->n_slots == joiner->pending.n_used, "the number of ids");
    hold(probe, 3, probe->n_long == joiner->later.n, "the number of labels to come");
    hold(probe, 3, probe->n_clicked == joiner->clicked.n_used, "the number of clicked entries");
    hold(probe, 6, joiner->n_stored == probe->n_slots + joiner->contenders.n,
         "the number of impressions");
    hold(probe, 6, joiner->record_bytes == probe->n_bytes, "the bytes of impressions");
}

/* Does the slot lead to a click id? */
static bool probe_click_slot(struct probe *probe, size_t slot)
{
    const struct esp_ring *ring = &probe->joiner->ring;
    uint32_t ref = esp_id_index_ref(&probe->joiner->click_ids, slot);
    bool is_there = ref >> ESP_RING_REF_BITS == 0 && ref >> ring->unit_bits < ring->n_segments &&
                    mark_of(probe, ref) == MARK_OTHER && esp_ring_lane(ring, ref) == ESP_LANE_LONG;
    return hold(probe, 2, is_there, "a click id that leads nowhere");
}

/* Is the slot the one that its click id leads to? */
static void probe_click_id(struct probe *probe, size_t slot)
{
    const struct esp_joiner *joiner = probe->joiner;
    const struct esp_id_index *index = &joiner->click_ids;
    struct esp_bytes id = esp_stored_id(esp_plain_record(joiner, esp_id_index_ref(index, slot)));
    uint64_t hash = esp_hash(id);
    size_t found = esp_id_index_first(index, hash);
    while (found != ESP_NO_SLOT &&
           !esp_bytes_equal(
               id, esp_stored_id(esp_plain_record(joiner, esp_id_index_ref(index, found)))))
        found = esp_id_index_next(index, found);
    hold(probe, 2, is_filed_under(index, slot, hash) && found == slot, "the place of a click id");
}

static void probe_click_ids(struct probe *probe)
{
    const struct esp_id_index *index = &probe->joiner->click_ids;
    size_t n = esp_id_index_n_slots(index);
    for (size_t slot = 0; slot < n; slot++)
        if (esp_id_index_ref(index, slot) != 0 && !probe_click_slot(probe, slot))
            return;
    for (size_t slot = 0; slot < n && probe->number == 0; slot++)
        if (esp_id_index_ref(index, slot) != 0)
            probe_click_id(probe, slot);
}

/* ---- the whole ------------------------------------------------------------------------------- */

static void probe_partitions(struct probe *probe)
{
    const struct esp_joiner *joiner = probe->joiner;
    for (size_t i = 0; i < joiner->n_partitions; i++) {
        const struct esp_join_partition *partition = &joiner->partitions[i];
        if (!hold(probe, 9, partition->n_held == partition->clock.n_held, "what is held"))
            return;
        for (size_t k = 0; k < partition->n_held; k++)
            hold(probe, 9, partition->held[k].header.time_us == partition->clock.held_us[k],
                 "the time of what is held");
        size_t kind = ESP_INSTALL;
        while (i < joiner->first[kind])
            kind--;
        probe->n_held[kind] += partition->n_held;
    }
}

static void probe_counters(struct probe *probe)
{
    const struct esp_joiner *joiner = probe->joiner;
    uint64_t n_waiting[ESP_N_EVENT_KINDS] = {joiner->n_stored, joiner->clicks.n,
                                             joiner->installs.n};
    for (size_t kind = 0; kind < ESP_N_EVENT_KINDS; kind++) {
        const struct esp_join_counters *counters = &joiner->counters[kind];
        hold(probe, 4,
             counters->read == counters->labelled + counters->duplicate + counters->unmatched +
                                   counters->late + counters->dead + counters->pending,
             "the sum of the counters");
        hold(probe, 5, counters->pending == probe->n_held[kind] + n_waiting[kind],
             "the number of what is pending");
    }
}

int esp_joiner_unsound(const struct esp_joiner *joiner, const char **out_what)
{
    size_t n_segments = joiner->ring.n_segments;
    struct probe probe = {.joiner = joiner};
    probe.marks = calloc((n_segments << joiner->ring.unit_bits) / 4 + 1, 1);
    probe.n_live = calloc(n_segments + 1, sizeof *probe.n_live);
    hold(&probe, ESP_UNSOUND_NO_MEMORY, probe.marks != NULL && probe.n_live != NULL,
         "whether the state is sound");
    hold(&probe, 1,
         joiner->position_us == ESP_TIME_NONE || joiner->position_us < joiner->watermark_us,
         "the watermark");
    probe_partitions(&probe);
    if (probe.number == 0)
        probe_calendars(&probe);
    if (probe.number == 0)
        probe_pending(&probe);
    if (probe.number == 0)
        probe_click_ids(&probe);
    probe_counters(&probe);
    free(probe.marks);
    free(probe.n_live);
    *out_what = probe.what;
    return probe.number;
}

void esp_joiner_check(const struct esp_joiner *joiner)
{
    const char *what = NULL;
    int unsound = esp_joiner_unsound(joiner, &what);
    if (unsound != 0)
        fprintf(stderr, "not possible: %s\n", what);
    ESP_CHECK(unsound, unsound == 0);
}
