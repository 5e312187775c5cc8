/* bench_model.c - see bench_model.h. */
#include "bench_model.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "core/hash.h"
#include "core/timespan.h"

static void insert(struct bench_model *model, uint64_t key, uint32_t row)
{
    size_t slot = key & (model->capacity - 1);
    while (model->keys[slot] != 0)
        slot = (slot + 1) & (model->capacity - 1);
    model->keys[slot] = key;
    model->row_of[slot] = row;
}

static bool allocate(struct bench_model *model, size_t n_rows)
{
    model->n_rows = n_rows;
    for (model->capacity = 1024; model->capacity < n_rows + n_rows / 2;)
        model->capacity *= 2;
    model->keys = calloc(model->capacity, sizeof *model->keys);
    model->row_of = calloc(model->capacity, sizeof *model->row_of);
    model->rows = calloc(n_rows * BENCH_WIDTH, sizeof *model->rows);
    model->params = aligned_alloc(64, model->network.n_params * sizeof *model->params);
    return model->keys != NULL && model->row_of != NULL && model->rows != NULL &&
           model->params != NULL;
}

static void fill(struct bench_model *model)
{
    size_t row = 0;
    for (size_t f = 0; f < BENCH_FEATURES; f++) {
        model->defaults[f] = (uint32_t)row;
        insert(model, esp_feature_default_key(model->names[f]), (uint32_t)row++);
    }
    for (int64_t value = 0; row < model->n_rows; value++) {
        struct esp_value v = {.type = ESP_VALUE_INT, .u.i = value};
        for (size_t f = 0; f < BENCH_FEATURES && row < model->n_rows; f++)
            insert(model, esp_feature_key(model->names[f], &v), (uint32_t)row++);
    }
    for (size_t i = 0; i < model->n_rows * BENCH_WIDTH; i++)
        model->rows[i] = 0.05f * esp_normal_of_bits(esp_mix64(i));
    esp_network_draw(&model->network, 1, model->params);
}

static struct esp_manifest manifest_of(const struct bench_model *model)
{
    return (struct esp_manifest){
        .run = "00000000deadbeef",
        .model = "bench",
        .number = 1,
        .boundary_us = ESP_HOUR,
        .every_us = ESP_HOUR,
        .has_installs = true,
        .setup = ESP_SETUP_IPSP,
        .width = BENCH_WIDTH,
        .layers = {128, 64},
        .n_layers = 2,
        .head_layers = {32},
        .n_head_layers = 1,
        .fields = model->fields,
        .n_fields = BENCH_FEATURES,
        .features = model->list,
        .n_features = BENCH_FEATURES,
        .statistics = model->features,
    };
}

enum esp_status bench_model_init(struct bench_model *model, size_t n_rows, struct esp_error *err)
{
    *model = (struct bench_model){.features = NULL};
    for (size_t f = 0; f < BENCH_FEATURES; f++) {
        snprintf(model->names[f], sizeof model->names[f], "f%zu", f);
        model->fields[f] = model->names[f];
        model->list[f] = (struct esp_feature_config){
            .name = model->names[f], .kind = ESP_FEATURE_CATEGORICAL, .value = f};
    }
    enum esp_status status = esp_features_new(model->list, BENCH_FEATURES, &model->features, err);
    if (status != ESP_OK)
        return status;
    model->manifest = manifest_of(model);
    status = esp_manifest_network(&model->manifest, &model->network, err);
    if (status == ESP_OK && !allocate(model, n_rows))
        status = esp_fail(err, ESP_ENOMEM, "out of memory for %zu rows", n_rows);
    if (status != ESP_OK)
        return status;
    fill(model);
    const struct esp_table_view view = {.keys = model->keys,
                                        .row_of = model->row_of,
                                        .mask = model->capacity - 1,
                                        .rows = model->rows,
                                        .stride = BENCH_WIDTH,
                                        .defaults = model->defaults};
    model->parameters =
        (struct esp_parameters){.network = &model->network, .params = model->params};
    model->parameters.tables[0] = (struct esp_parameter_table){view, n_rows};
    return ESP_OK;
}

void bench_model_release(struct bench_model *model)
{
    esp_features_free(model->features);
    free(model->keys);
    free(model->row_of);
    free(model->rows);
    free(model->params);
}

double bench_now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

int bench_fail(const struct esp_error *err)
{
    fprintf(stderr, "espalier-bench: %s\n", err->text);
    return err->status == ESP_ENOMEM ? 75 : 70;
}
