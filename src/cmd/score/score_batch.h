/*
 * score_batch.h - the scores of some hundred impressions, on all cores: fields, features, logits
 * and the records that are written, a slice of rows a task.
 *
 * What a task computes depends on its rows alone, so the records are the same for any number of
 * threads; the caller writes them in the order of the tasks, which is that of the impressions.
 */
#ifndef ESP_CMD_SCORE_SCORE_BATCH_H
#define ESP_CMD_SCORE_SCORE_BATCH_H

#include "cmd/score/score_models.h"
#include "core/buf.h"
#include "core/pool.h"

enum { SCORE_TASK_ROWS = 128 };

/* A record that is ready to be written; places in its task's buffers. */
struct score_entry {
    uint32_t key_size, value_size; /* they follow one another in bytes */
    uint32_t partition;
};

/* What one task made. */
struct score_task {
    struct score_entry *entries; /* (n): of each row in turn, a record a model */
    size_t n, capacity;
    struct esp_buf bytes; /* key, value, key, value, ... */
    struct esp_error failure;
};

/* Memory of one thread. */
struct score_worker {
    struct esp_value *values; /* of one row */
    size_t value_capacity;
    struct esp_value_scratch scratch;
    float *logits[SCORE_MAX_MODELS]; /* (SCORE_TASK_ROWS, ESP_N_TASKS), made when needed */
    struct esp_buf id;               /* an impression's id as text */
};

struct score_batch_config {
    struct esp_pool *pool; /* borrowed; NULL: inline */
    size_t n_rows;         /* at most so many a batch */
    uint32_t n_partitions; /* of the output */
    bool is_framed;        /* values get single-object framing */
    bool id_is_number;
    uint64_t fingerprint; /* of the record's schema */
};

struct score_batch {
    struct score_batch_config config;
    struct score_task *tasks;     /* (n_tasks) for n_rows */
    struct score_worker *workers; /* (esp_pool_size()) */
    size_t n_tasks, n_workers;

    /* Of the call under way. */
    const struct score_models *models;
    const struct esp_decoder *decoder;
    const struct esp_header *const *headers;
    size_t n;
};

/* Errors: ESP_ENOMEM. { 0 } can be released. */
enum esp_status score_batch_init(struct score_batch *batch, const struct score_batch_config *config,
                                 struct esp_error *err);
void score_batch_release(struct score_batch *batch);

/*
 * Scores impressions with every model in use.
 *
 * headers    (n <= n_rows) accepted ones; their payloads stay valid for the call
 * out_tasks  (*out_n) in the order of the rows; valid until the next call
 * Errors: ESP_ENOMEM, ESP_EBUG.
 */
enum esp_status score_batch_run(struct score_batch *batch, const struct score_models *models,
                                const struct esp_decoder *decoder,
                                const struct esp_header *const *headers, size_t n,
                                const struct score_task **out_tasks, size_t *out_n,
                                struct esp_error *err);

#endif
