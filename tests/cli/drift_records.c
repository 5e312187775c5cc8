/*
 * drift_records.c - a program for tests: writes drift records from lines of text.
 *
 *   drift-records files:ROOT|kafka:HOST:PORT TOPIC <LINES
 *
 * A line is KEY=VALUE pairs, blanks between them: run, model, setup, kind, task, start (a time),
 * hours (of the window, 1), age, snapshot, examples, positives, clusters, share, the sums w l p y
 * ww wl ... yy, paired_ and production_ with examples positives clusters clipped w d dd dw ww,
 * roc_auc, pr_auc. Clusters are the examples where none are given. The other figures follow from
 * the sums, as a trainer's do. `version=N` changes the record's version.
 *
 * A line `tombstone KEY` takes a key away (Kafka).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/timespan.h"
#include "drift/record_sums.h"
#include "event/encode.h"
#include "event/records.h"

#define AT(member) offsetof(struct esp_drift_record, member)

static const struct {
    const char *name;
    size_t offset;
} counts[] = {
    {"examples", AT(examples)},
    {"positives", AT(positives)},
    {"clusters", AT(clusters)},
    {"snapshot", AT(snapshot)},
    {"paired_examples", AT(paired.examples)},
    {"paired_positives", AT(paired.positives)},
    {"paired_clusters", AT(paired.clusters)},
    {"production_examples", AT(production.examples)},
    {"production_positives", AT(production.positives)},
    {"production_clusters", AT(production.clusters)},
    {"production_clipped", AT(production.clipped)},
};

static const struct {
    const char *name;
    size_t offset;
} reals[] = {
    {"share", AT(share)},
    {"w", AT(sums.w)},
    {"l", AT(sums.l)},
    {"p", AT(sums.p)},
    {"y", AT(sums.y)},
    {"ww", AT(sums.ww)},
    {"wl", AT(sums.wl)},
    {"wp", AT(sums.wp)},
    {"wy", AT(sums.wy)},
    {"ll", AT(sums.ll)},
    {"lp", AT(sums.lp)},
    {"ly", AT(sums.ly)},
    {"pp", AT(sums.pp)},
    {"py", AT(sums.py)},
    {"yy", AT(sums.yy)},
    {"paired_w", AT(paired.w)},
    {"paired_d", AT(paired.d)},
    {"paired_dd", AT(paired.dd)},
    {"paired_dw", AT(paired.dw)},
    {"paired_ww", AT(paired.ww)},
    {"production_w", AT(production.w)},
    {"production_d", AT(production.d)},
    {"production_dd", AT(production.dd)},
    {"production_dw", AT(production.dw)},
    {"production_ww", AT(production.ww)},
    {"roc_auc", AT(roc_auc.value)},
    {"pr_auc", AT(pr_auc.value)},
};

static void fail(const char *what, const char *where)
{
    fprintf(stderr, "drift-records: %s: %s\n", what, where);
    exit(64);
}

static bool set_number(struct esp_drift_record *record, const char *key, const char *value)
{
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        if (strcmp(key, counts[i].name) == 0) {
            *(int64_t *)(void *)((char *)record + counts[i].offset) = strtoll(value, NULL, 10);
            return true;
        }
    }
    for (size_t i = 0; i < sizeof reals / sizeof reals[0]; i++) {
        if (strcmp(key, reals[i].name) == 0) {
            *(double *)(void *)((char *)record + reals[i].offset) = strtod(value, NULL);
            return true;
        }
    }
    return false;
}

static int find_word(const char *value, const char *(*name_of)(int), int n)
{
    for (int i = 0; i < n; i++) {
        if (strcmp(value, name_of(i)) == 0)
            return i;
    }
    fail("no such word", value);
    return 0;
}

static const char *kind_name(int kind)
{
    return esp_drift_kind_name((enum esp_drift_kind)kind);
}

static const char *task_name(int task)
{
    return esp_drift_task_name((enum esp_drift_task)task);
}

/* What a line says of more than one field, or of none. */
struct line {
    struct esp_drift_record record;
    double hours;
    int version;
};

static void set_field(struct line *line, char *key, const char *value)
{
    struct esp_drift_record *record = &line->record;
    if (strcmp(key, "run") == 0)
        record->run = esp_bytes_of(value);
    else if (strcmp(key, "model") == 0)
        record->model = esp_bytes_of(value);
    else if (strcmp(key, "setup") == 0)
        record->setup = esp_bytes_of(value);
    else if (strcmp(key, "kind") == 0)
        record->kind = (enum esp_drift_kind)find_word(value, kind_name, ESP_N_DRIFT_KINDS);
    else if (strcmp(key, "task") == 0)
        record->task = (enum esp_drift_task)find_word(value, task_name, ESP_N_DRIFT_TASKS);
    else if (strcmp(key, "start") == 0)
        esp_time_parse(value, &record->window_start_us, NULL);
    else if (strcmp(key, "hours") == 0)
        line->hours = strtod(value, NULL);
    else if (strcmp(key, "age") == 0)
        record->age = (int32_t)strtol(value, NULL, 10);
    else if (strcmp(key, "version") == 0)
        line->version = (int)strtol(value, NULL, 10);
    else if (!set_number(record, key, value))
        fail("no such key", key);
    record->paired.is_set = record->paired.is_set || strncmp(key, "paired_", 7) == 0;
    record->production.is_set = record->production.is_set || strncmp(key, "production_", 11) == 0;
}

