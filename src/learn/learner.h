/*
 * learner.h - one model that learns from examples in label order, and its progressive validation.
 *
 * Every impression is scored once, at its click stage, before anything of it is learned; its
 * predictions wait for its labels. Batches are cut by count and by esp_learner_flush() alone, so
 * how the caller chunks the stream changes nothing.
 */
#ifndef ESP_LEARN_LEARNER_H
#define ESP_LEARN_LEARNER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/archive.h"
#include "core/pool.h"
#include "core/status.h"
#include "feature/features.h"
#include "metric/metric.h"
#include "model/network.h"
#include "model/parameters.h"
#include "sample/example.h"

enum esp_optimizer { ESP_ADAGRAD, ESP_SGD, ESP_ADAM };
enum esp_accumulator { ESP_PER_COORDINATE, ESP_ROW_WISE };
enum esp_schedule { ESP_SCHEDULE_CONSTANT, ESP_SCHEDULE_INVERSE /* rate / (1 + t / horizon) */ };
enum esp_correction { ESP_CORRECT_BY_WEIGHT, ESP_CORRECT_BY_OFFSET };

/* One part's optimizer: the dense one, or that of the embedding rows. */
struct esp_optimizer_config {
    enum esp_optimizer kind;
    enum esp_accumulator accumulator; /* adagrad; sparse part only */
    double rate;
    double initial;       /* adagrad: accumulator at the start */
    int64_t half_life_us; /* adagrad: accumulators halve over this much stream time; 0: never */
    enum esp_schedule schedule;   /* sgd */
    double horizon;               /* examples */
    double beta1, beta2, epsilon; /* adam; epsilon also floors adagrad's root */
    double l2;                    /* per update; 0: none */
    double clip; /* bound on the gradient's norm: of all dense weights, of a row; 0: none */
};

struct esp_model_config {
    const char *name;
    enum esp_setup_id setup;
    size_t width;                  /* D, of an embedding row */
    size_t layers[ESP_MAX_LAYERS]; /* shared, after the embeddings */
    size_t n_layers;
    size_t head_layers[ESP_MAX_LAYERS]; /* hidden layers of each head; one logit follows */
    size_t n_head_layers;
    size_t batch; /* B: examples a step */
    size_t slice; /* rows computed at a time: 64 to 256 */
    struct esp_optimizer_config dense, sparse;
    uint64_t seed;
    double init;          /* deviation of a new embedding row */
    uint32_t admit_after; /* sightings before a key gets a row; 1: at once */
    uint64_t table_bytes; /* memory budget of the embedding tables, slots included */
    enum esp_correction correction;
    double keep; /* r: the offset is ln r */
};

/* One task of one window of progressive validation, when it has all its labels. */
struct esp_window_done {
    int64_t start_us, end_us; /* of impression times */
    enum esp_task task;
    const struct esp_task_sums *sums;
    const struct esp_task_report *report; /* AUCs are null beyond 512 windows that wait */
};

struct esp_learner_config {
    struct esp_model_config model;
    const char *const *feature_names; /* n_features: default rows are keyed by name */
    size_t n_features;
    bool has_installs;   /* false: no install task whatever the set-up */
    int64_t window_us;   /* progressive metrics by windows of t_i; 0: none */
    size_t windows_kept; /* finished ones kept for the report */
    /* Told of every window and task once, in label order; NULL: not. */
    void (*window_done)(void *context, const struct esp_window_done *done);
    void *window_context;
    const char *fault_folder; /* a batch whose gradient is not finite is written here; NULL: not */
};

struct esp_learner;

/* pool may be NULL; borrowed. Errors: ESP_ECONFIG (one line: key and mend), ESP_ENOMEM. */
enum esp_status esp_learner_new(const struct esp_learner_config *config, struct esp_pool *pool,
                                struct esp_learner **out, struct esp_error *err);
void esp_learner_free(struct esp_learner *learner);

/* True if the model learns from ESP_STAGE_WHOLE, so that the join must emit it. */
bool esp_learner_needs_whole(const struct esp_learner *learner);

/*
 * Takes examples in label order, holdout and all stages; each learner picks what concerns it.
 *
 * features  row i belongs to examples[i]
 * Errors: ESP_ENUMERIC (a step was not finite: the batch was written to fault_folder, no weight has
 *         changed by it; stop), ESP_ENOMEM.
 */
