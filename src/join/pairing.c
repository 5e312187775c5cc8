/*
 * pairing.c - W passes an event's own time: it finds its partner or it does not. See joiner.c for
 * the order in which this happens, and the states of an impression.
 */
#include "join/joiner_state.h"

/* ---- ids ---- */

static bool is_before(const struct esp_joiner *joiner, uint32_t a, uint32_t b)
{
    const struct esp_stored *left = esp_impression_record(joiner, a);
    const struct esp_stored *right = esp_impression_record(joiner, b);
    if (left->time_us != right->time_us)
        return left->time_us < right->time_us;
    return esp_bytes_compare(esp_stored_payload(left), esp_stored_payload(right)) < 0;
}

enum esp_status esp_pairing_enroll(struct esp_joiner *joiner, uint32_t ref, uint64_t hash,
                                   struct esp_error *err)
{
    struct esp_bytes id = esp_stored_id(esp_impression_record(joiner, ref));
    size_t slot = esp_pending_find(joiner, hash, id);
    if (slot == ESP_NO_SLOT) {
        return esp_id_index_add(&joiner->pending, hash, ref, err);
    }
    uint32_t contender = ref, holder = esp_slot_record(joiner, slot);
    /* A holder that gives way has no click: see "one id, one impression" in joiner.c. */
    if (is_before(joiner, ref, holder)) {
        esp_id_index_set_ref(&joiner->pending, slot, ref);
        contender = holder;
    }
    int64_t time_us = esp_impression_record(joiner, contender)->time_us;
    return esp_calendar_add(&joiner->contenders, time_us, contender, err);
}

/* A contender's time has passed. Its record stays until its entry in `due` comes up. */
static enum esp_status apply_contender(struct esp_joiner *joiner, uint32_t ref,
                                       struct esp_error *err)
{
    const struct esp_stored *stored = esp_impression_record(joiner, ref);
    uint64_t hash = esp_hash(esp_stored_id(stored));
    size_t slot = esp_pending_find(joiner, hash, esp_stored_id(stored));
    /* The id is free, or was given meanwhile to one whose time is still to come. */
    if (slot == ESP_NO_SLOT || is_before(joiner, ref, esp_slot_record(joiner, slot)))
        return esp_pairing_enroll(joiner, ref, hash, err);
    esp_impression_done(joiner, stored, &joiner->counters[ESP_IMPRESSION].duplicate);
    return ESP_OK;
}

/* ---- clicks ---- */

/*
 * Files a click id under the impression that its click names. The id is the impression's until no
 * install of it can count any more; a click of another impression that carries it in that time
 * does not get it.
 */
static enum esp_status file_click_id(struct esp_joiner *joiner, const struct esp_stored *click,
                                     const struct esp_impression *impression, struct esp_error *err)
{
    struct esp_bytes click_id = esp_stored_payload(click);
    uint64_t hash = esp_hash(click_id);
    size_t slot = esp_id_index_first(&joiner->click_ids, hash);
    for (; slot != ESP_NO_SLOT; slot = esp_id_index_next(&joiner->click_ids, slot))
        if (esp_bytes_equal(click_id, esp_stored_id(esp_plain_record(
                                          joiner, esp_id_index_ref(&joiner->click_ids, slot)))))
            break;
    if (slot != ESP_NO_SLOT &&
        esp_plain_record(joiner, esp_id_index_ref(&joiner->click_ids, slot))->time_us >=
            click->time_us)
        return ESP_OK;
    int64_t end_us = impression->stored->time_us + joiner->config.click_window_us;
    int64_t install_end_us = impression->click_us + joiner->config.install_window_us;
    if (install_end_us > end_us)
        end_us = install_end_us;
    uint32_t ref;
    enum esp_status status = esp_stored_append(&joiner->ring, ESP_LANE_LONG, NULL, end_us,
                                               esp_stored_id(click), click_id, 0, &ref, err);
    if (status == ESP_OK)
        status = esp_calendar_add(&joiner->click_ends, end_us, ref, err);
    if (status != ESP_OK)
        return status;
    if (slot != ESP_NO_SLOT) {
        esp_id_index_set_ref(
            &joiner->click_ids, slot,
            ref); /* the old one's entry in click_ends finds no slot, and frees it */
        return ESP_OK;
    }
    return esp_id_index_add(&joiner->click_ids, hash, ref, err);
}

static enum esp_status apply_click(struct esp_joiner *joiner, const struct esp_stored *click,
                                   struct esp_error *err)
{
    struct esp_join_counters *counters = &joiner->counters[ESP_CLICK];
    struct esp_bytes id = esp_stored_id(click);
    size_t slot = esp_pending_find(joiner, esp_hash(id), id);
    struct esp_impression impression;
    if (slot != ESP_NO_SLOT)
        esp_impression_view(joiner, slot, &impression);
    counters->pending--;
    if (slot == ESP_NO_SLOT || impression.stored->time_us > click->time_us ||
        click->time_us - impression.stored->time_us > joiner->config.click_window_us) {
        counters->unmatched++;
        return ESP_OK;
    }
    enum esp_status status = ESP_OK;
    if (impression.click_us == ESP_TIME_NONE) {
        struct esp_clicked entry = {
            .ref = impression.ref, .click_us = click->time_us, .install_us = ESP_TIME_NONE};
        uint32_t index;
        status = esp_clicked_take(&joiner->clicked, entry, &index, err);
        if (status != ESP_OK)
            return status;
        esp_id_index_set_ref(&joiner->pending, slot, index | (uint32_t)ESP_REF_CLICKED);
        impression.click_us = click->time_us;
        counters->labelled++;
    } else {
        counters->duplicate++;
    }
    if (esp_stored_payload(click).size > 0)
        status = file_click_id(joiner, click, &impression, err);
    return status;
}

