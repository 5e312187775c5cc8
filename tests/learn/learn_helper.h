/* learn_helper.h - small models and streams of labelled examples for the learner's tests. */
#ifndef ESP_TESTS_LEARN_HELPER_H
#define ESP_TESTS_LEARN_HELPER_H

#include "learn/learner.h"
#include "testkit.h"

enum { TEST_FEATURES = 3 };

extern const char *const test_feature_names[TEST_FEATURES];

/* ADAGRAD everywhere, width 4, layers 8-6, heads 5, batch 16, slice 8, windows of an hour. */
struct esp_learner_config test_learner_config(enum esp_setup_id setup);

/* A stream in label order; row i of features belongs to examples[i]. */
struct test_stream {
    struct esp_example *examples;
    size_t n, capacity;
    struct esp_feature_batch features;
};

void test_stream_init(struct test_stream *stream, size_t n_features);
void test_stream_release(struct test_stream *stream);

/* Appends an example with one key a feature (coefficient 1). */
void test_stream_add(struct test_stream *stream, const struct esp_example *example,
                     const uint64_t *keys);

/*
 * n impressions, one a minute: keys of small skewed domains, every seventh feature value a pair of
 * keys, numbers as coefficients on the last feature; a third clicked, half of those installed;
 * every eighth holdout; weights 1 or 2.5. All stages, sorted by (due, ticket, stage), with W_c one
 * hour and W_z six.
 */
void test_stream_fill(struct test_stream *stream, size_t n, uint64_t seed);

/* Rows [first, first + n) of the stream's features as a batch of their own. */
void test_stream_slice(const struct test_stream *stream, size_t first, size_t n,
                       struct esp_feature_batch *out);

/* Feeds the stream in chunks of the given size and flushes. */
void test_learn_all(struct esp_learner *learner, const struct test_stream *stream, size_t chunk);

#endif
