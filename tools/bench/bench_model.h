/*
 * bench_model.h - the model whose snapshot is measured, made up: 16 features, width 16, layers
 * 128-64, heads 32, set-up ipsp, and as many embedding rows as asked for, with drawn numbers.
 */
#ifndef ESP_TOOLS_BENCH_MODEL_H
#define ESP_TOOLS_BENCH_MODEL_H

#include "model/parameters.h"
#include "snapshot/manifest.h"

enum { BENCH_FEATURES = 16, BENCH_WIDTH = 16 };

/* Feature f has about n_rows / BENCH_FEATURES values: ints from 0 on. */
struct bench_model {
    char names[BENCH_FEATURES][8];
    const char *fields[BENCH_FEATURES];
    struct esp_feature_config list[BENCH_FEATURES];
    struct esp_features *features;
    struct esp_network network;
    uint64_t *keys;
    uint32_t *row_of;
    uint32_t defaults[BENCH_FEATURES];
    float *rows, *params;
    size_t capacity, n_rows;
    struct esp_manifest manifest;     /* borrows from the others, as the next */
    struct esp_parameters parameters; /* what esp_snapshot_write() takes */
};

/* *model must not move afterwards. Errors: ESP_ENOMEM. Release it in any case. */
enum esp_status bench_model_init(struct bench_model *model, size_t n_rows, struct esp_error *err);
void bench_model_release(struct bench_model *model);

/* Seconds of the monotonic clock. */
double bench_now(void);

/* Says what failed, and returns the exit code. */
int bench_fail(const struct esp_error *err);

#endif
