/*
 * product.c - one layer's products: rows by kernels of our own. Weights' gradients are in
 * product_weights.c.
 *
 * A row's result must not depend on its place in the slice, so that scores are equal to the bit
 * whatever shares their batch. OpenBLAS does not promise that (its Haswell and Zen kernels give a
 * row other bits at another place), so y and dx come from tiles of our own; bias, ReLU and its mask
 * go with them in the same pass over weights that are packed once a step. dW is a sum over the
 * slice, in which no row has a result of its own: there sgemm does it.
 *
 * Packed, for each layer in the order of the network's tensors, R = 32 floats of rounding:
 *
 *     bias      round(N, R)           zeros after N
 *     forward   (round(N, R) / C) panels of (K, C): column c of panel j is output j C + c
 *     backward  (round(K, R) / C) panels of (N, C): column c of panel j is input j C + c
 *
 * C is the kernels' tile width, 16 or 32. A layer of one output (a logit) is not packed.
 */
#include "model/product.h"

#include <string.h>

#include "model/product_kernels.h"

#if defined(__clang__)
#pragma clang fp contract(fast)
#define UNROLL _Pragma("clang loop unroll(full)")
#else
/* The tiles' multiply-adds are fused; the rest of the build is without contraction. */
#pragma GCC optimize("fp-contract=fast")
#define UNROLL _Pragma("GCC unroll 16")
#endif

#define ALWAYS_INLINE static inline __attribute__((always_inline))

/*
 * Calls function(number of rows, ...) for tiles from row 0 to n_rows, the first at row i: whole
 * tiles, then one or two of two thirds of them if that leaves nothing over, then single rows. (A
 * macro, for the arguments depend on i and the number of rows must be a constant in each call.)
 */
#define FOR_TILES(i, n_rows, function, ...)                        \
    for (size_t i = 0; i < (n_rows);) {                            \
        size_t left = (n_rows)-i;                                  \
        if (left == TILE_ROWS || left >= TILE_ROWS + SMALL_ROWS) { \
            function(TILE_ROWS, __VA_ARGS__);                      \
            i += TILE_ROWS;                                        \
        } else if (left >= SMALL_ROWS) {                           \
            function(SMALL_ROWS, __VA_ARGS__);                     \
            i += SMALL_ROWS;                                       \
        } else {                                                   \
            function(1, __VA_ARGS__);                              \
            i++;                                                   \
        }                                                          \
    }

#if defined(__x86_64__)
#define TILE(name)  avx512_##name
#define TILE_NAME   "avx512"
#define TILE_TARGET __attribute__((target("avx512f,fma")))
#define LANES       16
#define TILE_ROWS   12
#include "model/product_tile.h"

#define TILE(name)  avx2_##name
#define TILE_NAME   "avx2"
#define TILE_TARGET __attribute__((target("avx2,fma")))
#define LANES       8
#define TILE_ROWS   6
#include "model/product_tile.h"

#define TILE(name) generic_##name /* SSE2 */
#define TILE_NAME  "generic"
#define TILE_TARGET
#define LANES     4
#define TILE_ROWS 6
#include "model/product_tile.h"
#else
#define TILE(name) generic_##name /* NEON: two registers a vector, 24 of 32 for the sums */
#define TILE_NAME  "generic"
#define TILE_TARGET
#define LANES     8
#define TILE_ROWS 6
#include "model/product_tile.h"
#endif

const struct esp_kernels *esp_product_kernels_at(size_t i)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f") && i-- == 0)
        return &avx512_kernels;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && i-- == 0)
        return &avx2_kernels;
#endif
    return i == 0 ? &generic_kernels : NULL;
}

static const struct esp_kernels *kernels(void)
{
    return esp_product_kernels_at(0);
}

const char *esp_product_kernels(void)
{
    return kernels()->name;
}

static size_t round_up(size_t n)
{
    return (n + 31) / 32 * 32;
}

