/*
 * product.h - the matrix products of one dense layer, behind one small interface: whose kernels
 * compute them is decided in product.c alone.
 *
 * S rows of a slice, K inputs, N outputs. x, y, dx, dy are row-major with strides that
 * esp_stride() gives; W (N, K) and b (N) stand in the block of parameters. A row's result does not
 * depend on its place in the slice nor on the other rows.
 */
#ifndef ESP_MODEL_PRODUCT_H
#define ESP_MODEL_PRODUCT_H

#include "model/network.h"

/* Floats from one row to the next: whole cache lines, and an odd number of them, so that the rows
 * of a column do not fall on a few sets of the cache. */
static inline size_t esp_stride(size_t n)
{
    return ((n + 15) / 16 | 1) * 16;
}

/* y (S, N) = x (S, K) W^T + b, then max(0, .) if relu. */
void esp_product_forward(const struct esp_dense *layer, const float *params, size_t S,
                         const float *x, bool relu, float *y);

/*
 * dx (S, K) = dy (S, N) W, zero where x is not positive if x is given (the ReLU that made x).
 *
 * add  to what dx holds
 */
void esp_product_backward_input(const struct esp_dense *layer, const float *params, size_t S,
                                const float *dy, const float *x, bool add, float *dx);

/* dW (N, K) = dy^T x and db (N) = column sums of dy, into a block laid out as the parameters. */
void esp_product_backward_weights(const struct esp_dense *layer, size_t S, const float *x,
                                  const float *dy, float *grads);

#endif
