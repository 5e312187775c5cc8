/* fault.h - writes down a batch that could not be learned, for a person to read. */
#ifndef ESP_LEARN_FAULT_H
#define ESP_LEARN_FAULT_H

#include "learn/rows.h"
#include "model/setup.h"

/*
 * Writes FOLDER/MODEL-step-N.jsonl: a line of the batch, then a line an example with its labels,
 * weights, terms, head logits, keys and coefficients. A number that is not finite is null.
 *
 * model          characters other than letters, digits, '-' and '_' become '_' in the file's name
 * feature_names  (n_features)
 * logits         (n_feature_rows, ESP_N_HEADS)
 * path           room for the file's path, path_size bytes; "" where nothing could be written
 */
void esp_fault_write(const char *folder, const char *model, uint64_t step, const char *reason,
                     const struct esp_setup *setup, const char *const *feature_names,
                     const struct esp_rows *rows, const float *logits, char *path,
                     size_t path_size);

#endif
