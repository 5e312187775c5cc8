/*
 * measuring.h - drift on the learning thread: holdout examples to drift/, what comes out of it, and
 * finished windows of progressive validation, to the drift topic.
 */
#ifndef ESP_CMD_TRAIN_MEASURING_H
#define ESP_CMD_TRAIN_MEASURING_H

#include "cmd/topics/outputs.h"
#include "cmd/train/snapshots.h"
#include "drift/drift.h"

struct measuring {
    const struct config *config; /* borrowed, as the next two */
    struct outputs *outputs;
    struct snapshots *snapshots;
    struct esp_drift *drift; /* NULL: off */
    struct measured_model {
        struct measuring *measuring;
        size_t index;
    } * models; /* (config->n_models) contexts of window_done */
    uint64_t n_records;
    int64_t
        from_us; /* of impressions: windows that begin earlier would have holes; INT64_MIN: all */
    struct esp_error failure; /* of window_done, which cannot return one */
};

/* Errors: ESP_ECONFIG, ESP_ENOMEM. measuring must not move afterwards. */
enum esp_status measuring_init(struct measuring *measuring, const struct config *config,
                               struct outputs *outputs, struct snapshots *snapshots,
                               struct esp_pool *pool, struct esp_error *err);
void measuring_release(struct measuring *measuring);

/* A learner's window_done; context: measuring->models + its index. */
void measuring_window_done(void *context, const struct esp_window_done *done);

/*
 * Takes the next label, with the values of its impression's paths. Call for every one that is kept,
 * holdout or not. Errors: as esp_drift_click().
 */
enum esp_status measuring_take(struct measuring *measuring, const struct esp_example *example,
                               const struct esp_value *values, struct esp_error *err);

/* Time has ended. Errors as above. */
enum esp_status measuring_finish(struct measuring *measuring, struct esp_error *err);

/* The labels to come are those due at a boundary or later: windows that have earlier ones are not
 * measured, so that no record with holes takes the place of a whole one. */
void measuring_begin_at(struct measuring *measuring, int64_t boundary_us);

/* Before measuring_archive() writes: see esp_drift_settle(). Errors: ESP_ENOMEM. */
enum esp_status measuring_settle(struct measuring *measuring, struct esp_error *err);

/* Drift's state, and the number of records. Reading: the snapshots must have been read. */
void measuring_archive(struct esp_archive *archive, struct measuring *measuring);

/* The first failure to write a window of progressive validation, if there was one. */
enum esp_status measuring_check(const struct measuring *measuring, struct esp_error *err);

#endif
