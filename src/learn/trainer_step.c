/* trainer_step.c - one step on a batch: resolve, compute, gather, update. See trainer.h. */
#include <assert.h>
#include <math.h>

#include "learn/loss.h"
#include "learn/spans.h"
#include "learn/trainer.h"
#include "learn/trainer_slice.h"

struct step_call {
    struct esp_trainer *trainer;
    const struct esp_rows *rows;
    float *logits;
};

/* True if the key stands earlier in the same feature of the same row: arrays may repeat values. */
static bool repeats(const struct esp_feature_batch *features, size_t begin, size_t p)
{
    for (size_t q = begin; q < p; q++)
        if (features->keys[q] == features->keys[p])
            return true;
    return false;
}

/*
 * Looks up the pairs from n_found to `until` and has their rows fetched into cache; ESP_NO_ROW
 * where there is none yet. Returns until.
 */
static size_t look_ahead(struct esp_tower_rows *tower, const struct esp_feature_batch *features,
                         size_t n_found, size_t until)
{
    struct esp_table_view view = esp_table_view(&tower->table);
    for (; n_found < until; n_found++) {
        uint32_t row = esp_table_find(&view, features->keys[n_found]);
        tower->rows[n_found] = row;
        if (row == ESP_NO_ROW)
            continue;
        __builtin_prefetch(&tower->table.meta[row], 1);
        __builtin_prefetch(view.rows + row * view.stride);
    }
    return until;
}

/*
 * Resolves the pairs of the rows that learn by the tower, admitting and touching, in label order.
 * Slots are fetched 40 pairs ahead of use and rows 16 to 24, so that little waits for memory.
 */
static enum esp_status resolve_learning(struct esp_tower_rows *tower, const struct esp_rows *rows,
                                        struct esp_error *err)
{
    enum { SLOTS_AHEAD = 40, ROWS_AHEAD = 16, AT_ONCE = 8 };
    const struct esp_feature_batch *features = &rows->features;
    size_t F = features->n_features, n_pairs = esp_rows_n_pairs(rows), n_found = 0;
    for (size_t r = 0; r < rows->n * F; r++) {
        size_t begin = features->begin[r], end = features->begin[r + 1];
        if (!(rows->infos[r / F].terms & tower->terms))
            continue;
        for (size_t p = begin; p < end; p++) {
            struct esp_table_view view = esp_table_view(&tower->table);
            if (p + SLOTS_AHEAD < n_pairs)
                esp_table_prefetch_slot(&view, features->keys[p + SLOTS_AHEAD]);
            if (n_found < n_pairs && n_found <= p + ROWS_AHEAD) {
                size_t until = p + ROWS_AHEAD + AT_ONCE;
                n_found = look_ahead(tower, features, n_found > p ? n_found : p,
                                     until < n_pairs ? until : n_pairs);
            }
            enum esp_status status = esp_table_train(&tower->table, features->keys[p], r % F,
                                                     tower->rows[p], !repeats(features, begin, p),
                                                     &tower->rows[p], &tower->places[p], err);
            if (status != ESP_OK)
                return status;
        }
    }
    return ESP_OK;
}

/* Resolves a batch for one tower; rows that it does not learn from are only looked up. */
static enum esp_status resolve(struct esp_tower_rows *tower, const struct esp_rows *rows,
                               struct esp_error *err)
{
    size_t n_pairs = esp_rows_n_pairs(rows);
    enum esp_status status = esp_tower_rows_reserve(tower, n_pairs, err);
    if (status == ESP_OK)
        status = esp_table_begin(&tower->table, n_pairs, err);
    if (status == ESP_OK)
        status = resolve_learning(tower, rows, err);
    if (status != ESP_OK)
        return status;
    struct esp_table_view view = esp_table_view(&tower->table);
    for (size_t i = 0; i < rows->n; i++)
        if (!(rows->infos[i].terms & tower->terms))
            esp_table_resolve(&view, &rows->features, i, 1, tower->rows);
    return ESP_OK;
}

