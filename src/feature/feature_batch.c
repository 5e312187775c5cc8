/* feature_batch.c - rows of (key, coefficient) pairs in compressed form; see features.h. */
#include "feature/feature_batch.h"

#include <stdlib.h>

enum { PAIR_BYTES = sizeof(uint64_t) + sizeof(float) };

void esp_feature_batch_init(struct esp_feature_batch *batch, size_t n_features)
{
    *batch = (struct esp_feature_batch){.n_features = n_features};
}

void esp_feature_batch_release(struct esp_feature_batch *batch)
{
    free(batch->begin);
    free(batch->keys);
    free(batch->coefficients);
    esp_feature_batch_init(batch, batch->n_features);
}

void esp_feature_batch_reset(struct esp_feature_batch *batch)
{
    batch->n_rows = 0;
}

/* Makes room for n_wanted rows, by doubling. */
static enum esp_status grow_rows(struct esp_feature_batch *batch, size_t n_wanted,
                                 struct esp_error *err)
{
    size_t n_rows = batch->row_capacity < 64 ? 64 : batch->row_capacity, n;
    if (n_wanted <= batch->row_capacity)
        return ESP_OK;
    while (n_rows < n_wanted)
        n_rows = n_rows > SIZE_MAX / 2 ? n_wanted : n_rows * 2;
    if (__builtin_mul_overflow(n_rows, batch->n_features, &n) || n > UINT32_MAX)
        return esp_fail(err, ESP_ENOMEM, "out of memory for %zu rows of %zu features in one batch",
                        n_rows, batch->n_features);
    uint32_t *begin = reallocarray(batch->begin, n + 1, sizeof *begin);
    if (begin == NULL)
        return esp_fail(err, ESP_ENOMEM, "out of memory for %zu rows of features", n_rows);
    begin[0] = 0;
    batch->begin = begin;
    batch->row_capacity = n_rows;
    return ESP_OK;
}

enum esp_status esp_feature_batch_reserve_row(struct esp_feature_batch *batch,
                                              struct esp_error *err)
{
    return grow_rows(batch, batch->n_rows + 1, err);
}

enum esp_status esp_feature_batch_grow_pairs(struct esp_feature_batch *batch, size_t n_pairs,
                                             size_t n, struct esp_error *err)
{
    if (n > UINT32_MAX - n_pairs)
        return esp_fail(err, ESP_ENOMEM, "more than %u keys in one batch", UINT32_MAX);
    void *keys = batch->keys, *coefficients = batch->coefficients;
    size_t key_capacity = batch->pair_capacity, capacity = batch->pair_capacity;
    enum esp_status status =
        esp_array_grow(&keys, &key_capacity, n_pairs + n, sizeof *batch->keys, err);
    if (status == ESP_OK)
        status =
            esp_array_grow(&coefficients, &capacity, n_pairs + n, sizeof *batch->coefficients, err);
    batch->keys = keys;
    batch->coefficients = coefficients;
    batch->pair_capacity = capacity; /* the smaller, where the second array did not grow */
    return status;
}

enum esp_status esp_feature_batch_copy_row(struct esp_feature_batch *batch,
                                           const struct esp_feature_batch *from, size_t row,
                                           struct esp_error *err)
{
    if (batch->n_features != from->n_features || row >= from->n_rows)
        return esp_fail(err, ESP_EINVAL, "row %zu of %zu, of %zu features for %zu", row,
                        from->n_rows, from->n_features, batch->n_features);
    size_t n_pairs = esp_feature_batch_pairs(batch);
    const uint32_t *begin = from->begin + row * from->n_features;
    size_t n = begin[from->n_features] - begin[0];
    enum esp_status status = esp_feature_batch_reserve_row(batch, err);
    if (status == ESP_OK)
        status = esp_feature_batch_reserve_pairs(batch, n_pairs, n, err);
    if (status != ESP_OK)
        return status;

    uint32_t *to = batch->begin + batch->n_rows * batch->n_features;
    for (size_t f = 1; f <= batch->n_features; f++)
        to[f] = (uint32_t)(n_pairs + (begin[f] - begin[0]));
    if (n > 0) {
        memcpy(batch->keys + n_pairs, from->keys + begin[0], n * sizeof *batch->keys);
        memcpy(batch->coefficients + n_pairs, from->coefficients + begin[0],
               n * sizeof *batch->coefficients);
    }
    batch->n_rows++;
    return ESP_OK;
}

/* Makes an empty batch ready for what an archive announces. False: there is no memory. */
static bool make_room(struct esp_archive *archive, struct esp_feature_batch *batch, size_t n_rows,
                      size_t n_pairs)
{
    struct esp_error err = {0};
    batch->n_rows = 0;
    enum esp_status status = grow_rows(batch, n_rows, &err);
    if (status == ESP_OK)
        status = esp_feature_batch_reserve_pairs(batch, 0, n_pairs, &err);
    if (status != ESP_OK)
        esp_archive_fail(archive, status, "%s", err.text);
    return status == ESP_OK;
}

/* What indexes by a batch relies on. */
static bool is_sound(const struct esp_feature_batch *batch, size_t n_rows, size_t n_pairs)
{
    size_t n = n_rows * batch->n_features, n_wrong = 0;
    for (size_t i = 0; i < n; i++)
        n_wrong += batch->begin[i] > batch->begin[i + 1];
    for (size_t i = 0; i < n_pairs; i++)
        n_wrong += batch->keys[i] == 0;
    return n_wrong == 0 && (n_rows == 0 ? n_pairs == 0 : batch->begin[n] == n_pairs);
}

void esp_feature_batch_archive(struct esp_archive *archive, struct esp_feature_batch *batch)
{
    bool reads = esp_archive_reads(archive);
    size_t n_rows = batch->n_rows, n_pairs = esp_feature_batch_pairs(batch);
    esp_archive_count(archive, &n_rows, batch->n_features * sizeof *batch->begin);
    esp_archive_count(archive, &n_pairs, PAIR_BYTES);
    if (reads && !make_room(archive, batch, n_rows, n_pairs))
        return;
    if (n_rows > 0)
        esp_archive_bytes(archive, batch->begin + 1,
                          n_rows * batch->n_features * sizeof *batch->begin);
    esp_archive_bytes(archive, batch->keys, n_pairs * sizeof *batch->keys);
    esp_archive_bytes(archive, batch->coefficients, n_pairs * sizeof *batch->coefficients);
    if (reads &&
        esp_archive_check(archive, is_sound(batch, n_rows, n_pairs), "a batch of features"))
        batch->n_rows = n_rows;
}
