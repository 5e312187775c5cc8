/*
 * features.c - the feature list: checks it once, then turns values into keys row by row.
 *
 * DESIGN  What is fixed per feature (its name as bytes, the keys of missing, value and buckets) is
 * made once. All running statistics lie in one block of 8-byte words, so that saving is a copy:
 *
 *   offset  size
 *   0       8     version, 1
 *   8       8     hash of the list
 *   16      ...   each numeric feature in the order of the list: struct esp_standard or
 *                 struct esp_quantiles
 */
#include "feature/features.h"

#include <math.h>
#include <stdlib.h>

#include "core/hash.h"
#include "feature/feature_batch.h"
#include "feature/keys.h"
#include "feature/quantiles.h"
#include "feature/standard.h"

enum { STATE_VERSION = 1, STATE_HEADER = 16 };

#define OF_ANOTHER_LIST "feature statistics of another feature list or version cannot be taken"

struct feature {
    struct esp_feature_config config; /* its name is owned */
    struct esp_bytes name;            /* the same, without NUL */
    uint64_t missing_key;             /* not of crosses */
    uint64_t value_key;               /* of numbers: standardised, or before there are buckets */
    uint64_t *bucket_keys;            /* (n_buckets), owned; NULL without buckets */
    size_t state;                     /* of numbers: where in the block its statistics are */
};

struct esp_features {
    struct feature *list; /* (n) */
    size_t n;
    uint8_t *state; /* (state_bytes) the block above */
    size_t state_bytes;
    double *numbers; /* (n) of the row that learns, NaN where missing; untouched by others */
};

static bool has_buckets(const struct esp_feature_config *config)
{
    return config->kind == ESP_FEATURE_NUMERIC && config->form == ESP_FORM_BUCKETS;
}

static struct esp_standard *standard_of(const struct esp_features *features,
                                        const struct feature *feature)
{
    return (struct esp_standard *)(void *)(features->state + feature->state);
}

static struct esp_quantiles *quantiles_of(const struct esp_features *features,
                                          const struct feature *feature)
{
    return (struct esp_quantiles *)(void *)(features->state + feature->state);
}

/* ---- the list ---- */

static enum esp_status check_cross(const struct esp_feature_config *list, size_t i,
                                   struct esp_error *err)
{
    const struct esp_feature_config *config = &list[i];
    size_t parts[2] = {config->cross_a, config->cross_b};
    if (parts[0] == parts[1])
        return esp_fail(err, ESP_ECONFIG, "feature \"%s\": a cross needs two features that differ",
                        config->name);
    for (size_t p = 0; p < 2; p++) {
        if (parts[p] >= i)
            return esp_fail(err, ESP_ECONFIG,
                            "feature \"%s\": a cross must stand after the features it is made of",
                            config->name);
        const struct esp_feature_config *part = &list[parts[p]];
        if (part->kind != ESP_FEATURE_CATEGORICAL && !has_buckets(part))
            return esp_fail(err, ESP_ECONFIG,
                            "feature \"%s\": \"%s\" cannot be crossed; a cross takes categorical "
                            "features and numeric ones in buckets",
                            config->name, part->name);
    }
    return ESP_OK;
}

static enum esp_status check_config(const struct esp_feature_config *list, size_t i,
                                    struct esp_error *err)
{
    const struct esp_feature_config *config = &list[i];
    if (config->name == NULL || config->name[0] == '\0')
        return esp_fail(err, ESP_ECONFIG, "feature %zu has no name", i);
    if (strchr(config->name, ESP_KEY_SEPARATOR) != NULL)
        return esp_fail(err, ESP_ECONFIG, "feature \"%s\": a name cannot contain the byte 0x1F",
                        config->name);
    for (size_t other = 0; other < i; other++) {
        if (strcmp(list[other].name, config->name) == 0)
            return esp_fail(err, ESP_ECONFIG, "feature \"%s\" is listed twice", config->name);
    }
    if (has_buckets(config) &&
        (config->n_buckets < ESP_MIN_BUCKETS || config->n_buckets > ESP_MAX_BUCKETS))
        return esp_fail(err, ESP_ECONFIG, "feature \"%s\": %zu buckets; it takes %d to %d",
                        config->name, config->n_buckets, ESP_MIN_BUCKETS, ESP_MAX_BUCKETS);
    return config->kind == ESP_FEATURE_CROSS ? check_cross(list, i, err) : ESP_OK;
}

