/*
 * features.h - from values to keys: categorical values, numbers, crosses.
 *
 * Every feature gives a row one or more (key, coefficient) pairs; the model looks the keys up in an
 * embedding table and adds the rows, each times its coefficient, into the feature's D columns. A
 * standardised number is one key with the number as coefficient. Keys are written down in
 * docs/features.md with test vectors.
 */
#ifndef ESP_FEATURE_FEATURES_H
#define ESP_FEATURE_FEATURES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/archive.h"
#include "core/buf.h"
#include "core/status.h"
#include "event/event.h"

enum esp_feature_kind {
    ESP_FEATURE_CATEGORICAL, /* any scalar, or an array of scalars (sum-pooled) */
    ESP_FEATURE_NUMERIC,
    ESP_FEATURE_CROSS, /* of two other features */
};

enum esp_numeric_scale { ESP_SCALE_LINEAR, ESP_SCALE_LOG /* sign(x) log1p(|x|) */ };
enum esp_numeric_form { ESP_FORM_STANDARDISED, ESP_FORM_BUCKETS };

struct esp_feature_config {
    const char *name; /* in keys: the path; "a x b" for a cross */
    enum esp_feature_kind kind;
    size_t value; /* index of its path in the decoder's feature_paths; not for crosses */
    enum esp_numeric_scale scale;
    enum esp_numeric_form form;
    size_t n_buckets;        /* BUCKETS: by running quantiles of what was trained on; 2 to 4096 */
    size_t cross_a, cross_b; /* CROSS: indices of categorical or bucketised features before it */
};

/*
 * Rows in compressed form. Pairs of row i, feature f: begin[i * n_features + f] up to
 * begin[i * n_features + f + 1] of keys and coefficients. Every feature has at least one pair but
 * an empty array, which has none.
 */
struct esp_feature_batch {
    size_t n_features;
    size_t n_rows, row_capacity;
    uint32_t *begin; /* (n_rows * n_features + 1) */
    uint64_t *keys;
    float *coefficients;
    size_t pair_capacity;
};

void esp_feature_batch_init(struct esp_feature_batch *batch, size_t n_features);
void esp_feature_batch_release(struct esp_feature_batch *batch);
void esp_feature_batch_reset(struct esp_feature_batch *batch);

/* Writes or reads the rows. Reading, into a batch of the same width: whatever stands there, the
 * pairs of each feature follow those of the one before, and no key is 0. */
void esp_feature_batch_archive(struct esp_archive *archive, struct esp_feature_batch *batch);

/* Appends row i of another batch of the same width (batch and from differ). Errors: ESP_EINVAL
 * (no such row, another width), ESP_ENOMEM; the batch is unchanged then. */
enum esp_status esp_feature_batch_copy_row(struct esp_feature_batch *batch,
                                           const struct esp_feature_batch *from, size_t row,
                                           struct esp_error *err);

struct esp_features; /* the list and its running statistics (parameters) */

enum { ESP_MAX_CROSS_PAIRS = 4096 }; /* of one row; the pairs of longer arrays are cut there */

/* Copies the list. Errors: ESP_ECONFIG (an empty list, a cross of what cannot be crossed, a name
 * twice), ESP_ENOMEM. */
enum esp_status esp_features_new(const struct esp_feature_config *list, size_t n,
                                 struct esp_features **out, struct esp_error *err);
void esp_features_free(struct esp_features *features);

size_t esp_features_count(const struct esp_features *features);
const struct esp_feature_config *esp_features_config(const struct esp_features *features,
                                                     size_t feature);

/*
 * Appends one row to the batch, from the values of one impression.
 *
 * values  (number of feature paths of the decoder)
 * learn   the row is a training example seen for the first time: its numbers enter the running
 *         statistics, after the row was made with those from before. Holdout and scoring: false;
 *         several threads may do that at once with batches of their own, while none learns.
 * A value that a numeric feature cannot read (text, bytes, array, NaN, infinite) is missing to it.
 * Errors: ESP_ENOMEM; batch and statistics are unchanged then.
 */
enum esp_status esp_features_add_row(struct esp_features *features, const struct esp_value *values,
                                     bool learn, struct esp_feature_batch *batch,
                                     struct esp_error *err);

/* The key of a categorical value: esp_hash(name, 0x1F, type tag, value bytes), never 0 (0 becomes
 * 1: 0 is an empty slot). MISSING has a key of its own. Not for arrays: their items have keys. */
uint64_t esp_feature_key(const char *name, const struct esp_value *value);

/* The key of a cross of two keys. */
uint64_t esp_feature_cross_key(const char *name, uint64_t key_a, uint64_t key_b);

/* The key of feature's default row: read where a key has no row of its own. */
uint64_t esp_feature_default_key(const char *name);

/* What a numeric feature has learned about its numbers, for people and other programs. */
struct esp_feature_statistics {
    uint64_t count;         /* STANDARDISED: numbers seen */
    double mean, deviation; /* STANDARDISED: of the population; deviation 0: the coefficient is 0 */
    bool has_buckets;       /* BUCKETS: bounds were made; before, numbers have the value row */
    size_t n_bounds;        /* BUCKETS */
    const double *bounds;   /* (n_bounds) ascending, borrowed as esp_features_state() */
};

/* Of a numeric feature of the list. */
void esp_features_statistics(const struct esp_features *features, size_t feature,
                             struct esp_feature_statistics *out);

/* A hash of list and statistics; equal after equal rows. */
uint64_t esp_features_hash(const struct esp_features *features);

/*
 * The running statistics as one block, for checkpoint and snapshot; its layout is in
 * docs/features.md. Borrowed, and valid until the next row that learns, restore or free.
 */
struct esp_bytes esp_features_state(const struct esp_features *features);

/* Takes back a block of the same list. Errors: ESP_EDATA (of another list or version, or damaged);
 * the statistics are unchanged then. */
enum esp_status esp_features_restore(struct esp_features *features, struct esp_bytes state,
                                     struct esp_error *err);

/* Writes or reads the running statistics: all that decides the keys and coefficients of later rows.
 * Reading, into a list of the same configuration. */
void esp_features_archive(struct esp_archive *archive, struct esp_features *features);

#endif