void esp_slice_forward(struct esp_trainer *trainer, const struct esp_feature_batch *features,
                       size_t first, size_t n, size_t worker, float *logits)
{
    struct esp_forward_model model = {&trainer->network, trainer->weights, {{0}}};
    const uint32_t *rows[ESP_MAX_TOWERS] = {NULL};
    for (size_t t = 0; t < trainer->network.n_towers; t++) {
        model.tables[t] = esp_table_view(&trainer->towers[t].table);
        rows[t] = trainer->towers[t].rows;
    }
    esp_forward_slice(&model, features, rows, first, n, trainer->workspaces[worker].y, logits);
}

/* The rows' losses and the derivatives of the towers' logits. */
static double slice_loss(const struct step_call *call, size_t first, size_t n,
                         struct esp_workspace *workspace)
{
    const struct esp_trainer *trainer = call->trainer;
    bool offset = trainer->config.correction == ESP_CORRECT_BY_OFFSET;
    double sum = 0;
    for (size_t i = 0; i < esp_slice_rows(n); i++) {
        double d_logits[ESP_N_HEADS] = {0};
        if (i < n) {
            const struct esp_row_info *info = &call->rows->infos[first + i];
            struct esp_loss_input input = {.terms = info->terms,
                                           .y = info->y,
                                           .z = info->z,
                                           .weight = info->weight,
                                           .space_weight =
                                               offset ? info->base_weight : info->weight,
                                           .shift = trainer->shift};
            for (size_t h = 0; h < ESP_N_HEADS; h++)
                if (trainer->network.setup.has_head[h])
                    input.logits[h] = call->logits[(first + i) * ESP_N_HEADS + h];
            sum += esp_loss(&input, d_logits);
        }
        for (size_t t = 0; t < trainer->network.n_towers; t++) {
            const struct esp_tower *tower = &trainer->network.towers[t];
            for (size_t h = 0; h < ESP_N_HEADS; h++)
                if (tower->has_head[h])
                    workspace->dy[t].head[h][tower->n_head - 1][i * esp_stride(1)] =
                        (float)d_logits[h];
        }
    }
    return sum;
}

static void learn_slice(void *context, size_t slice, size_t worker)
{
    const struct step_call *call = context;
    struct esp_trainer *trainer = call->trainer;
    const struct esp_network *network = &trainer->network;
    struct esp_workspace *workspace = &trainer->workspaces[worker];
    size_t first = slice * trainer->config.slice, left = call->rows->n - first;
    size_t n = left < trainer->config.slice ? left : trainer->config.slice, S = esp_slice_rows(n);
    esp_slice_forward(trainer, &call->rows->features, first, n, worker, call->logits);
    trainer->slice_losses[slice] = slice_loss(call, first, n, workspace);

    unsigned terms = 0;
    for (size_t i = 0; i < n; i++)
        terms |= call->rows->infos[first + i].terms;
    float *grads = trainer->slice_grads + slice * network->n_params;
    for (size_t t = 0; t < network->n_towers; t++) {
        const struct esp_tower *tower = &network->towers[t];
        struct esp_activations *dy = &workspace->dy[t];
        float *unused = dy->x; /* the batch's dx stays until all rows are gathered */
        dy->x = trainer->towers[t].dx + first * esp_stride(network->n_input);
        bool active[ESP_N_HEADS];
        for (size_t h = 0; h < ESP_N_HEADS; h++)
            active[h] = tower->has_head[h] && (terms & esp_terms_of_head(h));
        if (terms & trainer->towers[t].terms)
            esp_backward_tower(tower, &trainer->weights, S, active, &workspace->y[t], dy, grads);
        else
            esp_backward_nothing(network, tower, S, dy->x, grads);
        dy->x = unused;
    }
}

/* The dense gradient, in slice order, over B: into the first slice's block. True: it is finite. */
static bool gather_dense(struct esp_trainer *trainer, size_t n_slices)
{
    size_t n = trainer->network.n_params;
    for (size_t s = 1; s < n_slices; s++)
        esp_span_add(trainer->slice_grads, trainer->slice_grads + s * n, n);
    esp_span_scale(trainer->slice_grads, 1.0F / (float)trainer->config.batch, n);
    return esp_span_is_finite(trainer->slice_grads, n);
}

