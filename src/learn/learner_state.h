/* learner_state.h - what a learner consists of: for learner.c, which runs it, and
 * learner_archive.c, which saves it. */
#ifndef ESP_LEARN_LEARNER_STATE_H
#define ESP_LEARN_LEARNER_STATE_H

#include "learn/learner.h"
#include "learn/progress.h"
#include "learn/trainer.h"

struct esp_learner {
    char *name;
    char **feature_names; /* (n_features) */
    size_t n_features;
    char *fault_folder;     /* NULL: none */
    struct esp_setup setup; /* as it is in effect */
    struct esp_trainer trainer;
    struct esp_progress progress;
    struct esp_rows learning, scoring;
    float *logits; /* (max of both buffers, ESP_N_HEADS), of the heads */
    uint64_t n_dense_clipped, n_rows_clipped;
    double last_loss;
};

/* What an example teaches: terms of enum esp_term; 0: nothing. */
unsigned esp_learner_terms(const struct esp_setup *setup, const struct esp_example *example);

#endif
