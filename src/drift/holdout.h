/*
 * holdout.h - one window of holdout examples: first scored, then waiting for labels. Inside drift/
 * only.
 *
 *     scoring   rows (n, n_slots, ESP_N_TASKS)                 grows by example
 *     waiting   logits[task] (n_slots, examples of the task)   what is still to be evaluated
 *
 * A slot is one model at one age. Examples are in label order, so tickets ascend.
 */
#ifndef ESP_DRIFT_HOLDOUT_H
#define ESP_DRIFT_HOLDOUT_H

#include "drift/drift.h"

enum esp_holdout_z { ESP_Z_NONE, ESP_Z_INSTALLED, ESP_Z_WAITS };

struct esp_slot {
    size_t model;
    size_t age; /* index of the ladder's ages */
    int64_t snapshot;
    const char *setup; /* static */
    bool has_task[ESP_N_TASKS];
};

struct esp_holdout {
    int64_t window; /* number */
    bool scoring;
    size_t n_slots;
    struct esp_slot *slots; /* (n_slots) by model, then age */

    size_t n, capacity;
    uint64_t *units, *tickets;      /* (capacity) */
    double *weights;                /* (capacity) */
    uint8_t *y, *z;                 /* (capacity) z: enum esp_holdout_z */
    float *production[ESP_N_TASKS]; /* (capacity) logits, NaN: none; NULL: never any */
    uint8_t *clips;                 /* (capacity) bit t: the score for task t was clipped */
    size_t n_waiting;               /* z: ESP_Z_WAITS */
    double threshold;               /* units with a hash below it are kept */
    uint64_t n_thinned;

    float *rows;
    float *logits[ESP_N_TASKS]; /* NULL: evaluated, or nothing to evaluate */
    size_t n_clicked;           /* examples of ESP_TASK_INSTALL_GIVEN_CLICK */
};

/* slots (n_slots) is copied. Errors: ESP_ENOMEM; half-built is fine for release. */
enum esp_status esp_holdout_init(struct esp_holdout *holdout, const struct esp_drift_config *config,
                                 int64_t window, const struct esp_slot *slots, size_t n_slots,
                                 struct esp_error *err);
void esp_holdout_release(struct esp_holdout *holdout);

/* Makes room for so many examples. Errors: ESP_ENOMEM. */
enum esp_status esp_holdout_reserve(struct esp_holdout *holdout, size_t n_wanted,
                                    struct esp_error *err);

/* True if the window's threshold lets the unit in. */
bool esp_holdout_wants(const struct esp_holdout *holdout, uint64_t unit);

/* Appends an example; its logits in `rows` are NaN. Errors: ESP_ENOMEM. */
enum esp_status esp_holdout_add(struct esp_holdout *holdout,
                                const struct esp_drift_example *example, bool has_installs,
                                struct esp_error *err);

/* Halves the threshold until fewer than `most` examples are left. */
void esp_holdout_thin(struct esp_holdout *holdout, size_t most);

/* From scoring to waiting: rows become logits by task. Errors: ESP_ENOMEM. */
enum esp_status esp_holdout_close(struct esp_holdout *holdout, bool has_installs,
                                  struct esp_error *err);

/* Notes an install label; false: the ticket is not of this window. */
bool esp_holdout_install(struct esp_holdout *holdout, uint64_t ticket, bool z);

/* Of a window whose examples are all scored. Reading makes the window, which is released whether
 * that succeeds or not; what its number means is the caller's to check. */
void esp_holdout_archive(struct esp_archive *archive, struct esp_holdout *holdout,
                         const struct esp_drift_config *config);

uint64_t esp_holdout_bytes(const struct esp_holdout *holdout);

#endif
