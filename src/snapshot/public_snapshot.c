/* public_snapshot.c - the public face of snapshots and scorers: include/espalier/espalier.h. */
#include <espalier/espalier.h>

#include <stdlib.h>
#include <string.h>

#include "metric/metric.h"
#include "model/scorer.h"
#include "snapshot/snapshot.h"

enum {
    ROWS_AT_A_TIME = 1024, /* bounds a scorer's memory, whatever the caller's batch */
};

/* Public values are ours: the arrays that callers give are read in place. */
_Static_assert(sizeof(struct espalier_value) == sizeof(struct esp_value), "one layout");
_Static_assert(offsetof(struct espalier_value, type) == offsetof(struct esp_value, type), "type");
_Static_assert(offsetof(struct espalier_value, n_items) == offsetof(struct esp_value, n_items),
               "n_items");
_Static_assert(offsetof(struct espalier_value, u) == offsetof(struct esp_value, u), "u");
_Static_assert(sizeof(((struct espalier_value *)0)->u) == sizeof(((struct esp_value *)0)->u), "u");
_Static_assert(sizeof(struct espalier_bytes) == sizeof(struct esp_bytes), "bytes");
_Static_assert(offsetof(struct espalier_bytes, size) == offsetof(struct esp_bytes, size), "size");
_Static_assert((int)ESPALIER_MISSING == (int)ESP_VALUE_MISSING, "types");
_Static_assert((int)ESPALIER_BOOL == (int)ESP_VALUE_BOOL, "types");
_Static_assert((int)ESPALIER_INT == (int)ESP_VALUE_INT, "types");
_Static_assert((int)ESPALIER_REAL == (int)ESP_VALUE_REAL, "types");
_Static_assert((int)ESPALIER_TEXT == (int)ESP_VALUE_TEXT, "types");
_Static_assert((int)ESPALIER_BYTES == (int)ESP_VALUE_BYTES, "types");
_Static_assert((int)ESPALIER_ARRAY == (int)ESP_VALUE_ARRAY, "types");
_Static_assert((int)ESPALIER_CLICK == (int)ESP_TASK_CLICK, "tasks");
_Static_assert((int)ESPALIER_INSTALL_GIVEN_CLICK == (int)ESP_TASK_INSTALL_GIVEN_CLICK, "tasks");
_Static_assert((int)ESPALIER_INSTALL == (int)ESP_TASK_INSTALL, "tasks");
_Static_assert((int)ESPALIER_N_TASKS == (int)ESP_N_TASKS, "tasks");
_Static_assert(sizeof(((struct espalier_error *)0)->text) == ESP_ERROR_TEXT_SIZE, "errors");

struct espalier_snapshot {
    struct esp_snapshot *inner; /* owned */
};

struct espalier_scorer {
    const struct esp_snapshot *snapshot; /* borrowed */
    struct esp_scorer *inner;            /* owned, as the next two are */
    struct esp_feature_batch batch;
    float *logits; /* (ROWS_AT_A_TIME, ESP_N_TASKS) */
    size_t n_fields, n_features;
};

/* ---- errors ---------------------------------------------------------------------------------- */

static int public_code(enum esp_status status)
{
    switch (status) {
    case ESP_OK:
        return ESPALIER_OK;
    case ESP_EINVAL:
    case ESP_ECONFIG:
        return ESPALIER_INVALID;
    case ESP_EIO:
        return ESPALIER_IO;
    case ESP_EDATA:
    case ESP_ELIMIT:
        return ESPALIER_DATA;
    case ESP_ENOMEM:
        return ESPALIER_NO_MEMORY;
    default:
        return ESPALIER_INTERNAL;
    }
}

/* Hands a failure over, if it is one. Returns its public code. */
static int tell(const struct esp_error *inner, struct espalier_error *error)
{
    if (inner->status != ESP_OK && error != NULL) {
        error->code = public_code(inner->status);
        memcpy(error->text, inner->text, sizeof error->text);
    }
    return public_code(inner->status);
}

static int refuse(struct espalier_error *error, const char *text)
{
    struct esp_error inner = {0};
    esp_fail(&inner, ESP_EINVAL, "%s", text);
    return tell(&inner, error);
}

/* ---- snapshots ------------------------------------------------------------------------------- */

