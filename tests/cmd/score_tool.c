/*
 * score_tool.c - what the tests of scoring need beside the program itself.
 *
 *     score_tool learn CONFIG SNAPSHOT NUMBER [SECTION.KEY=VALUE...]
 *         Lets the first model of the configuration learn from its impressions, with labels made up
 *         of their ids and NUMBER, writes a snapshot of that number, and prints the learner's own
 *         scores of the impressions: PARTITION ID MODEL NUMBER P P P, numbers in hex, to the bit.
 *     score_tool scores CONFIG [SECTION.KEY=VALUE...]
 *         Prints the score records of [score] topic in the same form, in the order of partitions
 * and offsets: the partition is the output's. score_tool partition N KEY      the partition that
 * Java's producer takes for a key score_tool rows CONFIG [SECTION.KEY=VALUE...] Prints the
 * impressions as JSON lines: {"partition", "id", "fields": {path: value}}. score_tool publish
 * CONFIG SNAPSHOT [SECTION.KEY=VALUE...] Publishes a snapshot's file to [snapshot] topic, as the
 * trainer does.
 */
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cmd/config/arguments.h"
#include "cmd/topics/inputs.h"
#include "core/hash.h"
#include "event/records.h"
#include "metric/metric.h"
#include "snapshot/publisher.h"
#include "snapshot/snapshot.h"
#include "snapshot/snapshot_write.h"

enum { BATCH = 256 };
static const int64_t patience_us = 30 * ESP_SECOND;

static void must(enum esp_status status, const struct esp_error *err)
{
    if (status == ESP_OK)
        return;
    fprintf(stderr, "score_tool: %s\n", err->text);
    exit(1);
}

/* ---- impressions ----------------------------------------------------------------------------- */

/* One impression, with the values of the configured fields. */
typedef void visit_impression(void *context, size_t partition, const struct esp_header *header,
                              const struct esp_value *values);

static void visit_partition(struct inputs *inputs, size_t p, visit_impression *visit, void *context)
{
    struct input *input = &inputs->kinds[ESP_IMPRESSION];
    struct esp_error err = {0};
    struct esp_value_scratch scratch = {0};
    struct esp_value *values = calloc(inputs->config->n_feature_paths + 1, sizeof *values);
    struct esp_log_reader *reader = NULL;
    struct esp_record records[BATCH];
    struct esp_header headers[BATCH];
    enum esp_log_position position = ESP_LOG_MORE;
    must(esp_log_reader_new(inputs->log, inputs->config->options.inputs[ESP_IMPRESSION].topic, p,
                            ESP_OFFSET_EARLIEST, false, &input->framer, &reader, &err),
         &err);
    while (position != ESP_LOG_ENDED) {
        size_t n = 0;
        must(esp_log_read(reader, records, BATCH, ESP_SECOND, &n, &position, &err), &err);
        must(inputs_headers(inputs, ESP_IMPRESSION, records, n, headers, &err), &err);
        for (size_t i = 0; i < n; i++) {
            if (headers[i].reject != ESP_REJECT_NONE)
                continue;
            must(esp_writer_features(esp_decoder_writer(input->decoder, headers[i].writer),
                                     headers[i].payload, values, &scratch, &err),
                 &err);
            visit(context, p, &headers[i], values);
        }
    }
    esp_log_reader_free(reader);
    esp_value_scratch_release(&scratch);
    free(values);
}

static void visit_all(struct inputs *inputs, visit_impression *visit, void *context)
{
    for (size_t p = 0; p < inputs->kinds[ESP_IMPRESSION].n_partitions; p++)
        visit_partition(inputs, p, visit, context);
}

static const char *id_text(const struct inputs *inputs, const struct esp_header *header,
                           char text[1024])
{
    esp_id_format(header->id, esp_decoder_id_is_number(inputs->kinds[ESP_IMPRESSION].decoder), text,
                  1024);
    return text;
}

/* ---- learn ----------------------------------------------------------------------------------- */

struct learning_test {
    struct inputs *inputs;
    struct esp_features *features;
    struct esp_learner *learner;
    struct esp_feature_batch rows;
    const char *model;
    int64_t number;
    uint64_t n;
};

static void learn_stage(struct learning_test *test, struct esp_example *example,
                        const struct esp_value *values, enum esp_stage stage)
{
    struct esp_error err = {0};
    example->stage = (uint8_t)stage;
    example->due_us++;
    esp_feature_batch_reset(&test->rows);
    must(esp_features_add_row(test->features, values, stage == ESP_STAGE_CLICK, &test->rows, &err),
         &err);
    must(esp_learner_take(test->learner, example, 1, &test->rows, &err), &err);
}