/* ---- installs ---- */

/* The slot of the impression that an install names, or ESP_NO_SLOT. */
static size_t named_impression(const struct esp_joiner *joiner, const struct esp_stored *install)
{
    struct esp_bytes id = esp_stored_id(install);
    uint64_t hash = esp_hash(id);
    if (!joiner->config.installs_by_click)
        return esp_pending_find(joiner, hash, id);
    size_t slot = esp_id_index_first(&joiner->click_ids, hash);
    for (; slot != ESP_NO_SLOT; slot = esp_id_index_next(&joiner->click_ids, slot)) {
        const struct esp_stored *filed =
            esp_plain_record(joiner, esp_id_index_ref(&joiner->click_ids, slot));
        if (!esp_bytes_equal(id, esp_stored_id(filed)))
            continue;
        if (filed->time_us < install->time_us)
            return ESP_NO_SLOT; /* the click's impression has had its last install */
        struct esp_bytes named = esp_stored_payload(filed);
        return esp_pending_find(joiner, esp_hash(named), named);
    }
    return ESP_NO_SLOT;
}

static enum esp_status apply_install(struct esp_joiner *joiner, const struct esp_stored *install,
                                     struct esp_error *err)
{
    struct esp_join_counters *counters = &joiner->counters[ESP_INSTALL];
    size_t slot = named_impression(joiner, install);
    struct esp_impression impression;
    if (slot != ESP_NO_SLOT)
        esp_impression_view(joiner, slot, &impression);
    counters->pending--;
    if (slot == ESP_NO_SLOT || impression.click_us == ESP_TIME_NONE ||
        install->time_us - impression.click_us > joiner->config.install_window_us) {
        counters->unmatched++;
        return ESP_OK;
    }
    if (impression.install_us != ESP_TIME_NONE) {
        counters->duplicate++;
        return ESP_OK;
    }
    counters->labelled++;
    if (impression.clicked != 0) {
        joiner->clicked.entries[impression.clicked].install_us = install->time_us;
        return ESP_OK;
    }
    struct esp_clicked entry = {
        .ref = impression.ref, .click_us = impression.click_us, .install_us = install->time_us};
    uint32_t index;
    enum esp_status status = esp_clicked_take(&joiner->clicked, entry, &index, err);
    if (status == ESP_OK)
        esp_id_index_set_ref(&joiner->pending, slot, index | (uint32_t)ESP_REF_CLICKED);
    return status;
}

/* ---- in order ---- */

/* Fetches the slots of the next clicks' impressions, and then these. Roughly the next: where the
 * side heap of the calendar is in play, any of them. */
static void look_ahead(struct esp_joiner *joiner)
{
    uint64_t hashes[ESP_AHEAD];
    uint32_t ref;
    size_t n = 0;
    for (; n < ESP_AHEAD && (ref = esp_calendar_ahead(&joiner->clicks, n)) != 0; n++)
        hashes[n] = esp_hash(esp_stored_id(esp_plain_record(joiner, ref)));
    for (size_t i = 0; i < n; i++)
        esp_id_index_prefetch(&joiner->pending, hashes[i]);
    for (size_t i = 0; i < n; i++) {
        size_t slot = esp_id_index_first(&joiner->pending, hashes[i]);
        if (slot != ESP_NO_SLOT)
            esp_ring_fetch(&joiner->ring, esp_slot_record(joiner, slot));
    }
    joiner->n_clicks_ahead = n;
}

/* Takes what waits at the front of one kind's calendar and applies it. */
static enum esp_status apply_next(struct esp_joiner *joiner, enum esp_event_kind kind, uint32_t ref,
                                  struct esp_error *err)
{
    struct esp_calendar *calendars[] = {&joiner->contenders, &joiner->clicks, &joiner->installs};
    enum esp_status status;
    if (kind == ESP_CLICK && joiner->n_clicks_ahead == 0)
        look_ahead(joiner); /* the front one among them */
    esp_calendar_pop(calendars[kind]);
    switch (kind) {
    case ESP_IMPRESSION:
        return apply_contender(joiner, ref, err);
    case ESP_CLICK:
        joiner->n_clicks_ahead--;
        status = apply_click(joiner, esp_plain_record(joiner, ref), err);
        break;
    default:
        status = apply_install(joiner, esp_plain_record(joiner, ref), err);
        break;
    }
    esp_ring_release(&joiner->ring, ref);
    return status;
}

enum esp_status esp_pairing_until(struct esp_joiner *joiner, int64_t limit_us,
                                  struct esp_error *err)
{
    struct esp_calendar *calendars[] = {&joiner->contenders, &joiner->clicks, &joiner->installs};
    while (esp_pairing_may_wait(joiner, limit_us)) {
        struct esp_calendar_entry first = {.time_us = limit_us}, entry;
        size_t first_kind = ESP_N_EVENT_KINDS;
        for (size_t kind = 0; kind < ESP_N_EVENT_KINDS; kind++) {
            bool found;
            enum esp_status status =
                esp_calendar_peek(calendars[kind], limit_us, &entry, &found, err);
            if (status != ESP_OK)
                return status;
            if (found && entry.time_us < first.time_us) {
                first = entry;
                first_kind = kind;
            }
        }
        if (first_kind == ESP_N_EVENT_KINDS)
            break;
        if (first.time_us > joiner->position_us)
            joiner->position_us = first.time_us;
        enum esp_status status =
            apply_next(joiner, (enum esp_event_kind)first_kind, first.ref, err);
        if (status != ESP_OK)
            return status;
    }
    return ESP_OK;
}
