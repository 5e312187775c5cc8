/* join_twin.c - see join_twin.h. */
#include "join_twin.h"

#include "core/hash.h"

enum verdict { GOOD, LATE, DEAD, OPEN };

struct twin_impression {
    const struct join_event *event;
    int64_t click_us, install_us;
    bool whole;
};

struct twin_click_id {
    const struct join_event *click;
    size_t impression;
    int64_t end_us;
};

struct twin {
    const struct esp_joiner_config *config;
    GPtrArray *events;   /* not late, sorted */
    GArray *impressions; /* struct twin_impression, those that are no duplicates */
    GArray *click_ids;   /* struct twin_click_id */
    struct join_result *result;
};

/* ---- a partition's clock ---- */

static int64_t distance(int64_t a, int64_t b)
{
    return a > b ? a - b : b - a;
}

/* Gives those of events[0 .. at) that are OPEN their verdict: good if near to all of n others. */
static void settle(const struct join_event *events, size_t at, const size_t *others, size_t n,
                   int64_t ahead_us, enum verdict *verdicts)
{
    for (size_t i = 0; i < at; i++) {
        bool near = true;
        for (size_t k = 0; k < n; k++)
            near = near && distance(events[i].time_us, events[others[k]].time_us) <= ahead_us;
        if (verdicts[i] == OPEN)
            verdicts[i] = near ? GOOD : DEAD;
    }
}

/* The last three that count, the newest of which is `at`, if all are OPEN. */
static bool row_of_three(const struct join_event *events, size_t at, const enum verdict *verdicts,
                         const bool *counts, size_t row[3])
{
    size_t n = 0;
    for (size_t i = at + 1; i-- > 0 && n < 3;)
        if (counts[i]) {
            if (verdicts[i] != OPEN)
                return false;
            row[n++] = i;
        }
    (void)events;
    return n == 3;
}

static void rule(const struct esp_joiner_config *config, const struct join_event *events, size_t n,
                 enum verdict *verdicts, uint8_t *rejects)
{
    bool *counts = g_new0(bool, n + 1);
    for (size_t at = 0; at < n; at++) {
        const struct join_event *event = &events[at];
        int64_t largest_us = ESP_TIME_NONE;
        for (size_t i = 0; i < at; i++)
            if (counts[i] && (verdicts[i] == GOOD || verdicts[i] == LATE))
                largest_us = MAX(largest_us, events[i].time_us);
        rejects[at] = event->reject;
        bool has_log_time = event->log_time_us != ESP_TIME_NONE;
        if (event->reject == ESP_REJECT_NONE && has_log_time &&
            event->time_us > event->log_time_us + config->future_us)
            rejects[at] = ESP_REJECT_FUTURE;
        verdicts[at] = DEAD;
        if (rejects[at] != ESP_REJECT_NONE)
            continue;
        counts[at] = true;
        if (has_log_time ||
            (largest_us != ESP_TIME_NONE && event->time_us <= largest_us + config->ahead_us)) {
            bool late = largest_us != ESP_TIME_NONE &&
                        event->time_us < largest_us - config->grace_us[event->kind];
            settle(events, at, &at, 1, config->ahead_us, verdicts);
            verdicts[at] = late ? LATE : GOOD;
            continue;
        }
        verdicts[at] = OPEN;
        size_t row[3];
        if (row_of_three(events, at, verdicts, counts, row) &&
            distance(events[row[0]].time_us, events[row[1]].time_us) <= config->ahead_us &&
            distance(events[row[0]].time_us, events[row[2]].time_us) <= config->ahead_us &&
            distance(events[row[1]].time_us, events[row[2]].time_us) <= config->ahead_us)
            settle(events, at + 1, row, 3, config->ahead_us, verdicts);
        size_t n_open = 0;
        for (size_t i = at + 1; i-- > 0;)
            if (verdicts[i] == OPEN && ++n_open > 16)
                verdicts[i] = DEAD;
    }
    for (size_t i = 0; i < n; i++) {
        verdicts[i] = verdicts[i] == OPEN ? GOOD : verdicts[i];
        if (verdicts[i] == DEAD && rejects[i] == ESP_REJECT_NONE)
            rejects[i] = ESP_REJECT_AHEAD;
    }
    g_free(counts);
}

int64_t join_twin_watermark(const struct esp_joiner_config *config,
                            const struct join_partition_events *partitions, size_t n)
{
    int64_t smallest_us = ESP_TIME_END;
    for (size_t p = 0; p < n; p++) {
        int64_t largest_us = ESP_TIME_NONE;
        for (size_t i = 0; i < partitions[p].n; i++)
            largest_us = MAX(largest_us, partitions[p].events[i].time_us);
        smallest_us = MIN(smallest_us, largest_us - config->grace_us[partitions[p].events[0].kind]);
    }
    return smallest_us;
}

/* ---- the sorted order, and the join in it ---- */

static struct esp_bytes event_id(const struct join_event *event)
{
    return join_event_header(event, 0).id;
}

