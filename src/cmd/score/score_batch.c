/* score_batch.c - see score_batch.h. */
#include "cmd/score/score_batch.h"

#include <stdlib.h>
#include <string.h>

#include "event/encode.h"
#include "event/records.h"
#include "log/log.h"
#include "metric/metric.h"

static const size_t most_task_bytes = (size_t)1 << 30;

_Static_assert((int)ESP_N_SCORE_TASKS == (int)ESP_N_TASKS, "records have the tasks of models");
_Static_assert((int)ESP_SCORE_INSTALL == (int)ESP_TASK_INSTALL, "in the same order");

enum esp_status score_batch_init(struct score_batch *batch, const struct score_batch_config *config,
                                 struct esp_error *err)
{
    *batch = (struct score_batch){.config = *config};
    batch->n_tasks = (config->n_rows + SCORE_TASK_ROWS - 1) / SCORE_TASK_ROWS;
    batch->n_workers = esp_pool_size(config->pool);
    batch->tasks = calloc(batch->n_tasks, sizeof *batch->tasks);
    batch->workers = calloc(batch->n_workers, sizeof *batch->workers);
    if (batch->tasks == NULL || batch->workers == NULL) {
        free(batch->tasks);
        free(batch->workers);
        *batch = (struct score_batch){.n_tasks = 0};
        return esp_fail(err, ESP_ENOMEM, "out of memory for %zu rows", config->n_rows);
    }
    for (size_t i = 0; i < batch->n_tasks; i++)
        esp_buf_init(&batch->tasks[i].bytes, most_task_bytes);
    for (size_t i = 0; i < batch->n_workers; i++)
        esp_buf_init(&batch->workers[i].id, most_task_bytes);
    return ESP_OK;
}

void score_batch_release(struct score_batch *batch)
{
    for (size_t i = 0; i < batch->n_tasks; i++) {
        free(batch->tasks[i].entries);
        esp_buf_release(&batch->tasks[i].bytes);
    }
    for (size_t i = 0; i < batch->n_workers; i++) {
        struct score_worker *worker = &batch->workers[i];
        free(worker->values);
        esp_value_scratch_release(&worker->scratch);
        esp_buf_release(&worker->id);
        for (size_t m = 0; m < SCORE_MAX_MODELS; m++)
            free(worker->logits[m]);
    }
    free(batch->tasks);
    free(batch->workers);
    *batch = (struct score_batch){.n_tasks = 0};
}

/* ---- rows of features ------------------------------------------------------------------------ */

/* Decodes one list of fields for the task's rows, and makes features of them for every model that
 * reads it. */
static enum esp_status make_rows(struct score_batch *batch, size_t list, size_t first, size_t n,
                                 size_t w, struct esp_error *err)
{
    const struct score_models *models = batch->models;
    const struct score_fields *fields = &models->fields[list];
    struct score_worker *worker = &batch->workers[w];
    enum esp_status status = esp_array_grow((void **)&worker->values, &worker->value_capacity,
                                            fields->n, sizeof *worker->values, err);
    for (size_t i = first; status == ESP_OK && i < first + n; i++) {
        const struct esp_header *header = batch->headers[i];
        status = esp_fields_read(fields->fields, esp_decoder_writer(batch->decoder, header->writer),
                                 header->payload, worker->values, &worker->scratch, err);
        for (size_t m = 0; status == ESP_OK && m < models->n_active; m++) {
            struct score_snapshot *snapshot = models->active[m];
            if (snapshot->fields == list)
                status = esp_features_add_row(esp_snapshot_features(snapshot->snapshot),
                                              worker->values, false, &snapshot->batches[w], err);
        }
    }
    return status;
}

static enum esp_status score_rows(struct score_batch *batch, size_t first, size_t n, size_t w,
                                  struct esp_error *err)
{
    const struct score_models *models = batch->models;
    struct score_worker *worker = &batch->workers[w];
    enum esp_status status = ESP_OK;
    for (size_t m = 0; m < models->n_active; m++)
        esp_feature_batch_reset(&models->active[m]->batches[w]);
    for (size_t list = 0; status == ESP_OK && list < models->n_fields; list++)
        status = make_rows(batch, list, first, n, w, err);
    for (size_t m = 0; status == ESP_OK && m < models->n_active; m++) {
        if (worker->logits[m] == NULL)
            worker->logits[m] = calloc(SCORE_TASK_ROWS * ESP_N_TASKS, sizeof *worker->logits[m]);
        if (worker->logits[m] == NULL)
            return esp_fail(err, ESP_ENOMEM, "out of memory for logits");
        struct score_snapshot *snapshot = models->active[m];
        status = esp_scorer_score(snapshot->scorers[w], snapshot->forward, &snapshot->batches[w],
                                  worker->logits[m], err);
    }
    return status;
}

