/*
 * bench_score.c - scores a second of a mapped snapshot, and what it takes to get one.
 *
 * 16 features, width 16, layers 128-64, heads 32, set-up ipsp: a file of so many embedding rows is
 * written, mapped, and scores impressions from the values of their fields to probabilities, on one
 * thread. Values are Zipf-distributed; of a large table a row is a cache miss. With a broker the
 * file is also published, fetched, and opened anew: the time from the manifest to its use.
 */
#include "bench.h"

#include <argp.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/hash.h"
#include "core/timespan.h"
#include "metric/metric.h"
#include "model/scorer.h"
#include "snapshot/follower.h"
#include "snapshot/publisher.h"
#include "snapshot/snapshot.h"
#include "snapshot/snapshot_write.h"

enum { N_FEATURES = 16, WIDTH = 16, BATCH = 512 };

struct options {
    size_t n_rows;   /* of the table */
    size_t n_scores; /* to measure on */
    const char *folder, *broker;
};

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static int fail(const struct esp_error *err)
{
    fprintf(stderr, "espalier-bench: %s\n", err->text);
    return err->status == ESP_ENOMEM ? 75 : 70;
}

/* ---- the file -------------------------------------------------------------------------------- */

/* Feature f has about n_rows / N_FEATURES values: ints from 0 on. */
struct model {
    char names[N_FEATURES][8];
    const char *fields[N_FEATURES];
    struct esp_feature_config list[N_FEATURES];
    struct esp_features *features;
    struct esp_network network;
    uint64_t *keys;
    uint32_t *row_of;
    float *rows, *params;
    size_t capacity, n_rows;
};

static void insert(struct model *model, uint64_t key, uint32_t row)
{
    size_t slot = key & (model->capacity - 1);
    while (model->keys[slot] != 0)
        slot = (slot + 1) & (model->capacity - 1);
    model->keys[slot] = key;
    model->row_of[slot] = row;
}

static bool allocate(struct model *model, size_t n_rows)
{
    model->n_rows = n_rows;
    for (model->capacity = 1024; model->capacity < n_rows + n_rows / 2;)
        model->capacity *= 2;
    model->keys = calloc(model->capacity, sizeof *model->keys);
    model->row_of = calloc(model->capacity, sizeof *model->row_of);
    model->rows = calloc(n_rows * WIDTH, sizeof *model->rows);
    model->params = aligned_alloc(64, model->network.n_params * sizeof *model->params);
    return model->keys != NULL && model->row_of != NULL && model->rows != NULL &&
           model->params != NULL;
}

static void fill(struct model *model)
{
    size_t row = 0;
    for (size_t f = 0; f < N_FEATURES; f++)
        insert(model, esp_feature_default_key(model->names[f]), (uint32_t)row++);
    for (int64_t value = 0; row < model->n_rows; value++) {
        struct esp_value v = {.type = ESP_VALUE_INT, .u.i = value};
        for (size_t f = 0; f < N_FEATURES && row < model->n_rows; f++)
            insert(model, esp_feature_key(model->names[f], &v), (uint32_t)row++);
    }
    for (size_t i = 0; i < model->n_rows * WIDTH; i++)
        model->rows[i] = 0.05f * esp_normal_of_bits(esp_mix64(i));
    esp_network_draw(&model->network, 1, model->params);
}

static enum esp_status make_model(struct model *model, size_t n_rows, struct esp_manifest *manifest,
                                  struct esp_error *err)
{
    for (size_t f = 0; f < N_FEATURES; f++) {
        snprintf(model->names[f], sizeof model->names[f], "f%zu", f);
        model->fields[f] = model->names[f];
        model->list[f] = (struct esp_feature_config){
            .name = model->names[f], .kind = ESP_FEATURE_CATEGORICAL, .value = f};
    }
    enum esp_status status = esp_features_new(model->list, N_FEATURES, &model->features, err);
    if (status != ESP_OK)
        return status;
    *manifest = (struct esp_manifest){
        .run = "00000000deadbeef",
        .model = "bench",
        .number = 1,
        .boundary_us = ESP_HOUR,
        .every_us = ESP_HOUR,
        .has_installs = true,
        .setup = ESP_SETUP_IPSP,
        .width = WIDTH,
        .layers = {128, 64},
        .n_layers = 2,
        .head_layers = {32},
        .n_head_layers = 1,
        .fields = model->fields,
        .n_fields = N_FEATURES,
        .features = model->list,
        .n_features = N_FEATURES,
        .statistics = model->features,
    };
    status = esp_manifest_network(manifest, &model->network, err);
    if (status == ESP_OK && !allocate(model, n_rows))
        status = esp_fail(err, ESP_ENOMEM, "out of memory for %zu rows", n_rows);
    if (status == ESP_OK)
        fill(model);
    return status;
}

