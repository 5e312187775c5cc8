/*
 * joiner_state_fuzz.c - any bytes for the state of a joiner: it is refused, or the joiner holds its
 * invariants, and does so to the end of whatever comes then.
 *
 * Input: a byte of configuration, a byte that seeds the events that come then, and the archive: as
 * it stands, or, so that the corpus outlives the format, a byte that says how many events made it,
 * and changes to it of 3 bytes each: where (2, little-endian), and what is flipped there.
 */
#include <stdint.h>

#include "core/buf.h"
#include "core/check.h"
#include "core/hash.h"
#include "join/joiner.h"
#include "testkit.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    N_PARTITIONS = 2,
    N_EVENTS = 60,
    N_LABELS = 16,
    N_IDS = 6,
    SEGMENT = 4096,
    MADE = 8, /* in the byte of configuration: the archive is made, then changed */
    CHANGE = 3,
    ARCHIVE_CAP = 1 << 20,
};

static bool wants(void *context, const struct esp_label *label)
{
    (void)context;
    return (label->id_hash & 1) != 0;
}

static struct esp_joiner_config config_of(uint8_t bits)
{
    return (struct esp_joiner_config){
        .click_window_us = 40,
        .install_window_us = 90,
        .grace_us = {8, 5, 8},
        .n_partitions = {N_PARTITIONS, N_PARTITIONS, (bits & 1) != 0 ? 0 : N_PARTITIONS},
        .future_us = 1 << 20,
        .ahead_us = 1 << 8,
        .installs_by_click = (bits & 2) != 0,
        .whole_wanted = (bits & 4) != 0 ? wants : NULL,
        .segment_bytes = SEGMENT,
        .max_store_bytes = 64 * SEGMENT,
    };
}

/* A random event at about this time; its bytes are the caller's. */
static struct esp_header event_of(struct test_random *random, enum esp_event_kind kind,
                                  bool by_click, int64_t about_us, uint8_t bytes[8])
{
    bytes[0] = (uint8_t)((by_click && kind == ESP_INSTALL ? 'A' : 'a') +
                         (char)test_random_below(random, N_IDS));
    bytes[1] = (uint8_t)('A' + (char)test_random_below(random, N_IDS));
    bytes[2] = (uint8_t)test_random_below(random, 3);
    struct esp_header header = {
        .time_us = about_us + (int64_t)test_random_below(random, 12) - 8,
        .log_time_us = test_random_below(random, 2) == 0 ? ESP_TIME_NONE : about_us,
        .id = esp_bytes(bytes, 1),
        .payload = esp_bytes(bytes, 1 + test_random_below(random, 7)),
        .raw = esp_bytes(bytes, 8),
    };
    if (test_random_below(random, 12) == 0)
        header.time_us += 1 << 10; /* held, where there is no timestamp */
    if (kind == ESP_CLICK)
        header.click_id = esp_bytes(bytes + 1, test_random_below(random, 2));
    header.id_hash = esp_hash(header.id);
    return header;
}

static void advance(struct esp_joiner *joiner, size_t capacity)
{
    uint64_t sum = 0;
    struct esp_label labels[N_LABELS];
    size_t n = 0;
    if (esp_joiner_advance(joiner, labels, capacity, &n, NULL) != ESP_OK)
        return;
    for (size_t i = 0; i < n; i++)
        sum += esp_hash(labels[i].id) + esp_hash(labels[i].payload);
    static volatile uint64_t seen; /* all that a label says is looked at */
    seen = sum;
    (void)seen;
}

/* Pushes events until one fails (the store is full; a joiner that was closed takes none). */
static void push_some(struct esp_joiner *joiner, const struct esp_joiner_config *config,
                      uint8_t seed, int n_events, bool checks)
{
    struct test_random random = {seed};
    int64_t begin_us = esp_joiner_watermark(joiner);
    if (begin_us == ESP_TIME_NONE || begin_us == ESP_TIME_END)
        begin_us = 0;
    for (int i = 0; i < n_events; i++) {
        enum esp_event_kind kind = (enum esp_event_kind)test_random_below(&random, 3);
        uint8_t bytes[8] = {0};
        if (config->n_partitions[kind] == 0)
            continue;
        struct esp_header header =
            event_of(&random, kind, config->installs_by_click, begin_us + 4 * i, bytes);
        header.offset = i;
        if (esp_joiner_push(joiner, kind, (uint32_t)test_random_below(&random, N_PARTITIONS),
                            &header, 1, NULL) != ESP_OK)
            return;
        advance(joiner, test_random_below(&random, 4));
        if (checks)
            esp_joiner_check(joiner);
    }
}

static void finish(struct esp_joiner *joiner, const struct esp_joiner_config *config)
{
    for (size_t kind = 0; kind < ESP_N_EVENT_KINDS; kind++)
        for (uint32_t i = 0; i < config->n_partitions[kind]; i++)
            (void)esp_joiner_end(joiner, (enum esp_event_kind)kind, i, true, NULL);
    if (esp_joiner_close(joiner, NULL) != ESP_OK)
        return;
    for (int i = 0; i < 4 * N_EVENTS; i++)
        advance(joiner, N_LABELS);
    esp_joiner_check(joiner);
}

static enum esp_status to_buf(void *context, const void *bytes, size_t n, struct esp_error *err)
{
    return esp_buf_append(context, bytes, n, err);
}

static void write_joiner(struct esp_joiner *joiner, struct esp_buf *out)
{
    struct esp_archive archive;
    esp_buf_init(out, ARCHIVE_CAP);
    esp_archive_write_to(&archive, to_buf, out);
    esp_joiner_archive(&archive, joiner);
    ESP_CHECK(0, esp_archive_end(&archive, NULL) == ESP_OK);
}

/* The archive of a joiner that has had some events, with changes. */
static void make_archive(const struct esp_joiner_config *config, uint8_t seed, const uint8_t *data,
                         size_t size, struct esp_buf *out)
{
    struct esp_joiner *joiner = NULL;
    ESP_CHECK(0, esp_joiner_new(config, &joiner, NULL) == ESP_OK);
    push_some(joiner, config, (uint8_t)(seed + 1), size > 0 ? data[0] : 0, false);
    write_joiner(joiner, out);
    esp_joiner_free(joiner);
    for (size_t i = 1; i + CHANGE <= size; i += CHANGE)
        out->data[(data[i] | (size_t)data[i + 1] << 8) % out->size] ^= data[i + 2];
}

static void try_archive(const struct esp_joiner_config *config, uint8_t seed,
                        struct esp_bytes bytes)
{
    struct esp_joiner *joiner = NULL;
    struct esp_archive archive;
    ESP_CHECK(0, esp_joiner_new(config, &joiner, NULL) == ESP_OK);
    esp_archive_read_from(&archive, bytes);
    esp_joiner_archive(&archive, joiner);
    if (esp_archive_end(&archive, NULL) == ESP_OK) {
        struct esp_buf again;
        esp_joiner_check(joiner);
        write_joiner(joiner, &again);
        ESP_CHECK(0, again.size == bytes.size);
        esp_buf_release(&again);
        push_some(joiner, config, seed, N_EVENTS, true);
        finish(joiner, config);
    }
    esp_joiner_free(joiner);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    struct esp_joiner_config config = config_of(data[0]);
    if ((data[0] & MADE) == 0) {
        try_archive(&config, data[1], esp_bytes(data + 2, size - 2));
        return 0;
    }
    struct esp_buf made;
    make_archive(&config, data[1], data + 2, size - 2, &made);
    try_archive(&config, data[1], esp_buf_bytes(&made));
    esp_buf_release(&made);
    return 0;
}
