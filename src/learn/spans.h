/* spans.h - loops over spans of floats that a step spends its time in, beside the products. */
#ifndef ESP_LEARN_SPANS_H
#define ESP_LEARN_SPANS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* sum += x */
void esp_span_add(float *sum, const float *x, size_t n);

/* x *= factor */
void esp_span_scale(float *x, float factor, size_t n);

/* True if none of x is infinite or NaN. */
bool esp_span_is_finite(const float *x, size_t n);

/*
 * Adds the gradients of one example's inputs into its rows' sums, in the order of its pairs.
 *
 * begin         (F + 1) the pairs of each feature, as in esp_feature_batch
 * coefficients  by pair
 * places        by pair: where the sum of its row is
 * dx            (F, D)
 * sums          (n_places, D); places are numbered in the order of first use, which is the order
 *               of the calls, so place n_seen is new and is set rather than added to
 * Returns n_seen with the places that were new.
 */
size_t esp_span_scatter(const uint32_t *begin, size_t F, size_t D, const float *coefficients,
                        const uint32_t *places, const float *dx, float *sums, size_t n_seen);

#endif
