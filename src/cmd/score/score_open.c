/* score_open.c - opens what a scoring run reads and writes. See score_loop.h. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/score/score_loop.h"
#include "core/logger.h"
#include "event/encode.h"
#include "event/records.h"

static const int64_t broker_patience_us = 10 * ESP_SECOND;
static const int64_t look_patience_us = ESP_SECOND;

/* ---- the output ------------------------------------------------------------------------------ */

static enum esp_status find_output(const struct score_loop *loop, size_t *out_n,
                                   struct esp_error *err)
{
    const struct config *config = loop->run->config;
    const struct options *options = &config->options;
    if (options->files_root != NULL) {
        *out_n = (size_t)options->output_partitions;
        return ESP_OK;
    }
    enum esp_status status =
        esp_log_partitions(loop->inputs->log, options->score_topic, broker_patience_us, out_n, err);
    if (status == ESP_OK && *out_n == 0)
        return esp_fail(err, ESP_ECONFIG,
                        "output topic %s does not exist; run `espalier check --config %s "
                        "--create-topics` once",
                        options->score_topic, config->path);
    return status;
}

static enum esp_status open_output(struct score_loop *loop, struct esp_pool *pool,
                                   struct esp_error *err)
{
    const struct options *options = &loop->run->config->options;
    const char *json = esp_own_schema_json(ESP_SCHEMA_SCORE);
    struct score_batch_config batch = {
        .pool = pool,
        .n_rows = loop->config.read_batch,
        .is_framed = options->files_root == NULL,
        .id_is_number = esp_decoder_id_is_number(loop->inputs->kinds[ESP_IMPRESSION].decoder),
    };
    size_t n_partitions = 0;
    enum esp_status status = find_output(loop, &n_partitions, err);
    if (status == ESP_OK)
        status = esp_schema_fingerprint(json, strlen(json), &batch.fingerprint, err);
    batch.n_partitions = (uint32_t)n_partitions;
    struct esp_log_writer_config writer = {
        .topic = options->score_topic, .n_partitions = n_partitions, .schema_json = json};
    if (status == ESP_OK)
        status = esp_log_writer_new(loop->inputs->log, &writer, &loop->writer, err);
    return status == ESP_OK ? score_batch_init(&loop->batch, &batch, err) : status;
}

/* ---- inputs ---------------------------------------------------------------------------------- */

static enum esp_status open_reader(const struct score_loop *loop, size_t p,
                                   const struct esp_log_place *place, bool follow,
                                   struct esp_log_reader **out, struct esp_error *err)
{
    const struct config *config = loop->run->config;
    struct input *input = &loop->inputs->kinds[ESP_IMPRESSION];
    return esp_log_reader_new_at(loop->inputs->log, config->options.inputs[ESP_IMPRESSION].topic, p,
                                 place, follow, &input->framer, out, err);
}

static enum esp_status open_partition(struct score_loop *loop, size_t p, struct esp_error *err)
{
    struct score_partition *partition = &loop->partitions[p];
    int64_t offset = loop->positions.next[p], first = 0;
    bool latest = loop->run->config->options.score_from == SCORE_FROM_LATEST;
    enum esp_status status = ESP_OK;
    partition->hasher = esp_hasher_new();
    if (partition->hasher == NULL)
        return esp_fail(err, ESP_ENOMEM, "out of memory for a partition");
    if (offset < 0 && latest && !loop->positions.is_known)
        status = esp_log_bounds(loop->inputs->log,
                                loop->run->config->options.inputs[ESP_IMPRESSION].topic, p, &first,
                                &offset, err);
    if (status != ESP_OK)
        return status;
    bool goes_on = loop->positions.next[p] >= 0;
    loop->positions.next[p] = offset;
    struct esp_error why = {0};
    struct esp_log_place place = loop->positions.places[p];
    place.offset = offset < 0 ? ESP_OFFSET_EARLIEST : offset;
    status = open_reader(loop, p, &place, loop->config.follow, &partition->reader, &why);
    if (status == ESP_OK) {
        loop->n_open++;
        return ESP_OK;
    }
    if (status == ESP_EDATA && goes_on)
        return esp_fail(err, status, "%s; %s says so: remove it to go on without them", why.text,
                        loop->positions.path);
    return esp_fail(err, status, "%s", why.text);
}

