/* feature_batch.h - how rows are appended to a batch; for this stage only. */
#ifndef ESP_FEATURE_FEATURE_BATCH_H
#define ESP_FEATURE_FEATURE_BATCH_H

#include "feature/features.h"

/* Pairs of the rows that are complete. A row under way lies behind them. */
static inline size_t esp_feature_batch_pairs(const struct esp_feature_batch *batch)
{
    return batch->n_rows == 0 ? 0 : batch->begin[batch->n_rows * batch->n_features];
}

/* Makes room in begin for one more row, and sets begin[0]. Errors: ESP_ENOMEM. */
enum esp_status esp_feature_batch_reserve_row(struct esp_feature_batch *batch,
                                              struct esp_error *err);

/* Makes room for n more pairs behind the n_pairs that are in use. Errors: ESP_ENOMEM (also beyond
 * 2^32 pairs). */
enum esp_status esp_feature_batch_grow_pairs(struct esp_feature_batch *batch, size_t n_pairs,
                                             size_t n, struct esp_error *err);

static inline enum esp_status esp_feature_batch_reserve_pairs(struct esp_feature_batch *batch,
                                                              size_t n_pairs, size_t n,
                                                              struct esp_error *err)
{
    return n <= batch->pair_capacity - n_pairs
               ? ESP_OK
               : esp_feature_batch_grow_pairs(batch, n_pairs, n, err);
}

#endif