/* Copies one entry and makes its fixed keys. Errors: ESP_ENOMEM; the feature may be half built. */
static enum esp_status init_feature(struct feature *feature,
                                    const struct esp_feature_config *config, struct esp_error *err)
{
    feature->config = *config;
    char *name = strdup(config->name);
    feature->config.name = name;
    if (name == NULL)
        return esp_fail(err, ESP_ENOMEM, "out of memory for a feature's name");
    feature->name = esp_bytes_of(name);
    feature->missing_key = esp_key_of_bytes(feature->name, ESP_KEY_MISSING, esp_bytes(NULL, 0));
    feature->value_key = esp_key_of_bytes(feature->name, ESP_KEY_VALUE, esp_bytes(NULL, 0));
    if (!has_buckets(config))
        return ESP_OK;
    feature->bucket_keys = calloc(config->n_buckets, sizeof *feature->bucket_keys);
    if (feature->bucket_keys == NULL)
        return esp_fail(err, ESP_ENOMEM, "out of memory for %zu buckets", config->n_buckets);
    for (size_t b = 0; b < config->n_buckets; b++)
        feature->bucket_keys[b] = esp_key_of_u64(feature->name, ESP_KEY_BUCKET, b);
    return ESP_OK;
}

static uint64_t hash_word(uint64_t hash, uint64_t word)
{
    return esp_mix64(hash ^ word);
}

/* A hash of all that the list says, but where its values come from. */
static uint64_t hash_list(const struct esp_features *features)
{
    uint64_t hash = hash_word(0, features->n);
    for (size_t i = 0; i < features->n; i++) {
        const struct esp_feature_config *config = &features->list[i].config;
        hash = hash_word(hash, esp_hash(features->list[i].name));
        hash = hash_word(hash, config->kind);
        if (config->kind == ESP_FEATURE_NUMERIC) {
            hash = hash_word(hash, config->scale);
            hash = hash_word(hash, config->form);
            hash = hash_word(hash, has_buckets(config) ? config->n_buckets : 0);
        } else if (config->kind == ESP_FEATURE_CROSS) {
            hash = hash_word(hash, config->cross_a);
            hash = hash_word(hash, config->cross_b);
        }
    }
    return hash;
}

/* Lays out the block and zeroes it, which is every statistic's empty state. */
static enum esp_status init_state(struct esp_features *features, struct esp_error *err)
{
    features->state_bytes = STATE_HEADER;
    for (size_t i = 0; i < features->n; i++) {
        struct feature *feature = &features->list[i];
        feature->state = features->state_bytes;
        if (has_buckets(&feature->config))
            features->state_bytes += esp_quantiles_bytes(feature->config.n_buckets);
        else if (feature->config.kind == ESP_FEATURE_NUMERIC)
            features->state_bytes += sizeof(struct esp_standard);
    }
    features->state = calloc(1, features->state_bytes);
    if (features->state == NULL)
        return esp_fail(err, ESP_ENOMEM, "out of memory for %zu bytes of feature statistics",
                        features->state_bytes);
    uint64_t header[2] = {STATE_VERSION, hash_list(features)};
    memcpy(features->state, header, sizeof header);
    return ESP_OK;
}

enum esp_status esp_features_new(const struct esp_feature_config *list, size_t n,
                                 struct esp_features **out, struct esp_error *err)
{
    if (n == 0)
        return esp_fail(err, ESP_ECONFIG, "no features are listed");
    for (size_t i = 0; i < n; i++) {
        enum esp_status status = check_config(list, i, err);
        if (status != ESP_OK)
            return status;
    }

