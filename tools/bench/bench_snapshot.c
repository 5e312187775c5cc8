/*
 * bench_snapshot.c - what it takes to write a snapshot, to open it, and to get it over a topic.
 *
 * The file of bench_model.h is written and copied by cp(1) in turns, to the same folder; neither
 * waits for the disk. Then it is mapped: with all that is checked, without the checksum, and as one
 * that was opened before. With a broker it is published, fetched (assembled, and its checksum
 * compared), and opened anew: the swap. Medians of the runs, all on one thread.
 */
#include "bench.h"

#include <argp.h>
#include <inttypes.h>
#include <librdkafka/rdkafka.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench_model.h"
#include "core/hash.h"
#include "core/timespan.h"
#include "snapshot/follower.h"
#include "snapshot/publisher.h"
#include "snapshot/snapshot.h"
#include "snapshot/snapshot_write.h"

enum { MAX_RUNS = 99, DELETE_PATIENCE_MS = 10000 };

struct options {
    size_t n_rows, n_runs;
    const char *folder, *broker;
};

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void print_median(const char *name, double *seconds, size_t n)
{
    qsort(seconds, n, sizeof *seconds, by_value);
    printf("%s %.4f s\n", name, seconds[n / 2]);
}

/* ---- the file -------------------------------------------------------------------------------- */

static enum esp_status copy_file(const char *from, const char *to, struct esp_error *err)
{
    char program[] = "cp", option[] = "--reflink=never", end[] = "--";
    char source[512], target[512];
    snprintf(source, sizeof source, "%s", from);
    snprintf(target, sizeof target, "%s", to);
    char *const arguments[] = {program, option, end, source, target, NULL};
    pid_t child;
    int code = -1;
    if (posix_spawnp(&child, program, NULL, NULL, arguments, environ) != 0 ||
        waitpid(child, &code, 0) != child || code != 0)
        return esp_fail(err, ESP_EIO, "cp cannot copy %s to %s", from, to);
    return ESP_OK;
}

static enum esp_status measure_write(const struct options *options, const char *path,
                                     struct esp_error *err)
{
    struct bench_model model;
    double write_seconds[MAX_RUNS], copy_seconds[MAX_RUNS];
    char copy[512];
    uint64_t bytes = 0;
    snprintf(copy, sizeof copy, "%s/bench.copy", options->folder);
    enum esp_status status = bench_model_init(&model, options->n_rows, err);
    for (size_t r = 0; status == ESP_OK && r < options->n_runs; r++) {
        unlink(path);
        unlink(copy);
        double began = bench_now();
        status = esp_snapshot_write(path, &model.manifest, &model.parameters, ESP_DTYPE_F32, &bytes,
                                    err);
        double written = bench_now();
        if (status == ESP_OK)
            status = copy_file(path, copy, err);
        write_seconds[r] = written - began;
        copy_seconds[r] = bench_now() - written;
    }
    if (status == ESP_OK) {
        printf("snapshot_bytes %" PRIu64 " B\n", bytes);
        print_median("snapshot_write_seconds", write_seconds, options->n_runs);
        print_median("snapshot_copy_seconds", copy_seconds, options->n_runs);
    }
    unlink(copy);
    bench_model_release(&model);
    return status;
}

