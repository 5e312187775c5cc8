/* product_kernels.h - the kernels behind product.h, one set for each instruction set. Inside model/
 * and its tests only. */
#ifndef ESP_MODEL_PRODUCT_KERNELS_H
#define ESP_MODEL_PRODUCT_KERNELS_H

#include <stdbool.h>
#include <stddef.h>

/* Shapes and strides as in product.h; panels and C as in product.c. */
struct esp_kernels {
    void (*forward)(size_t S, size_t N, size_t K, const float *x, const float *panels,
                    const float *bias, bool relu, float *y);
    void (*input)(size_t S, size_t N, size_t K, const float *dy, const float *panels,
                  const float *x, bool add, float *dx);
    size_t n_cols; /* C */
    const char *name;
};

/* The i-th set that this CPU can run, the one in use first; NULL after the last. */
const struct esp_kernels *esp_product_kernels_at(size_t i);

/* Panels of C columns of the transpose of w (n_rows, n_cols), and of w itself. */
void esp_product_pack_transposed(const float *w, size_t n_rows, size_t n_cols, size_t C,
                                 float *panels);
void esp_product_pack_straight(const float *w, size_t n_rows, size_t n_cols, size_t C,
                               float *panels);

#endif
