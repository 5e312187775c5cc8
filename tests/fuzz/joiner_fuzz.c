/*
 * joiner_fuzz.c - any events in any interleaving: the joiner's invariants hold, time and labels
 * never go back, and unless a partition was idle the labels are those of the same events read
 * partition by partition.
 *
 * Input: 6 bytes of configuration, then steps of 5 bytes: what and which partition, time, id,
 * click id and payload, a step of time.
 */
#include <stdint.h>

#include "core/check.h"
#include "core/hash.h"
#include "join/joiner.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { N_PARTITIONS = 2, MAX_EVENTS = 400, STEP = 5, HEAD = 6, MAX_LABELS = 3 * MAX_EVENTS };

struct event {
    enum esp_event_kind kind;
    uint32_t partition;
    struct esp_header header;
    uint8_t bytes[12];
};

/* A label, without what borrows. */
struct outcome {
    int64_t maturity_us, impression_us, click_us, install_us;
    uint64_t id_hash, payload_hash, ticket;
    uint8_t stage;
};

struct run {
    struct esp_joiner *joiner;
    struct outcome outcomes[MAX_LABELS];
    size_t n;
    int64_t watermark_us;
};

static bool wants(void *context, const struct esp_label *label)
{
    return (label->id_hash & 3) < *(const uint8_t *)context;
}

static struct esp_joiner_config config_of(const uint8_t *data, uint8_t *whole)
{
    *whole = data[5] >> 4 & 3;
    return (struct esp_joiner_config){
        .click_window_us = (int64_t)data[0] << (data[5] & 15),
        .install_window_us = (int64_t)data[1] << (data[5] & 15),
        .grace_us = {data[2], data[3], data[2]},
        .n_partitions = {N_PARTITIONS, N_PARTITIONS, (data[5] & 64) != 0 ? 0 : N_PARTITIONS},
        .future_us = 1 << 20,
        .ahead_us = (int64_t)data[4] << 12,
        .installs_by_click = (data[5] & 128) != 0,
        .whole_wanted = wants,
        .whole_context = whole,
        .segment_bytes = 4096,
    };
}

static void advance(struct run *run, size_t capacity)
{
    struct esp_label labels[16];
    size_t n;
    ESP_CHECK(0, esp_joiner_advance(run->joiner, labels, capacity, &n, NULL) == ESP_OK);
    for (size_t i = 0; i < n; i++) {
        const struct esp_label *label = &labels[i];
        ESP_CHECK(0, run->n < MAX_LABELS);
        run->outcomes[run->n] = (struct outcome){
            label->maturity_us, label->impression_us,     label->click_us, label->install_us,
            label->id_hash,     esp_hash(label->payload), label->ticket,   label->stage};
        if (run->n > 0)
            ESP_CHECK(0, run->outcomes[run->n - 1].maturity_us <= label->maturity_us);
        ESP_CHECK(0, esp_hash(label->id) == label->id_hash);
        run->n++;
    }
    ESP_CHECK(0, esp_joiner_watermark(run->joiner) >= run->watermark_us);
    run->watermark_us = esp_joiner_watermark(run->joiner);
    esp_joiner_check(run->joiner);
}

static void push(struct run *run, const struct event *event)
{
    size_t n;
    struct event copy = *event;
    copy.header.id.data = copy.bytes + (event->header.id.data - event->bytes);
    copy.header.payload.data = copy.header.raw.data = copy.bytes;
    copy.header.click_id.data = copy.bytes + 8;
    ESP_CHECK(0, esp_joiner_push(run->joiner, event->kind, event->partition, &copy.header, 1,
                                 NULL) == ESP_OK);
    (void)esp_joiner_turned_away(run->joiner, &n);
    ESP_CHECK(0, n <= 17);
}

static void finish(struct run *run, const struct esp_joiner_config *config)
{
    for (size_t kind = 0; kind < ESP_N_EVENT_KINDS; kind++)
        for (uint32_t i = 0; i < config->n_partitions[kind]; i++)
            ESP_CHECK(0, esp_joiner_end(run->joiner, (enum esp_event_kind)kind, i, true, NULL) ==
                             ESP_OK);
    ESP_CHECK(0, esp_joiner_close(run->joiner, NULL) == ESP_OK);
    for (size_t before = SIZE_MAX; before != run->n;) {
        before = run->n;
        advance(run, 16);
    }
    for (size_t kind = 0; kind < ESP_N_EVENT_KINDS; kind++) {
        struct esp_join_counters counters;
        esp_joiner_counters(run->joiner, (enum esp_event_kind)kind, &counters);
        ESP_CHECK(0, counters.pending == 0);
    }
}

