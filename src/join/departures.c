/*
 * departures.c - W passes a maturity: a label leaves. See joiner.c for the order.
 *
 * Click stages come from the calendar `due`, in the order of (t_i, id): W_c is the same for all.
 * Install and whole labels come from `later`. An impression has at most one entry in each, so the
 * two merge into the order (maturity, id, stage).
 */
#include "join/joiner_state.h"

/* The next label, before it is known whether it leaves at all. */
struct departure {
    int64_t maturity_us;
    uint32_t ref;
    enum esp_stage stage;
};

/* Fetches the records from place k up to k_end behind the front of the run. */
static void fetch_records(const struct esp_joiner *joiner, size_t k, size_t k_end)
{
    for (; k < k_end; k++) {
        const uint8_t *at = esp_ring_at(&joiner->ring, esp_calendar_ahead(&joiner->due, k));
        esp_prefetch(at);
        esp_prefetch(at + 64); /* ids often straddle a line; past the end does no harm */
    }
}

static size_t at_most(size_t n, size_t most)
{
    return n < most ? n : most;
}

/*
 * Looks ahead from the front of the run, ESP_AHEAD entries at a time, in three stages, each an
 * interval behind the one before: records, home lines of their ids, and what lies behind these.
 */
static void look_ahead(struct esp_joiner *joiner)
{
    const struct esp_calendar *due = &joiner->due;
    uint64_t *hashes = joiner->ahead.hashes;
    size_t n_left = due->run_n - due->run_at, n = at_most(n_left, 2 * ESP_AHEAD), n_known = 0;
    size_t passed = due->run_at - joiner->ahead.begin;
    /* While the side heap is in play nothing is looked up here, and the front may run away. */
    if (joiner->ahead.run == due->n_runs && passed <= joiner->ahead.n) {
        n_known = joiner->ahead.n - passed;
        memmove(hashes, hashes + passed, n_known * sizeof *hashes);
    } else {
        fetch_records(joiner, 0, n);
    }
    for (size_t k = n_known; k < n; k++)
        hashes[k] = esp_hash(esp_stored_id(esp_plain_record(joiner, esp_calendar_ahead(due, k))));
    for (size_t k = n_known; k < n; k++)
        esp_id_index_prefetch(&joiner->pending, hashes[k]);
    fetch_records(joiner, n, at_most(n_left, 3 * ESP_AHEAD));
    for (size_t k = 0; k < n && k < ESP_AHEAD; k++)
        esp_id_index_prefetch_next(&joiner->pending, hashes[k]);
    joiner->ahead.run = due->n_runs;
    joiner->ahead.begin = due->run_at;
    joiner->ahead.n = n;
}

/* The hash of the id of the record that is due next. */
static uint64_t due_hash(struct esp_joiner *joiner, const struct esp_stored *stored)
{
    const struct esp_calendar *due = &joiner->due;
    if (due->side_n > 0)
        return esp_hash(esp_stored_id(stored));
    if (joiner->ahead.run != due->n_runs ||
        due->run_at - joiner->ahead.begin >= at_most(joiner->ahead.n, ESP_AHEAD))
        look_ahead(joiner);
    return joiner->ahead.hashes[due->run_at - joiner->ahead.begin];
}

static enum esp_status next_departure(struct esp_joiner *joiner, struct departure *out,
                                      bool *out_found, struct esp_error *err)
{
    int64_t window_us = joiner->config.click_window_us, limit_us = joiner->watermark_us;
    struct esp_calendar_entry due, later;
    bool has_due, has_later;
    *out_found = false;
    if (limit_us == ESP_TIME_NONE)
        return ESP_OK;
    enum esp_status status =
        esp_calendar_peek(&joiner->due, limit_us - window_us, &due, &has_due, err);
    if (status == ESP_OK)
        status = esp_calendar_peek(&joiner->later, limit_us, &later, &has_later, err);
    if (status != ESP_OK)
        return status;
    *out_found = has_due || has_later;
    bool later_first = has_later;
    if (has_due && has_later) {
        later_first = later.time_us < due.time_us + window_us;
        if (later.time_us == due.time_us + window_us) {
            uint32_t ref = later.ref & ~(uint32_t)ESP_REF_WHOLE;
            later_first =
                esp_bytes_compare(esp_stored_id(esp_impression_record(joiner, ref)),
                                  esp_stored_id(esp_impression_record(joiner, due.ref))) < 0;
        }
    }
    if (later_first) {
        bool whole = (later.ref & (uint32_t)ESP_REF_WHOLE) != 0;
        *out = (struct departure){later.time_us, later.ref & ~(uint32_t)ESP_REF_WHOLE,
                                  whole ? ESP_STAGE_WHOLE : ESP_STAGE_INSTALL};
    } else if (has_due) {
        *out = (struct departure){due.time_us + window_us, due.ref, ESP_STAGE_CLICK};
    }
    return ESP_OK;
}