static gint compare_events(gconstpointer left, gconstpointer right)
{
    const struct join_event *a = *(const struct join_event *const *)left;
    const struct join_event *b = *(const struct join_event *const *)right;
    if (a->time_us != b->time_us)
        return a->time_us < b->time_us ? -1 : 1;
    if (a->kind != b->kind)
        return a->kind < b->kind ? -1 : 1;
    int order = esp_bytes_compare(event_id(a), event_id(b));
    return order != 0 ? order
                      : esp_bytes_compare(esp_bytes(a->payload, a->payload_size),
                                          esp_bytes(b->payload, b->payload_size));
}

static int64_t install_maturity(const struct twin *twin, const struct twin_impression *impression)
{
    return MAX(impression->event->time_us + twin->config->click_window_us,
               impression->click_us + twin->config->install_window_us);
}

static struct join_label label_of(const struct twin *twin, const struct twin_impression *impression,
                                  enum esp_stage stage)
{
    const struct join_event *event = impression->event;
    struct esp_bytes id = event_id(event);
    struct join_label label = {.id_size = id.size, .payload_size = event->payload_size};
    memcpy(label.id, id.data, id.size);
    memcpy(label.payload, event->payload, event->payload_size);
    int64_t maturity_us = event->time_us + twin->config->click_window_us;
    if (stage == ESP_STAGE_INSTALL)
        maturity_us = install_maturity(twin, impression);
    if (stage == ESP_STAGE_WHOLE)
        maturity_us += twin->config->install_window_us;
    bool z = stage != ESP_STAGE_CLICK && impression->install_us != ESP_TIME_NONE;
    label.label = (struct esp_label){.maturity_us = maturity_us,
                                     .impression_us = event->time_us,
                                     .click_us = impression->click_us,
                                     .install_us = z ? impression->install_us : ESP_TIME_NONE,
                                     .id_hash = esp_hash(id),
                                     .writer = join_event_header(event, 0).writer,
                                     .stage = (uint8_t)stage,
                                     .y = impression->click_us != ESP_TIME_NONE,
                                     .z = z};
    return label;
}

static bool is_whole(const struct twin *twin, const struct twin_impression *impression)
{
    if (twin->config->whole_wanted == NULL)
        return false;
    struct join_label label = label_of(twin, impression, ESP_STAGE_CLICK);
    label.label.id = esp_bytes(label.id, label.id_size);
    label.label.payload = esp_bytes(label.payload, label.payload_size);
    return twin->config->whole_wanted(twin->config->whole_context, &label.label);
}

static int64_t last_maturity(const struct twin *twin, const struct twin_impression *impression)
{
    int64_t last_us = impression->event->time_us + twin->config->click_window_us;
    if (impression->click_us != ESP_TIME_NONE && twin->config->n_partitions[ESP_INSTALL] > 0)
        last_us = install_maturity(twin, impression);
    if (is_whole(twin, impression))
        last_us = MAX(last_us, impression->event->time_us + twin->config->click_window_us +
                                   twin->config->install_window_us);
    return last_us;
}

/* The impression of this id that is pending at a time, or NULL. */
static struct twin_impression *pending_at(const struct twin *twin, struct esp_bytes id,
                                          int64_t time_us, size_t *out_index)
{
    for (guint i = 0; i < twin->impressions->len; i++) {
        struct twin_impression *impression =
            &g_array_index(twin->impressions, struct twin_impression, i);
        if (esp_bytes_equal(event_id(impression->event), id) &&
            last_maturity(twin, impression) >= time_us) {
            if (out_index != NULL)
                *out_index = i;
            return impression;
        }
    }
    return NULL;
}

static void join_impression(struct twin *twin, const struct join_event *event)
{
    struct esp_join_counters *counters = &twin->result->counters[ESP_IMPRESSION];
    if (pending_at(twin, event_id(event), event->time_us, NULL) != NULL) {
        counters->duplicate++;
        return;
    }
    struct twin_impression impression = {event, ESP_TIME_NONE, ESP_TIME_NONE, false};
    g_array_append_val(twin->impressions, impression);
    counters->labelled++;
}

static void file_click_id(struct twin *twin, const struct join_event *event, size_t index)
{
    if (event->click_id_size == 0)
        return;
    for (guint i = 0; i < twin->click_ids->len; i++) {
        const struct twin_click_id *filed =
            &g_array_index(twin->click_ids, struct twin_click_id, i);
        if (esp_bytes_equal(esp_bytes(filed->click->click_id, filed->click->click_id_size),
                            esp_bytes(event->click_id, event->click_id_size)) &&
            filed->end_us >= event->time_us)
            return;
    }
    const struct twin_impression *impression =
        &g_array_index(twin->impressions, struct twin_impression, index);
    struct twin_click_id filed = {event, index, install_maturity(twin, impression)};
    g_array_append_val(twin->click_ids, filed);
}

static void join_click(struct twin *twin, const struct join_event *event)
{
    struct esp_join_counters *counters = &twin->result->counters[ESP_CLICK];
    size_t index;
    struct twin_impression *impression = pending_at(twin, event_id(event), event->time_us, &index);
    if (impression == NULL ||
        event->time_us - impression->event->time_us > twin->config->click_window_us) {
        counters->unmatched++;
        return;
    }
    if (impression->click_us == ESP_TIME_NONE) {
        impression->click_us = event->time_us;
        counters->labelled++;
    } else {
        counters->duplicate++;
    }
    file_click_id(twin, event, index);
}

