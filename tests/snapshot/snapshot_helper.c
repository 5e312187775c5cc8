/* snapshot_helper.c - see snapshot_helper.h. */
#include "snapshot_helper.h"

#include <stdlib.h>

#include "testkit.h"

enum { WIDTH = 6, STRIDE = WIDTH + 5 };

static const char *const FIELDS[TEST_FIELDS] = {"geo.country", "bid.price", "bid.floor"};
static const struct esp_feature_config FEATURES[TEST_FEATURES] = {
    {.name = "geo.country", .kind = ESP_FEATURE_CATEGORICAL, .value = 0},
    {.name = "bid.price", .kind = ESP_FEATURE_NUMERIC, .value = 1, .scale = ESP_SCALE_LOG},
    {.name = "bid.floor",
     .kind = ESP_FEATURE_NUMERIC,
     .value = 2,
     .form = ESP_FORM_BUCKETS,
     .n_buckets = 4},
    {.name = "geo.country x bid.floor", .kind = ESP_FEATURE_CROSS, .cross_a = 0, .cross_b = 2},
};
static const uint64_t SCHEMAS[] = {1, 0xfedcba9876543210};

/* Impression i: the third country has no row, prices are sometimes missing. */
static void values_of(size_t i, struct esp_value values[TEST_FIELDS])
{
    static const char *const countries[] = {"DE", "FR", "never seen"};
    values[0] =
        (struct esp_value){.type = ESP_VALUE_TEXT, .u.bytes = esp_bytes_of(countries[i % 3])};
    values[1] = i % 5 == 4 ? (struct esp_value){.type = ESP_VALUE_MISSING}
                           : (struct esp_value){.type = ESP_VALUE_REAL, .u.f = 0.25 * (double)i};
    values[2] = (struct esp_value){.type = ESP_VALUE_INT, .u.i = (int64_t)(i * 37 % 101)};
}

void test_rows(struct esp_features *features, size_t n, struct esp_feature_batch *batch)
{
    esp_feature_batch_init(batch, TEST_FEATURES);
    for (size_t i = 0; i < n; i++) {
        struct esp_value values[TEST_FIELDS];
        values_of(i, values);
        g_assert_cmpint(esp_features_add_row(features, values, false, batch, NULL), ==, ESP_OK);
    }
}

static void learn_statistics(struct esp_features *features)
{
    struct esp_feature_batch batch;
    esp_feature_batch_init(&batch, TEST_FEATURES);
    for (size_t i = 0; i < 1000; i++) {
        struct esp_value values[TEST_FIELDS];
        values_of(i, values);
        g_assert_cmpint(esp_features_add_row(features, values, true, &batch, NULL), ==, ESP_OK);
        esp_feature_batch_reset(&batch);
    }
    esp_feature_batch_release(&batch);
}

static void insert(struct test_model *model, size_t t, uint64_t key, uint32_t row)
{
    size_t slot = key % TEST_CAPACITY;
    while (model->keys[t][slot] != 0)
        slot = (slot + 1) % TEST_CAPACITY;
    model->keys[t][slot] = key;
    model->row_of[t][slot] = row;
}

/* Rows of the default keys, and of the pairs of the first two impressions. */
static void fill_table(struct test_model *model, size_t t)
{
    struct esp_feature_batch batch;
    uint32_t row = 0;
    for (size_t f = 0; f < TEST_FEATURES; f++) {
        model->defaults[f] = row;
        insert(model, t, esp_feature_default_key(FEATURES[f].name), row++);
    }
    test_rows(model->features, 2, &batch);
    for (size_t p = 0; p < batch.begin[2 * TEST_FEATURES]; p++) {
        struct esp_table_view view = {
            .keys = model->keys[t], .row_of = model->row_of[t], .mask = TEST_CAPACITY - 1};
        if (esp_table_find(&view, batch.keys[p]) == ESP_NO_ROW)
            insert(model, t, batch.keys[p], row++);
    }
    g_assert_cmpuint(row, <=, TEST_ROWS);
    esp_feature_batch_release(&batch);
    struct test_random random = {.state = 7 + t};
    model->rows[t] = calloc(TEST_ROWS * STRIDE, sizeof(float));
    for (size_t i = 0; i < TEST_ROWS * STRIDE; i++)
        model->rows[t][i] = (float)(test_random_unit(&random) - 0.5);
    struct esp_table_view view = {.keys = model->keys[t],
                                  .row_of = model->row_of[t],
                                  .mask = TEST_CAPACITY - 1,
                                  .rows = model->rows[t],
                                  .stride = STRIDE,
                                  .defaults = model->defaults};
    model->forward.tables[t] = view;
    model->parameters.tables[t] = (struct esp_parameter_table){view, TEST_ROWS};
}

void test_model_init(struct test_model *model, enum esp_setup_id setup)
{
    *model = (struct test_model){.features = NULL};
    g_assert_cmpint(esp_features_new(FEATURES, TEST_FEATURES, &model->features, NULL), ==, ESP_OK);
    learn_statistics(model->features);
    model->manifest = (struct esp_manifest){
        .run = "00000000deadbeef",
        .model = "main",
        .number = 12,
        .boundary_us = 12 * ESP_HOUR,
        .every_us = ESP_HOUR,
        .has_installs = true,
        .setup = setup,
        .width = WIDTH,
        .layers = {7, 5},
        .n_layers = 2,
        .head_layers = {3},
        .n_head_layers = 1,
        .n_learned = 1000,
        .n_steps = 10,
        .fields = FIELDS,
        .n_fields = TEST_FIELDS,
        .features = FEATURES,
        .n_features = TEST_FEATURES,
        .schemas = SCHEMAS,
        .n_schemas = 2,
        .statistics = model->features,
    };
    g_assert_cmpint(esp_manifest_network(&model->manifest, &model->network, NULL), ==, ESP_OK);
    model->params = aligned_alloc(64, model->network.n_params * sizeof(float));
    model->packed = aligned_alloc(64, model->network.n_packed * sizeof(float) + 64);
    esp_network_draw(&model->network, 1, model->params);
    esp_network_pack(&model->network, model->params, model->packed);
    model->forward.network = model->parameters.network = &model->network;
    model->forward.weights = (struct esp_weights){model->params, model->packed};
    model->parameters.params = model->params;
    for (size_t t = 0; t < model->network.n_towers; t++)
        fill_table(model, t);
}

void test_model_release(struct test_model *model)
{
    esp_features_free(model->features);
    free(model->params);
    free(model->packed);
    for (size_t t = 0; t < ESP_MAX_TOWERS; t++)
        free(model->rows[t]);
}