static void free_model(struct model *model)
{
    esp_features_free(model->features);
    free(model->keys);
    free(model->row_of);
    free(model->rows);
    free(model->params);
}

static enum esp_status write_file(const char *path, size_t n_rows, struct esp_error *err)
{
    struct model model = {.features = NULL};
    struct esp_manifest manifest;
    enum esp_status status = make_model(&model, n_rows, &manifest, err);
    uint32_t defaults[N_FEATURES];
    for (uint32_t f = 0; f < N_FEATURES; f++)
        defaults[f] = f;
    struct esp_table_view view = {.keys = model.keys,
                                  .row_of = model.row_of,
                                  .mask = model.capacity - 1,
                                  .rows = model.rows,
                                  .stride = WIDTH,
                                  .defaults = defaults};
    struct esp_parameters parameters = {.network = &model.network, .params = model.params};
    parameters.tables[0] = (struct esp_parameter_table){view, n_rows};
    uint64_t bytes = 0;
    double began = now();
    if (status == ESP_OK)
        status = esp_snapshot_write(path, &manifest, &parameters, ESP_DTYPE_F32, &bytes, err);
    if (status == ESP_OK)
        printf("score_snapshot_bytes %" PRIu64 " B\nscore_snapshot_write_seconds %.3f s\n", bytes,
               now() - began);
    free_model(&model);
    return status;
}

/* ---- scores ---------------------------------------------------------------------------------- */

/* A value of 0 .. n-1 with P(k) about (k + 1)^-1.1, from a uniform number. */
static int64_t zipf(double u, double n)
{
    double k = pow(1 - u * (1 - pow(n + 1, -0.1)), -10) - 1;
    return k < n - 1 ? (int64_t)k : (int64_t)n - 1;
}

