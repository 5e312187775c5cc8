/* outputs.c - see outputs.h. */
#include "cmd/topics/outputs.h"

#include <errno.h>
#include <inttypes.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "event/encode.h"
#include "event/records.h"

enum { ID_TEXT_SIZE = 1024 };
static const size_t most_record_bytes = (size_t)64 << 20;
static const int64_t flush_patience_us = 60 * ESP_SECOND;

static bool is_files(const struct outputs *outputs)
{
    return outputs->config->options.files_root != NULL;
}

void outputs_init(struct outputs *outputs, unsigned topics, const struct config *config,
                  struct esp_log *log, const struct esp_decoder *impressions)
{
    *outputs = (struct outputs){
        .topics = topics, .config = config, .log = log, .impressions = impressions};
    const struct options *options = &config->options;
    bool is_apart = config->is_scoring && is_files(outputs);
    snprintf(outputs->dead_topic, sizeof outputs->dead_topic, "%s%s%s", options->dead_letter_topic,
             is_apart ? "-" : "", is_apart ? options->score_topic : "");
    esp_buf_init(&outputs->key, most_record_bytes);
    esp_buf_init(&outputs->value, most_record_bytes);
}

void outputs_release(struct outputs *outputs)
{
    if (outputs->config == NULL)
        return;
    esp_log_writer_free(outputs->late);
    esp_log_writer_free(outputs->dead);
    esp_log_writer_free(outputs->drift);
    for (size_t i = 0; i < outputs->n_examples; i++) {
        if (i == 0 || is_files(outputs)) /* in Kafka all share the first one's */
            esp_log_writer_free(outputs->examples[i].writer);
    }
    for (size_t i = 0; i < outputs->n_bases; i++)
        topic_marks_release(&outputs->bases[i]);
    free(outputs->bases);
    free(outputs->examples);
    esp_buf_release(&outputs->key);
    esp_buf_release(&outputs->value);
    *outputs = (struct outputs){0};
}

void outputs_topics(const struct config *config, struct output_topic topics[N_OUTPUT_TOPICS])
{
    const struct options *options = &config->options;
    topics[0] = (struct output_topic){options->examples_topic, options->write_examples};
    topics[1] = (struct output_topic){options->late_topic, true};
    topics[2] = (struct output_topic){options->dead_letter_topic, true};
    topics[3] = (struct output_topic){options->drift_topic, config->has_drift};
}

/* Sets errno where it cannot be written to. */
static bool is_writable_folder(const char *path)
{
    struct stat info;
    if (stat(path, &info) != 0)
        return false;
    errno = ENOTDIR;
    return S_ISDIR(info.st_mode) && access(path, W_OK | X_OK) == 0;
}

enum esp_status outputs_check_folder(const struct config *config, const char *section,
                                     const char *key, const char *path, bool is_made,
                                     struct esp_error *err)
{
    if (is_writable_folder(path))
        return ESP_OK;
    char *copy = errno == ENOENT && is_made ? strdup(path) : NULL, where[512];
    bool can_be_made = copy != NULL && is_writable_folder(dirname(copy));
    free(copy);
    if (can_be_made)
        return ESP_OK;
    return esp_fail(err, ESP_ECONFIG,
                    "%s: the folder %s cannot be written to: %s; name one that can",
                    config_place(config, section, key, where, sizeof where), path, strerror(errno));
}

static enum esp_status open_writer(const struct outputs *outputs, const char *topic,
                                   const char *schema_json, struct esp_log_writer **out,
                                   struct esp_error *err)
{
    struct esp_log_writer_config writer = {
        .topic = topic,
        .n_partitions = (size_t)outputs->config->options.output_partitions,
        .schema_json = schema_json,
    };
    /* A broker that is away is waited for, as it is when it goes away later. */
    for (;;) {
        struct esp_error why = {0};
        enum esp_status status = esp_log_writer_new(outputs->log, &writer, out, &why);
        if (status == ESP_OK)
            return ESP_OK;
        if (status != ESP_EBROKER || esp_log_stops(outputs->log))
            return esp_fail(err, status, "%s", why.text);
    }
}

/* Containers carry their schema; in Kafka single-object framing names it. */
static enum esp_status begin_value(struct outputs *outputs, uint64_t fingerprint,
                                   struct esp_error *err)
{
    esp_buf_clear(&outputs->value);
    return is_files(outputs) ? ESP_OK : esp_put_single_object(&outputs->value, fingerprint, err);
}

static enum esp_status append(struct outputs *outputs, struct esp_log_writer *writer,
                              struct esp_error *err)
{
    return esp_log_append(writer, ESP_PARTITION_BY_KEY, esp_buf_bytes(&outputs->key),
                          esp_buf_bytes(&outputs->value), ESP_TIME_NONE, err);
}