static void learn_one(void *context, size_t partition, const struct esp_header *header,
                      const struct esp_value *values)
{
    struct learning_test *test = context;
    uint64_t hash = esp_mix64(header->id_hash ^ (uint64_t)test->number);
    bool y = hash % 4 == 0, z = y && hash / 4 % 3 == 0;
    struct esp_example example = {
        .due_us = (int64_t)test->n * 10,
        .impression_us = header->time_us,
        .click_us = y ? header->time_us : ESP_TIME_NONE,
        .install_us = z ? header->time_us : ESP_TIME_NONE,
        .ticket = test->n++,
        .id_hash = header->id_hash,
        .weight = 1,
        .base_weight = 1,
        .y = y,
        .z = z,
    };
    (void)partition;
    learn_stage(test, &example, values, ESP_STAGE_CLICK);
    if (y)
        learn_stage(test, &example, values, ESP_STAGE_INSTALL);
    if (esp_learner_needs_whole(test->learner))
        learn_stage(test, &example, values, ESP_STAGE_WHOLE);
}

static void print_score(size_t partition, const char *id, const char *model, int64_t number,
                        const double p[ESP_N_TASKS])
{
    printf("%zu %s %s %" PRId64, partition, id, model, number);
    for (size_t i = 0; i < ESP_N_TASKS; i++)
        if (isnan(p[i]))
            printf(" null");
        else
            printf(" %a", p[i]);
    putchar('\n');
}

static void score_one(void *context, size_t partition, const struct esp_header *header,
                      const struct esp_value *values)
{
    struct learning_test *test = context;
    struct esp_error err = {0};
    float logits[ESP_N_TASKS];
    double p[ESP_N_TASKS];
    char id[1024];
    esp_feature_batch_reset(&test->rows);
    must(esp_features_add_row(test->features, values, false, &test->rows, &err), &err);
    must(esp_learner_score(test->learner, &test->rows, logits, &err), &err);
    for (size_t i = 0; i < ESP_N_TASKS; i++)
        p[i] = esp_sigmoid((double)logits[i]);
    print_score(partition, id_text(test->inputs, header, id), test->model, test->number, p);
}

static uint64_t hash_of_list(const struct config *config)
{
    uint64_t hash = 0;
    for (size_t i = 0; i < config->n_features; i++)
        hash = esp_mix64(hash ^ esp_hash(esp_bytes_of(config->features[i].name)));
    return hash;
}

static void write_snapshot(const struct learning_test *test, const struct config *config,
                           const char *path)
{
    const struct esp_model_config *model = &config->models[0];
    struct esp_error err = {0};
    struct esp_parameters parameters;
    struct esp_manifest manifest = {
        .number = test->number,
        .boundary_us = test->number * ESP_HOUR,
        .every_us = ESP_HOUR,
        .has_installs = config->has_installs,
        .setup = model->setup,
        .width = model->width,
        .n_layers = model->n_layers,
        .n_head_layers = model->n_head_layers,
        .fields = config->feature_paths,
        .n_fields = config->n_feature_paths,
        .features = config->features,
        .n_features = config->n_features,
        .statistics = test->features,
    };
    esp_learner_parameters(test->learner, &parameters);
    manifest.n_learned = parameters.n_learned;
    manifest.n_steps = parameters.n_steps;
    memcpy(manifest.layers, model->layers, sizeof manifest.layers);
    memcpy(manifest.head_layers, model->head_layers, sizeof manifest.head_layers);
    snprintf(manifest.model, sizeof manifest.model, "%s", model->name);
    /* Another list of features, or another set-up, is another run. */
    snprintf(manifest.run, sizeof manifest.run, "%016" PRIx64,
             esp_mix64(hash_of_list(config) ^ (uint64_t)model->setup));
    bool half = config->options.snapshot_rows == 1;
    must(esp_snapshot_write(path, &manifest, &parameters, half ? ESP_DTYPE_BF16 : ESP_DTYPE_F32,
                            NULL, &err),
         &err);
}

static int run_learn(struct config *config, struct inputs *inputs, const char *path,
                     const char *number)
{
    struct esp_error err = {0};
    struct esp_learner_config learner = config_learner(config, 0);
    struct learning_test test = {
        .inputs = inputs, .model = config->models[0].name, .number = strtoll(number, NULL, 10)};
    must(esp_features_new(config->features, config->n_features, &test.features, &err), &err);
    must(esp_learner_new(&learner, NULL, &test.learner, &err), &err);
    esp_feature_batch_init(&test.rows, config->n_features);
    visit_all(inputs, learn_one, &test);
    must(esp_learner_flush(test.learner, &err), &err);
    write_snapshot(&test, config, path);
    visit_all(inputs, score_one, &test);
    esp_feature_batch_release(&test.rows);
    esp_learner_free(test.learner);
    esp_features_free(test.features);
    return 0;
}

