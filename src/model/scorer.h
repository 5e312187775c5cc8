/*
 * scorer.h - the logits of a model for batches of any size: the workspace of one thread that only
 * scores.
 */
#ifndef ESP_MODEL_SCORER_H
#define ESP_MODEL_SCORER_H

#include "model/forward.h"

struct esp_scorer; /* for models of one network; one a thread */

/* Copies the dimensions. Errors: ESP_ENOMEM. */
enum esp_status esp_scorer_new(const struct esp_network *network, struct esp_scorer **out,
                               struct esp_error *err);
void esp_scorer_free(struct esp_scorer *scorer);

/*
 * Scores every row of a batch. A row's logits do not depend on the rows that share its batch, and
 * are those that a learner with the same weights computes, to the bit.
 *
 * model   of the scorer's network
 * logits  (n_rows, ESP_N_TASKS); NaN where the set-up has no such task
 * Errors: ESP_EINVAL (a batch of another width), ESP_ENOMEM.
 */
enum esp_status esp_scorer_score(struct esp_scorer *scorer, const struct esp_forward_model *model,
                                 const struct esp_feature_batch *batch, float *logits,
                                 struct esp_error *err);

#endif
