/* trainer_slice.h - what a slice computes; shared by scoring and learning. Inside learn/ only. */
#ifndef ESP_LEARN_TRAINER_SLICE_H
#define ESP_LEARN_TRAINER_SLICE_H

#include "learn/trainer.h"

/* Room for the rows and places of n_pairs. Errors: ESP_ENOMEM. */
enum esp_status esp_tower_rows_reserve(struct esp_tower_rows *tower, size_t n_pairs,
                                       struct esp_error *err);

/*
 * Gathers and runs all towers for rows [first, first + n) of the features, n <= S; the activations
 * stay in the worker's workspace.
 *
 * logits  (n_rows of all, ESP_N_HEADS); rows first to first + n are written
 */
void esp_slice_forward(struct esp_trainer *trainer, const struct esp_feature_batch *features,
                       size_t first, size_t n, size_t worker, float *logits);

#endif
