/* rows.c - see rows.h. */
#include "learn/rows.h"

#include <assert.h>

enum { INFO_BYTES = 6 * 8 + 5 }; /* in an archive */

enum esp_status esp_rows_init(struct esp_rows *rows, size_t n_features, size_t capacity,
                              struct esp_error *err)
{
    *rows = (struct esp_rows){.capacity = capacity};
    esp_feature_batch_init(&rows->features, n_features);
    rows->infos = calloc(capacity, sizeof(*rows->infos));
    if (!rows->infos)
        return esp_fail(err, ESP_ENOMEM, "out of memory for a batch of %zu examples", capacity);
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

static void info_archive(struct esp_archive *archive, struct esp_row_info *info, bool *has_features)
{
    esp_archive_i64(archive, &info->due_us);
    esp_archive_i64(archive, &info->impression_us);
    esp_archive_u64(archive, &info->ticket);
    esp_archive_u64(archive, &info->id_hash);
    esp_archive_f64(archive, &info->weight);
    esp_archive_f64(archive, &info->base_weight);
    esp_archive_u8(archive, &info->stage);
    esp_archive_bool(archive, &info->y);
    esp_archive_bool(archive, &info->z);
    esp_archive_bool(archive, &info->holdout);
    esp_archive_bool(archive, has_features);
}

void esp_rows_archive(struct esp_archive *archive, struct esp_rows *rows)
{
    size_t n = rows->n, n_feature_rows = 0;
    esp_archive_mark(archive, "examples of a batch", 1);
    esp_archive_same(archive, rows->capacity, "the number of examples of a batch");
    esp_archive_count(archive, &n, INFO_BYTES);
    if (!esp_archive_check(archive, n < rows->capacity, "a batch's number of examples"))
        return;
    for (size_t i = 0; i < n; i++) {
        struct esp_row_info *info = &rows->infos[i];
        bool has_features = info->feature_row != ESP_NO_FEATURES;
        info_archive(archive, info, &has_features);
        if (!esp_archive_reads(archive))
            continue;
        info->terms = 0;
        info->feature_row = has_features ? n_feature_rows++ : ESP_NO_FEATURES;
    }
    esp_feature_batch_archive(archive, &rows->features);
    if (esp_archive_reads(archive) &&
        esp_archive_check(archive, rows->features.n_rows == n_feature_rows,
                          "a batch's number of feature rows"))
        rows->n = n;
}

size_t esp_rows_n_pairs(const struct esp_rows *rows)
{
    const struct esp_feature_batch *features = &rows->features;
    return features->n_rows == 0 ? 0 : features->begin[features->n_rows * features->n_features];
}
