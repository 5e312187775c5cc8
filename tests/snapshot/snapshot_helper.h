/* snapshot_helper.h - a small model made by hand, and its file. */
#ifndef ESP_TESTS_SNAPSHOT_HELPER_H
#define ESP_TESTS_SNAPSHOT_HELPER_H

#include "model/forward.h"
#include "snapshot/snapshot_write.h"

enum {
    TEST_FIELDS = 3,
    TEST_FEATURES = 4, /* country, price, both buckets of floor, country x floor */
    TEST_CAPACITY = 64,
    TEST_ROWS = 32,
};

/* A model of a set-up with drawn weights, statistics of some numbers, and rows for a few keys. */
struct test_model {
    struct esp_features *features;
    struct esp_network network;
    float *params, *packed;
    uint64_t keys[ESP_MAX_TOWERS][TEST_CAPACITY];
    uint32_t row_of[ESP_MAX_TOWERS][TEST_CAPACITY];
    uint32_t defaults[TEST_FEATURES];
    float *rows[ESP_MAX_TOWERS]; /* (TEST_ROWS, width + 5): a stride that is not the width */
    struct esp_manifest manifest;
    struct esp_parameters parameters;
    struct esp_forward_model forward; /* of the same arrays */
};

void test_model_init(struct test_model *model, enum esp_setup_id setup);
void test_model_release(struct test_model *model);

/* Appends n rows of made-up impressions to a batch that it initialises. */
void test_rows(struct esp_features *features, size_t n, struct esp_feature_batch *batch);

#endif