static void set_figures(struct esp_drift_record *record)
{
    struct esp_task_sums sums = esp_drift_record_sums(record);
    struct esp_task_report report;
    esp_task_sums_report(&sums, &report);
    record->log_loss = esp_drift_figure_of(&report.log_loss);
    record->normalised_entropy = esp_drift_figure_of(&report.normalised_entropy);
    record->calibration = esp_drift_figure_of(&report.calibration);
    record->roc_auc.is_set = record->roc_auc.value > 0;
    record->pr_auc.is_set = record->pr_auc.value > 0;
    if (record->paired.is_set) {
        struct esp_paired_sums paired = esp_drift_paired_sums(&record->paired);
        struct esp_figure figure = esp_paired_loss(&paired);
        record->drift_loss = esp_drift_figure_of(&figure);
    }
    if (record->production.is_set) {
        struct esp_paired_sums paired = esp_drift_paired_sums(&record->production);
        struct esp_figure figure = esp_paired_loss(&paired);
        record->production_loss = esp_drift_figure_of(&figure);
    }
}

static void parse_line(char *text, struct line *line)
{
    *line = (struct line){.hours = 1, .version = ESP_DRIFT_VERSION};
    line->record = (struct esp_drift_record){.run = esp_bytes_of("0123456789abcdef"),
                                             .model = esp_bytes_of("main"),
                                             .setup = esp_bytes_of("ipsp"),
                                             .clusters = -1,
                                             .share = 1};
    char *rest = NULL;
    for (char *pair = strtok_r(text, " \n", &rest); pair != NULL;
         pair = strtok_r(NULL, " \n", &rest)) {
        char *equals = strchr(pair, '=');
        if (equals == NULL)
            fail("no KEY=VALUE", pair);
        *equals = '\0';
        set_field(line, pair, equals + 1);
    }
    struct esp_drift_record *record = &line->record;
    if (record->clusters < 0)
        record->clusters = record->examples;
    record->window_end_us = record->window_start_us + (int64_t)(line->hours * ESP_HOUR);
    if (record->kind != ESP_DRIFT_HOLDOUT) {
        record->age = ESP_DRIFT_NO_AGE;
        record->snapshot = ESP_DRIFT_NO_SNAPSHOT;
    }
    set_figures(record);
}

/* Where records go. */
struct target {
    struct esp_log *log;
    struct esp_log_writer *writer;
    bool is_kafka;
    uint64_t fingerprint;
    struct esp_buf buf;
    struct esp_error err;
};

static void report(void *context, const struct esp_log_event *event)
{
    (void)context;
    fprintf(stderr, "drift-records: %s\n", event->text);
}

static void open_target(struct target *target, const char *where, const char *topic)
{
    const char *json = esp_own_schema_json(ESP_SCHEMA_DRIFT), *colon = strchr(where, ':');
    if (colon == NULL)
        fail("write files:ROOT or kafka:HOST:PORT", where);
    target->is_kafka = strncmp(where, "kafka:", 6) == 0;
    const struct esp_log_property property = {
        .name = "bootstrap.servers", .value = colon + 1, .where = "command line"};
    const struct esp_log_writer_config config = {
        .topic = topic, .n_partitions = 2, .schema_json = json};
    esp_buf_init(&target->buf, 1 << 20);
    enum esp_status status =
        target->is_kafka
            ? esp_log_open_kafka(&property, 1, report, NULL, &target->log, &target->err)
            : esp_log_open_files(colon + 1, "null", report, NULL, &target->log, &target->err);
    if (status == ESP_OK)
        status = esp_schema_fingerprint(json, strlen(json), &target->fingerprint, &target->err);
    if (status == ESP_OK)
        status = esp_log_create_topic(target->log, topic, 2, NULL, &target->err);
    if (status == ESP_OK)
        status = esp_log_writer_new(target->log, &config, &target->writer, &target->err);
    if (status != ESP_OK)
        fail(target->err.text, where);
}

static enum esp_status write_line(struct target *target, char *text)
{
    if (strncmp(text, "tombstone ", 10) == 0) {
        text[strcspn(text, "\n")] = '\0';
        return esp_log_append(target->writer, ESP_PARTITION_BY_KEY, esp_bytes_of(text + 10),
                              esp_bytes(NULL, 0), ESP_TIME_NONE, &target->err);
    }
    struct line line;
    char key[ESP_DRIFT_KEY_SIZE];
    parse_line(text, &line);
    esp_buf_clear(&target->buf);
    if (target->is_kafka)
        esp_put_single_object(&target->buf, target->fingerprint, NULL);
    size_t head = target->buf.size;
    enum esp_status status = esp_encode_drift(&target->buf, &line.record, &target->err);
    if (status != ESP_OK)
        return status;
    target->buf.data[head] = (uint8_t)(2 * line.version); /* a varint of one byte */
    return esp_log_append(target->writer, ESP_PARTITION_BY_KEY,
                          esp_bytes_of(esp_drift_key(&line.record, key)),
                          esp_buf_bytes(&target->buf), ESP_TIME_NONE, &target->err);
}

int main(int argc, char **argv)
{
    struct target target = {0};
    char *text = NULL;
    size_t capacity = 0;
    enum esp_status status = ESP_OK;
    if (argc != 3)
        fail("usage", "drift-records files:ROOT|kafka:HOST:PORT TOPIC <LINES");
    open_target(&target, argv[1], argv[2]);
    while (status == ESP_OK && getline(&text, &capacity, stdin) > 0) {
        if (text[0] != '\n' && text[0] != '#')
            status = write_line(&target, text);
    }
    if (status == ESP_OK)
        status = esp_log_flush(target.writer, 30 * ESP_SECOND, &target.err);
    if (status != ESP_OK)
        fprintf(stderr, "drift-records: %s\n", target.err.text);
    free(text);
    esp_buf_release(&target.buf);
    esp_log_writer_free(target.writer);
    esp_log_free(target.log);
    return status == ESP_OK ? 0 : 70;
}