static void fill_label(const struct esp_impression *impression, const struct departure *departure,
                       uint64_t hash, uint64_t ticket, struct esp_label *label)
{
    bool decided = departure->stage != ESP_STAGE_CLICK;
    *label = (struct esp_label){
        .maturity_us = departure->maturity_us,
        .impression_us = impression->stored->time_us,
        .click_us = impression->click_us,
        .install_us = decided ? impression->install_us : ESP_TIME_NONE,
        .ticket = ticket,
        .id_hash = hash,
        .id = esp_stored_id(impression->stored),
        .payload = esp_stored_payload(impression->stored),
        .writer = impression->stored->writer,
        .stage = (uint8_t)departure->stage,
        .y = impression->click_us != ESP_TIME_NONE,
        .z = decided && impression->install_us != ESP_TIME_NONE,
    };
}

/* Frees the id and whatever the impression has but its record. */
static void retire(struct esp_joiner *joiner, size_t slot, const struct esp_impression *impression)
{
    esp_impression_done(joiner, impression->stored, &joiner->counters[ESP_IMPRESSION].labelled);
    if (impression->clicked != 0)
        esp_clicked_give(&joiner->clicked, impression->clicked);
    esp_id_index_remove(&joiner->pending, slot);
}

/* Copies an impression that has labels to come to lane LONG, and files the next of them. */
static enum esp_status move_to_long(struct esp_joiner *joiner, size_t slot,
                                    const struct esp_impression *impression, uint64_t ticket,
                                    bool whole, struct esp_error *err)
{
    const struct esp_joiner_config *config = &joiner->config;
    const struct esp_stored *stored = impression->stored;
    struct esp_long_head head = {impression->click_us, ticket * 2 + whole};
    uint32_t ref;
    enum esp_status status = esp_stored_append(&joiner->ring, ESP_LANE_LONG, &head, stored->time_us,
                                               esp_stored_payload(stored), esp_stored_id(stored),
                                               stored->writer, &ref, err);
    if (status != ESP_OK)
        return status;
    int64_t maturity_us = stored->time_us + config->click_window_us;
    uint32_t entry = ref;
    if (impression->click_us != ESP_TIME_NONE && joiner->has_installs) {
        int64_t install_us = impression->click_us + config->install_window_us;
        maturity_us = install_us > maturity_us ? install_us : maturity_us;
    } else {
        maturity_us += config->install_window_us;
        entry |= (uint32_t)ESP_REF_WHOLE;
    }
    status = esp_calendar_add(&joiner->later, maturity_us, entry, err);
    if (status != ESP_OK)
        return status;
    if (impression->install_us != ESP_TIME_NONE) {
        joiner->clicked.entries[impression->clicked].ref = ref;
        return ESP_OK;
    }
    esp_id_index_set_ref(&joiner->pending, slot, ref);
    if (impression->clicked != 0)
        esp_clicked_give(&joiner->clicked, impression->clicked);
    return ESP_OK;
}

/* A record of lane IMPRESSIONS has reached t_i + W_c. *out_left is false where it was a duplicate,
 * settled long before. */
