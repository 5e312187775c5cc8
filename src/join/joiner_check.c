/* joiner_check.c - runs the invariants that stand at the head of joiner.c. */
#include "core/check.h"
#include "join/joiner_state.h"

/* What a walk over a calendar gathers and holds against. */
struct walk {
    const struct esp_joiner *joiner;
    enum esp_lane lane;     /* that all references must lead to */
    bool is_label;          /* times are maturities, or t_i of a label to come */
    int64_t earliest_us;    /* no time may be below */
    uint32_t *n_by_segment; /* NULL: the entries do not keep their records */
    uint64_t n_bytes;       /* payloads */
};

static void visit(void *context, int64_t time_us, uint32_t entry)
{
    struct walk *walk = context;
    const struct esp_joiner *joiner = walk->joiner;
    uint32_t ref = entry & ~(uint32_t)ESP_REF_WHOLE;
    ESP_CHECK(7, time_us >= walk->earliest_us);
    ESP_CHECK(8, ref >> joiner->ring.unit_bits < joiner->ring.n_segments);
    ESP_CHECK(8, joiner->ring.segments[ref >> joiner->ring.unit_bits].base != NULL);
    ESP_CHECK(3, esp_ring_lane(&joiner->ring, ref) == walk->lane);
    if (walk->n_by_segment != NULL)
        walk->n_by_segment[ref >> joiner->ring.unit_bits]++;
    if (walk->is_label && walk->lane == ESP_LANE_LONG) {
        struct esp_bytes id = esp_stored_id(esp_impression_record(joiner, ref));
        ESP_CHECK(3, esp_pending_find_record(joiner, esp_hash(id), ref) != ESP_NO_SLOT);
    }
    if (walk->lane == ESP_LANE_IMPRESSIONS)
        walk->n_bytes += esp_plain_record(joiner, ref)->size;
}

static int64_t less(int64_t time_us, int64_t span_us)
{
    return time_us == ESP_TIME_NONE ? ESP_TIME_NONE : time_us - span_us;
}

static void check_calendars(const struct esp_joiner *joiner, uint64_t *out_contender_bytes)
{
    size_t n_segments = joiner->ring.n_segments;
    uint32_t *n_live = calloc(n_segments + 1, sizeof *n_live);
    ESP_CHECK(8, n_live != NULL);
    int64_t at_us = joiner->position_us, due_us = less(at_us, joiner->config.click_window_us);
    struct walk due = {joiner, ESP_LANE_IMPRESSIONS, true, due_us, n_live, 0};
    struct walk later = {joiner, ESP_LANE_LONG, true, at_us, n_live, 0};
    struct walk waiting = {joiner, ESP_LANE_WAITING, false, at_us, n_live, 0};
    struct walk contenders = {joiner, ESP_LANE_IMPRESSIONS, false, at_us, NULL, 0};
    esp_calendar_each(&joiner->due, visit, &due);
    esp_calendar_each(&joiner->later, visit, &later);
    esp_calendar_each(&joiner->clicks, visit, &waiting);
    esp_calendar_each(&joiner->installs, visit, &waiting);
    esp_calendar_each(&joiner->contenders, visit, &contenders);
    /* Click ids share lane LONG, without its head: only their number is looked at. */
    struct walk click_ends = {joiner, ESP_LANE_LONG, false, ESP_TIME_NONE, n_live, 0};
    esp_calendar_each(&joiner->click_ends, visit, &click_ends);
    for (size_t i = 0; i < n_segments; i++)
        ESP_CHECK(8, joiner->ring.segments[i].n_live == n_live[i]);
    free(n_live);
    *out_contender_bytes = contenders.n_bytes;
}

static void check_ids(const struct esp_joiner *joiner, uint64_t contender_bytes)
{
    size_t n_slots = 0, n_long = 0, n_clicked = 0;
    uint64_t n_bytes = 0;
    size_t n_all = joiner->pending.n_homes == 0
                       ? 0
                       : (joiner->pending.n_homes + ESP_LINES_BEHIND) * ESP_LINE_SLOTS;
    for (size_t slot = 0; slot < n_all; slot++) {
        if (esp_id_index_ref(&joiner->pending, slot) == 0)
            continue;
        struct esp_impression impression;
        esp_impression_view(joiner, slot, &impression);
        struct esp_bytes id = esp_stored_id(impression.stored);
        uint64_t hash = esp_hash(id);
        ESP_CHECK(2, joiner->pending.lines[slot / ESP_LINE_SLOTS].halves[slot % ESP_LINE_SLOTS] ==
                         (uint32_t)(hash >> 32));
        ESP_CHECK(2, esp_pending_find(joiner, hash, id) == slot);
        ESP_CHECK(3, impression.clicked == 0 || impression.click_us != ESP_TIME_NONE);
        n_slots++;
        n_long += impression.head != NULL;
        n_clicked += impression.clicked != 0;
        n_bytes += impression.stored->size;
    }
    ESP_CHECK(2, n_slots == joiner->pending.n_used);
    ESP_CHECK(3, n_long == joiner->later.n);
    ESP_CHECK(3, n_clicked == joiner->clicked.n_used);
    ESP_CHECK(3, joiner->due.n >= n_slots - n_long);
    ESP_CHECK(6, joiner->n_stored == n_slots + joiner->contenders.n);
    ESP_CHECK(6, joiner->record_bytes == n_bytes + contender_bytes);
}

static void check_partitions(const struct esp_joiner *joiner, uint64_t n_held[ESP_N_EVENT_KINDS])
{
    for (size_t i = 0; i < joiner->n_partitions; i++) {
        const struct esp_join_partition *partition = &joiner->partitions[i];
        ESP_CHECK(9, partition->n_held == partition->clock.n_held);
        for (size_t k = 0; k < partition->n_held; k++)
            ESP_CHECK(9, partition->held[k].header.time_us == partition->clock.held_us[k]);
        size_t kind = ESP_INSTALL;
        while (i < joiner->first[kind])
            kind--;
        n_held[kind] += partition->n_held;
    }
}

void esp_joiner_check(const struct esp_joiner *joiner)
{
    uint64_t contender_bytes, n_held[ESP_N_EVENT_KINDS] = {0};
    ESP_CHECK(1,
              joiner->position_us == ESP_TIME_NONE || joiner->position_us < joiner->watermark_us);
    check_calendars(joiner, &contender_bytes);
    check_ids(joiner, contender_bytes);
    check_partitions(joiner, n_held);
    uint64_t n_waiting[ESP_N_EVENT_KINDS] = {joiner->n_stored, joiner->clicks.n,
                                             joiner->installs.n};
    for (size_t kind = 0; kind < ESP_N_EVENT_KINDS; kind++) {
        const struct esp_join_counters *counters = &joiner->counters[kind];
        ESP_CHECK(4, counters->read == counters->labelled + counters->duplicate +
                                           counters->unmatched + counters->late + counters->dead +
                                           counters->pending);
        ESP_CHECK(5, counters->pending == n_held[kind] + n_waiting[kind]);
    }
}
