/*
 * bench_score.c - scores a second of a mapped snapshot.
 *
 * The file of bench_model.h is written, mapped, and scores impressions from the values of their
 * fields to probabilities, on one thread. Values are Zipf-distributed; of a large table a row is a
 * cache miss.
 */
#include "bench.h"

#include <argp.h>
#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#include "bench_model.h"
#include "core/hash.h"
#include "metric/metric.h"
#include "model/scorer.h"
#include "snapshot/snapshot.h"
#include "snapshot/snapshot_write.h"

enum { BATCH = 512 };

struct options {
    size_t n_rows;   /* of the table */
    size_t n_scores; /* to measure on */
    const char *folder;
};

static enum esp_status write_file(const char *path, size_t n_rows, struct esp_error *err)
{
    struct bench_model model;
    enum esp_status status = bench_model_init(&model, n_rows, err);
    if (status == ESP_OK)
        status =
            esp_snapshot_write(path, &model.manifest, &model.parameters, ESP_DTYPE_F32, NULL, err);
    bench_model_release(&model);
    return status;
}

/* A value of 0 .. n-1 with P(k) about (k + 1)^-1.1, from a uniform number. */
static int64_t zipf(double u, double n)
{
    double k = pow(1 - u * (1 - pow(n + 1, -0.1)), -10) - 1;
    return k < n - 1 ? (int64_t)k : (int64_t)n - 1;
}

static struct esp_value *make_values(size_t n, size_t n_rows)
{
    struct esp_value *values = calloc(n * BENCH_FEATURES, sizeof *values);
    size_t n_distinct = n_rows / BENCH_FEATURES; /* of a feature */
    for (size_t i = 0; values != NULL && i < n * BENCH_FEATURES; i++)
        values[i] = (struct esp_value){
            .type = ESP_VALUE_INT, .u.i = zipf(esp_unit_of_bits(esp_mix64(i)), (double)n_distinct)};
    return values;
}

static enum esp_status score_batch(struct esp_snapshot *snapshot, struct esp_scorer *scorer,
                                   struct esp_feature_batch *batch, const struct esp_value *values,
                                   double *sum, struct esp_error *err)
{
    float logits[BATCH * ESP_N_TASKS];
    enum esp_status status = ESP_OK;
    esp_feature_batch_reset(batch);
    for (size_t i = 0; status == ESP_OK && i < BATCH; i++)
        status = esp_features_add_row(esp_snapshot_features(snapshot), values + i * BENCH_FEATURES,
                                      false, batch, err);
    if (status == ESP_OK)
        status = esp_scorer_score(scorer, esp_snapshot_model(snapshot), batch, logits, err);
    for (size_t i = 0; status == ESP_OK && i < BATCH * ESP_N_TASKS; i++)
        *sum += esp_sigmoid((double)logits[i]);
    return status;
}

static enum esp_status measure_scores(const struct options *options, const char *path,
                                      struct esp_error *err)
{
    struct esp_snapshot *snapshot = NULL;
    struct esp_scorer *scorer = NULL;
    struct esp_feature_batch batch;
    double began = 0, sum = 0;
    enum esp_status status = esp_snapshot_open(path, ESP_SNAPSHOT_STRUCTURE, &snapshot, err);
    if (status != ESP_OK)
        return status;
    size_t n_batches = options->n_scores / BATCH + 1;
    struct esp_value *values = make_values(n_batches * BATCH, options->n_rows);
    esp_feature_batch_init(&batch, BENCH_FEATURES);
    status = values == NULL ? esp_fail(err, ESP_ENOMEM, "out of memory for values")
                            : esp_scorer_new(esp_snapshot_model(snapshot)->network, &scorer, err);
    size_t first = n_batches / 10; /* the first tenth warms up */
    for (size_t b = 0; status == ESP_OK && b < n_batches; b++) {
        if (b == first)
            began = bench_now();
        status =
            score_batch(snapshot, scorer, &batch, values + b * BATCH * BENCH_FEATURES, &sum, err);
    }
    if (status == ESP_OK)
        printf("score_per_second %.0f 1/s\n",
               (double)((n_batches - first) * BATCH) / (bench_now() - began));
    if (status == ESP_OK && !isfinite(sum)) /* and nobody can leave the work out */
        status = esp_fail(err, ESP_EBUG, "a score is not finite");
    esp_scorer_free(scorer);
    esp_feature_batch_release(&batch);
    free(values);
    esp_snapshot_close(snapshot);
    return status;
}

/* ---- the command line ------------------------------------------------------------------------ */

static const struct argp_option argp_options[] = {
    {"rows", 'r', "N", 0, "Embedding rows of the snapshot (12000000: about 1 GB)", 0},
    {"scores", 'n', "N", 0, "Impressions to score (2000000)", 0},
    {"folder", 'd', "FOLDER", 0, "Where files are made (.)", 0},
    {0},
};

static error_t parse(int key, char *text, struct argp_state *state)
{
    struct options *options = state->input;
    switch (key) {
    case 'r':
        options->n_rows = strtoul(text, NULL, 10);
        return options->n_rows >= 1000 && options->n_rows < UINT32_MAX ? 0 : EINVAL;
    case 'n':
        options->n_scores = strtoul(text, NULL, 10);
        return 0;
    case 'd':
        options->folder = text;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

int bench_score(int argc, char **argv)
{
    static const struct argp argp = {
        .options = argp_options, .parser = parse, .doc = "Measures scoring with a snapshot."};
    struct options options = {.n_rows = 12000000, .n_scores = 2000000, .folder = "."};
    if (argp_parse(&argp, argc, argv, 0, NULL, &options) != 0)
        return 64;
    char path[512];
    struct esp_error err = {0};
    snprintf(path, sizeof path, "%s/bench.safetensors", options.folder);
    enum esp_status status = write_file(path, options.n_rows, &err);
    if (status == ESP_OK)
        status = measure_scores(&options, path, &err);
    unlink(path);
    return status == ESP_OK ? 0 : bench_fail(&err);
}
