/*
 * product.h - the matrix products of one dense layer, behind one small interface: whose kernels
 * compute them is decided in product.c and product_weights.c alone.
 *
 * S rows of a slice, K inputs, N outputs. x, y, dx, dy are row-major with strides that
 * esp_stride() gives, in memory aligned to 64 bytes; what is between n and the stride of a row is
 * written by products and means nothing. A row's result does not depend on its place in the slice
 * nor on the other rows: each element is one chain of fused multiply-adds in the order of k.
 */
#ifndef ESP_MODEL_PRODUCT_H
#define ESP_MODEL_PRODUCT_H

#include "model/network.h"

/* Floats from one row to the next: a whole tile's columns fit, and it is an odd number of cache
 * lines, so that the rows of a column do not fall on a few sets of the cache. */
static inline size_t esp_stride(size_t n)
{
    return (n + 31) / 32 * 32 + 16;
}

/* The parameters as they are published, and a copy in the order in which products read them. */
struct esp_weights {
    const float *params; /* (n_params) */
    const float *packed; /* (n_packed), 64-byte aligned: esp_network_pack() */
};

/* Floats of the packed copy of a layer, a multiple of 16. */
size_t esp_product_packed_floats(const struct esp_dense *layer);

/* Packs one layer, at layer->packed. */
void esp_product_pack(const struct esp_dense *layer, const float *params, float *packed);

/* y (S, N) = x (S, K) W^T + b, then max(0, .) if relu. */
void esp_product_forward(const struct esp_dense *layer, const struct esp_weights *weights, size_t S,
                         const float *x, bool relu, float *y);

/*
 * dx (S, K) = dy (S, N) W, zero where x is not positive if x is given (the ReLU that made x).
 *
 * add  to what dx holds
 */
void esp_product_backward_input(const struct esp_dense *layer, const struct esp_weights *weights,
                                size_t S, const float *dy, const float *x, bool add, float *dx);

/* dW (N, K) = dy^T x and db (N) = column sums of dy, into a block laid out as the parameters. */
void esp_product_backward_weights(const struct esp_dense *layer, size_t S, const float *x,
                                  const float *dy, float *grads);

/* The name of the kernels in use: "avx512", "avx2", "generic". Results are equal to the bit for
 * one of them, not between them. */
const char *esp_product_kernels(void);

#endif