    enum esp_status status = ESP_OK;
    struct esp_features *features = calloc(1, sizeof *features);
    if (features != NULL)
        features->list = calloc(n, sizeof *features->list);
    if (features == NULL || features->list == NULL) {
        status = esp_fail(err, ESP_ENOMEM, "out of memory for %zu features", n);
        goto out;
    }
    features->n = n;
    features->numbers = calloc(n, sizeof *features->numbers);
    if (features->numbers == NULL)
        status = esp_fail(err, ESP_ENOMEM, "out of memory for %zu features", n);
    for (size_t i = 0; i < n && status == ESP_OK; i++)
        status = init_feature(&features->list[i], &list[i], err);
    if (status == ESP_OK)
        status = init_state(features, err);
    if (status != ESP_OK)
        goto out;
    *out = features;
    features = NULL; /* moved to the caller */
out:
    esp_features_free(features);
    return status;
}

void esp_features_free(struct esp_features *features)
{
    if (features == NULL)
        return;
    for (size_t i = 0; i < features->n; i++) {
        free((char *)features->list[i].config.name);
        free(features->list[i].bucket_keys);
    }
    free(features->list);
    free(features->numbers);
    free(features->state);
    free(features);
}

size_t esp_features_count(const struct esp_features *features)
{
    return features->n;
}

const struct esp_feature_config *esp_features_config(const struct esp_features *features,
                                                     size_t feature)
{
    return &features->list[feature].config;
}

/* ---- rows ---- */

/* The key of a scalar. What is no scalar (an array in an array) has no value: missing. */
static uint64_t key_of_scalar(struct esp_bytes name, const struct esp_value *value)
{
    switch (value->type) {
    case ESP_VALUE_BOOL:
        return esp_key_of_bool(name, value->u.i != 0);
    case ESP_VALUE_INT:
        return esp_key_of_u64(name, ESP_KEY_INT, (uint64_t)value->u.i);
    case ESP_VALUE_REAL:
        return esp_key_of_real(name, value->u.f);
    case ESP_VALUE_TEXT:
        return esp_key_of_bytes(name, ESP_KEY_TEXT, value->u.bytes);
    case ESP_VALUE_BYTES:
        return esp_key_of_bytes(name, ESP_KEY_BYTES, value->u.bytes);
    default:
        return esp_key_of_bytes(name, ESP_KEY_MISSING, esp_bytes(NULL, 0));
    }
}

/* The number that statistics and buckets see; NaN where there is none. */
static double number_of(const struct feature *feature, const struct esp_value *value)
{
    double x;
    if (value->type == ESP_VALUE_INT)
        x = (double)value->u.i;
    else if (value->type == ESP_VALUE_BOOL)
        x = value->u.i != 0;
    else if (value->type == ESP_VALUE_REAL && isfinite(value->u.f))
        x = value->u.f;
    else
        return NAN;
    return feature->config.scale == ESP_SCALE_LOG ? copysign(log1p(fabs(x)), x) : x;
}

/* A row under way: its pairs lie behind those of the batch's complete rows. */
struct row {
    struct esp_feature_batch *batch;
    uint32_t *begin; /* of this row: (n_features + 1), filled up to the feature under way */
    size_t n_pairs;  /* of the batch and the row so far */
    double *numbers; /* (n_features) noted here for those who learn; else NULL */
};

static void put(struct row *row, uint64_t key, float coefficient)
{
    row->batch->keys[row->n_pairs] = key;
    row->batch->coefficients[row->n_pairs] = coefficient;
    row->n_pairs++;
}

static enum esp_status put_categorical(struct row *row, const struct feature *feature,
                                       const struct esp_value *value, struct esp_error *err)
{
    bool is_array = value->type == ESP_VALUE_ARRAY;
    const struct esp_value *items = is_array ? value->u.items : value;
    size_t n = is_array ? value->n_items : 1;
    enum esp_status status = esp_feature_batch_reserve_pairs(row->batch, row->n_pairs, n, err);
    if (status != ESP_OK)
        return status;
    for (size_t i = 0; i < n; i++) {
        put(row,
            items[i].type == ESP_VALUE_MISSING ? feature->missing_key
                                               : key_of_scalar(feature->name, &items[i]),
            1);
    }
    return ESP_OK;
}

/* The key of a number that is there, and its coefficient. */
static uint64_t key_of_number(const struct esp_features *features, const struct feature *feature,
                              double x, float *coefficient)
{
    *coefficient = 1;
    if (feature->bucket_keys == NULL) {
        *coefficient = (float)esp_standard_score(standard_of(features, feature), x);
        return feature->value_key;
    }
    const struct esp_quantiles *quantiles = quantiles_of(features, feature);
    return esp_quantiles_ready(quantiles) ? feature->bucket_keys[esp_quantiles_bucket(quantiles, x)]
                                          : feature->value_key;
}

