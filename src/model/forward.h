/*
 * forward.h - from the rows of an embedding table to logits, a slice at a time.
 *
 * A slice is S rows; rows past the end of a batch are zeros, so that every product has the same
 * shape. Parameters are read, never written.
 */
#ifndef ESP_MODEL_FORWARD_H
#define ESP_MODEL_FORWARD_H

#include "model/lookup.h"
#include "model/network.h"
#include "model/product.h"

/* What one tower computes for a slice; every array is (S, n) with stride esp_stride(n). */
struct esp_activations {
    float *x;                                     /* (S, F*D) */
    float *shared[ESP_MAX_LAYERS];                /* after ReLU */
    float *head[ESP_N_HEADS][ESP_MAX_LAYERS + 1]; /* after ReLU; the last are logits (S, 1) */
};

/* Floats that esp_activations_carve() needs; 0: they overflow size_t. */
size_t esp_activations_floats(const struct esp_network *network, const struct esp_tower *tower,
                              size_t S);

/* Points the arrays into memory (64-byte aligned, borrowed). Returns the first float after. */
float *esp_activations_carve(struct esp_activations *activations, const struct esp_network *network,
                             const struct esp_tower *tower, size_t S, float *memory);

/*
 * x (S, F*D): rows [first, first + n) of the batch, each feature the sum of its pairs' rows times
 * their coefficients; the S - n rows after them are zeros.
 *
 * rows  the row of every pair, by the pair's index in the batch: esp_table_resolve()
 */
void esp_forward_gather(const struct esp_network *network, const struct esp_table_view *view,
                        const struct esp_feature_batch *batch, const uint32_t *rows, size_t first,
                        size_t n, size_t S, float *x);

/* All layers and heads of one tower, from x. */
void esp_forward_tower(const struct esp_tower *tower, const struct esp_weights *weights, size_t S,
                       struct esp_activations *activations);

/* A model as it is read, live or mapped. Borrows everything. */
struct esp_forward_model {
    const struct esp_network *network;
    struct esp_weights weights;
    struct esp_table_view tables[ESP_MAX_TOWERS]; /* of the network's towers */
};

/* Rows computed for n rows of a slice: a multiple of 8, of which the last are zeros. A row's result
 * does not depend on how many others there are, and zero rows add nothing to a gradient. */
static inline size_t esp_slice_rows(size_t n)
{
    return (n + 7) / 8 * 8;
}

/*
 * Gathers and runs all towers for rows [first, first + n) of the batch.
 *
 * rows    by tower, the row of every pair of the batch: esp_table_resolve()
 * y       by tower, carved for at least esp_slice_rows(n) rows
 * logits  (n_rows of the batch, ESP_N_HEADS); of rows first to first + n the heads of the set-up
 *         are written
 */
void esp_forward_slice(const struct esp_forward_model *model, const struct esp_feature_batch *batch,
                       const uint32_t *const rows[ESP_MAX_TOWERS], size_t first, size_t n,
                       struct esp_activations y[ESP_MAX_TOWERS], float *logits);

#endif
