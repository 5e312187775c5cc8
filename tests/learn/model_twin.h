/* model_twin.h - a model and its loss as the formulas read, in double precision. */
#ifndef ESP_TESTS_MODEL_TWIN_H
#define ESP_TESTS_MODEL_TWIN_H

#include "learn/trainer.h"

/* Copies of all weights of a trainer. */
struct model_twin {
    const struct esp_trainer *trainer; /* for dimensions and look-ups only */
    double *params;                    /* (n_params) */
    double *rows[ESP_MAX_TOWERS];      /* (n_begun, D) */
};

void model_twin_init(struct model_twin *twin, const struct esp_trainer *trainer);
void model_twin_release(struct model_twin *twin);

/* Head logits of one row of features. */
void model_twin_logits(const struct model_twin *twin, const struct esp_feature_batch *features,
                       size_t row, double logits[ESP_N_HEADS]);

/* The sum of the rows' weighted losses, from probabilities. */
double model_twin_loss(const struct model_twin *twin, const struct esp_rows *rows);

/* The loss of one row from its logits, with logarithms of probabilities in long double. */
double model_twin_row_loss(const double logits[ESP_N_HEADS], const struct esp_row_info *info,
                           bool offset, double keep);

#endif