static enum esp_status put_numeric(struct row *row, const struct esp_features *features, size_t i,
                                   const struct esp_value *value, struct esp_error *err)
{
    enum esp_status status = esp_feature_batch_reserve_pairs(row->batch, row->n_pairs, 1, err);
    if (status != ESP_OK)
        return status;
    const struct feature *feature = &features->list[i];
    double x = number_of(feature, value);
    float coefficient = 1;
    uint64_t key =
        isnan(x) ? feature->missing_key : key_of_number(features, feature, x, &coefficient);
    put(row, key, coefficient);
    if (row->numbers != NULL)
        row->numbers[i] = x;
    return ESP_OK;
}

static enum esp_status put_cross(struct row *row, const struct feature *feature,
                                 struct esp_error *err)
{
    size_t a = row->begin[feature->config.cross_a], b = row->begin[feature->config.cross_b];
    size_t n_a = row->begin[feature->config.cross_a + 1] - a;
    size_t n_b = row->begin[feature->config.cross_b + 1] - b;
    size_t n = n_a > 0 && n_b > ESP_MAX_CROSS_PAIRS / n_a ? ESP_MAX_CROSS_PAIRS : n_a * n_b;
    enum esp_status status = esp_feature_batch_reserve_pairs(row->batch, row->n_pairs, n, err);
    if (status != ESP_OK)
        return status;
    const uint64_t *keys = row->batch->keys;
    for (size_t i = 0; i < n; i++)
        put(row, esp_key_of_cross(feature->name, keys[a + i / n_b], keys[b + i % n_b]), 1);
    return ESP_OK;
}

static enum esp_status put_feature(struct row *row, const struct esp_features *features, size_t i,
                                   const struct esp_value *values, struct esp_error *err)
{
    const struct feature *feature = &features->list[i];
    switch (feature->config.kind) {
    case ESP_FEATURE_CATEGORICAL:
        return put_categorical(row, feature, &values[feature->config.value], err);
    case ESP_FEATURE_NUMERIC:
        return put_numeric(row, features, i, &values[feature->config.value], err);
    case ESP_FEATURE_CROSS:
        return put_cross(row, feature, err);
    }
    return esp_fail(err, ESP_EBUG, "feature \"%s\" is of no kind", feature->config.name);
}

/* Takes the numbers of a row that is complete. */
static void learn_numbers(struct esp_features *features)
{
    for (size_t i = 0; i < features->n; i++) {
        const struct feature *feature = &features->list[i];
        if (feature->config.kind != ESP_FEATURE_NUMERIC || isnan(features->numbers[i]))
            continue;
        if (feature->bucket_keys == NULL)
            esp_standard_learn(standard_of(features, feature), features->numbers[i]);
        else
            esp_quantiles_learn(quantiles_of(features, feature), feature->config.n_buckets,
                                features->numbers[i]);
    }
}

enum esp_status esp_features_add_row(struct esp_features *features, const struct esp_value *values,
                                     bool learn, struct esp_feature_batch *batch,
                                     struct esp_error *err)
{
    if (batch->n_features != features->n)
        return esp_fail(err, ESP_EINVAL, "a batch of %zu features for a list of %zu",
                        batch->n_features, features->n);
    enum esp_status status = esp_feature_batch_reserve_row(batch, err);
    if (status != ESP_OK)
        return status;
    struct row row = {
        .batch = batch,
        .begin = batch->begin + batch->n_rows * features->n,
        .n_pairs = esp_feature_batch_pairs(batch),
        .numbers = learn ? features->numbers : NULL,
    };
    for (size_t i = 0; i < features->n; i++) {
        status = put_feature(&row, features, i, values, err);
        if (status != ESP_OK)
            return status;
        row.begin[i + 1] = (uint32_t)row.n_pairs;
    }
    batch->n_rows++;
    if (learn)
        learn_numbers(features);
    return ESP_OK;
}

/* ---- keys for others ---- */

uint64_t esp_feature_key(const char *name, const struct esp_value *value)
{
    return key_of_scalar(esp_bytes_of(name), value);
}

