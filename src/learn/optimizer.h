/*
 * optimizer.h - what a gradient does to weights: Adagrad, SGD, Adam, for the dense block and for
 * embedding rows.
 *
 * With g the gradient after clipping, plus l2 w; rate the scheduled rate; everything in float:
 *
 *     adagrad   G += g^2;  w -= rate g / (sqrt(G) + epsilon)      G starts at `initial`
 *               row-wise: one G a row, which takes the mean of g^2 over the row
 *     sgd       w -= rate g,  rate = rate0 / (1 + t / horizon) with schedule inverse, t the
 *               examples learned before this step
 *     adam      m = beta1 m + (1 - beta1) g;  v = beta2 v + (1 - beta2) g^2;
 *               w -= rate / (1 - beta1^s) m / (sqrt(v) / sqrt(1 - beta2^s) + epsilon), s the
 *               steps of the block, or the trainings of the row
 *
 * Epsilon stands where PyTorch's Adagrad and Adam have it. With a half-life, G is first multiplied
 * by 2^(-dt / half_life), but does not fall below `initial`; dt is the stream time since the last
 * step, of a row since its last training, never negative. Rows are lazy: without a gradient
 * nothing of a row changes, and its decay waits for its next training.
 */
#ifndef ESP_LEARN_OPTIMIZER_H
#define ESP_LEARN_OPTIMIZER_H

#include "learn/learner.h"
#include "learn/table.h"

/* Errors: ESP_ECONFIG, naming "what_key", the value and its range. */
enum esp_status esp_optimizer_validate(const struct esp_optimizer_config *config, const char *what,
                                       struct esp_error *err);

/* Floats of state that a row of width D needs; of state a dense weight needs (0, 1 or 2). */
size_t esp_optimizer_row_slots(const struct esp_optimizer_config *config, size_t D);
size_t esp_optimizer_dense_slots(const struct esp_optimizer_config *config);

/* First value of the state. */
float esp_optimizer_slot_initial(const struct esp_optimizer_config *config);

/* What a step knows of the stream. */
struct esp_step_time {
    int64_t now_us;     /* stream time: when the newest example of the batch was due */
    uint64_t n_learned; /* examples learned before the step */
};

/* The dense part's state: the slots stand beside the weights, (n) each. */
struct esp_dense_state {
    float *slots[2];
    uint64_t steps;
    int64_t stepped_us; /* INT64_MIN: never */
};

/*
 * One step of the dense block.
 *
 * grads  (n) overwritten
 * True: the gradient was clipped.
 */
bool esp_optimizer_step_dense(const struct esp_optimizer_config *config,
                              const struct esp_step_time *time, size_t n, float *params,
                              float *grads, struct esp_dense_state *state);

/*
 * One step of the touched rows [first, first + n) of a table.
 *
 * grads  (n_touched, D) summed gradients by place; those of these rows are overwritten
 * Returns how many were clipped. Calls for disjoint ranges may run at the same time.
 */
uint64_t esp_optimizer_step_rows(const struct esp_optimizer_config *config,
                                 const struct esp_step_time *time, struct esp_table *table,
                                 size_t first, size_t n, float *grads);

#endif