static void join_install(struct twin *twin, const struct join_event *event)
{
    struct esp_join_counters *counters = &twin->result->counters[ESP_INSTALL];
    struct twin_impression *impression = NULL;
    if (!twin->config->installs_by_click) {
        impression = pending_at(twin, event_id(event), event->time_us, NULL);
    } else {
        for (guint i = 0; i < twin->click_ids->len; i++) {
            const struct twin_click_id *filed =
                &g_array_index(twin->click_ids, struct twin_click_id, i);
            if (filed->end_us >= event->time_us &&
                esp_bytes_equal(esp_bytes(filed->click->click_id, filed->click->click_id_size),
                                event_id(event)))
                impression =
                    &g_array_index(twin->impressions, struct twin_impression, filed->impression);
        }
    }
    if (impression == NULL || impression->click_us == ESP_TIME_NONE ||
        event->time_us - impression->click_us > twin->config->install_window_us) {
        counters->unmatched++;
    } else if (impression->install_us != ESP_TIME_NONE) {
        counters->duplicate++;
    } else {
        impression->install_us = event->time_us;
        counters->labelled++;
    }
}

/* ---- labels ---- */

static gint compare_labels(gconstpointer left, gconstpointer right)
{
    const struct join_label *a = left, *b = right;
    if (a->label.maturity_us != b->label.maturity_us)
        return a->label.maturity_us < b->label.maturity_us ? -1 : 1;
    int order = esp_bytes_compare(esp_bytes(a->id, a->id_size), esp_bytes(b->id, b->id_size));
    return order != 0 ? order : a->label.stage - b->label.stage;
}

static void give_labels(struct twin *twin)
{
    GArray *labels = twin->result->labels;
    for (guint i = 0; i < twin->impressions->len; i++) {
        const struct twin_impression *impression =
            &g_array_index(twin->impressions, struct twin_impression, i);
        struct join_label label = label_of(twin, impression, ESP_STAGE_CLICK);
        g_array_append_val(labels, label);
        if (label.label.y && twin->config->n_partitions[ESP_INSTALL] > 0) {
            label = label_of(twin, impression, ESP_STAGE_INSTALL);
            g_array_append_val(labels, label);
        }
        if (is_whole(twin, impression)) {
            label = label_of(twin, impression, ESP_STAGE_WHOLE);
            g_array_append_val(labels, label);
        }
    }
    g_array_sort(labels, compare_labels);
    /* Tickets number the click stages; an impression is known by its id and time. */
    uint64_t ticket = 0;
    for (guint i = 0; i < labels->len; i++) {
        struct join_label *click = &g_array_index(labels, struct join_label, i);
        if (click->label.stage != ESP_STAGE_CLICK)
            continue;
        for (guint k = i; k < labels->len; k++) {
            struct join_label *label = &g_array_index(labels, struct join_label, k);
            if (label->label.impression_us == click->label.impression_us &&
                esp_bytes_equal(esp_bytes(label->id, label->id_size),
                                esp_bytes(click->id, click->id_size)))
                label->label.ticket = ticket;
        }
        ticket++;
    }
}

void join_twin(const struct esp_joiner_config *config,
               const struct join_partition_events *partitions, size_t n, struct join_result *result)
{
    struct twin twin = {config, g_ptr_array_new(),
                        g_array_new(FALSE, FALSE, sizeof(struct twin_impression)),
                        g_array_new(FALSE, FALSE, sizeof(struct twin_click_id)), result};
    for (size_t p = 0; p < n; p++) {
        enum verdict *verdicts = g_new0(enum verdict, partitions[p].n + 1);
        uint8_t *rejects = g_new0(uint8_t, partitions[p].n + 1);
        rule(config, partitions[p].events, partitions[p].n, verdicts, rejects);
        for (size_t i = 0; i < partitions[p].n; i++) {
            const struct join_event *event = &partitions[p].events[i];
            struct esp_join_counters *counters = &result->counters[event->kind];
            counters->read++;
            counters->late += verdicts[i] == LATE;
            counters->dead += verdicts[i] == DEAD;
            counters->dead_by_reason[rejects[i]] += verdicts[i] == DEAD;
            if (verdicts[i] == GOOD)
                g_ptr_array_add(twin.events, (gpointer)(uintptr_t)event);
        }
        g_free(verdicts);
        g_free(rejects);
    }
    g_ptr_array_sort(twin.events, compare_events);
    for (guint i = 0; i < twin.events->len; i++) {
        const struct join_event *event = g_ptr_array_index(twin.events, i);
        if (event->kind == ESP_IMPRESSION)
            join_impression(&twin, event);
        else if (event->kind == ESP_CLICK)
            join_click(&twin, event);
        else
            join_install(&twin, event);
    }
    give_labels(&twin);
    g_ptr_array_free(twin.events, TRUE);
    g_array_free(twin.impressions, TRUE);
    g_array_free(twin.click_ids, TRUE);
}
