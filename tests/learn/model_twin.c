/* model_twin.c - see model_twin.h. */
#include "model_twin.h"

#include <math.h>

#include "learn/loss.h"
#include "testkit.h"

void model_twin_init(struct model_twin *twin, const struct esp_trainer *trainer)
{
    *twin = (struct model_twin){.trainer = trainer};
    twin->params = g_new0(double, trainer->network.n_params);
    for (size_t i = 0; i < trainer->network.n_params; i++)
        twin->params[i] = trainer->params[i];
    for (size_t t = 0; t < trainer->network.n_towers; t++) {
        const struct esp_table *table = &trainer->towers[t].table;
        twin->rows[t] = g_new0(double, table->n_begun * table->width);
        for (size_t r = 0; r < table->n_begun; r++)
            for (size_t d = 0; d < table->width; d++)
                twin->rows[t][r * table->width + d] = table->rows[r * table->stride + d];
    }
}

void model_twin_release(struct model_twin *twin)
{
    g_free(twin->params);
    for (size_t t = 0; t < ESP_MAX_TOWERS; t++)
        g_free(twin->rows[t]);
}

/* y = W x + b, in place of x; y has room for all. */
static void run_layer(const struct model_twin *twin, const struct esp_dense *layer, bool relu,
                      const double *x, double *y)
{
    for (size_t n = 0; n < layer->n_out; n++) {
        double sum = twin->params[layer->bias + n];
        for (size_t k = 0; k < layer->n_in; k++)
            sum += twin->params[layer->weight + n * layer->n_in + k] * x[k];
        y[n] = relu && sum < 0 ? 0 : sum;
    }
}

static void embed(const struct model_twin *twin, size_t t, const struct esp_feature_batch *features,
                  size_t row, double *x)
{
    const struct esp_table *table = &twin->trainer->towers[t].table;
    struct esp_table_view view = esp_table_view(table);
    size_t F = features->n_features, D = table->width;
    memset(x, 0, F * D * sizeof(*x));
    for (size_t f = 0; f < F; f++)
        for (size_t p = features->begin[row * F + f]; p < features->begin[row * F + f + 1]; p++) {
            uint32_t r = esp_table_find(&view, features->keys[p]);
            r = r == ESP_NO_ROW ? (uint32_t)f : r;
            for (size_t d = 0; d < D; d++)
                x[f * D + d] += (double)features->coefficients[p] * twin->rows[t][r * D + d];
        }
}

void model_twin_logits(const struct model_twin *twin, const struct esp_feature_batch *features,
                       size_t row, double logits[ESP_N_HEADS])
{
    const struct esp_network *network = &twin->trainer->network;
    double shared[512], a[512], b[512];
    g_assert_cmpuint(network->n_input, <=, 512);
    for (size_t t = 0; t < network->n_towers; t++) {
        const struct esp_tower *tower = &network->towers[t];
        embed(twin, t, features, row, shared);
        for (size_t i = 0; i < tower->n_shared; i++) {
            run_layer(twin, &tower->shared[i], true, shared, a);
            memcpy(shared, a, sizeof(a));
        }
        for (size_t h = 0; h < ESP_N_HEADS; h++) {
            if (!tower->has_head[h])
                continue;
            memcpy(a, shared, sizeof(a));
            for (size_t i = 0; i < tower->n_head; i++) {
                run_layer(twin, &tower->head[h][i], i + 1 < tower->n_head, a, b);
                memcpy(a, b, sizeof(a));
            }
            logits[h] = a[0];
        }
    }
}

/* log(1 / (1 + e^-x)) with 64 bits of mantissa. */
static long double log_sigmoid(long double x)
{
    return x > 0 ? -log1pl(expl(-x)) : x - log1pl(expl(x));
}

/* -log p if t, else -log(1 - p), for p the product of two sigmoids. */
static long double product_loss(bool t, long double a, long double b)
{
    long double log_p = log_sigmoid(a) + log_sigmoid(b);
    /* 1 - sigmoid(a) sigmoid(b) = 1 - sigmoid(a) + sigmoid(a) (1 - sigmoid(b)) */
    return t ? -log_p : -logl(expl(log_sigmoid(-a)) + expl(log_sigmoid(a) + log_sigmoid(-b)));
}

double model_twin_row_loss(const double logits[ESP_N_HEADS], const struct esp_row_info *info,
                           bool offset, double keep)
{
    long double a = logits[ESP_HEAD_CTR] - (offset ? logl(keep) : 0);
    long double b = logits[ESP_HEAD_CVR], d = logits[ESP_HEAD_CTCVR];
    long double space = offset ? info->base_weight : info->weight, loss = 0;
    if (info->terms & ESP_TERM_CLICK)
        loss -= space * log_sigmoid(info->y ? a : -a);
    if (info->terms & ESP_TERM_CLICKED_INSTALL)
        loss -= info->weight * log_sigmoid(info->z ? b : -b);
    if (info->terms & ESP_TERM_PRODUCT)
        loss += space * product_loss(info->z, a, b);
    if (info->terms & ESP_TERM_DIRECT)
        loss -= info->weight * log_sigmoid(info->z ? d : -d);
    return (double)loss;
}

double model_twin_loss(const struct model_twin *twin, const struct esp_rows *rows)
{
    const struct esp_model_config *config = &twin->trainer->config;
    double sum = 0;
    for (size_t i = 0; i < rows->n; i++) {
        double logits[ESP_N_HEADS] = {0};
        model_twin_logits(twin, &rows->features, i, logits);
        sum += model_twin_row_loss(logits, &rows->infos[i],
                                   config->correction == ESP_CORRECT_BY_OFFSET, config->keep);
    }
    return sum;
}
