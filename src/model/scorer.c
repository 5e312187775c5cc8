/* scorer.c - see scorer.h. */
#include "model/scorer.h"

#include <math.h>
#include <stdlib.h>

#include "core/buf.h"
#include "model/task_logit.h"

enum { SLICE = 128 }; /* rows at a time: their activations stay in cache */

struct esp_scorer {
    struct esp_network network;
    float *memory; /* of the activations */
    struct esp_activations y[ESP_MAX_TOWERS];
    uint32_t *rows[ESP_MAX_TOWERS]; /* (row_capacity[t]) by pair */
    size_t row_capacity[ESP_MAX_TOWERS];
};

enum esp_status esp_scorer_new(const struct esp_network *network, struct esp_scorer **out,
                               struct esp_error *err)
{
    struct esp_scorer *scorer = calloc(1, sizeof *scorer);
    if (scorer == NULL)
        return esp_fail(err, ESP_ENOMEM, "out of memory for a scorer");
    scorer->network = *network;
    size_t n = 0;
    for (size_t t = 0; t < network->n_towers; t++)
        n += esp_activations_floats(network, &network->towers[t], SLICE);
    scorer->memory = aligned_alloc(64, (n * sizeof(float) + 63) / 64 * 64);
    if (scorer->memory == NULL) {
        esp_scorer_free(scorer);
        return esp_fail(err, ESP_ENOMEM, "out of memory for %zu bytes of activations",
                        n * sizeof(float));
    }
    float *memory = scorer->memory;
    for (size_t t = 0; t < network->n_towers; t++)
        memory = esp_activations_carve(&scorer->y[t], network, &network->towers[t], SLICE, memory);
    *out = scorer;
    return ESP_OK;
}

void esp_scorer_free(struct esp_scorer *scorer)
{
    if (scorer == NULL)
        return;
    for (size_t t = 0; t < ESP_MAX_TOWERS; t++)
        free(scorer->rows[t]);
    free(scorer->memory);
    free(scorer);
}

static enum esp_status resolve(struct esp_scorer *scorer, const struct esp_forward_model *model,
                               const struct esp_feature_batch *batch, struct esp_error *err)
{
    size_t n_pairs = batch->begin[batch->n_rows * batch->n_features];
    for (size_t t = 0; t < scorer->network.n_towers; t++) {
        void *rows = scorer->rows[t];
        enum esp_status status =
            esp_array_grow(&rows, &scorer->row_capacity[t], n_pairs, sizeof *scorer->rows[t], err);
        scorer->rows[t] = rows;
        if (status != ESP_OK)
            return status;
        esp_table_resolve(&model->tables[t], batch, 0, batch->n_rows, scorer->rows[t]);
    }
    return ESP_OK;
}

/* Head logits become task logits in place. */
static void to_tasks(const struct esp_setup *setup, float *logits, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        float tasks[ESP_N_TASKS];
        for (enum esp_task task = 0; task < ESP_N_TASKS; task++)
            tasks[task] = esp_setup_has_task(setup, task)
                              ? (float)esp_task_logit(setup, task, logits + i * ESP_N_HEADS)
                              : NAN;
        memcpy(logits + i * ESP_N_TASKS, tasks, sizeof tasks);
    }
}

_Static_assert((int)ESP_N_TASKS == (int)ESP_N_HEADS, "scores replace head logits in place");

enum esp_status esp_scorer_score(struct esp_scorer *scorer, const struct esp_forward_model *model,
                                 const struct esp_feature_batch *batch, float *logits,
                                 struct esp_error *err)
{
    if (batch->n_rows == 0)
        return ESP_OK;
    if (batch->n_features != scorer->network.n_features)
        return esp_fail(err, ESP_EINVAL, "%zu features for a model of %zu", batch->n_features,
                        scorer->network.n_features);
    enum esp_status status = resolve(scorer, model, batch, err);
    if (status != ESP_OK)
        return status;
    const uint32_t *rows[ESP_MAX_TOWERS];
    for (size_t t = 0; t < ESP_MAX_TOWERS; t++)
        rows[t] = scorer->rows[t];
    for (size_t first = 0; first < batch->n_rows; first += SLICE) {
        size_t left = batch->n_rows - first;
        esp_forward_slice(model, batch, rows, first, left < SLICE ? left : SLICE, scorer->y,
                          logits);
    }
    to_tasks(&scorer->network.setup, logits, batch->n_rows);
    return ESP_OK;
}
