/* backward.c - see backward.h. */
#include "learn/backward.h"

static void zero_layer(const struct esp_dense *layer, float *grads)
{
    memset(grads + layer->weight, 0, layer->n_in * layer->n_out * sizeof(*grads));
    memset(grads + layer->bias, 0, layer->n_out * sizeof(*grads));
}

/* One head down to the tower's last shared output (or its input): added to what dx holds if add. */
static void backward_head(const struct esp_tower *tower, size_t h,
                          const struct esp_weights *weights, size_t S,
                          const struct esp_activations *y, struct esp_activations *dy,
                          const float *x, bool x_is_relu, bool add, float *dx, float *grads)
{
    for (size_t i = tower->n_head; i-- > 0;) {
        const struct esp_dense *layer = &tower->head[h][i];
        const float *in = i > 0 ? y->head[h][i - 1] : x;
        float *d_in = i > 0 ? dy->head[h][i - 1] : dx;
        bool in_is_relu = i > 0 || x_is_relu;
        esp_product_backward_weights(layer, S, in, dy->head[h][i], grads);
        esp_product_backward_input(layer, weights, S, dy->head[h][i], in_is_relu ? in : NULL,
                                   i == 0 && add, d_in);
    }
}

void esp_backward_tower(const struct esp_tower *tower, const struct esp_weights *weights, size_t S,
                        const bool active[ESP_N_HEADS], const struct esp_activations *y,
                        struct esp_activations *dy, float *grads)
{
    size_t n = tower->n_shared;
    const float *x = n > 0 ? y->shared[n - 1] : y->x;
    float *dx = n > 0 ? dy->shared[n - 1] : dy->x;
    bool add = false;
    for (size_t h = 0; h < ESP_N_HEADS; h++) {
        if (!tower->has_head[h])
            continue;
        if (active[h]) {
            backward_head(tower, h, weights, S, y, dy, x, n > 0, add, dx, grads);
            add = true;
            continue;
        }
        for (size_t i = 0; i < tower->n_head; i++)
            zero_layer(&tower->head[h][i], grads);
    }
    for (size_t i = n; i-- > 0;) {
        const struct esp_dense *layer = &tower->shared[i];
        const float *in = i > 0 ? y->shared[i - 1] : y->x;
        float *d_in = i > 0 ? dy->shared[i - 1] : dy->x;
        esp_product_backward_weights(layer, S, in, dy->shared[i], grads);
        esp_product_backward_input(layer, weights, S, dy->shared[i], i > 0 ? in : NULL, false,
                                   d_in);
    }
}

void esp_backward_nothing(const struct esp_network *network, const struct esp_tower *tower,
                          size_t S, float *dx, float *grads)
{
    for (size_t i = 0; i < tower->n_shared; i++)
        zero_layer(&tower->shared[i], grads);
    for (size_t h = 0; h < ESP_N_HEADS; h++)
        for (size_t i = 0; tower->has_head[h] && i < tower->n_head; i++)
            zero_layer(&tower->head[h][i], grads);
    memset(dx, 0, S * esp_stride(network->n_input) * sizeof(*dx));
}