/* ---- rows ------------------------------------------------------------------------------------ */

static json_t *value_json(const struct esp_value *value)
{
    char hex[2049] = "";
    switch (value->type) {
    case ESP_VALUE_BOOL:
        return json_boolean(value->u.i != 0);
    case ESP_VALUE_INT:
        return json_integer((json_int_t)value->u.i);
    case ESP_VALUE_REAL:
        return json_real(value->u.f);
    case ESP_VALUE_TEXT:
        return json_stringn((const char *)value->u.bytes.data, value->u.bytes.size);
    case ESP_VALUE_BYTES:
        for (size_t i = 0; i < value->u.bytes.size && i < 1024; i++)
            snprintf(hex + 2 * i, 3, "%02x", value->u.bytes.data[i]);
        return json_pack("{s:s}", "bytes", hex);
    case ESP_VALUE_ARRAY: {
        json_t *array = json_array();
        for (size_t i = 0; i < value->n_items; i++)
            json_array_append_new(array, value_json(&value->u.items[i]));
        return array;
    }
    default:
        return json_null();
    }
}

static void print_row(void *context, size_t partition, const struct esp_header *header,
                      const struct esp_value *values)
{
    struct inputs *inputs = context;
    const struct config *config = inputs->config;
    char id[1024];
    json_t *fields = json_object();
    for (size_t i = 0; i < config->n_feature_paths; i++)
        json_object_set_new(fields, config->feature_paths[i], value_json(&values[i]));
    json_t *row = json_pack("{s:I, s:s, s:o}", "partition", (json_int_t)partition, "id",
                            id_text(inputs, header, id), "fields", fields);
    json_dumpf(row, stdout, JSON_COMPACT | JSON_REAL_PRECISION(17));
    putchar('\n');
    json_decref(row);
}

/* ---- scores ---------------------------------------------------------------------------------- */

static const char *const score_fields[] = {
    "model", "run", "snapshot", "p_click", "p_install_given_click", "p_install"};
enum { N_SCORE_FIELDS = sizeof score_fields / sizeof score_fields[0], FIRST_P = 3 };

static void print_record(const struct esp_record *record, const struct esp_header *header,
                         const struct esp_value *values, size_t partition)
{
    char id[1024], model[256];
    double p[ESP_N_TASKS];
    esp_id_format(header->id, false, id, sizeof id);
    snprintf(model, sizeof model, "%.*s", (int)values[0].u.bytes.size,
             (const char *)values[0].u.bytes.data);
    for (size_t i = 0; i < ESP_N_TASKS; i++)
        p[i] = values[FIRST_P + i].type == ESP_VALUE_REAL ? values[FIRST_P + i].u.f : NAN;
    if (record->key.size > 0) { /* Kafka keeps it */
        char key[2048];
        snprintf(key, sizeof key, "%s/%s", id, model);
        if (!esp_bytes_equal(record->key, esp_bytes_of(key)))
            printf("wrong key: ");
    }
    print_score(partition, id, model, values[2].u.i, p);
}

static void print_scores(const struct config *config, struct esp_log *log,
                         struct esp_decoder *decoder, size_t partition)
{
    struct esp_error err = {0};
    struct esp_value values[N_SCORE_FIELDS];
    struct esp_value_scratch scratch = {0};
    struct esp_log_reader *reader = NULL;
    struct esp_record records[BATCH];
    struct esp_header headers[BATCH];
    enum esp_log_position position = ESP_LOG_MORE;
    must(esp_log_reader_new(log, config->options.score_topic, partition, ESP_OFFSET_EARLIEST, false,
                            esp_decoder_framer(decoder), &reader, &err),
         &err);
    while (position != ESP_LOG_ENDED) {
        size_t n = 0;
        must(esp_log_read(reader, records, BATCH, ESP_SECOND, &n, &position, &err), &err);
        must(esp_decoder_headers(decoder, records, n, headers, &err), &err);
        for (size_t i = 0; i < n; i++) {
            if (headers[i].reject != ESP_REJECT_NONE) {
                printf("rejected: %s\n", esp_reject_text((enum esp_reject)headers[i].reject));
                continue;
            }
            must(esp_writer_features(esp_decoder_writer(decoder, headers[i].writer),
                                     headers[i].payload, values, &scratch, &err),
                 &err);
            print_record(&records[i], &headers[i], values, partition);
        }
    }
    esp_log_reader_free(reader);
    esp_value_scratch_release(&scratch);
}

