/* rows.c - see rows.h. */
#include "learn/rows.h"

#include <assert.h>

enum esp_status esp_rows_init(struct esp_rows *rows, size_t n_features, size_t capacity,
                              struct esp_error *err)
{
    *rows = (struct esp_rows){.capacity = capacity};
    esp_feature_batch_init(&rows->features, n_features);
    rows->infos = calloc(capacity, sizeof(*rows->infos));
    if (!rows->infos)
        return esp_fail(err, ESP_ENOMEM, "a batch of %zu examples", capacity);
    return ESP_OK;
}

void esp_rows_release(struct esp_rows *rows)
{
    free(rows->infos);
    esp_feature_batch_release(&rows->features);
    *rows = (struct esp_rows){0};
}

void esp_rows_clear(struct esp_rows *rows)
{
    rows->n = 0;
    esp_feature_batch_reset(&rows->features);
}

enum esp_status esp_rows_add(struct esp_rows *rows, const struct esp_example *example,
                             unsigned terms, const struct esp_feature_batch *from, size_t row,
                             struct esp_error *err)
{
    assert(rows->n < rows->capacity);
    size_t feature_row = ESP_NO_FEATURES;
    if (from) {
        feature_row = rows->features.n_rows;
        enum esp_status status = esp_feature_batch_copy_row(&rows->features, from, row, err);
        if (status != ESP_OK)
            return status;
    }
    rows->infos[rows->n++] = (struct esp_row_info){
        .due_us = example->due_us,
        .impression_us = example->impression_us,
        .ticket = example->ticket,
        .id_hash = example->id_hash,
        .weight = example->weight,
        .base_weight = example->base_weight,
        .feature_row = feature_row,
        .terms = terms,
        .stage = example->stage,
        .y = example->y,
        .z = example->z,
        .holdout = example->holdout,
    };
    return ESP_OK;
}

size_t esp_rows_n_pairs(const struct esp_rows *rows)
{
    const struct esp_feature_batch *features = &rows->features;
    return features->n_rows == 0 ? 0 : features->begin[features->n_rows * features->n_features];
}