enum esp_status score_loop_init(struct score_loop *loop, const struct score_loop_config *config,
                                struct run *run, struct inputs *inputs, struct score_models *models,
                                struct outputs *outputs, struct esp_pool *pool,
                                struct esp_error *err)
{
    *loop = (struct score_loop){
        .config = *config,
        .run = run,
        .inputs = inputs,
        .models = models,
        .outputs = outputs,
        .n_partitions = inputs->kinds[ESP_IMPRESSION].n_partitions,
        .status.time_us = ESP_TIME_NONE,
        .shown.time_us = ESP_TIME_NONE,
    };
    loop->partitions = calloc(loop->n_partitions, sizeof *loop->partitions);
    loop->partition_capacity = loop->n_partitions;
    loop->records = calloc(config->read_batch, sizeof *loop->records);
    loop->headers = calloc(config->read_batch, sizeof *loop->headers);
    loop->accepted = calloc(config->read_batch, sizeof *loop->accepted);
    if (loop->partitions == NULL || loop->records == NULL || loop->headers == NULL ||
        loop->accepted == NULL) {
        loop->n_partitions = 0;
        return esp_fail(err, ESP_ENOMEM, "out of memory for %zu records", config->read_batch);
    }
    enum esp_status status =
        score_positions_load(&loop->positions, run->config, loop->n_partitions, err);
    if (status == ESP_OK) /* what is written to is this process' alone now */
        status = open_output(loop, pool, err);
    if (status == ESP_OK)
        status = score_positions_cut_back(&loop->positions, run->config, inputs->log,
                                          outputs->dead_topic, err);
    for (size_t p = 0; status == ESP_OK && p < loop->n_partitions; p++)
        status = open_partition(loop, p, err);
    loop->saved_us = loop->looked_us = run_clock_us();
    return status;
}

/* The array moves, what its items point to stays. */
static enum esp_status add_partitions(struct score_loop *loop, size_t n, struct esp_error *err)
{
    enum esp_status status = esp_array_grow((void **)&loop->partitions, &loop->partition_capacity,
                                            n, sizeof *loop->partitions, err);
    if (status == ESP_OK)
        status = score_positions_grow(&loop->positions, n, err);
    while (status == ESP_OK && loop->n_partitions < n) {
        struct score_partition *partition = &loop->partitions[loop->n_partitions];
        *partition = (struct score_partition){.reader = NULL};
        status = open_partition(loop, loop->n_partitions, err);
        if (status == ESP_OK)
            loop->n_partitions++;
        else
            esp_hasher_free(partition->hasher);
    }
    return status;
}

enum esp_status score_loop_look_for_partitions(struct score_loop *loop, int64_t now_us,
                                               struct esp_error *err)
{
    const struct options *options = &loop->run->config->options;
    const char *topic = options->inputs[ESP_IMPRESSION].topic;
    size_t n = 0;
    if (!loop->config.follow || now_us - loop->looked_us < options->look_every_us)
        return ESP_OK;
    loop->looked_us = now_us;
    /* The log tells of brokers that are away; the next look is soon. */
    if (esp_log_partitions(loop->inputs->log, topic, look_patience_us, &n, NULL) != ESP_OK ||
        n <= loop->n_partitions)
        return ESP_OK;
    size_t before = loop->n_partitions;
    struct esp_error why = {0};
    enum esp_status status = add_partitions(loop, n, &why);
    if (status != ESP_OK)
        return status == ESP_EBROKER ? ESP_OK : esp_fail(err, status, "%s", why.text);
    esp_logf(ESP_INFO,
             "topic %s has %zu partitions now, %zu before; new ones are scored from the start",
             topic, n, before);
    return status;
}

void score_loop_release(struct score_loop *loop)
{
    for (size_t p = 0; p < loop->n_partitions; p++) {
        esp_log_reader_free(loop->partitions[p].reader);
        esp_hasher_free(loop->partitions[p].hasher);
    }
    esp_log_writer_free(loop->writer);
    score_batch_release(&loop->batch);
    score_positions_release(&loop->positions);
    free(loop->partitions);
    free(loop->records);
    free(loop->headers);
    free(loop->accepted);
    *loop = (struct score_loop){.n_partitions = 0};
}
