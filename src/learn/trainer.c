/* trainer.c - a trainer's memory, and scoring. The step is in trainer_step.c. */
#include "learn/trainer.h"

#include <math.h>

#include "core/hash.h"
#include "learn/loss.h"

#include "learn/trainer_slice.h"

static float *new_floats(size_t n, size_t m)
{
    size_t bytes;
    if (__builtin_mul_overflow(n, m, &bytes) ||
        __builtin_mul_overflow(bytes, sizeof(float), &bytes) || bytes > SIZE_MAX - 63)
        return NULL;
    bytes = (bytes + 63) / 64 * 64;
    float *floats = aligned_alloc(64, bytes == 0 ? 64 : bytes);
    if (floats)
        memset(floats, 0, bytes);
    return floats;
}

static enum esp_status make_workspaces(struct esp_trainer *trainer, struct esp_error *err)
{
    const struct esp_network *network = &trainer->network;
    size_t n_workers = esp_pool_size(trainer->pool), S = trainer->config.slice, n = 0;
    for (size_t t = 0; t < network->n_towers; t++)
        n += 2 * esp_activations_floats(network, &network->towers[t], S);
    trainer->memory = new_floats(n_workers, n);
    trainer->workspaces = calloc(n_workers, sizeof(*trainer->workspaces));
    trainer->clipped_by_worker = calloc(n_workers, sizeof(*trainer->clipped_by_worker));
    if (!trainer->memory || !trainer->workspaces || !trainer->clipped_by_worker)
        return esp_fail(err, ESP_ENOMEM, "out of memory for activations of %zu slices of %zu rows",
                        n_workers, S);
    float *memory = trainer->memory;
    for (size_t w = 0; w < n_workers; w++)
        for (size_t t = 0; t < network->n_towers; t++) {
            const struct esp_tower *tower = &network->towers[t];
            memory = esp_activations_carve(&trainer->workspaces[w].y[t], network, tower, S, memory);
            memory =
                esp_activations_carve(&trainer->workspaces[w].dy[t], network, tower, S, memory);
        }
    return ESP_OK;
}

static enum esp_status make_dense(struct esp_trainer *trainer, struct esp_error *err)
{
    size_t n = trainer->network.n_params;
    size_t n_slots = esp_optimizer_dense_slots(&trainer->config.dense);
    trainer->params = new_floats(n, 1);
    trainer->packed = new_floats(trainer->network.n_packed, 1);
    trainer->slice_grads = new_floats(trainer->n_slices, n);
    trainer->slice_losses = calloc(trainer->n_slices, sizeof(*trainer->slice_losses));
    bool failed =
        !trainer->params || !trainer->packed || !trainer->slice_grads || !trainer->slice_losses;
    for (size_t i = 0; i < n_slots; i++) {
        trainer->dense.slots[i] = new_floats(n, 1);
        failed |= !trainer->dense.slots[i];
    }
    if (failed)
        return esp_fail(err, ESP_ENOMEM,
                        "out of memory for %zu weights and the gradients of %zu slices", n,
                        trainer->n_slices);
    trainer->dense.stepped_us = INT64_MIN;
    esp_network_draw(&trainer->network, trainer->config.seed, trainer->params);
    esp_network_pack(&trainer->network, trainer->params, trainer->packed);
    trainer->weights = (struct esp_weights){trainer->params, trainer->packed};
    for (size_t i = 0; i < n_slots; i++)
        for (size_t j = 0; j < n; j++)
            trainer->dense.slots[i][j] = esp_optimizer_slot_initial(&trainer->config.dense);
    return ESP_OK;
}

