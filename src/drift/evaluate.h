/* evaluate.h - a window's examples to measures. Inside drift/ only. */
#ifndef ESP_DRIFT_EVALUATE_H
#define ESP_DRIFT_EVALUATE_H

#include "drift/holdout.h"

/*
 * Evaluates one task of a window that is closed and has its labels, and frees the task's logits:
 * a measure a slot whose model has the task, then one of the production's scores if there are any.
 *
 * *n_measures  is added to
 * Errors: ESP_ENOMEM, those of emit.
 */
enum esp_status esp_holdout_evaluate(struct esp_holdout *holdout,
                                     const struct esp_drift_config *config, enum esp_task task,
                                     struct esp_pool *pool, uint64_t *n_measures,
                                     struct esp_error *err);

#endif