/* ---- records --------------------------------------------------------------------------------- */

/* The id as text, whole: at most two characters a byte, or a number's digits. */
static enum esp_status write_id(struct score_worker *worker, struct esp_bytes id, bool is_number,
                                struct esp_error *err)
{
    esp_buf_clear(&worker->id);
    size_t capacity = 2 * id.size + 32;
    enum esp_status status = esp_buf_reserve(&worker->id, capacity, err);
    if (status == ESP_OK)
        worker->id.size = esp_id_format(id, is_number, (char *)worker->id.data, capacity);
    return status;
}

/* Key "ID/MODEL", then the value. */
static enum esp_status write_record(struct score_batch *batch, struct score_task *task,
                                    const struct score_snapshot *snapshot,
                                    const struct esp_score_record *record, struct esp_error *err)
{
    struct esp_buf *bytes = &task->bytes;
    size_t before = bytes->size;
    struct score_entry entry = {
        .partition = esp_log_partition_of(record->impression_id, batch->config.n_partitions)};
    const char *model = snapshot->manifest->model;
    enum esp_status status =
        esp_buf_append(bytes, record->impression_id.data, record->impression_id.size, err);
    if (status == ESP_OK)
        status = esp_buf_append(bytes, "/", 1, err);
    if (status == ESP_OK)
        status = esp_buf_append(bytes, model, strlen(model), err);
    entry.key_size = (uint32_t)(bytes->size - before);
    before = bytes->size;
    if (status == ESP_OK && batch->config.is_framed)
        status = esp_put_single_object(bytes, batch->config.fingerprint, err);
    if (status == ESP_OK)
        status = esp_encode_score(bytes, record, err);
    entry.value_size = (uint32_t)(bytes->size - before);
    if (status == ESP_OK)
        status = esp_array_grow((void **)&task->entries, &task->capacity, task->n + 1,
                                sizeof *task->entries, err);
    if (status == ESP_OK)
        task->entries[task->n++] = entry;
    return status;
}

static enum esp_status write_row(struct score_batch *batch, struct score_task *task, size_t row,
                                 size_t first, size_t w, struct esp_error *err)
{
    const struct score_models *models = batch->models;
    struct score_worker *worker = &batch->workers[w];
    const struct esp_header *header = batch->headers[row];
    enum esp_status status = write_id(worker, header->id, batch->config.id_is_number, err);
    for (size_t m = 0; status == ESP_OK && m < models->n_active; m++) {
        const struct score_snapshot *snapshot = models->active[m];
        const float *logits = worker->logits[m] + (row - first) * ESP_N_TASKS;
        struct esp_score_record record = {
            .impression_id = esp_buf_bytes(&worker->id),
            .event_time_us = header->time_us,
            .model = snapshot->manifest->model,
            .run = snapshot->manifest->run,
            .snapshot = snapshot->manifest->number,
        };
        for (size_t i = 0; i < ESP_N_TASKS; i++)
            record.p[i] = esp_sigmoid((double)logits[i]); /* NaN stays NaN */
        status = write_record(batch, task, snapshot, &record, err);
    }
    return status;
}

/* ---- tasks ----------------------------------------------------------------------------------- */

static void run_task(void *context, size_t index, size_t w)
{
    struct score_batch *batch = context;
    struct score_task *task = &batch->tasks[index];
    size_t first = index * SCORE_TASK_ROWS;
    size_t n = batch->n - first < SCORE_TASK_ROWS ? batch->n - first : SCORE_TASK_ROWS;
    task->n = 0;
    task->failure = (struct esp_error){0};
    esp_buf_clear(&task->bytes);
    enum esp_status status = score_rows(batch, first, n, w, &task->failure);
    for (size_t i = first; status == ESP_OK && i < first + n; i++)
        status = write_row(batch, task, i, first, w, &task->failure);
}

enum esp_status score_batch_run(struct score_batch *batch, const struct score_models *models,
                                const struct esp_decoder *decoder,
                                const struct esp_header *const *headers, size_t n,
                                const struct score_task **out_tasks, size_t *out_n,
                                struct esp_error *err)
{
    batch->models = models;
    batch->decoder = decoder;
    batch->headers = headers;
    batch->n = n;
    *out_tasks = batch->tasks;
    *out_n = (n + SCORE_TASK_ROWS - 1) / SCORE_TASK_ROWS;
    esp_pool_run(batch->config.pool, *out_n, run_task, batch);
    for (size_t i = 0; i < *out_n; i++)
        if (batch->tasks[i].failure.status != ESP_OK)
            return esp_fail(err, batch->tasks[i].failure.status, "%s",
                            batch->tasks[i].failure.text);
    return ESP_OK;
}
