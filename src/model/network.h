/*
 * network.h - the dimensions of a model's dense part, and where each tensor stands in its one
 * block of parameters.
 *
 * The block is owned by a learner, or mapped from a snapshot; the network itself is a plain value
 * that owns nothing. Every tensor begins at a multiple of 16 floats (64 bytes); the gaps are 0.
 *
 *     features (S, F*D) -> shared layers -> head: hidden layers -> one logit
 *
 * Every layer is y = x W^T + b with W (n_out, n_in) row-major, as torch.nn.Linear keeps it; all
 * but the logits pass through ReLU.
 */
#ifndef ESP_MODEL_NETWORK_H
#define ESP_MODEL_NETWORK_H

#include <stdint.h>

#include "core/status.h"
#include "model/setup.h"

enum {
    ESP_MAX_LAYERS = 4,
    ESP_MAX_TOWERS = 2,
    ESP_MAX_TENSORS = 2 * ESP_MAX_TOWERS * (ESP_MAX_LAYERS + ESP_N_HEADS * (ESP_MAX_LAYERS + 1)),
    ESP_MAX_LAYER_WIDTH = 4096,
    ESP_MAX_INPUT_WIDTH = 65536, /* F*D */
    ESP_USUAL_WIDTH = 16,        /* the default D: compiled as a constant where it matters */
    ESP_LAYER_NAME_SIZE = 56,
    ESP_TENSOR_NAME_SIZE = 64,
};

struct esp_dense {
    size_t n_in, n_out;
    size_t weight; /* offset of W in the block, in floats */
    size_t bias;   /* offset of b */
    size_t packed; /* offset of what esp_product_pack() makes of both, in a block of its own */
};

/* One net: its own embedding table, shared layers, one or more heads. */
struct esp_tower {
    size_t n_shared;
    struct esp_dense shared[ESP_MAX_LAYERS];
    size_t n_head; /* layers of each head; the last gives the logit */
    bool has_head[ESP_N_HEADS];
    struct esp_dense head[ESP_N_HEADS][ESP_MAX_LAYERS + 1];
};

struct esp_tensor {
    char name[ESP_TENSOR_NAME_SIZE]; /* "tower0.shared1.weight", "tower0.cvr0.bias" */
    size_t offset;                   /* in the block, in floats */
    size_t n_rows, n_cols;           /* a bias has n_cols 0 */
};

struct esp_network {
    struct esp_setup setup; /* as it is in effect: see esp_setup_without_installs() */
    size_t n_features;      /* F */
    size_t width;           /* D */
    size_t n_input;         /* F*D */
    size_t n_towers;
    struct esp_tower towers[ESP_MAX_TOWERS];
    size_t n_params; /* floats of the block, gaps included */
    size_t n_packed; /* floats of the packed block */
    size_t n_tensors;
    struct esp_tensor tensors[ESP_MAX_TENSORS]; /* in the order of the block */
};

struct esp_network_config {
    struct esp_setup setup;
    size_t n_features, width;
    const size_t *layers; /* (n_layers) */
    size_t n_layers;
    const size_t *head_layers; /* (n_head_layers) hidden ones */
    size_t n_head_layers;
};

/* Lays the network out. Errors: ESP_ECONFIG (a dimension is 0 or too large). */
enum esp_status esp_network_init(struct esp_network *network,
                                 const struct esp_network_config *config, struct esp_error *err);

/*
 * Fills a block with initial weights: N(0, 2 / n_in) before ReLU, N(0, 1 / n_in) before a logit,
 * biases 0, each drawn from a hash of (seed, offset).
 *
 * params  (n_params)
 */
void esp_network_draw(const struct esp_network *network, uint64_t seed, float *params);

/*
 * Copies the weights into the order in which the products read them; call when they have changed.
 *
 * packed  (n_packed), 64-byte aligned
 */
void esp_network_pack(const struct esp_network *network, const float *params, float *packed);

/*
 * A number that is close to N(0, 1), from 64 random bits: the scaled sum of four uniforms of 16
 * bits (deviation 1, within +-3.47). One rounding, so the same on every CPU.
 */
float esp_normal_of_bits(uint64_t bits);

#endif