/* ---- late events and dead letters ------------------------------------------------------------ */

static enum esp_status open_turned_away(struct outputs *outputs, const char *topic,
                                        struct esp_log_writer **writer, struct esp_error *err)
{
    if (*writer != NULL)
        return ESP_OK;
    const char *json = esp_own_schema_json(ESP_SCHEMA_DEAD_LETTER);
    enum esp_status status =
        esp_schema_fingerprint(json, strlen(json), &outputs->dead_letter_fingerprint, err);
    if (status != ESP_OK)
        return status;
    return open_writer(outputs, topic, json, writer, err);
}

enum esp_status outputs_open_late(struct outputs *outputs, struct esp_error *err)
{
    return open_turned_away(outputs, outputs->config->options.late_topic, &outputs->late, err);
}

enum esp_status outputs_open_dead(struct outputs *outputs, struct esp_error *err)
{
    return open_turned_away(outputs, outputs->dead_topic, &outputs->dead, err);
}

enum esp_status outputs_write_turned_away(struct outputs *outputs,
                                          const struct esp_turned_away *event,
                                          struct esp_error *err)
{
    bool late = event->verdict == ESP_VERDICT_LATE;
    const char *topic = outputs->config->options.inputs[event->kind].topic;
    /* What is over the limit of a record does not go where records of that limit go. */
    bool is_too_large = !late && event->reject == ESP_REJECT_TOO_LARGE;
    struct esp_dead_letter_record record = {
        .kind = event->kind,
        .verdict = late ? ESP_DEAD_LETTER_LATE : ESP_DEAD_LETTER_DEAD,
        .reason = late ? (event->behind_idle ? "late behind an idle partition" : "late")
                       : esp_reject_text((enum esp_reject)event->reject),
        .topic = topic,
        .partition = (int32_t)event->partition,
        .offset = event->offset,
        .log_time_us = event->log_time_us,
        .event_time_us = event->time_us,
        .value = is_too_large ? esp_bytes(NULL, 0) : event->raw,
    };
    char key[512];
    snprintf(key, sizeof key, "%s/%" PRIu32 "/%" PRId64, topic, event->partition, event->offset);
    esp_buf_clear(&outputs->key);
    enum esp_status status =
        late ? outputs_open_late(outputs, err) : outputs_open_dead(outputs, err);
    if (status == ESP_OK)
        status = esp_buf_append(&outputs->key, key, strlen(key), err);
    if (status == ESP_OK)
        status = begin_value(outputs, outputs->dead_letter_fingerprint, err);
    if (status == ESP_OK)
        status = esp_encode_dead_letter(&outputs->value, &record, err);
    return status == ESP_OK ? append(outputs, late ? outputs->late : outputs->dead, err) : status;
}

/* ---- examples -------------------------------------------------------------------------------- */

const char *outputs_example_topic(const struct outputs *outputs, size_t i,
                                  char name[OUTPUT_TOPIC_SIZE])
{
    const char *topic = outputs->config->options.examples_topic;
    if (i == 0 || !is_files(outputs))
        return topic;
    snprintf(name, OUTPUT_TOPIC_SIZE, "%s-%016" PRIx64, topic, outputs->examples[i].fingerprint);
    return name;
}

/* Of the last one. */
static enum esp_status open_example_topic(struct outputs *outputs, const char *json,
                                          struct esp_error *err)
{
    size_t i = outputs->n_examples - 1;
    struct example_output *output = &outputs->examples[i];
    char name[OUTPUT_TOPIC_SIZE];
    if (i == 0 || is_files(outputs))
        return open_writer(outputs, outputs_example_topic(outputs, i, name), json, &output->writer,
                           err);
    output->writer = outputs->examples[0].writer;
    return ESP_OK;
}

enum esp_status outputs_add_examples(struct outputs *outputs, const struct esp_writer *writer,
                                     struct esp_error *err)
{
    struct example_output output = {.impressions = writer};
    char *json = NULL;
    enum esp_status status =
        esp_array_grow((void **)&outputs->examples, &outputs->example_capacity,
                       outputs->n_examples + 1, sizeof *outputs->examples, err);
    if (status == ESP_OK)
        status = esp_example_schema(esp_own_schema_json(ESP_SCHEMA_EXAMPLE),
                                    esp_writer_json(writer), &json, err);
    if (status == ESP_OK)
        status = esp_schema_fingerprint(json, strlen(json), &output.fingerprint, err);
    if (status == ESP_OK) {
        outputs->examples[outputs->n_examples++] = output;
        status = open_example_topic(outputs, json, err);
        outputs->n_examples -= status != ESP_OK;
    }
    free(json);
    return status;
}