int espalier_snapshot_open(const char *path, unsigned flags, struct espalier_snapshot **out,
                           struct espalier_error *error)
{
    if ((flags & ~(unsigned)ESPALIER_VERIFY) != 0)
        return refuse(error, "unknown flags");
    struct esp_error inner = {0};
    struct espalier_snapshot *snapshot = calloc(1, sizeof *snapshot);
    if (snapshot == NULL)
        esp_fail(&inner, ESP_ENOMEM, "out of memory for a snapshot");
    else
        esp_snapshot_open(
            path, (flags & ESPALIER_VERIFY) != 0 ? ESP_SNAPSHOT_CHECKSUM : ESP_SNAPSHOT_STRUCTURE,
            &snapshot->inner, &inner);
    if (inner.status == ESP_OK)
        *out = snapshot;
    else
        espalier_snapshot_close(snapshot);
    return tell(&inner, error);
}

void espalier_snapshot_close(struct espalier_snapshot *snapshot)
{
    if (snapshot == NULL)
        return;
    esp_snapshot_close(snapshot->inner);
    free(snapshot);
}

/* Copies as much of a struct as the caller knows of; its own size stays. */
static int hand_out(void *out, size_t caller_size, const void *from, size_t size,
                    struct espalier_error *error)
{
    if (caller_size < sizeof caller_size)
        return refuse(error, "set the struct's size before the call");
    size_t n = caller_size < size ? caller_size : size;
    memcpy((char *)out + sizeof caller_size, (const char *)from + sizeof caller_size,
           n - sizeof caller_size);
    return ESPALIER_OK;
}

int espalier_snapshot_describe(const struct espalier_snapshot *snapshot,
                               struct espalier_description *out, struct espalier_error *error)
{
    const struct esp_manifest *manifest = esp_snapshot_manifest(snapshot->inner);
    const struct esp_setup *setup = &esp_snapshot_model(snapshot->inner)->network->setup;
    struct espalier_description description = {
        .model = manifest->model,
        .run = manifest->run,
        .setup = esp_setup_get(manifest->setup)->name,
        .number = manifest->number,
        .boundary_us = manifest->boundary_us,
        .every_us = manifest->every_us,
        .n_fields = manifest->n_fields,
        .fields = manifest->fields,
        .n_features = manifest->n_features,
        .bytes = esp_snapshot_bytes(snapshot->inner),
        .manifest = esp_snapshot_manifest_text(snapshot->inner),
    };
    for (enum esp_task task = 0; task < ESP_N_TASKS; task++)
        description.has_task[task] = esp_setup_has_task(setup, task);
    return hand_out(out, out->size, &description, sizeof description, error);
}

int espalier_snapshot_feature(const struct espalier_snapshot *snapshot, size_t feature,
                              struct espalier_feature *out, struct espalier_error *error)
{
    const struct esp_manifest *manifest = esp_snapshot_manifest(snapshot->inner);
    if (feature >= manifest->n_features)
        return refuse(error, "the snapshot has no such feature");
    const struct esp_feature_config *config = &manifest->features[feature];
    struct espalier_feature description = {
        .name = config->name,
        .kind = config->kind == ESP_FEATURE_CATEGORICAL ? ESPALIER_CATEGORICAL
                : config->kind == ESP_FEATURE_CROSS     ? ESPALIER_CROSS
                : config->form == ESP_FORM_BUCKETS      ? ESPALIER_BUCKETS
                                                        : ESPALIER_STANDARDISED,
        .field = config->value,
        .cross_a = config->cross_a,
        .cross_b = config->cross_b,
    };
    return hand_out(out, out->size, &description, sizeof description, error);
}

/* ---- scores ---------------------------------------------------------------------------------- */

int espalier_scorer_new(const struct espalier_snapshot *snapshot, struct espalier_scorer **out,
                        struct espalier_error *error)
{
    struct esp_error inner = {0};
    struct espalier_scorer *scorer = calloc(1, sizeof *scorer);
    if (scorer != NULL)
        scorer->logits = calloc(ROWS_AT_A_TIME * ESP_N_TASKS, sizeof *scorer->logits);
    if (scorer == NULL || scorer->logits == NULL) {
        esp_fail(&inner, ESP_ENOMEM, "out of memory for a scorer");
    } else {
        scorer->snapshot = snapshot->inner;
        scorer->n_fields = esp_snapshot_manifest(snapshot->inner)->n_fields;
        scorer->n_features = esp_snapshot_manifest(snapshot->inner)->n_features;
        esp_feature_batch_init(&scorer->batch, scorer->n_features);
        esp_scorer_new(esp_snapshot_model(snapshot->inner)->network, &scorer->inner, &inner);
    }
    if (inner.status == ESP_OK)
        *out = scorer;
    else
        espalier_scorer_free(scorer);
    return tell(&inner, error);
}