/* false: not an event but a command */
static bool read_event(const uint8_t *step, int64_t *clock_us, struct event *event)
{
    *event =
        (struct event){.kind = (enum esp_event_kind)(step[0] & 3), .partition = step[0] >> 2 & 1};
    if (event->kind == ESP_N_EVENT_KINDS)
        return false;
    *clock_us += (int64_t)step[4] << (step[0] >> 4);
    memcpy(event->bytes, &step[2], 2); /* id, then what tells payloads apart */
    event->bytes[8] = step[3] & 7;
    event->header = (struct esp_header){
        .time_us = *clock_us - step[1],
        .log_time_us = (step[0] & 8) != 0 ? *clock_us : ESP_TIME_NONE,
        .id = esp_bytes(event->bytes, 1 + (step[2] & 1)),
        .payload = esp_bytes(event->bytes, step[3] & 3),
        .click_id = esp_bytes(event->bytes + 8, event->kind == ESP_CLICK && (step[3] & 8) != 0),
        .reject = step[3] == 255 ? ESP_REJECT_MALFORMED : ESP_REJECT_NONE,
    };
    event->bytes[0] &= 7;
    event->header.raw = event->header.payload;
    event->header.id_hash = esp_hash(event->header.id);
    event->header.click_id_hash = esp_hash(event->header.click_id);
    return true;
}

/* Runs the steps as they come. Returns how many events there were; *was_idle: some partition. */
static size_t run_steps(struct run *run, const struct esp_joiner_config *config,
                        const uint8_t *data, size_t size, struct event *events, bool *was_idle)
{
    int64_t clock_us = 0;
    size_t n_events = 0;
    for (size_t at = HEAD; at + STEP <= size && n_events < MAX_EVENTS; at += STEP) {
        struct event *event = &events[n_events];
        bool is_event = read_event(data + at, &clock_us, event);
        enum esp_event_kind kind = is_event ? event->kind : (enum esp_event_kind)(data[at + 1] % 3);
        if (event->partition >= config->n_partitions[kind])
            continue;
        if (is_event) {
            push(run, event);
            esp_joiner_check(run->joiner);
            n_events++;
        } else if (data[at + 2] > 250) {
            esp_joiner_set_idle(run->joiner, kind, event->partition, data[at + 3] & 1);
            *was_idle = true;
        } else {
            advance(run, data[at + 3] & 15);
        }
    }
    return n_events;
}

static void run_by_partition(struct run *run, const struct esp_joiner_config *config,
                             const struct event *events, size_t n_events)
{
    for (int kind = ESP_N_EVENT_KINDS - 1; kind >= 0; kind--)
        for (uint32_t i = 0; i < config->n_partitions[kind]; i++)
            for (size_t k = 0; k < n_events; k++)
                if ((int)events[k].kind == kind && events[k].partition == i)
                    push(run, &events[k]);
    finish(run, config);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < HEAD)
        return 0;
    uint8_t whole;
    struct esp_joiner_config config = config_of(data, &whole);
    struct event *events = calloc(MAX_EVENTS, sizeof *events);
    struct run *one = calloc(2, sizeof *one), *other = one + 1;
    bool was_idle = false;
    ESP_CHECK(0, events != NULL && one != NULL);
    one->watermark_us = other->watermark_us = ESP_TIME_NONE;
    ESP_CHECK(0, esp_joiner_new(&config, &one->joiner, NULL) == ESP_OK);
    ESP_CHECK(0, esp_joiner_new(&config, &other->joiner, NULL) == ESP_OK);
    size_t n_events = run_steps(one, &config, data, size, events, &was_idle);
    finish(one, &config);
    run_by_partition(other, &config, events, n_events);
    if (!was_idle) {
        ESP_CHECK(0, one->n == other->n);
        for (size_t i = 0; i < one->n; i++)
            ESP_CHECK(0, memcmp(&one->outcomes[i], &other->outcomes[i],
                                offsetof(struct outcome, stage) + 1) == 0);
    }
    esp_joiner_free(one->joiner);
    esp_joiner_free(other->joiner);
    free(one);
    free(events);
    return 0;
}
