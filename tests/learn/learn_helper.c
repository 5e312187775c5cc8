/* learn_helper.c - see learn_helper.h. */
#include "learn_helper.h"

#include "core/hash.h"
#include "core/timespan.h"

const char *const test_feature_names[TEST_FEATURES] = {"ad", "app", "bid"};

struct esp_learner_config test_learner_config(enum esp_setup_id setup)
{
    struct esp_optimizer_config optimizer = {.kind = ESP_ADAGRAD,
                                             .rate = 0.05,
                                             .initial = 0.1,
                                             .epsilon = 1e-10,
                                             .horizon = 1000,
                                             .beta1 = 0.9,
                                             .beta2 = 0.999};
    return (struct esp_learner_config){
        .model = {.name = "test",
                  .setup = setup,
                  .width = 4,
                  .layers = {8, 6},
                  .n_layers = 2,
                  .head_layers = {5},
                  .n_head_layers = 1,
                  .batch = 16,
                  .slice = 8,
                  .dense = optimizer,
                  .sparse = optimizer,
                  .seed = 7,
                  .init = 0.1,
                  .admit_after = 1,
                  .table_bytes = 1 << 20,
                  .correction = ESP_CORRECT_BY_WEIGHT,
                  .keep = 0.4},
        .feature_names = test_feature_names,
        .n_features = TEST_FEATURES,
        .has_installs = true,
        .window_us = ESP_HOUR,
        .windows_kept = 100,
    };
}

void test_stream_init(struct test_stream *stream, size_t n_features)
{
    *stream = (struct test_stream){0};
    esp_feature_batch_init(&stream->features, n_features);
}

void test_stream_release(struct test_stream *stream)
{
    free(stream->examples);
    esp_feature_batch_release(&stream->features);
    *stream = (struct test_stream){0};
}

static void add_example(struct test_stream *stream, const struct esp_example *example)
{
    void *examples = stream->examples;
    g_assert_true(esp_array_grow(&examples, &stream->capacity, stream->n + 1,
                                 sizeof(*stream->examples), NULL) == ESP_OK);
    stream->examples = examples;
    stream->examples[stream->n++] = *example;
}

/* One row as a borrowed batch. */
static void add_row(struct test_stream *stream, uint32_t *begin, uint64_t *keys,
                    float *coefficients)
{
    struct esp_feature_batch row = {.n_features = stream->features.n_features,
                                    .n_rows = 1,
                                    .begin = begin,
                                    .keys = keys,
                                    .coefficients = coefficients};
    g_assert_true(esp_feature_batch_copy_row(&stream->features, &row, 0, NULL) == ESP_OK);
}

void test_stream_add(struct test_stream *stream, const struct esp_example *example,
                     const uint64_t *keys)
{
    uint32_t begin[65] = {0};
    uint64_t copies[64];
    float ones[64];
    for (uint32_t f = 0; f < stream->features.n_features; f++) {
        begin[f + 1] = f + 1;
        copies[f] = keys[f];
        ones[f] = 1;
    }
    add_row(stream, begin, copies, ones);
    add_example(stream, example);
}

static int by_label_order(const void *a, const void *b)
{
    const struct esp_example *x = a, *y = b;
    if (x->due_us != y->due_us)
        return x->due_us < y->due_us ? -1 : 1;
    if (x->ticket != y->ticket)
        return x->ticket < y->ticket ? -1 : 1;
    return (int)x->stage - (int)y->stage;
}

/* The features of an impression, from its ticket alone. */
static void add_features(struct test_stream *stream, uint64_t ticket, uint64_t seed)
{
    struct test_random random = {esp_mix64(ticket) ^ seed};
    uint32_t begin[TEST_FEATURES + 1] = {0};
    uint64_t keys[2 * TEST_FEATURES];
    float coefficients[2 * TEST_FEATURES];
    uint32_t n = 0;
    for (size_t f = 0; f < TEST_FEATURES; f++) {
        uint64_t n_values = test_random_below(&random, 8) == 0 ? 200 : 8;
        size_t n_pairs = test_random_below(&random, 7);
        n_pairs = n_pairs == 0 ? 2 : n_pairs == 1 && f == 1 ? 0 : 1;
        for (size_t p = 0; p < n_pairs; p++) {
            keys[n] = esp_mix64(f << 32 | test_random_below(&random, n_values)) | 1;
            coefficients[n] =
                f == TEST_FEATURES - 1 ? (float)(2 * test_random_unit(&random) - 1) : 1;
            n++;
        }
        begin[f + 1] = n;
    }
    add_row(stream, begin, keys, coefficients);
}

void test_stream_fill(struct test_stream *stream, size_t n, uint64_t seed)
{
    struct test_random random = {seed};
    for (size_t i = 0; i < n; i++) {
        int64_t t = (int64_t)i * ESP_MINUTE, t_click = t + ESP_MINUTE * 30;
        bool y = test_random_below(&random, 3) == 0, z = y && test_random_below(&random, 2) == 0;
        struct esp_example example = {
            .due_us = t + ESP_HOUR,
            .impression_us = t,
            .click_us = y ? t_click : ESP_TIME_NONE,
            .install_us = z ? t_click + ESP_HOUR : ESP_TIME_NONE,
            .ticket = i,
            .id_hash = esp_mix64(i),
            .weight = y ? 1 : 2.5,
            .base_weight = 1,
            .stage = ESP_STAGE_CLICK,
            .y = y,
            .holdout = i % 8 == 3,
        };
        add_example(stream, &example);
        example.z = z;
        example.stage = ESP_STAGE_WHOLE;
        example.due_us = t + 7 * ESP_HOUR;
        add_example(stream, &example);
        if (!y)
            continue;
        example.stage = ESP_STAGE_INSTALL;
        example.due_us = t_click + 6 * ESP_HOUR;
        add_example(stream, &example);
    }
    qsort(stream->examples, stream->n, sizeof(*stream->examples), by_label_order);
    for (size_t i = 0; i < stream->n; i++)
        add_features(stream, stream->examples[i].ticket, seed);
}

void test_stream_slice(const struct test_stream *stream, size_t first, size_t n,
                       struct esp_feature_batch *out)
{
    esp_feature_batch_reset(out);
    for (size_t i = first; i < first + n; i++)
        g_assert_true(esp_feature_batch_copy_row(out, &stream->features, i, NULL) == ESP_OK);
}

void test_learn_all(struct esp_learner *learner, const struct test_stream *stream, size_t chunk)
{
    struct esp_feature_batch features;
    esp_feature_batch_init(&features, stream->features.n_features);
    struct esp_error err = {0};
    for (size_t i = 0; i < stream->n; i += chunk) {
        size_t n = stream->n - i < chunk ? stream->n - i : chunk;
        test_stream_slice(stream, i, n, &features);
        g_assert_true(esp_learner_take(learner, stream->examples + i, n, &features, &err) ==
                      ESP_OK);
    }
    g_assert_true(esp_learner_flush(learner, &err) == ESP_OK);
    g_assert_cmpstr(err.text, ==, "");
    esp_feature_batch_release(&features);
}
