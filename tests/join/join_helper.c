/* join_helper.c - see join_helper.h. */
#include "join_helper.h"

#include <inttypes.h>

#include "core/hash.h"

struct esp_header join_event_header(const struct join_event *event, int64_t offset)
{
    struct esp_header header = {.time_us = event->time_us,
                                .log_time_us = event->log_time_us,
                                .offset = offset,
                                .payload = esp_bytes(event->payload, event->payload_size),
                                .raw = esp_bytes(event->payload, event->payload_size),
                                .writer = (uint16_t)(event->time_us & 7),
                                .reject = event->reject};
    if (event->reject != ESP_REJECT_NONE)
        return header;
    header.id = event->id_at == SIZE_MAX ? esp_bytes(event->id, event->id_size)
                                         : esp_bytes(event->payload + event->id_at, event->id_size);
    header.id_hash = esp_hash(header.id);
    header.click_id = esp_bytes(event->click_id, event->click_id_size);
    header.click_id_hash = event->click_id_size > 0 ? esp_hash(header.click_id) : 0;
    return header;
}

void join_result_init(struct join_result *result)
{
    *result = (struct join_result){.labels = g_array_new(FALSE, TRUE, sizeof(struct join_label)),
                                   .turned_away =
                                       g_array_new(FALSE, TRUE, sizeof(struct esp_turned_away))};
}

void join_result_clear(struct join_result *result)
{
    g_array_free(result->labels, TRUE);
    g_array_free(result->turned_away, TRUE);
    *result = (struct join_result){0};
}

size_t join_take(struct esp_joiner *joiner, size_t capacity, struct join_result *result)
{
    struct esp_label *labels = g_new0(struct esp_label, capacity + 1);
    size_t n = 0;
    struct esp_error err = {0};
    enum esp_status status = esp_joiner_advance(joiner, labels, capacity, &n, &err);
    g_assert_cmpstr(err.text, ==, "");
    g_assert_cmpint(status, ==, ESP_OK);
    for (size_t i = 0; i < n; i++) {
        struct join_label copy = {.label = labels[i],
                                  .id_size = labels[i].id.size,
                                  .payload_size = labels[i].payload.size};
        memcpy(copy.id, labels[i].id.data, copy.id_size);
        memcpy(copy.payload, labels[i].payload.data, copy.payload_size);
        copy.label.id = copy.label.payload = esp_bytes(NULL, 0);
        g_array_append_val(result->labels, copy);
    }
    g_free(labels);
    return n;
}

void join_take_turned_away(struct esp_joiner *joiner, struct join_result *result)
{
    size_t n;
    const struct esp_turned_away *items = esp_joiner_turned_away(joiner, &n);
    for (size_t i = 0; i < n; i++) {
        struct esp_turned_away copy = items[i];
        copy.raw.data = NULL;
        g_array_append_val(result->turned_away, copy);
    }
}

void join_push(struct esp_joiner *joiner, const struct join_event *events, size_t n, int64_t offset,
               struct join_result *result)
{
    if (n == 0)
        return;
    /* Copies that are overwritten after the call: the joiner may keep nothing borrowed. */
    struct join_event *copies = g_memdup2(events, n * sizeof *events);
    struct esp_header *headers = g_new0(struct esp_header, n);
    for (size_t i = 0; i < n; i++)
        headers[i] = join_event_header(&copies[i], offset + (int64_t)i);
    struct esp_error err = {0};
    enum esp_status status =
        esp_joiner_push(joiner, events[0].kind, events[0].partition, headers, n, &err);
    g_assert_cmpstr(err.text, ==, "");
    g_assert_cmpint(status, ==, ESP_OK);
    memset(copies, 0xee, n * sizeof *copies);
    g_free(copies);
    g_free(headers);
    join_take_turned_away(joiner, result);
}

void join_finish(struct esp_joiner *joiner, const struct esp_joiner_config *config,
                 struct join_result *result)
{
    for (size_t kind = 0; kind < ESP_N_EVENT_KINDS; kind++)
        for (uint32_t i = 0; i < config->n_partitions[kind]; i++) {
            g_assert_cmpint(esp_joiner_end(joiner, (enum esp_event_kind)kind, i, true, NULL), ==,
                            ESP_OK);
            join_take_turned_away(joiner, result);
        }
    g_assert_cmpint(esp_joiner_close(joiner, NULL), ==, ESP_OK);
    while (join_take(joiner, 7, result) == 7)
        esp_joiner_check(joiner);
    esp_joiner_check(joiner);
    for (size_t kind = 0; kind < ESP_N_EVENT_KINDS; kind++)
        esp_joiner_counters(joiner, (enum esp_event_kind)kind, &result->counters[kind]);
}

enum esp_status join_archive_sink(void *context, const void *bytes, size_t n, struct esp_error *err)
{
    return esp_buf_append(context, bytes, n, err);
}

char *join_label_text(const struct join_label *label)
{
    const struct esp_label *l = &label->label;
    char click[32] = "-", install[32] = "-";
    if (l->click_us != ESP_TIME_NONE)
        g_snprintf(click, sizeof click, "%" PRId64, l->click_us);
    if (l->install_us != ESP_TIME_NONE)
        g_snprintf(install, sizeof install, "%" PRId64, l->install_us);
    return g_strdup_printf("%" PRId64 " %.*s stage %d: t_i %" PRId64 " t_c %s t_z %s y %d z %d "
                           "ticket %" PRIu64 " writer %d payload %.*s",
                           l->maturity_us, (int)label->id_size, label->id, l->stage,
                           l->impression_us, click, install, l->y, l->z, l->ticket, l->writer,
                           (int)label->payload_size, label->payload);
}

static bool counters_equal(const struct join_result *got, const struct join_result *want)
{
    for (size_t kind = 0; kind < ESP_N_EVENT_KINDS; kind++) {
        const struct esp_join_counters *a = &got->counters[kind], *b = &want->counters[kind];
        if (memcmp(a, b, sizeof *a) == 0)
            continue;
        g_test_fail_printf("kind %zu: got read %" PRIu64 " = labelled %" PRIu64
                           " + duplicate %" PRIu64 " + unmatched %" PRIu64 " + late %" PRIu64
                           " + dead %" PRIu64 " + pending %" PRIu64 "; want %" PRIu64 " %" PRIu64
                           " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64,
                           kind, a->read, a->labelled, a->duplicate, a->unmatched, a->late, a->dead,
                           a->pending, b->read, b->labelled, b->duplicate, b->unmatched, b->late,
                           b->dead, b->pending);
        return false;
    }
    return true;
}

bool join_results_equal(const struct join_result *got, const struct join_result *want)
{
    for (guint i = 0; i < MAX(got->labels->len, want->labels->len); i++) {
        char *a = i < got->labels->len
                      ? join_label_text(&g_array_index(got->labels, struct join_label, i))
                      : g_strdup("nothing");
        char *b = i < want->labels->len
                      ? join_label_text(&g_array_index(want->labels, struct join_label, i))
                      : g_strdup("nothing");
        bool equal = strcmp(a, b) == 0;
        if (!equal)
            g_test_fail_printf("label %u: got %s; want %s", i, a, b);
        g_free(a);
        g_free(b);
        if (!equal)
            return false;
    }
    return counters_equal(got, want);
}