/* Errors: as esp_log_writer_new(). *out stays valid until the next call. */
static enum esp_status find_example_output(struct outputs *outputs, const struct esp_writer *writer,
                                           const struct example_output **out, struct esp_error *err)
{
    size_t i = 0;
    while (i < outputs->n_examples && outputs->examples[i].impressions != writer)
        i++;
    enum esp_status status =
        i < outputs->n_examples ? ESP_OK : outputs_add_examples(outputs, writer, err);
    if (status == ESP_OK)
        *out = &outputs->examples[i];
    return status;
}

/* ID/STAGE; an id too long for that is cut and followed by its hash. */
static enum esp_status example_key(struct outputs *outputs, const struct esp_example *example,
                                   struct esp_error *err)
{
    static const char *const stages[] = {"click", "install", "whole"};
    char id[ID_TEXT_SIZE], tail[48];
    size_t n =
        esp_id_format(example->id, esp_decoder_id_is_number(outputs->impressions), id, sizeof id);
    if (n == sizeof id - 1)
        snprintf(tail, sizeof tail, "#%016" PRIx64 "/%s", example->id_hash, stages[example->stage]);
    else
        snprintf(tail, sizeof tail, "/%s", stages[example->stage]);
    esp_buf_clear(&outputs->key);
    enum esp_status status = esp_buf_append(&outputs->key, id, n, err);
    return status == ESP_OK ? esp_buf_append(&outputs->key, tail, strlen(tail), err) : status;
}

enum esp_status outputs_write_example(struct outputs *outputs, const struct esp_example *example,
                                      struct esp_error *err)
{
    struct esp_example_record record = {
        .impression_id = example->id,
        .impression_time_us = example->impression_us,
        .click_time_us = example->click_us,
        .install_time_us = example->install_us,
        .maturity_us = example->due_us,
        .stage = (enum esp_example_stage)example->stage,
        .click = example->y,
        .install = example->z,
        .weight = example->weight,
        .base_weight = example->base_weight,
        .holdout = example->holdout,
        .impression = example->payload,
    };
    const struct example_output *output = NULL;
    enum esp_status status = find_example_output(outputs, example->writer, &output, err);
    if (status == ESP_OK)
        status = example_key(outputs, example, err);
    if (status == ESP_OK)
        status = begin_value(outputs, output->fingerprint, err);
    if (status == ESP_OK)
        status = esp_encode_example(&outputs->value, &record, err);
    return status == ESP_OK ? append(outputs, output->writer, err) : status;
}

/* ---- drift ----------------------------------------------------------------------------------- */

enum esp_status outputs_open_drift(struct outputs *outputs, struct esp_error *err)
{
    if (outputs->drift != NULL)
        return ESP_OK;
    const char *json = esp_own_schema_json(ESP_SCHEMA_DRIFT);
    enum esp_status status =
        esp_schema_fingerprint(json, strlen(json), &outputs->drift_fingerprint, err);
    if (status != ESP_OK)
        return status;
    return open_writer(outputs, outputs->config->options.drift_topic, json, &outputs->drift, err);
}

enum esp_status outputs_write_drift(struct outputs *outputs, const struct esp_drift_record *record,
                                    struct esp_error *err)
{
    char key[ESP_DRIFT_KEY_SIZE];
    esp_drift_key(record, key);
    esp_buf_clear(&outputs->key);
    enum esp_status status = outputs_open_drift(outputs, err);
    if (status == ESP_OK)
        status = esp_buf_append(&outputs->key, key, strlen(key), err);
    if (status == ESP_OK)
        status = begin_value(outputs, outputs->drift_fingerprint, err);
    if (status == ESP_OK)
        status = esp_encode_drift(&outputs->value, record, err);
    return status == ESP_OK ? append(outputs, outputs->drift, err) : status;
}

/* Adds what could not be delivered to what others could not. */
static void flush_writer(struct esp_log_writer *writer, struct esp_error *sum)
{
    struct esp_error one = {0};
    if (writer == NULL || esp_log_flush(writer, flush_patience_us, &one) == ESP_OK)
        return;
    struct esp_error before = *sum;
    *sum = (struct esp_error){0};
    if (before.status == ESP_OK)
        esp_fail(sum, one.status, "%s", one.text);
    else
        esp_fail(sum, before.status, "%s; %s", before.text, one.text);
}

enum esp_status outputs_flush(struct outputs *outputs, struct esp_error *err)
{
    struct esp_error sum = {0};
    flush_writer(outputs->late, &sum);
    flush_writer(outputs->dead, &sum);
    flush_writer(outputs->drift, &sum);
    for (size_t i = 0; i < outputs->n_examples; i++) {
        if (i == 0 || is_files(outputs)) /* in Kafka all share the first one's */
            flush_writer(outputs->examples[i].writer, &sum);
    }
    return sum.status == ESP_OK ? ESP_OK : esp_fail(err, sum.status, "%s", sum.text);
}
