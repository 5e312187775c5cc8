/*
 * holdout_fuzz.c - any stream of labels: drift's invariants hold after each, every example is
 * counted, each window tells of a task, model and age at most once, and nothing is left at the end.
 *
 * Input: 8 bytes of configuration, then an impression every 4 bytes: time, click, install, and what
 * it carries.
 */
#include <math.h>
#include <stdlib.h>

#include "core/check.h"
#include "drift_helper.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { H = 64, HEAD = 8, STEP = 4, MAX_IMPRESSIONS = 150 };

/* The measures that were told, by what each is of. */
struct told {
    GHashTable *keys;
    uint64_t n;
    uint64_t fails_after; /* measures */
};

static enum esp_status hear(void *context, const struct esp_drift_measure *m, struct esp_error *err)
{
    struct told *told = context;
    if (told->n >= told->fails_after)
        return esp_fail(err, ESP_EIO, "enough");
    char *key = g_strdup_printf("%d %zu %d %ld %u", (int)m->source, m->model, (int)m->task,
                                (long)m->window_start_us, m->age);
    ESP_CHECK(1, g_hash_table_add(told->keys, key)); /* owns it */
    ESP_CHECK(2, m->sums.n > 0 && m->sums.n_positive <= m->sums.n && m->sums.n_units <= m->sums.n);
    ESP_CHECK(3, m->share > 0 && m->share <= 1);
    ESP_CHECK(4, isfinite(m->sums.wl) && m->sums.wl >= 0 && isfinite(m->paired.dd));
    ESP_CHECK(5, !m->has_paired || (m->age > 0 && m->paired.n == m->sums.n));
    ESP_CHECK(6, !m->has_production || (m->age == 0 && m->production.n <= m->sums.n));
    ESP_CHECK(7, m->window_end_us - m->window_start_us == H);
    told->n++;
    return ESP_OK;
}

static struct test_plan plan_of(const uint8_t *data)
{
    struct test_plan plan = {
        .ladder = {.window_us = H,
                   .n_ages = 1 + data[0] % 4,
                   .sparse_from = 1 + data[1] % 4,
                   .sparse = 1 + data[1] / 64},
        .click_window_us = data[2],
        .install_window_us = 2 * data[3],
        .has_installs = (data[4] & 1) != 0,
        .n_models = 1 + (data[4] >> 1 & 1),
        .setups = {(enum test_setup)((data[4] >> 2) % TEST_SETUPS),
                   (enum test_setup)((data[4] >> 4) % TEST_SETUPS)},
        .window_examples = 2 + data[5],
        .production = data[6] & 1,
        .missing = (data[6] >> 1 & 7) / 8.0,
        .cut = (data[6] >> 4 & 7) / 8.0,
    };
    for (size_t a = 1; a < plan.ladder.n_ages; a++)
        plan.ladder.ages[a] = plan.ladder.ages[a - 1] + 1 + (data[0] >> 2 * a & 3);
    return plan;
}

static void read_impression(struct test_impression *impression, const struct test_plan *plan,
                            const uint8_t *bytes, int64_t time_us)
{
    *impression = (struct test_impression){
        .time_us = time_us,
        .click_us = time_us + bytes[1] % (plan->click_window_us + 1),
        .y = bytes[1] >= 128,
        .z = bytes[2] >= 128 && bytes[1] >= 128 && plan->has_installs,
        .holdout = (bytes[3] & 1) != 0,
        .weight = 1 + (bytes[3] >> 1 & 7),
        .unit = bytes[3] >> 4 & 3 ? bytes[3] >> 4 & 3 : (uint64_t)time_us,
        .production = {bytes[2] / 255.0, (bytes[3] & 64) != 0 ? NAN : 2, (bytes[3] & 128) != 0},
    };
    struct test_random random = {.state = bytes[3]};
    test_values(&random, impression->values);
}

static void run(const struct test_stream *stream, struct told *told)
{
    struct esp_drift *drift = NULL;
    struct esp_drift_usage usage;
    struct esp_drift_config config = test_stream_config(stream);
    config.emit = hear;
    config.emit_context = told;
    ESP_CHECK(10, esp_drift_new(&config, NULL, &drift, NULL) == ESP_OK);
    enum esp_status status = ESP_OK;
    uint64_t n_clicks = 0;
    for (size_t k = 0; status == ESP_OK && k < stream->n_labels; k++) {
        const struct test_label *label = &stream->labels[k];
        n_clicks +=
            label->stage == ESP_STAGE_CLICK && stream->impressions[label->impression].holdout;
        status = test_stream_feed(stream, drift, k, NULL);
        ESP_CHECK(11, status == ESP_OK || status == ESP_EIO);
        if (status == ESP_OK)
            esp_drift_check(drift);
    }
    if (status == ESP_OK)
        status = esp_drift_finish(drift, NULL);
    esp_drift_usage(drift, &usage);
    ESP_CHECK(12, usage.measures == told->n);
    ESP_CHECK(13, status == ESP_OK || told->n == told->fails_after);
    if (status == ESP_OK) {
        ESP_CHECK(14, usage.windows == 0 && usage.examples == 0 && usage.memory_bytes == 0);
        ESP_CHECK(15, usage.scored <= n_clicks && usage.scored + usage.thinned >= n_clicks);
    }
    esp_drift_free(drift);
}

static struct test_files files; /* for the life of the program */

static void release_files(void)
{
    test_files_release(&files);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (files.folder == NULL) {
        test_files_init(&files);
        atexit(release_files);
    }
    if (size < HEAD)
        return 0;
    struct test_plan plan = plan_of(data);
    struct test_stream stream = {.plan = &plan, .files = &files, .seed = data[7]};
    struct told told = {.fails_after = data[6] >= 128 ? data[7] : UINT64_MAX};
    stream.n = (size - HEAD) / STEP < MAX_IMPRESSIONS ? (size - HEAD) / STEP : MAX_IMPRESSIONS;
    stream.impressions = calloc(stream.n + 1, sizeof *stream.impressions);
    int64_t time_us = -3 * H;
    for (size_t i = 0; i < stream.n; i++) {
        const uint8_t *bytes = data + HEAD + i * STEP;
        time_us += bytes[0] < 250 ? bytes[0] / 8 : bytes[0]; /* now and then over a window */
        read_impression(&stream.impressions[i], &plan, bytes, time_us);
    }
    test_stream_label(&stream);
    told.keys = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    run(&stream, &told);
    g_hash_table_destroy(told.keys);
    test_stream_release(&stream);
    return 0;
}
