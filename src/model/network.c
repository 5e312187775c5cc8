/* network.c - lays out the tensors of a model in one block. See network.h. */
#include "model/network.h"

#include <math.h>
#include <stdio.h>

#include "core/hash.h"
#include "model/product.h"

static const char *const HEAD_NAMES[ESP_N_HEADS] = {"ctr", "cvr", "ctcvr"};

static size_t add_tensor(struct esp_network *network, const char *layer, const char *part,
                         size_t n_rows, size_t n_cols)
{
    struct esp_tensor *tensor = &network->tensors[network->n_tensors++];
    snprintf(tensor->name, sizeof(tensor->name), "%s.%s", layer, part);
    tensor->offset = network->n_params;
    tensor->n_rows = n_rows;
    tensor->n_cols = n_cols;
    size_t n = n_rows * (n_cols == 0 ? 1 : n_cols);
    network->n_params += (n + 15) / 16 * 16;
    return tensor->offset;
}

static void add_layer(struct esp_network *network, const char *name, size_t n_in, size_t n_out,
                      struct esp_dense *out)
{
    out->n_in = n_in;
    out->n_out = n_out;
    out->weight = add_tensor(network, name, "weight", n_out, n_in);
    out->bias = add_tensor(network, name, "bias", n_out, 0);
    out->packed = network->n_packed;
    network->n_packed += esp_product_packed_floats(out);
}

static void add_tower(struct esp_network *network, const struct esp_network_config *config,
                      size_t t)
{
    struct esp_tower *tower = &network->towers[t];
    char name[ESP_LAYER_NAME_SIZE];
    size_t n_in = network->n_input;
    tower->n_shared = config->n_layers;
    for (size_t i = 0; i < config->n_layers; i++) {
        snprintf(name, sizeof(name), "tower%zu.shared%zu", t, i);
        add_layer(network, name, n_in, config->layers[i], &tower->shared[i]);
        n_in = config->layers[i];
    }
    tower->n_head = config->n_head_layers + 1;
    size_t nth = 0; /* of the heads that the set-up has: with two towers, tower t has head t */
    for (size_t h = 0; h < ESP_N_HEADS; h++) {
        if (!network->setup.has_head[h])
            continue;
        tower->has_head[h] = network->n_towers == 1 || nth == t;
        nth++;
        if (!tower->has_head[h])
            continue;
        size_t n = n_in;
        for (size_t i = 0; i < tower->n_head; i++) {
            size_t n_out = i + 1 < tower->n_head ? config->head_layers[i] : 1;
            snprintf(name, sizeof(name), "tower%zu.%s%zu", t, HEAD_NAMES[h], i);
            add_layer(network, name, n, n_out, &tower->head[h][i]);
            n = n_out;
        }
    }
}

static enum esp_status check_layers(const char *what, const size_t *layers, size_t n,
                                    struct esp_error *err)
{
    if (n > ESP_MAX_LAYERS)
        return esp_fail(err, ESP_ECONFIG, "%s: %zu layers; at most %d", what, n, ESP_MAX_LAYERS);
    for (size_t i = 0; i < n; i++)
        if (layers[i] == 0 || layers[i] > ESP_MAX_LAYER_WIDTH)
            return esp_fail(err, ESP_ECONFIG, "%s: a layer of %zu; choose 1 to %d", what, layers[i],
                            ESP_MAX_LAYER_WIDTH);
    return ESP_OK;
}

enum esp_status esp_network_init(struct esp_network *network,
                                 const struct esp_network_config *config, struct esp_error *err)
{
    enum esp_status status = check_layers("layers", config->layers, config->n_layers, err);
    if (status == ESP_OK)
        status = check_layers("head_layers", config->head_layers, config->n_head_layers, err);
    if (status != ESP_OK)
        return status;
    if (config->n_features == 0)
        return esp_fail(err, ESP_ECONFIG, "a model needs at least one feature");
    if (config->width == 0 || config->width > ESP_MAX_LAYER_WIDTH ||
        config->n_features > ESP_MAX_INPUT_WIDTH / config->width)
        return esp_fail(err, ESP_ECONFIG,
                        "width: %zu features of width %zu; width is 1 to %d and their product at "
                        "most %d",
                        config->n_features, config->width, ESP_MAX_LAYER_WIDTH,
                        ESP_MAX_INPUT_WIDTH);
    *network = (struct esp_network){
        .setup = config->setup,
        .n_features = config->n_features,
        .width = config->width,
        .n_input = config->n_features * config->width,
        .n_towers = config->setup.n_towers,
    };
    for (size_t t = 0; t < network->n_towers; t++)
        add_tower(network, config, t);
    return ESP_OK;
}

float esp_normal_of_bits(uint64_t bits)
{
    int32_t sum = (int32_t)(bits & 0xffff) + (int32_t)(bits >> 16 & 0xffff) +
                  (int32_t)(bits >> 32 & 0xffff) + (int32_t)(bits >> 48);
    /* four uniforms on 0..65535 have mean 131070 and variance 4 (2^32 - 1) / 12 */
    return (float)(sum - 131070) * 2.6429029e-5F;
}

void esp_network_draw(const struct esp_network *network, uint64_t seed, float *params)
{
    memset(params, 0, network->n_params * sizeof(*params));
    uint64_t base = esp_hash_domain(ESP_DOMAIN_INIT, esp_bytes_of("dense"), seed);
    for (size_t i = 0; i < network->n_tensors; i++) {
        const struct esp_tensor *tensor = &network->tensors[i];
        if (tensor->n_cols == 0)
            continue;
        double variance = (tensor->n_rows == 1 ? 1.0 : 2.0) / (double)tensor->n_cols;
        float deviation = (float)sqrt(variance);
        for (size_t j = 0; j < tensor->n_rows * tensor->n_cols; j++)
            params[tensor->offset + j] =
                deviation * esp_normal_of_bits(esp_mix64(base + tensor->offset + j));
    }
}

void esp_network_pack(const struct esp_network *network, const float *params, float *packed)
{
    for (size_t t = 0; t < network->n_towers; t++) {
        const struct esp_tower *tower = &network->towers[t];
        for (size_t i = 0; i < tower->n_shared; i++)
            esp_product_pack(&tower->shared[i], params, packed);
        for (size_t h = 0; h < ESP_N_HEADS; h++)
            for (size_t i = 0; tower->has_head[h] && i < tower->n_head; i++)
                esp_product_pack(&tower->head[h][i], params, packed);
    }
}