enum esp_status esp_learner_take(struct esp_learner *learner, const struct esp_example *examples,
                                 size_t n, const struct esp_feature_batch *features,
                                 struct esp_error *err);

/* Closes the batch under way: at a snapshot boundary, and at the end. Errors as take. */
enum esp_status esp_learner_flush(struct esp_learner *learner, struct esp_error *err);

/* Time has ended: no label comes any more, so that the last window is complete too. After a
 * flush. */
void esp_learner_end(struct esp_learner *learner);

/*
 * Logits of the tasks for rows of features, with the weights as they are; admits and counts
 * nothing.
 *
 * logits   (n_rows, ESP_N_TASKS); NaN where the set-up has no such task
 * From the learner's thread. Errors: ESP_ENOMEM.
 */
enum esp_status esp_learner_score(struct esp_learner *learner,
                                  const struct esp_feature_batch *features, float *logits,
                                  struct esp_error *err);

/* Sums of one window of impressions [start, start + window), for training and holdout examples. */
struct esp_progress_window {
    int64_t start_us;
    bool complete; /* all its labels have come */
    struct esp_task_sums train[ESP_N_TASKS], holdout[ESP_N_TASKS];
};

struct esp_learner_report {
    const char *name, *setup;
    bool has_task[ESP_N_TASKS];
    struct esp_task_report total[ESP_N_TASKS];   /* progressive, from the start */
    struct esp_task_report window[ESP_N_TASKS];  /* of the last window whose labels of that task are
                                                    complete */
    int64_t window_start_us[ESP_N_TASKS];        /* ESP_TIME_NONE: none is complete yet */
    struct esp_task_report holdout[ESP_N_TASKS]; /* the live weights on holdout examples */
    uint64_t examples_learned;                   /* rows of training batches */
    uint64_t steps, dense_clipped, rows_clipped;
    uint64_t rows, rows_admitted, rows_evicted; /* embedding rows now, ever */
    uint64_t waiting;                           /* predictions that wait for a label */
    uint64_t table_bytes;
    double last_loss; /* mean weighted loss of the last step, all terms */
};

/* From the learner's thread. */
void esp_learner_report(const struct esp_learner *learner, struct esp_learner_report *out);

/* The kept windows, oldest first. Valid until the next take. */
const struct esp_progress_window *esp_learner_windows(const struct esp_learner *learner,
                                                      size_t *out_n);

/* What was learned, for a snapshot. Valid until the next take or flush. */
void esp_learner_parameters(const struct esp_learner *learner, struct esp_parameters *out);

/*
 * Writes or reads all that the learner has gathered, for a checkpoint; batch and windows may be
 * half full. Reading, into one that was made with the same configuration; it then does, to the bit,
 * what the other one would have done. What listens to windows, and how many are kept, may differ.
 */
void esp_learner_archive(struct esp_archive *archive, struct esp_learner *learner);

/*
 * Writes or reads what a learner needs beyond its parameters to learn on, for a snapshot: state of
 * the optimizers, of rows and of admission, counters. After a flush. Not of progressive validation.
 */
void esp_learner_rest_archive(struct esp_archive *archive, struct esp_learner *learner);

/*
 * Makes a new learner go on from a snapshot of one of the same configuration.
 *
 * parameters       what the other one had learned before the boundary; borrowed for the call
 * rest             what esp_learner_rest_archive() wrote: learning goes on to the bit. NULL: the
 *                  optimizers and admission begin anew, rows count as trained at the boundary
 * boundary_us      the first label to come is due then or later
 * counted_from_us  the earliest impression whose click label is to come, the boundary less the
 *                  click window: progressive validation restarts, and windows that start earlier
 *                  are left out, for they would have holes
 * After a failure the learner may only be freed. Errors: ESP_EDATA (of another shape, or damaged),
 * ESP_ENOMEM.
 */
enum esp_status esp_learner_resume(struct esp_learner *learner,
                                   const struct esp_parameters *parameters,
                                   const struct esp_bytes *rest, int64_t boundary_us,
                                   int64_t counted_from_us, struct esp_error *err);

/* XXH3 over the dense weights and the rows (sorted by key), optimizer state included. */
uint64_t esp_learner_hash(const struct esp_learner *learner);

/* Asserts the numbered invariants of tables and batches. For tests. */
void esp_learner_check(const struct esp_learner *learner);

#endif