static enum esp_status depart_click(struct esp_joiner *joiner, const struct departure *departure,
                                    struct esp_label *label, bool *out_left, struct esp_error *err)
{
    const struct esp_stored *stored = esp_plain_record(joiner, departure->ref);
    uint64_t hash = due_hash(joiner, stored);
    size_t slot = esp_pending_find_record(joiner, hash, departure->ref);
    enum esp_status status = ESP_OK;
    *out_left = slot != ESP_NO_SLOT;
    if (slot != ESP_NO_SLOT) {
        struct esp_impression impression;
        esp_impression_view(joiner, slot, &impression);
        fill_label(&impression, departure, hash, joiner->next_ticket++, label);
        const struct esp_joiner_config *config = &joiner->config;
        bool whole =
            config->whole_wanted != NULL && config->whole_wanted(config->whole_context, label);
        if (whole || (label->y && joiner->has_installs))
            status = move_to_long(joiner, slot, &impression, label->ticket, whole, err);
        else
            retire(joiner, slot, &impression);
    }
    if (status == ESP_OK) {
        esp_calendar_pop(&joiner->due);
        esp_ring_release(&joiner->ring, departure->ref);
    }
    return status;
}

static enum esp_status depart_later(struct esp_joiner *joiner, const struct departure *departure,
                                    struct esp_label *label, struct esp_error *err)
{
    const struct esp_stored *stored = esp_impression_record(joiner, departure->ref);
    uint64_t hash = esp_hash(esp_stored_id(stored));
    size_t slot = esp_pending_find_record(joiner, hash, departure->ref);
    struct esp_impression impression;
    esp_impression_view(joiner, slot, &impression);
    uint64_t ticket_and_whole = impression.head->ticket_and_whole;
    fill_label(&impression, departure, hash, ticket_and_whole / 2, label);
    esp_calendar_pop(&joiner->later);
    if (departure->stage == ESP_STAGE_INSTALL && ticket_and_whole % 2 == 1)
        return esp_calendar_add(&joiner->later,
                                stored->time_us + joiner->config.click_window_us +
                                    joiner->config.install_window_us,
                                departure->ref | (uint32_t)ESP_REF_WHOLE, err);
    retire(joiner, slot, &impression);
    esp_ring_release(&joiner->ring, departure->ref);
    return ESP_OK;
}

/* Frees the click ids whose time is over. No answer depends on when this happens. */
static enum esp_status free_click_ids(struct esp_joiner *joiner, struct esp_error *err)
{
    for (;;) {
        struct esp_calendar_entry entry;
        bool found;
        enum esp_status status =
            esp_calendar_peek(&joiner->click_ends, joiner->position_us, &entry, &found, err);
        if (status != ESP_OK || !found)
            return status;
        uint64_t hash = esp_hash(esp_stored_id(esp_plain_record(joiner, entry.ref)));
        size_t slot = esp_id_index_first(&joiner->click_ids, hash);
        while (slot != ESP_NO_SLOT && esp_id_index_ref(&joiner->click_ids, slot) != entry.ref)
            slot = esp_id_index_next(&joiner->click_ids, slot);
        if (slot != ESP_NO_SLOT)
            esp_id_index_remove(&joiner->click_ids, slot);
        esp_calendar_pop(&joiner->click_ends);
        esp_ring_release(&joiner->ring, entry.ref);
    }
}

enum esp_status esp_departures(struct esp_joiner *joiner, struct esp_label *labels, size_t capacity,
                               size_t *out_n, struct esp_error *err)
{
    enum esp_status status = ESP_OK;
    *out_n = 0;
    while (*out_n < capacity) {
        struct departure next;
        bool found;
        status = next_departure(joiner, &next, &found, err);
        if (status != ESP_OK)
            break;
        int64_t limit_us = found ? next.maturity_us + 1 : joiner->watermark_us;
        if (esp_pairing_may_wait(joiner, limit_us))
            status = esp_pairing_until(joiner, limit_us, err);
        if (status != ESP_OK || !found)
            break;
        joiner->position_us = next.maturity_us;
        bool left = true;
        if (next.stage == ESP_STAGE_CLICK)
            status = depart_click(joiner, &next, &labels[*out_n], &left, err);
        else
            status = depart_later(joiner, &next, &labels[*out_n], err);
        if (status != ESP_OK)
            break;
        *out_n += left;
        if (left)
            joiner->left_us = next.maturity_us;
    }
    if (status == ESP_OK)
        status = free_click_ids(joiner, err);
    return status;
}
