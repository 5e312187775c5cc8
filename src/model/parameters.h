/* parameters.h - all that a model has learned but its optimizers' state, for whoever writes it
 * down. */
#ifndef ESP_MODEL_PARAMETERS_H
#define ESP_MODEL_PARAMETERS_H

#include "model/lookup.h"
#include "model/network.h"

/* Borrows everything; valid until the model next learns. */
struct esp_parameters {
    const struct esp_network *network;
    const float *params; /* (network->n_params) */
    struct esp_parameter_table {
        struct esp_table_view view; /* row_of is not NULL */
        size_t n_rows;              /* rows that were ever begun; some may be free: in no slot */
    } tables[ESP_MAX_TOWERS];       /* of the network's towers */
    uint64_t n_learned, n_steps;
};

#endif
