/* product.c - one layer's products, by OpenBLAS; a single output is our own dot product. */
#include "model/product.h"

#include <cblas.h>

static void dot_forward(const float *w, float b, size_t S, size_t K, const float *x, float *y)
{
    size_t ldx = esp_stride(K), ldy = esp_stride(1);
    for (size_t i = 0; i < S; i++) {
        float sums[8] = {0};
        size_t k = 0;
        for (; k + 8 <= K; k += 8)
            for (size_t j = 0; j < 8; j++)
                sums[j] += x[i * ldx + k + j] * w[k + j];
        for (size_t j = 0; k < K; k++, j++)
            sums[j] += x[i * ldx + k] * w[k];
        y[i * ldy] = ((sums[0] + sums[4]) + (sums[1] + sums[5])) +
                     ((sums[2] + sums[6]) + (sums[3] + sums[7])) + b;
    }
}

void esp_product_forward(const struct esp_dense *layer, const float *params, size_t S,
                         const float *x, bool relu, float *y)
{
    size_t K = layer->n_in, N = layer->n_out, ldy = esp_stride(N);
    const float *w = params + layer->weight, *b = params + layer->bias;
    if (N == 1) {
        dot_forward(w, b[0], S, K, x, y);
    } else {
        for (size_t i = 0; i < S; i++)
            memcpy(y + i * ldy, b, N * sizeof(*y));
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)S, (int)N, (int)K, 1, x,
                    (int)esp_stride(K), w, (int)K, 1, y, (int)ldy);
    }
    if (!relu)
        return;
    for (size_t i = 0; i < S; i++)
        for (size_t j = 0; j < N; j++)
            y[i * ldy + j] = y[i * ldy + j] > 0 ? y[i * ldy + j] : 0;
}

void esp_product_backward_input(const struct esp_dense *layer, const float *params, size_t S,
                                const float *dy, const float *x, bool add, float *dx)
{
    size_t K = layer->n_in, N = layer->n_out, ldx = esp_stride(K);
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (int)S, (int)K, (int)N, 1, dy,
                (int)esp_stride(N), params + layer->weight, (int)K, add ? 1 : 0, dx, (int)ldx);
    if (!x)
        return;
    for (size_t i = 0; i < S; i++)
        for (size_t k = 0; k < K; k++)
            dx[i * ldx + k] = x[i * ldx + k] > 0 ? dx[i * ldx + k] : 0;
}

void esp_product_backward_weights(const struct esp_dense *layer, size_t S, const float *x,
                                  const float *dy, float *grads)
{
    size_t K = layer->n_in, N = layer->n_out, ldy = esp_stride(N);
    cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, (int)N, (int)K, (int)S, 1, dy, (int)ldy, x,
                (int)esp_stride(K), 0, grads + layer->weight, (int)K);
    float *db = grads + layer->bias;
    memset(db, 0, N * sizeof(*db));
    for (size_t i = 0; i < S; i++)
        for (size_t j = 0; j < N; j++)
            db[j] += dy[i * ldy + j];
}
