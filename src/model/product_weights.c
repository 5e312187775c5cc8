/*
 * product_weights.c - the gradients of a layer's weights, by OpenBLAS: apart from product.c, so
 * that whoever only scores does not need it.
 */
#include <cblas.h>
#include <string.h>

#include "model/product.h"

static void dot_backward_weights(size_t S, size_t K, const float *x, const float *dy, float *dw)
{
    size_t ldx = esp_stride(K), ldy = esp_stride(1);
    memset(dw, 0, K * sizeof(*dw));
    for (size_t i = 0; i < S; i++)
        for (size_t k = 0; k < K; k++)
            dw[k] += dy[i * ldy] * x[i * ldx + k];
}

void esp_product_backward_weights(const struct esp_dense *layer, size_t S, const float *x,
                                  const float *dy, float *grads)
{
    size_t K = layer->n_in, N = layer->n_out, ldy = esp_stride(N);
    if (N == 1)
        dot_backward_weights(S, K, x, dy, grads + layer->weight);
    else
        cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, (blasint)N, (blasint)K, (blasint)S, 1,
                    dy, (blasint)ldy, x, (blasint)esp_stride(K), 0, grads + layer->weight,
                    (blasint)K);
    float *db = grads + layer->bias;
    memset(db, 0, N * sizeof(*db));
    for (size_t i = 0; i < S; i++)
        for (size_t j = 0; j < N; j++)
            db[j] += dy[i * ldy + j];
}