static enum esp_status measure_open(const struct options *options, const char *path,
                                    struct esp_error *err)
{
    static const struct {
        enum esp_snapshot_check check;
        const char *name;
    } cases[] = {{ESP_SNAPSHOT_CHECKSUM, "snapshot_open_checksum_seconds"},
                 {ESP_SNAPSHOT_STRUCTURE, "snapshot_open_seconds"},
                 {ESP_SNAPSHOT_KNOWN, "snapshot_open_known_seconds"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        double seconds[MAX_RUNS];
        for (size_t r = 0; r < options->n_runs; r++) {
            struct esp_snapshot *snapshot = NULL;
            double began = bench_now();
            enum esp_status status = esp_snapshot_open(path, cases[i].check, &snapshot, err);
            if (status != ESP_OK)
                return status;
            seconds[r] = bench_now() - began;
            esp_snapshot_close(snapshot);
        }
        print_median(cases[i].name, seconds, options->n_runs);
    }
    return ESP_OK;
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
    double began = bench_now();
    if (status == ESP_OK)
        status = esp_publisher_publish(publisher, &publication, &result, err);
    if (status == ESP_OK)
        printf("snapshot_publish_seconds %.4f s\n", bench_now() - began);
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
    double began = bench_now(), fetched = 0;
    if (status == ESP_OK)
        status = esp_snapshot_source_fetch(source, &id, &path, err);
    fetched = bench_now();
    if (status == ESP_OK)
        status = esp_snapshot_open(path, ESP_SNAPSHOT_STRUCTURE, &snapshot, err);
    if (status == ESP_OK) {
        printf("snapshot_fetch_seconds %.4f s\nsnapshot_swap_seconds %.4f s\n", fetched - began,
               bench_now() - fetched);
        unlink(path);
    }
    free(path);
    esp_snapshot_close(snapshot);
    esp_snapshot_source_free(source);
    return status;
}

/* Nothing of a measurement stays on somebody's broker. */
static enum esp_status delete_topic(const char *broker, const char *topic, struct esp_error *err)
{
    char why[512] = "";
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_t *handle = NULL;
    rd_kafka_queue_t *queue = NULL;
    rd_kafka_DeleteTopic_t *request = rd_kafka_DeleteTopic_new(topic);
    rd_kafka_event_t *event = NULL;
    if (rd_kafka_conf_set(conf, "bootstrap.servers", broker, why, sizeof why) == RD_KAFKA_CONF_OK)
        handle = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof why);
    if (handle == NULL) {
        rd_kafka_conf_destroy(conf);
    } else {
        queue = rd_kafka_queue_new(handle);
        rd_kafka_DeleteTopics(handle, &request, 1, NULL, queue);
        event = rd_kafka_queue_poll(queue, DELETE_PATIENCE_MS);
        if (event == NULL || rd_kafka_event_error(event) != RD_KAFKA_RESP_ERR_NO_ERROR)
            snprintf(why, sizeof why, "the broker did not confirm it");
    }
    rd_kafka_DeleteTopic_destroy(request);
    if (event != NULL)
        rd_kafka_event_destroy(event);
    if (queue != NULL)
        rd_kafka_queue_destroy(queue);
    if (handle != NULL)
        rd_kafka_destroy(handle);
    return why[0] == '\0'
               ? ESP_OK
               : esp_fail(err, ESP_EBROKER, "topic %s cannot be deleted: %s", topic, why);
}

static enum esp_status measure_topic(const struct options *options, const char *path,
                                     struct esp_error *err)
{
    const struct esp_log_property server = {
        .name = "bootstrap.servers", .value = options->broker, .where = "--broker"};
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
    enum esp_status deleted = delete_topic(options->broker, topic, err);
    return status != ESP_OK ? status : deleted;
}

/* ---- the command line ------------------------------------------------------------------------ */

static const struct argp_option argp_options[] = {
    {"rows", 'r', "N", 0, "Embedding rows of the snapshot (12000000: about 1 GB)", 0},
    {"runs", 'n', "N", 0, "Of which the median is told, but over a topic (5)", 0},
    {"folder", 'd', "FOLDER", 0, "Where files are made (.)", 0},
    {"broker", 'b', "HOST:PORT", 0,
     "Publish to and fetch from this broker, too (default: ESPALIER_BENCH_BROKER, if it is set)",
     0},
    {0},
};

static error_t parse(int key, char *text, struct argp_state *state)
{
    struct options *options = state->input;
    switch (key) {
    case 'r':
        options->n_rows = strtoul(text, NULL, 10);
        if (options->n_rows < 1000 || options->n_rows >= UINT32_MAX)
            argp_error(state, "%s: choose a whole number from 1000", text);
        return 0;
    case 'n':
        options->n_runs = strtoul(text, NULL, 10);
        if (options->n_runs < 1 || options->n_runs > MAX_RUNS)
            argp_error(state, "%s: choose a whole number from 1 to %d", text, MAX_RUNS);
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

int bench_snapshot(int argc, char **argv)
{
    static const struct argp argp = {
        .options = argp_options,
        .parser = parse,
        .doc = "Measures writing, opening and fetching a snapshot of a model."};
    struct options options = {
        .n_rows = 12000000, .n_runs = 5, .folder = ".", .broker = getenv("ESPALIER_BENCH_BROKER")};
    if (argp_parse(&argp, argc, argv, 0, NULL, &options) != 0)
        return 64;
    char path[512];
    struct esp_error err = {0};
    snprintf(path, sizeof path, "%s/bench.safetensors", options.folder);
    enum esp_status status = measure_write(&options, path, &err);
    if (status == ESP_OK)
        status = measure_open(&options, path, &err);
    if (status == ESP_OK && options.broker != NULL)
        status = measure_topic(&options, path, &err);
    unlink(path);
    return status == ESP_OK ? 0 : bench_fail(&err);
}
