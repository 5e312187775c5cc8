/* spans.c - see spans.h. */
#include "learn/spans.h"

#include "core/vectorised.h"
#include "model/network.h"

ESP_VECTORISED void esp_span_add(float *restrict sum, const float *restrict x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        sum[i] += x[i];
}

ESP_VECTORISED void esp_span_scale(float *x, float factor, size_t n)
{
    for (size_t i = 0; i < n; i++)
        x[i] *= factor;
}

/* x * 0 is 0, or NaN for what is not finite, and NaN stays in a sum. */
ESP_VECTORISED bool esp_span_is_finite(const float *x, size_t n)
{
    float lanes[32] = {0}, sum = 0;
    size_t i = 0;
    for (; i + 32 <= n; i += 32)
        for (size_t j = 0; j < 32; j++)
            lanes[j] += x[i + j] * 0.0F;
    for (size_t j = 0; i < n; i++, j++)
        lanes[j] += x[i] * 0.0F;
    for (size_t j = 0; j < 32; j++)
        sum += lanes[j];
    return sum == 0;
}

ESP_INLINE size_t scatter(const uint32_t *begin, size_t F, size_t D, const float *coefficients,
                          const uint32_t *places, const float *restrict dx, float *restrict sums,
                          size_t n_seen)
{
    for (size_t f = 0; f < F; f++)
        for (size_t p = begin[f]; p < begin[f + 1]; p++) {
            size_t place = places[p];
            float coefficient = coefficients[p];
            if (place == n_seen) {
                n_seen++;
                for (size_t d = 0; d < D; d++)
                    sums[place * D + d] = coefficient * dx[f * D + d];
            } else {
                for (size_t d = 0; d < D; d++)
                    sums[place * D + d] += coefficient * dx[f * D + d];
            }
        }
    return n_seen;
}

ESP_VECTORISED size_t esp_span_scatter(const uint32_t *begin, size_t F, size_t D,
                                       const float *coefficients, const uint32_t *places,
                                       const float *dx, float *sums, size_t n_seen)
{
    if (D == ESP_USUAL_WIDTH)
        return scatter(begin, F, ESP_USUAL_WIDTH, coefficients, places, dx, sums, n_seen);
    return scatter(begin, F, D, coefficients, places, dx, sums, n_seen);
}