uint64_t esp_feature_cross_key(const char *name, uint64_t key_a, uint64_t key_b)
{
    return esp_key_of_cross(esp_bytes_of(name), key_a, key_b);
}

uint64_t esp_feature_default_key(const char *name)
{
    return esp_key_of_bytes(esp_bytes_of(name), ESP_KEY_DEFAULT, esp_bytes(NULL, 0));
}

/* ---- statistics out and in ---- */

void esp_features_statistics(const struct esp_features *features, size_t i,
                             struct esp_feature_statistics *out)
{
    const struct feature *feature = &features->list[i];
    *out = (struct esp_feature_statistics){0};
    if (feature->bucket_keys == NULL) {
        const struct esp_standard *standard = standard_of(features, feature);
        out->count = standard->count;
        out->mean = standard->mean;
        out->deviation = esp_standard_deviation(standard);
        return;
    }
    const struct esp_quantiles *quantiles = quantiles_of(features, feature);
    out->has_buckets = esp_quantiles_ready(quantiles);
    out->n_bounds = quantiles->n_bounds;
    out->bounds = quantiles->values;
}

uint64_t esp_features_hash(const struct esp_features *features)
{
    return esp_hash(esp_features_state(features));
}

struct esp_bytes esp_features_state(const struct esp_features *features)
{
    return esp_bytes(features->state, features->state_bytes);
}

/* True if every statistic of the block could have been learned. */
static bool is_valid(const struct esp_features *features)
{
    for (size_t i = 0; i < features->n; i++) {
        const struct feature *feature = &features->list[i];
        if (feature->config.kind != ESP_FEATURE_NUMERIC)
            continue;
        bool valid =
            feature->bucket_keys == NULL
                ? esp_standard_valid(standard_of(features, feature))
                : esp_quantiles_valid(quantiles_of(features, feature), feature->config.n_buckets);
        if (!valid)
            return false;
    }
    return true;
}

/* Takes over a block of state_bytes, or frees it. */
static enum esp_status adopt_state(struct esp_features *features, uint8_t *state,
                                   struct esp_error *err)
{
    enum esp_status status = ESP_OK;
    struct esp_features candidate = *features;
    candidate.state = state;
    if (memcmp(state, features->state, STATE_HEADER) != 0)
        status = esp_fail(err, ESP_EDATA, OF_ANOTHER_LIST);
    else if (!is_valid(&candidate))
        status = esp_fail(err, ESP_EDATA, "feature statistics are damaged");
    if (status == ESP_OK) {
        free(features->state);
        features->state = state;
        state = NULL; /* moved to the list */
    }
    free(state);
    return status;
}

static uint8_t *new_state(const struct esp_features *features, struct esp_error *err)
{
    uint8_t *state = malloc(features->state_bytes);
    if (state == NULL)
        esp_fail(err, ESP_ENOMEM, "out of memory for %zu bytes of feature statistics",
                 features->state_bytes);
    return state;
}

enum esp_status esp_features_restore(struct esp_features *features, struct esp_bytes state,
                                     struct esp_error *err)
{
    if (state.size != features->state_bytes)
        return esp_fail(err, ESP_EDATA, OF_ANOTHER_LIST);
    uint8_t *copy = new_state(features, err);
    if (copy == NULL)
        return ESP_ENOMEM;
    memcpy(copy, state.data, state.size);
    return adopt_state(features, copy, err);
}

void esp_features_archive(struct esp_archive *archive, struct esp_features *features)
{
    struct esp_error err = {0};
    esp_archive_mark(archive, "feature statistics", 1);
    esp_archive_same(archive, features->state_bytes, "the size of the feature statistics");
    if (!esp_archive_reads(archive)) {
        esp_archive_bytes(archive, features->state, features->state_bytes);
        return;
    }
    if (!esp_archive_is_ok(archive))
        return;
    uint8_t *state = new_state(features, &err);
    if (state != NULL) {
        esp_archive_bytes(archive, state, features->state_bytes);
        adopt_state(features, state, &err); /* zeros, where the archive was too short, are none */
    }
    if (err.status != ESP_OK)
        esp_archive_fail(archive, err.status, "%s", err.text);
}