/* Where the parts of a layer's packed copy stand. */
struct pack {
    size_t bias, forward, backward, end;
};

static struct pack pack_of(const struct esp_dense *layer)
{
    struct pack pack = {.bias = layer->packed};
    pack.forward = pack.bias + round_up(layer->n_out);
    pack.backward = pack.forward + round_up(layer->n_out) * layer->n_in;
    pack.end = pack.backward + (round_up(layer->n_in) * layer->n_out + 15) / 16 * 16;
    return pack;
}

size_t esp_product_packed_floats(const struct esp_dense *layer)
{
    return layer->n_out == 1 ? 0 : pack_of(layer).end - layer->packed;
}

/* Panels of C columns of the transpose of w (n_rows, n_cols): panel (n_cols, C), zeros after. */
void esp_product_pack_transposed(const float *w, size_t n_rows, size_t n_cols, size_t C,
                                 float *panels)
{
    for (size_t j = 0; j < n_rows; j += C, panels += n_cols * C)
        for (size_t c = 0; c < C; c++)
            for (size_t k = 0; k < n_cols; k++)
                panels[k * C + c] = j + c < n_rows ? w[(j + c) * n_cols + k] : 0;
}

/* Panels of C columns of w (n_rows, n_cols): panel (n_rows, C), zeros after. */
void esp_product_pack_straight(const float *w, size_t n_rows, size_t n_cols, size_t C,
                               float *panels)
{
    for (size_t j = 0; j < n_cols; j += C)
        for (size_t k = 0; k < n_rows; k++, panels += C) {
            size_t n = n_cols - j < C ? n_cols - j : C;
            memcpy(panels, w + k * n_cols + j, n * sizeof(*w));
            memset(panels + n, 0, (C - n) * sizeof(*w));
        }
}

void esp_product_pack(const struct esp_dense *layer, const float *params, float *packed)
{
    size_t K = layer->n_in, N = layer->n_out, C = kernels()->n_cols;
    struct pack pack = pack_of(layer);
    if (N == 1)
        return;
    memset(packed + pack.bias, 0, round_up(N) * sizeof(*packed));
    memcpy(packed + pack.bias, params + layer->bias, N * sizeof(*packed));
    esp_product_pack_transposed(params + layer->weight, N, K, C, packed + pack.forward);
    esp_product_pack_straight(params + layer->weight, N, K, C, packed + pack.backward);
}

/* A single output: eight interleaved sums of each row, in the same order wherever it stands. */
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

static void dot_backward_input(const float *w, size_t S, size_t K, const float *dy, const float *x,
                               bool add, float *dx)
{
    size_t ldx = esp_stride(K), ldy = esp_stride(1);
    for (size_t i = 0; i < S; i++)
        for (size_t k = 0; k < K; k++) {
            float d = dy[i * ldy] * w[k] + (add ? dx[i * ldx + k] : 0);
            dx[i * ldx + k] = !x || x[i * ldx + k] > 0 ? d : 0;
        }
}

void esp_product_forward(const struct esp_dense *layer, const struct esp_weights *weights, size_t S,
                         const float *x, bool relu, float *y)
{
    struct pack pack = pack_of(layer);
    if (layer->n_out == 1)
        dot_forward(weights->params + layer->weight, weights->params[layer->bias], S, layer->n_in,
                    x, y);
    else
        kernels()->forward(S, layer->n_out, layer->n_in, x, weights->packed + pack.forward,
                           weights->packed + pack.bias, relu, y);
}

void esp_product_backward_input(const struct esp_dense *layer, const struct esp_weights *weights,
                                size_t S, const float *dy, const float *x, bool add, float *dx)
{
    struct pack pack = pack_of(layer);
    if (layer->n_out == 1)
        dot_backward_input(weights->params + layer->weight, S, layer->n_in, dy, x, add, dx);
    else
        kernels()->input(S, layer->n_out, layer->n_in, dy, weights->packed + pack.backward, x, add,
                         dx);
}