static enum esp_status make_tower_rows(struct esp_trainer *trainer, size_t t,
                                       const uint64_t *default_keys, struct esp_error *err)
{
    const struct esp_model_config *config = &trainer->config;
    const struct esp_network *network = &trainer->network;
    struct esp_tower_rows *tower = &trainer->towers[t];
    for (size_t h = 0; h < ESP_N_HEADS; h++)
        if (network->towers[t].has_head[h])
            tower->terms |= esp_terms_of_head(h);
    tower->dx = new_floats(trainer->n_slices * config->slice, esp_stride(network->n_input));
    if (!tower->dx)
        return esp_fail(err, ESP_ENOMEM, "out of memory for gradients of a batch of %zu",
                        config->batch);
    struct esp_table_config table = {
        .width = config->width,
        .n_slots = esp_optimizer_row_slots(&config->sparse, config->width),
        .slot_initial = esp_optimizer_slot_initial(&config->sparse),
        .deviation = (float)config->init,
        .seed = config->seed + t,
        .admit_after = config->admit_after,
        .max_bytes = config->table_bytes / network->n_towers,
        .default_keys = default_keys,
        .n_features = network->n_features,
    };
    size_t n_wanted = network->n_features * (1 + 2 * config->batch);
    size_t n_rows = esp_table_max_rows(&table);
    if (n_rows < n_wanted)
        return esp_fail(
            err, ESP_ECONFIG,
            "table_memory: %llu bytes hold %zu rows a table, but a batch of %zu with %zu "
            "features may need %zu; raise it or lower batch",
            (unsigned long long)config->table_bytes, n_rows, config->batch, network->n_features,
            n_wanted);
    return esp_table_init(&tower->table, &table, err);
}

static enum esp_status make_tables(struct esp_trainer *trainer, const char *const *feature_names,
                                   struct esp_error *err)
{
    const struct esp_network *network = &trainer->network;
    uint64_t *keys = calloc(network->n_features, sizeof(*keys));
    if (!keys)
        return esp_fail(err, ESP_ENOMEM, "out of memory for default rows");
    for (size_t f = 0; f < network->n_features; f++)
        keys[f] = esp_feature_default_key(feature_names[f]);
    enum esp_status status = ESP_OK;
    for (size_t t = 0; t < network->n_towers && status == ESP_OK; t++)
        status = make_tower_rows(trainer, t, keys, err);
    free(keys);
    return status;
}

static enum esp_status check_config(const struct esp_model_config *config, struct esp_error *err)
{
    if (config->batch == 0 || config->batch > 65536)
        return esp_fail(err, ESP_ECONFIG, "batch: %zu; choose 1 to 65536", config->batch);
    if (config->slice < 8 || config->slice > 1024 || config->slice % 8 != 0)
        return esp_fail(err, ESP_ECONFIG, "slice: %zu rows; choose a multiple of 8, 8 to 1024",
                        config->slice);
    if (config->admit_after == 0)
        return esp_fail(err, ESP_ECONFIG, "admit_after: 0 sightings; 1 admits at once");
    if (!(config->init >= 0 && config->init <= 10))
        return esp_fail(err, ESP_ECONFIG, "init: %g; choose 0 to 10", config->init);
    if (config->correction == ESP_CORRECT_BY_OFFSET && !(config->keep > 0 && config->keep <= 1))
        return esp_fail(err, ESP_ECONFIG, "negatives: %g; choose above 0, at most 1", config->keep);
    enum esp_status status = esp_optimizer_validate(&config->dense, "dense", err);
    return status != ESP_OK ? status : esp_optimizer_validate(&config->sparse, "sparse", err);
}

enum esp_status esp_trainer_init(struct esp_trainer *trainer, const struct esp_model_config *config,
                                 const struct esp_setup *setup, const char *const *feature_names,
                                 size_t n_features, struct esp_pool *pool, struct esp_error *err)
{
    *trainer = (struct esp_trainer){.config = *config, .pool = pool};
    trainer->config.name = NULL;
    enum esp_status status = check_config(config, err);
    if (status != ESP_OK)
        return status;
    struct esp_network_config dims = {.setup = *setup,
                                      .n_features = n_features,
                                      .width = config->width,
                                      .layers = config->layers,
                                      .n_layers = config->n_layers,
                                      .head_layers = config->head_layers,
                                      .n_head_layers = config->n_head_layers};
    status = esp_network_init(&trainer->network, &dims, err);
    if (status != ESP_OK)
        return status;
    trainer->n_slices = (config->batch + config->slice - 1) / config->slice;
    if (config->correction == ESP_CORRECT_BY_OFFSET)
        trainer->shift = -log(config->keep);
    status = make_workspaces(trainer, err);
    if (status == ESP_OK)
        status = make_dense(trainer, err);
    if (status == ESP_OK)
        status = make_tables(trainer, feature_names, err);
    return status;
}