void espalier_scorer_free(struct espalier_scorer *scorer)
{
    if (scorer == NULL)
        return;
    esp_scorer_free(scorer->inner);
    esp_feature_batch_release(&scorer->batch);
    free(scorer->logits);
    free(scorer);
}

/* NaN stays NaN. */
static double probability(float logit)
{
    return esp_sigmoid((double)logit);
}

static enum esp_status score_batch(struct espalier_scorer *scorer,
                                   const struct esp_feature_batch *batch,
                                   struct espalier_score *scores, struct esp_error *err)
{
    enum esp_status status = esp_scorer_score(scorer->inner, esp_snapshot_model(scorer->snapshot),
                                              batch, scorer->logits, err);
    for (size_t i = 0; status == ESP_OK && i < batch->n_rows; i++) {
        const float *logits = scorer->logits + i * ESP_N_TASKS;
        scores[i] = (struct espalier_score){
            .p_click = probability(logits[ESP_TASK_CLICK]),
            .p_install_given_click = probability(logits[ESP_TASK_INSTALL_GIVEN_CLICK]),
            .p_install = probability(logits[ESP_TASK_INSTALL]),
        };
    }
    return status;
}

static enum esp_status add_row(struct espalier_scorer *scorer, const struct esp_value *values,
                               size_t row, struct esp_error *err)
{
    for (size_t f = 0; f < scorer->n_fields; f++)
        if (values[f].type > ESP_VALUE_ARRAY)
            return esp_fail(err, ESP_EINVAL, "row %zu, field %s: no value has the type %d", row,
                            esp_snapshot_manifest(scorer->snapshot)->fields[f], values[f].type);
    return esp_features_add_row(esp_snapshot_features(scorer->snapshot), values, false,
                                &scorer->batch, err);
}

int espalier_scorer_score(struct espalier_scorer *scorer, const struct espalier_value *values,
                          size_t n_rows, struct espalier_score *scores,
                          struct espalier_error *error)
{
    const struct esp_value *inner_values = (const struct esp_value *)(const void *)values;
    struct esp_error inner = {0};
    for (size_t first = 0; inner.status == ESP_OK && first < n_rows; first += ROWS_AT_A_TIME) {
        size_t n = n_rows - first < ROWS_AT_A_TIME ? n_rows - first : ROWS_AT_A_TIME;
        esp_feature_batch_reset(&scorer->batch);
        for (size_t i = first; inner.status == ESP_OK && i < first + n; i++)
            add_row(scorer, inner_values + i * scorer->n_fields, i, &inner);
        if (inner.status == ESP_OK)
            score_batch(scorer, &scorer->batch, scores + first, &inner);
    }
    return tell(&inner, error);
}

int espalier_scorer_score_keys(struct espalier_scorer *scorer, const uint32_t *begin,
                               const uint64_t *keys, const float *coefficients, size_t n_rows,
                               struct espalier_score *scores, struct espalier_error *error)
{
    size_t F = scorer->n_features;
    if (n_rows > 0 && (n_rows > UINT32_MAX / F || begin[0] != 0))
        return refuse(error, "begin does not start at 0, or there are too many rows");
    for (size_t i = 0; i < n_rows * F; i++)
        if (begin[i + 1] < begin[i])
            return refuse(error, "begin falls");
    struct esp_error inner = {0};
    struct esp_feature_batch *batch = &scorer->batch;
    for (size_t first = 0; inner.status == ESP_OK && first < n_rows; first += ROWS_AT_A_TIME) {
        size_t n = n_rows - first < ROWS_AT_A_TIME ? n_rows - first : ROWS_AT_A_TIME;
        /* A batch counts its pairs from 0. */
        uint32_t base = begin[first * F];
        uint32_t *shifted = malloc((n * F + 1) * sizeof *shifted);
        if (shifted == NULL) {
            esp_fail(&inner, ESP_ENOMEM, "out of memory for %zu rows", n);
            break;
        }
        for (size_t i = 0; i <= n * F; i++)
            shifted[i] = begin[first * F + i] - base;
        struct esp_feature_batch view = {
            .n_features = batch->n_features,
            .n_rows = n,
            .begin = shifted,
            .keys = (uint64_t *)(uintptr_t)(keys + base), /* read only */
            .coefficients = (float *)(uintptr_t)(coefficients + base),
        };
        score_batch(scorer, &view, scores + first, &inner);
        free(shifted);
    }
    return tell(&inner, error);
}
