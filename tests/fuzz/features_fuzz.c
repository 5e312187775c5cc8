/*
 * features_fuzz.c - any values through every kind of feature.
 *
 * The input is a program: each byte chooses the type of the next value, whose content follows. A
 * row that passes has pairs in order, keys that are not 0 and finite coefficients; copying it, and
 * going on from saved statistics, give the same.
 */
#include <math.h>

#include "core/check.h"
#include "feature/features.h"

enum { N_VALUES = 3, MAX_ITEMS = 80, N_FEATURES = 8 };

static const struct esp_feature_config list[N_FEATURES] = {
    {.name = "a", .kind = ESP_FEATURE_CATEGORICAL, .value = 0},
    {.name = "b", .kind = ESP_FEATURE_CATEGORICAL, .value = 1},
    {.name = "n", .kind = ESP_FEATURE_NUMERIC, .value = 2},
    {.name = "l", .kind = ESP_FEATURE_NUMERIC, .value = 2, .scale = ESP_SCALE_LOG},
    {.name = "q",
     .kind = ESP_FEATURE_NUMERIC,
     .value = 2,
     .form = ESP_FORM_BUCKETS,
     .n_buckets = 2},
    {.name = "r",
     .kind = ESP_FEATURE_NUMERIC,
     .value = 1,
     .scale = ESP_SCALE_LOG,
     .form = ESP_FORM_BUCKETS,
     .n_buckets = 256},
    {.name = "a x b", .kind = ESP_FEATURE_CROSS, .cross_a = 0, .cross_b = 1},
    {.name = "b x q", .kind = ESP_FEATURE_CROSS, .cross_a = 1, .cross_b = 4},
};

struct input {
    const uint8_t *next, *end;
};

static uint64_t take(struct input *input, size_t n)
{
    uint64_t word = 0;
    size_t left = (size_t)(input->end - input->next);
    n = n < left ? n : left;
    if (n > 0)
        memcpy(&word, input->next, n);
    input->next += n;
    return word;
}

/* items: room for an array's items, or NULL where none may begin. */
static struct esp_value take_value(struct input *input, struct esp_value *items)
{
    struct esp_value value = {.type = (uint8_t)(take(input, 1) % 8)}; /* 7 is no type at all */
    uint64_t bits;
    size_t size, left;
    switch (value.type) {
    case ESP_VALUE_BOOL:
    case ESP_VALUE_INT:
        value.u.i = (int64_t)take(input, 8);
        break;
    case ESP_VALUE_REAL:
        bits = take(input, 8);
        memcpy(&value.u.f, &bits, sizeof bits);
        break;
    case ESP_VALUE_TEXT:
    case ESP_VALUE_BYTES:
        size = take(input, 2) % 1024;
        left = (size_t)(input->end - input->next);
        value.u.bytes = esp_bytes(input->next, size < left ? size : left);
        input->next += value.u.bytes.size;
        break;
    case ESP_VALUE_ARRAY:
        if (items == NULL)
            break;
        value.n_items = (uint32_t)(take(input, 1) % (MAX_ITEMS + 1));
        value.u.items = items;
        for (uint32_t i = 0; i < value.n_items; i++)
            items[i] = take_value(input, NULL);
        break;
    default:
        break;
    }
    return value;
}

static void check_row(const struct esp_feature_batch *batch, size_t row)
{
    const uint32_t *begin = batch->begin + row * N_FEATURES;
    for (size_t f = 0; f < N_FEATURES; f++) {
        ESP_CHECK(1, begin[f] <= begin[f + 1]);
        ESP_CHECK(2, f < 6 || begin[f + 1] - begin[f] <= ESP_MAX_CROSS_PAIRS);
        for (uint32_t i = begin[f]; i < begin[f + 1]; i++) {
            ESP_CHECK(3, batch->keys[i] != 0);
            ESP_CHECK(4, fabsf(batch->coefficients[i]) <= 8);
        }
    }
}

/* The row again into the second batch, from the other's copy, is the same row. */
static void check_copy(struct esp_feature_batch *copy, const struct esp_feature_batch *batch,
                       size_t row)
{
    esp_feature_batch_reset(copy);
    if (esp_feature_batch_copy_row(copy, batch, row, NULL) != ESP_OK)
        return;
    const uint32_t *begin = batch->begin + row * N_FEATURES;
    size_t n = begin[N_FEATURES] - begin[0];
    ESP_CHECK(5, copy->begin[N_FEATURES] == n);
    ESP_CHECK(6, n == 0 || memcmp(copy->keys, batch->keys + begin[0], n * sizeof *copy->keys) == 0);
}

static void check_restore(struct esp_features *features)
{
    struct esp_features *twin = NULL;
    if (esp_features_new(list, N_FEATURES, &twin, NULL) != ESP_OK)
        return;
    enum esp_status status = esp_features_restore(twin, esp_features_state(features), NULL);
    ESP_CHECK(7, status == ESP_OK || status == ESP_ENOMEM);
    ESP_CHECK(8, status != ESP_OK || esp_features_hash(twin) == esp_features_hash(features));
    esp_features_free(twin);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {data, data + size};
    struct esp_features *features = NULL;
    struct esp_feature_batch batch, copy;
    if (size == 0 || esp_features_new(list, N_FEATURES, &features, NULL) != ESP_OK)
        return 0;
    esp_feature_batch_init(&batch, N_FEATURES);
    esp_feature_batch_init(&copy, N_FEATURES);
    while (input.next < input.end) {
        static struct esp_value items[N_VALUES][MAX_ITEMS];
        struct esp_value values[N_VALUES];
        size_t times = take(&input, 1) == 63 ? 600 : 1; /* often enough to end a generation */
        for (size_t v = 0; v < N_VALUES; v++)
            values[v] = take_value(&input, items[v]);
        for (size_t i = 0; i < times; i++) {
            esp_feature_batch_reset(&batch);
            if (esp_features_add_row(features, values, true, &batch, NULL) != ESP_OK ||
                batch.begin[N_FEATURES] > 100) /* long rows teach no more the second time */
                break;
        }
        if (batch.n_rows == 1) {
            check_row(&batch, 0);
            check_copy(&copy, &batch, 0);
        }
    }
    check_restore(features);
    esp_feature_batch_release(&batch);
    esp_feature_batch_release(&copy);
    esp_features_free(features);
    return 0;
}