void esp_trainer_release(struct esp_trainer *trainer)
{
    for (size_t t = 0; t < ESP_MAX_TOWERS; t++) {
        struct esp_tower_rows *tower = &trainer->towers[t];
        esp_table_release(&tower->table);
        free(tower->rows);
        free(tower->places);
        free(tower->row_grads);
        free(tower->dx);
    }
    free(trainer->params);
    free(trainer->packed);
    free(trainer->dense.slots[0]);
    free(trainer->dense.slots[1]);
    free(trainer->memory);
    free(trainer->workspaces);
    free(trainer->slice_grads);
    free(trainer->slice_losses);
    free(trainer->clipped_by_worker);
    *trainer = (struct esp_trainer){0};
}

enum esp_status esp_tower_rows_reserve(struct esp_tower_rows *tower, size_t n_pairs,
                                       struct esp_error *err)
{
    void *rows = tower->rows, *places = tower->places;
    size_t capacity = tower->pair_capacity, place_capacity = tower->pair_capacity;
    enum esp_status status = esp_array_grow(&rows, &capacity, n_pairs, sizeof(*tower->rows), err);
    if (status == ESP_OK)
        status = esp_array_grow(&places, &place_capacity, n_pairs, sizeof(*tower->places), err);
    tower->rows = rows;
    tower->places = places;
    if (status == ESP_OK)
        tower->pair_capacity = capacity;
    return status;
}

struct score_call {
    struct esp_trainer *trainer;
    const struct esp_feature_batch *features;
    float *logits;
};

static void score_slice(void *context, size_t slice, size_t worker)
{
    const struct score_call *call = context;
    size_t S = call->trainer->config.slice, first = slice * S;
    size_t n = call->features->n_rows - first < S ? call->features->n_rows - first : S;
    esp_slice_forward(call->trainer, call->features, first, n, worker, call->logits);
}

enum esp_status esp_trainer_score(struct esp_trainer *trainer,
                                  const struct esp_feature_batch *features, float *logits,
                                  struct esp_error *err)
{
    size_t n = features->n_rows, S = trainer->config.slice;
    if (n == 0)
        return ESP_OK;
    for (size_t t = 0; t < trainer->network.n_towers; t++) {
        struct esp_tower_rows *tower = &trainer->towers[t];
        enum esp_status status =
            esp_tower_rows_reserve(tower, features->begin[n * features->n_features], err);
        if (status != ESP_OK)
            return status;
        struct esp_table_view view = esp_table_view(&tower->table);
        esp_table_resolve(&view, features, 0, n, tower->rows);
    }
    struct score_call call = {trainer, features, logits};
    esp_pool_run(trainer->pool, (n + S - 1) / S, score_slice, &call);
    return ESP_OK;
}

uint64_t esp_trainer_hash(const struct esp_trainer *trainer)
{
    size_t bytes = trainer->network.n_params * sizeof(float);
    uint64_t parts[4 + ESP_MAX_TOWERS] = {trainer->n_learned, trainer->n_steps,
                                          (uint64_t)trainer->dense.stepped_us,
                                          esp_hash(esp_bytes(trainer->params, bytes))};
    for (size_t i = 0; i < 2; i++)
        if (trainer->dense.slots[i])
            parts[3] = esp_mix64(parts[3]) ^ esp_hash(esp_bytes(trainer->dense.slots[i], bytes));
    for (size_t t = 0; t < trainer->network.n_towers; t++)
        parts[4 + t] = esp_table_hash(&trainer->towers[t].table);
    return esp_hash(esp_bytes(parts, sizeof(parts)));
}
