/* forward.c - gathers embedding rows and runs a tower. See forward.h. */
#include "model/forward.h"

#include "core/vectorised.h"

/* One visit of every array, in order: carving and sizing cannot disagree. memory NULL: size only.
 */
static size_t visit(struct esp_activations *activations, const struct esp_network *network,
                    const struct esp_tower *tower, size_t S, float *memory)
{
    size_t n = 0;
    struct esp_activations unused;
    struct esp_activations *a = activations ? activations : &unused;
    a->x = memory ? memory : NULL;
    n += S * esp_stride(network->n_input);
    for (size_t i = 0; i < tower->n_shared; i++) {
        a->shared[i] = memory ? memory + n : NULL;
        n += S * esp_stride(tower->shared[i].n_out);
    }
    for (size_t h = 0; h < ESP_N_HEADS; h++)
        for (size_t i = 0; tower->has_head[h] && i < tower->n_head; i++) {
            a->head[h][i] = memory ? memory + n : NULL;
            n += S * esp_stride(tower->head[h][i].n_out);
        }
    return n;
}

size_t esp_activations_floats(const struct esp_network *network, const struct esp_tower *tower,
                              size_t S)
{
    return visit(NULL, network, tower, S, NULL);
}

float *esp_activations_carve(struct esp_activations *activations, const struct esp_network *network,
                             const struct esp_tower *tower, size_t S, float *memory)
{
    *activations = (struct esp_activations){0};
    return memory + visit(activations, network, tower, S, memory);
}

ESP_INLINE void gather(size_t D, const struct esp_table_view *view,
                       const struct esp_feature_batch *batch, const uint32_t *rows, size_t first,
                       size_t n, float *restrict x, size_t ldx)
{
    enum { AHEAD = 16 }; /* pairs: rows that were looked up a batch ago may be out of L2 again */
    size_t F = batch->n_features, end = batch->begin[(first + n) * F];
    const float *restrict table = view->rows;
    for (size_t i = 0; i < n; i++)
        for (size_t f = 0; f < F; f++) {
            const uint32_t *begin = &batch->begin[(first + i) * F + f];
            float *sum = x + i * ldx + f * D;
            if (begin[0] + AHEAD < end)
                __builtin_prefetch(table + rows[begin[0] + AHEAD] * view->stride);
            if (begin[0] == begin[1]) {
                memset(sum, 0, D * sizeof(*sum));
                continue;
            }
            const float *row = table + rows[begin[0]] * view->stride;
            float coefficient = batch->coefficients[begin[0]];
            for (size_t d = 0; d < D; d++)
                sum[d] = coefficient * row[d];
            for (size_t p = begin[0] + 1; p < begin[1]; p++) {
                row = table + rows[p] * view->stride;
                coefficient = batch->coefficients[p];
                for (size_t d = 0; d < D; d++)
                    sum[d] += coefficient * row[d];
            }
        }
}

ESP_VECTORISED void esp_forward_gather(const struct esp_network *network,
                                       const struct esp_table_view *view,
                                       const struct esp_feature_batch *batch, const uint32_t *rows,
                                       size_t first, size_t n, size_t S, float *x)
{
    size_t ldx = esp_stride(network->n_input);
    if (network->width == ESP_USUAL_WIDTH)
        gather(ESP_USUAL_WIDTH, view, batch, rows, first, n, x, ldx);
    else
        gather(network->width, view, batch, rows, first, n, x, ldx);
    memset(x + n * ldx, 0, (S - n) * ldx * sizeof(*x));
}

void esp_forward_tower(const struct esp_tower *tower, const struct esp_weights *weights, size_t S,
                       struct esp_activations *activations)
{
    const float *x = activations->x;
    for (size_t i = 0; i < tower->n_shared; i++) {
        esp_product_forward(&tower->shared[i], weights, S, x, true, activations->shared[i]);
        x = activations->shared[i];
    }
    for (size_t h = 0; h < ESP_N_HEADS; h++) {
        const float *in = x;
        for (size_t i = 0; tower->has_head[h] && i < tower->n_head; i++) {
            bool relu = i + 1 < tower->n_head;
            esp_product_forward(&tower->head[h][i], weights, S, in, relu, activations->head[h][i]);
            in = activations->head[h][i];
        }
    }
}

void esp_forward_slice(const struct esp_forward_model *model, const struct esp_feature_batch *batch,
                       const uint32_t *const rows[ESP_MAX_TOWERS], size_t first, size_t n,
                       struct esp_activations y[ESP_MAX_TOWERS], float *logits)
{
    const struct esp_network *network = model->network;
    size_t S = esp_slice_rows(n);
    for (size_t t = 0; t < network->n_towers; t++) {
        const struct esp_tower *tower = &network->towers[t];
        esp_forward_gather(network, &model->tables[t], batch, rows[t], first, n, S, y[t].x);
        esp_forward_tower(tower, &model->weights, S, &y[t]);
        for (size_t h = 0; h < ESP_N_HEADS; h++) {
            const float *column = y[t].head[h][tower->n_head - 1];
            for (size_t i = 0; tower->has_head[h] && i < n; i++)
                logits[(first + i) * ESP_N_HEADS + h] = column[i * esp_stride(1)];
        }
    }
}
