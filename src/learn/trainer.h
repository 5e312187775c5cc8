/*
 * trainer.h - parameters and what changes them: scoring, and one step on a batch.
 *
 * Knows nothing of label order, windows or metrics: that is learner.c's. A step is four acts, of
 * which only the last changes weights:
 *
 *     resolve   every key to a row, in label order; admission and eviction happen here
 *     compute   slices on the pool: gather, forward, loss, backward, each into its own gradients
 *     gather    slices' gradients summed in slice order, rows' in label order; all finite?
 *     update    the dense block, then the touched rows
 */
#ifndef ESP_LEARN_TRAINER_H
#define ESP_LEARN_TRAINER_H

#include "core/pool.h"
#include "learn/backward.h"
#include "learn/optimizer.h"
#include "learn/rows.h"
#include "model/parameters.h"

/* Memory that one worker needs for one slice. */
struct esp_workspace {
    struct esp_activations y[ESP_MAX_TOWERS], dy[ESP_MAX_TOWERS];
};

/* One tower's rows in the step under way. */
struct esp_tower_rows {
    struct esp_table table;
    uint32_t *rows, *places; /* (pair_capacity) by pair: its row, its place in the touched list */
    size_t pair_capacity;
    float *row_grads; /* (n_touched, D) */
    size_t row_grad_capacity;
    float *dx;      /* (n_slices * S, F*D) with its stride */
    unsigned terms; /* enum esp_term: those that its heads read */
};

struct esp_trainer {
    struct esp_model_config config; /* name is NULL: the learner keeps it */
    struct esp_network network;
    struct esp_pool *pool;      /* borrowed */
    double shift;               /* added to a in the loss: -ln r, or 0 */
    size_t n_slices;            /* of a full batch */
    float *params;              /* (n_params) */
    float *packed;              /* (n_packed) the same weights, always up to date */
    struct esp_weights weights; /* these two, for reading */
    struct esp_dense_state dense;
    struct esp_tower_rows towers[ESP_MAX_TOWERS];
    float *memory;                    /* of the workspaces */
    struct esp_workspace *workspaces; /* (pool size) */
    float *slice_grads;               /* (n_slices, n_params) */
    double *slice_losses;             /* (n_slices) */
    uint64_t *clipped_by_worker;      /* (pool size) */
    uint64_t n_learned, n_steps;
};

/* setup is what is in effect. Errors: ESP_ECONFIG, ESP_ENOMEM. */
enum esp_status esp_trainer_init(struct esp_trainer *trainer, const struct esp_model_config *config,
                                 const struct esp_setup *setup, const char *const *feature_names,
                                 size_t n_features, struct esp_pool *pool, struct esp_error *err);
void esp_trainer_release(struct esp_trainer *trainer);

/*
 * Logits of the heads with the weights as they are; admits, touches and counts nothing.
 *
 * logits  (n_rows, ESP_N_HEADS); only heads of the set-up are written
 * Errors: ESP_ENOMEM.
 */
enum esp_status esp_trainer_score(struct esp_trainer *trainer,
                                  const struct esp_feature_batch *features, float *logits,
                                  struct esp_error *err);

struct esp_step_result {
    double loss; /* sum of the rows' weighted losses, before the step */
    bool dense_clipped;
    uint64_t rows_clipped;
};

/*
 * One step on at most B rows, all with features; every row has terms.
 *
 * logits  (n, ESP_N_HEADS) of the weights before the step; valid whenever the slices were computed
 * On failure no weight and no optimizer state has changed; rows may have been admitted or evicted.
 * Errors: ESP_ENUMERIC (the loss or a gradient is not finite), ESP_ENOMEM.
 */
enum esp_status esp_trainer_step(struct esp_trainer *trainer, const struct esp_rows *rows,
                                 float *logits, struct esp_step_result *result,
                                 struct esp_error *err);

/* Writes or reads all that is learned and what learning on needs, between two steps. */
void esp_trainer_archive(struct esp_archive *archive, struct esp_trainer *trainer);

/*
 * Takes the weights and rows of another trainer of the same configuration, as a snapshot holds
 * them, and how much it had learned; the optimizers begin anew, rows were last trained at
 * trained_us.
 * After a failure the trainer may only be released. Errors: as esp_table_take().
 */
enum esp_status esp_trainer_take(struct esp_trainer *trainer,
                                 const struct esp_parameters *parameters, int64_t trained_us,
                                 struct esp_error *err);

/* Writes or reads what a trainer has beyond its parameters; reading, after esp_trainer_take(). */
void esp_trainer_rest_archive(struct esp_archive *archive, struct esp_trainer *trainer);

/* XXH3 over all that is learned: dense weights, rows, optimizer state. */
uint64_t esp_trainer_hash(const struct esp_trainer *trainer);

#endif