/* The touched rows' gradients, in label order. */
static enum esp_status gather_rows(struct esp_trainer *trainer, struct esp_tower_rows *tower,
                                   const struct esp_rows *rows, bool *out_finite,
                                   struct esp_error *err)
{
    size_t F = trainer->network.n_features, D = trainer->network.width;
    size_t ldx = esp_stride(trainer->network.n_input), n_seen = 0;
    void *grads = tower->row_grads;
    enum esp_status status = esp_array_grow(&grads, &tower->row_grad_capacity,
                                            tower->table.n_touched, D * sizeof(float), err);
    tower->row_grads = grads;
    if (status != ESP_OK)
        return status;
    for (size_t i = 0; i < rows->n; i++)
        if (rows->infos[i].terms & tower->terms)
            n_seen =
                esp_span_scatter(&rows->features.begin[i * F], F, D, rows->features.coefficients,
                                 tower->places, tower->dx + i * ldx, tower->row_grads, n_seen);
    assert(n_seen == tower->table.n_touched);
    *out_finite = esp_span_is_finite(tower->row_grads, n_seen * D);
    return ESP_OK;
}

struct update_call {
    struct esp_trainer *trainer;
    struct esp_tower_rows *tower;
    struct esp_step_time time;
};

enum { UPDATE_ROWS = 1024 }; /* touched rows a task */

static void update_some(void *context, size_t task, size_t worker)
{
    const struct update_call *call = context;
    size_t first = task * UPDATE_ROWS, n = call->tower->table.n_touched - first;
    call->trainer->clipped_by_worker[worker] +=
        esp_optimizer_step_rows(&call->trainer->config.sparse, &call->time, &call->tower->table,
                                first, n < UPDATE_ROWS ? n : UPDATE_ROWS, call->tower->row_grads);
}

static void update(struct esp_trainer *trainer, const struct esp_rows *rows,
                   struct esp_step_result *result)
{
    struct esp_step_time time = {rows->infos[rows->n - 1].due_us, trainer->n_learned};
    size_t n_workers = esp_pool_size(trainer->pool);
    memset(trainer->clipped_by_worker, 0, n_workers * sizeof(*trainer->clipped_by_worker));
    result->dense_clipped =
        esp_optimizer_step_dense(&trainer->config.dense, &time, trainer->network.n_params,
                                 trainer->params, trainer->slice_grads, &trainer->dense);
    esp_network_pack(&trainer->network, trainer->params, trainer->packed);
    for (size_t t = 0; t < trainer->network.n_towers; t++) {
        struct update_call call = {trainer, &trainer->towers[t], time};
        size_t n_tasks = (call.tower->table.n_touched + UPDATE_ROWS - 1) / UPDATE_ROWS;
        esp_pool_run(trainer->pool, n_tasks, update_some, &call);
    }
    for (size_t w = 0; w < n_workers; w++)
        result->rows_clipped += trainer->clipped_by_worker[w];
    trainer->n_learned += rows->n;
    trainer->n_steps++;
}

enum esp_status esp_trainer_step(struct esp_trainer *trainer, const struct esp_rows *rows,
                                 float *logits, struct esp_step_result *result,
                                 struct esp_error *err)
{
    size_t n_towers = trainer->network.n_towers, S = trainer->config.slice;
    assert(rows->n > 0 && rows->n <= trainer->config.batch && rows->n == rows->features.n_rows);
    *result = (struct esp_step_result){0};
    for (size_t t = 0; t < n_towers; t++) {
        enum esp_status status = resolve(&trainer->towers[t], rows, err);
        if (status != ESP_OK)
            return status;
    }
    size_t n_slices = (rows->n + S - 1) / S;
    struct step_call call = {trainer, rows, logits};
    esp_pool_run(trainer->pool, n_slices, learn_slice, &call);
    for (size_t s = 0; s < n_slices; s++)
        result->loss += trainer->slice_losses[s];
    if (!isfinite(result->loss))
        return esp_fail(err, ESP_ENUMERIC, "the loss of a batch is not finite");
    if (!gather_dense(trainer, n_slices))
        return esp_fail(err, ESP_ENUMERIC, "a gradient of the dense weights is not finite");
    for (size_t t = 0; t < n_towers; t++) {
        bool finite;
        enum esp_status status = gather_rows(trainer, &trainer->towers[t], rows, &finite, err);
        if (status != ESP_OK)
            return status;
        if (!finite)
            return esp_fail(err, ESP_ENUMERIC, "a gradient of an embedding row is not finite");
    }
    update(trainer, rows, result);
    return ESP_OK;
}
