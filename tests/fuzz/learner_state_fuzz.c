/*
 * learner_state_fuzz.c - any bytes as the state of a learner: they are refused, or all invariants
 * hold and it learns on.
 *
 * Input: a byte that chooses set-up, optimizer and admission, then the state.
 */
#include <stdlib.h>

#include "core/check.h"
#include "core/hash.h"
#include "core/timespan.h"
#include "learn/learner.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { N_FEATURES = 2, N_EXAMPLES = 40, TABLE_BYTES = 24500 };

static const char *const NAMES[N_FEATURES] = {"a", "b"};

static void hear(void *context, const struct esp_window_done *done)
{
    uint64_t *n_heard = context;
    ESP_CHECK(1, done->end_us - done->start_us == ESP_HOUR && done->task < ESP_N_TASKS);
    ++*n_heard;
}

/* The tables have room for the rows of a batch and few more, so that rows go. */
static struct esp_learner_config config_of(uint8_t choice, uint64_t *n_heard)
{
    struct esp_optimizer_config optimizer = {.kind = (enum esp_optimizer)(choice / 7 % 3),
                                             .rate = 0.05,
                                             .initial = 0.1,
                                             .half_life_us = choice >= 128 ? ESP_HOUR : 0,
                                             .epsilon = 1e-8,
                                             .horizon = 1000,
                                             .beta1 = 0.9,
                                             .beta2 = 0.999};
    enum esp_setup_id setup = (enum esp_setup_id)(choice % ESP_N_SETUPS);
    return (struct esp_learner_config){
        .model = {.setup = setup,
                  .width = 2,
                  .layers = {4},
                  .n_layers = 1,
                  .head_layers = {3},
                  .n_head_layers = 1,
                  .batch = 8,
                  .slice = 8,
                  .dense = optimizer,
                  .sparse = optimizer,
                  .seed = 7,
                  .init = 0.1,
                  .admit_after = choice / 21 % 2 == 0 ? 1 : 2,
                  .table_bytes = esp_setup_get(setup)->n_towers * TABLE_BYTES,
                  .keep = 1},
        .feature_names = NAMES,
        .n_features = N_FEATURES,
        .has_installs = true,
        .window_us = ESP_HOUR,
        .windows_kept = 2,
        .window_done = hear,
        .window_context = n_heard,
    };
}

/* Examples of all stages, of impressions a few minutes apart. */
static void learn_on(struct esp_learner *learner)
{
    struct esp_feature_batch batch;
    struct esp_example examples[N_EXAMPLES];
    uint32_t begin[N_FEATURES + 1] = {0, 1, 2};
    float ones[N_FEATURES] = {1, 1};
    esp_feature_batch_init(&batch, N_FEATURES);
    for (size_t i = 0; i < N_EXAMPLES; i++) {
        uint64_t keys[N_FEATURES] = {esp_mix64(i % 11) | 1, esp_mix64(100 + i) | 1};
        struct esp_feature_batch row = {.n_features = N_FEATURES,
                                        .n_rows = 1,
                                        .begin = begin,
                                        .keys = keys,
                                        .coefficients = ones};
        bool y = i / 3 % 3 != 1;
        examples[i] = (struct esp_example){
            .impression_us = (int64_t)i * 5 * ESP_MINUTE,
            .due_us = (int64_t)i * 5 * ESP_MINUTE + ESP_HOUR,
            .ticket = i / 3,
            .weight = 1,
            .base_weight = 1,
            .stage = (uint8_t)(i % 3),
            .y = y,
            .z = i % 4 == 0,
            .holdout = i % 5 == 4,
        };
        if (esp_feature_batch_copy_row(&batch, &row, 0, NULL) != ESP_OK)
            abort();
    }
    enum esp_status status = esp_learner_take(learner, examples, N_EXAMPLES, &batch, NULL);
    if (status == ESP_OK)
        status = esp_learner_flush(learner, NULL);
    ESP_CHECK(2, status == ESP_OK || status == ESP_ENUMERIC);
    if (status == ESP_OK) {
        esp_learner_end(learner);
        esp_learner_check(learner);
    }
    esp_feature_batch_release(&batch);
}

static enum esp_status count(void *context, const void *bytes, size_t n, struct esp_error *err)
{
    (void)bytes;
    (void)err;
    *(size_t *)context += n;
    return ESP_OK;
}

/* Written again, it is no longer: only bins that were written as 0 are left out. */
static void check_length(struct esp_learner *learner, size_t n_bytes)
{
    struct esp_archive archive;
    size_t n = 0;
    esp_archive_write_to(&archive, count, &n);
    esp_learner_archive(&archive, learner);
    ESP_CHECK(3, esp_archive_end(&archive, NULL) == ESP_OK && n <= n_bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint64_t n_heard = 0;
    if (size == 0)
        return 0;
    struct esp_learner_config config = config_of(data[0], &n_heard);
    struct esp_learner *learner = NULL;
    struct esp_learner_report report;
    struct esp_archive archive;
    struct esp_error err = {0};
    ESP_CHECK(4, esp_learner_new(&config, NULL, &learner, NULL) == ESP_OK);
    esp_archive_read_from(&archive, esp_bytes(data + 1, size - 1));
    esp_learner_archive(&archive, learner);
    if (esp_archive_end(&archive, &err) == ESP_OK) {
        esp_learner_check(learner);
        check_length(learner, size - 1);
        learn_on(learner);
        esp_learner_report(learner, &report);
    } else {
        ESP_CHECK(5, err.status == ESP_EDATA || err.status == ESP_ENOMEM);
    }
    esp_learner_free(learner);
    return 0;
}