static int run_scores(const struct config *config, struct esp_log *log)
{
    const struct esp_schema_file schema = {-1, ESP_SOURCE_DIR "/schemas/score.avsc", NULL};
    struct esp_decoder_config scores = {
        .topic = config->options.score_topic,
        .framing = config->options.files_root == NULL ? ESP_FRAMING_SINGLE : ESP_FRAMING_AUTO,
        .writers = &schema,
        .n_writers = config->options.files_root == NULL ? 1 : 0,
        .id_path = "impression_id",
        .time_path = "event_time",
        .time_min_us = INT64_MIN + 1,
        .time_max_us = INT64_MAX,
        .feature_paths = score_fields,
        .n_features = N_SCORE_FIELDS,
    };
    struct esp_error err = {0};
    struct esp_decoder *decoder = NULL;
    size_t n = 0;
    must(esp_decoder_new(&scores, &decoder, &err), &err);
    must(esp_log_partitions(log, config->options.score_topic, patience_us, &n, &err), &err);
    for (size_t p = 0; p < n; p++)
        print_scores(config, log, decoder, p);
    esp_decoder_free(decoder);
    return 0;
}

/* ---- publish --------------------------------------------------------------------------------- */

static uint64_t file_hash(const char *path)
{
    struct esp_hasher *hasher = esp_hasher_new();
    FILE *file = fopen(path, "rb");
    char piece[65536];
    size_t n;
    if (file == NULL || hasher == NULL)
        exit(1);
    while ((n = fread(piece, 1, sizeof piece, file)) > 0)
        esp_hasher_add(hasher, piece, n);
    fclose(file);
    uint64_t hash = esp_hasher_value(hasher);
    esp_hasher_free(hasher);
    return hash;
}

static int run_publish(const struct config *config, struct esp_log *log, const char *path)
{
    struct esp_error err = {0};
    struct esp_publisher *publisher = NULL;
    struct esp_snapshot_info info;
    enum esp_publish_result result;
    static const char *const compacted[] = {"cleanup.policy", "compact", NULL};
    const struct esp_publisher_config to = {
        .log = log, .place = config->options.snapshot_topic, .keep = 10};
    size_t n = 0;
    must(esp_log_partitions(log, to.place, patience_us, &n, &err), &err);
    if (n == 0)
        must(esp_log_create_topic(log, to.place, 2, compacted, &err), &err);
    must(esp_snapshot_peek(path, &info, &err), &err);
    struct esp_publication publication = {
        .path = path,
        .boundary_us = info.boundary_us,
        .created_us = (int64_t)time(NULL) * ESP_SECOND,
        .size = info.size,
        .checksum = file_hash(path),
        .manifest_json = info.manifest_json,
        .id.number = info.number,
    };
    snprintf(publication.id.run, sizeof publication.id.run, "%s", info.run);
    snprintf(publication.id.model, sizeof publication.id.model, "%s", info.model);
    must(esp_publisher_new(&to, &publisher, &err), &err);
    must(esp_publisher_publish(publisher, &publication, &result, &err), &err);
    esp_publisher_free(publisher);
    esp_snapshot_info_release(&info);
    return result == ESP_PUBLISHED ? 0 : 1;
}

/* ---- the command line ------------------------------------------------------------------------ */

static int usage(void)
{
    fputs("usage: see the head of tests/cmd/score_tool.c\n", stderr);
    return 64;
}

static void print_problem(void *context, const char *line)
{
    (void)context;
    fprintf(stderr, "%s\n", line);
}

static int run_command(const char *command, int argc, char **argv)
{
    struct config config;
    struct inputs inputs = {.config = NULL};
    struct esp_error err = {0};
    int n_own = strcmp(command, "learn") == 0 ? 3 : strcmp(command, "publish") == 0 ? 2 : 1;
    if (argc < n_own)
        return usage();
    must(config_load(&config, argv[0], argv + n_own, (size_t)(argc - n_own), print_problem, NULL,
                     &err),
         &err);
    must(inputs_open(&inputs, &config, report_log_event, NULL, &err), &err);
    must(inputs_find_topics(&inputs, patience_us, &err), &err);
    int code = strcmp(command, "learn") == 0     ? run_learn(&config, &inputs, argv[1], argv[2])
               : strcmp(command, "scores") == 0  ? run_scores(&config, inputs.log)
               : strcmp(command, "publish") == 0 ? run_publish(&config, inputs.log, argv[1])
                                                 : 0;
    if (strcmp(command, "rows") == 0)
        visit_all(&inputs, print_row, &inputs);
    inputs_release(&inputs);
    config_release(&config);
    return code;
}

int main(int argc, char **argv)
{
    if (argc < 3)
        return usage();
    if (strcmp(argv[1], "partition") == 0 && argc == 4) {
        printf("%" PRIu32 "\n",
               esp_log_partition_of(esp_bytes_of(argv[3]), (uint32_t)strtoul(argv[2], NULL, 10)));
        return 0;
    }
    return run_command(argv[1], argc - 2, argv + 2);
}