static struct esp_value *make_values(size_t n, size_t n_rows)
{
    struct esp_value *values = calloc(n * N_FEATURES, sizeof *values);
    size_t n_distinct = n_rows / N_FEATURES; /* of a feature */
    for (size_t i = 0; values != NULL && i < n * N_FEATURES; i++)
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
        status = esp_features_add_row(esp_snapshot_features(snapshot), values + i * N_FEATURES,
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
    double began = now(), sum = 0;
    enum esp_status status = esp_snapshot_open(path, ESP_SNAPSHOT_STRUCTURE, &snapshot, err);
    if (status != ESP_OK)
        return status;
    printf("score_snapshot_open_seconds %.3f s\n", now() - began);
    size_t n_batches = options->n_scores / BATCH + 1;
    struct esp_value *values = make_values(n_batches * BATCH, options->n_rows);
    esp_feature_batch_init(&batch, N_FEATURES);
    status = values == NULL ? esp_fail(err, ESP_ENOMEM, "out of memory for values")
                            : esp_scorer_new(esp_snapshot_model(snapshot)->network, &scorer, err);
    size_t first = n_batches / 10; /* the first tenth warms up */
    for (size_t b = 0; status == ESP_OK && b < n_batches; b++) {
        if (b == first)
            began = now();
        status = score_batch(snapshot, scorer, &batch, values + b * BATCH * N_FEATURES, &sum, err);
    }
    if (status == ESP_OK)
        printf("score_per_second %.0f 1/s\n",
               (double)((n_batches - first) * BATCH) / (now() - began));
    if (status == ESP_OK && !isfinite(sum)) /* and nobody can leave the work out */
        status = esp_fail(err, ESP_EBUG, "a score is not finite");
    esp_scorer_free(scorer);
    esp_feature_batch_release(&batch);
    free(values);
    esp_snapshot_close(snapshot);
    return status;
}

/* ---- the way over a topic -------------------------------------------------------------------- */

static enum esp_status hash_file(const char *path, uint64_t *out, struct esp_error *err)
{
    FILE *file = fopen(path, "rb");
    struct esp_hasher *hasher = esp_hasher_new();
    static char piece[1 << 20];
    size_t n;
    bool ok = file != NULL && hasher != NULL;
    while (ok && (n = fread(piece, 1, sizeof piece, file)) > 0)
        esp_hasher_add(hasher, piece, n);
    if (ok)
        *out = esp_hasher_value(hasher);
    if (file != NULL)
        fclose(file);
    esp_hasher_free(hasher);
    return ok ? ESP_OK : esp_fail(err, ESP_EIO, "%s: cannot be read", path);
}

static enum esp_status publish(struct esp_log *log, const char *topic, const char *path,
                               struct esp_error *err)
{
    static const char *const compacted[] = {"cleanup.policy", "compact", NULL};
    struct esp_publisher *publisher = NULL;
    struct esp_snapshot_info info = {.manifest_json = NULL};
    struct esp_publication publication = {.path = path,
                                          .created_us = (int64_t)time(NULL) * ESP_SECOND};
    const struct esp_publisher_config config = {
        .log = log, .place = topic, .keep = ESP_KEEP_AT_LEAST};
    enum esp_publish_result result = ESP_PUBLISH_STOPPED;
    enum esp_status status = esp_snapshot_peek(path, &info, err);
    if (status == ESP_OK)
        status = hash_file(path, &publication.checksum, err);
    if (status == ESP_OK)
        status = esp_log_create_topic(log, topic, 2, compacted, err);
    if (status == ESP_OK)
        status = esp_publisher_new(&config, &publisher, err);
    publication.size = info.size;
    publication.boundary_us = info.boundary_us;
    publication.manifest_json = info.manifest_json;
    publication.id.number = info.number;
    memcpy(publication.id.run, info.run, sizeof info.run);
    snprintf(publication.id.model, sizeof publication.id.model, "%s", info.model);
    double began = now();
    if (status == ESP_OK)
        status = esp_publisher_publish(publisher, &publication, &result, err);
    if (status == ESP_OK)
        printf("score_publish_seconds %.3f s\n", now() - began);
    esp_publisher_free(publisher);
    esp_snapshot_info_release(&info);
    return status;
}

static enum esp_status find_newest(struct esp_snapshot_source *source, struct esp_snapshot_id *out,
                                   struct esp_error *err)
{
    bool changed = false, at_end = false;
    enum esp_status status = ESP_OK;
    while (status == ESP_OK && !at_end)
        status = esp_snapshot_source_poll(source, ESP_SECOND, &changed, &at_end, err);
    const struct esp_live_snapshot *live =
        status == ESP_OK ? esp_snapshot_source_newest(source, "bench", NULL) : NULL;
    if (status == ESP_OK && live == NULL)
        return esp_fail(err, ESP_EDATA, "what was published is not there");
    if (status == ESP_OK)
        *out = live->manifest.id;
    return status;
}

static enum esp_status fetch(struct esp_log *log, const char *topic, const char *cache,
                             struct esp_error *err)
{
    const struct esp_snapshot_source_config config = {.log = log, .place = topic, .cache = cache};
    struct esp_snapshot_source *source = NULL;
    struct esp_snapshot *snapshot = NULL;
    struct esp_snapshot_id id;
    char *path = NULL;
    enum esp_status status = esp_snapshot_source_open(&config, &source, err);
    if (status == ESP_OK)
        status = find_newest(source, &id, err);
    double began = now(), fetched = 0;
    if (status == ESP_OK)
        status = esp_snapshot_source_fetch(source, &id, &path, err);
    fetched = now();
    if (status == ESP_OK)
        status = esp_snapshot_open(path, ESP_SNAPSHOT_STRUCTURE, &snapshot, err);
    if (status == ESP_OK) {
        printf("score_fetch_seconds %.3f s\nscore_swap_seconds %.3f s\n", fetched - began,
               now() - fetched);
        unlink(path);
    }
    free(path);
    esp_snapshot_close(snapshot);
    esp_snapshot_source_free(source);
    return status;
}

static enum esp_status measure_topic(const struct options *options, const char *path,
                                     struct esp_error *err)
{
    const struct esp_log_property server = {"bootstrap.servers", options->broker, "--broker"};
    struct esp_log *log = NULL;
    char topic[64], cache[512];
    snprintf(topic, sizeof topic, "espalier-bench-%ld", (long)getpid());
    snprintf(cache, sizeof cache, "%s/fetched", options->folder);
    enum esp_status status = esp_log_open_kafka(&server, 1, NULL, NULL, &log, err);
    if (status == ESP_OK)
        status = publish(log, topic, path, err);
    if (status == ESP_OK)
        status = fetch(log, topic, cache, err);
    esp_log_free(log);
    return status;
}

/* ---- the command line ------------------------------------------------------------------------ */

static const struct argp_option argp_options[] = {
    {"rows", 'r', "N", 0, "Embedding rows of the snapshot (12000000: about 1 GB)", 0},
    {"scores", 'n', "N", 0, "Impressions to score (2000000)", 0},
    {"folder", 'd', "FOLDER", 0, "Where files are made (.)", 0},
    {"broker", 'b', "HOST:PORT", 0, "Publish to and fetch from this broker, too", 0},
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
    case 'b':
        options->broker = text;
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
    if (status == ESP_OK && options.broker != NULL)
        status = measure_topic(&options, path, &err);
    unlink(path);
    return status == ESP_OK ? 0 : fail(&err);
}
