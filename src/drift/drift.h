/*
 * drift.h - how the loss grows with the age of the model, on a rolling holdout.
 *
 * Holdout examples are scored once, at their click label, by snapshots of several ages; the logits
 * wait for the labels, and each window of impression time is evaluated when it has them all:
 * docs/design.md, section 7. All of it follows the label order: the same labels give the same
 * measures, in the same order.
 */
#ifndef ESP_DRIFT_DRIFT_H
#define ESP_DRIFT_DRIFT_H

#include "core/archive.h"
#include "core/pool.h"
#include "drift/ladder.h"
#include "feature/features.h"
#include "metric/metric.h"
#include "sample/example.h"
#include "snapshot/snapshot.h"

enum esp_drift_source {
    ESP_DRIFT_BY_SNAPSHOT,   /* a snapshot of some age */
    ESP_DRIFT_BY_PRODUCTION, /* the scores that impressions carried */
};

/* One task at one age on one window. Texts are borrowed for the call. */
struct esp_drift_measure {
    enum esp_drift_source source;
    size_t model; /* index; of ESP_DRIFT_BY_PRODUCTION: 0 */
    const char *setup;
    int64_t window_start_us, window_end_us;
    enum esp_task task;
    uint32_t age;     /* in windows */
    int64_t snapshot; /* its number */
    double share;     /* of the window's examples that were kept */
    struct esp_task_sums sums;
    struct esp_task_report figures;
    bool has_paired; /* there is an age 0, and this is an older one */
    struct esp_paired_sums paired;
    struct esp_figure drift_loss;
    bool has_production; /* age 0, and some examples carry a score */
    struct esp_paired_sums production;
    uint64_t production_clipped;
    struct esp_figure production_loss;
};

struct esp_drift_config {
    struct esp_ladder ladder;
    int64_t click_window_us; /* W_c */
    bool has_installs;
    bool has_production[ESP_N_TASKS]; /* examples may carry a score for the task */
    size_t n_models;
    /* Bound on the examples that a window keeps: past it, those with the larger half of hashes of
     * their units are left out, and so on; each window says which share it kept. */
    size_t window_examples;

    /* The snapshot of a model that holds what was due before a boundary. *out NULL: there is none.
     * Closed by esp_snapshot_close(). Errors end the call that needed it. */
    enum esp_status (*open)(void *context, size_t model, int64_t boundary_us,
                            struct esp_snapshot **out, struct esp_error *err);
    void *open_context;
    /* Takes a measure, in order of (window complete, task, model, age). */
    enum esp_status (*emit)(void *context, const struct esp_drift_measure *measure,
                            struct esp_error *err);
    void *emit_context;
};

struct esp_drift;

/* Copies the configuration; pool may be NULL, borrowed. Errors: ESP_ECONFIG, ESP_ENOMEM. */
enum esp_status esp_drift_new(const struct esp_drift_config *config, struct esp_pool *pool,
                              struct esp_drift **out, struct esp_error *err);
void esp_drift_free(struct esp_drift *drift);

/* What a holdout example brings beside its label. */
struct esp_drift_example {
    const struct esp_example *example; /* of ESP_STAGE_CLICK */
    const struct esp_value *values;    /* of the models' fields, in their order */
    uint64_t unit;                     /* hash of its resampling unit */
    double production[ESP_N_TASKS];    /* probabilities; NaN: none */
};

/*
 * Takes what comes next in label order. Call esp_drift_advance() with the due time of every label
 * first, also of those that are no holdout's.
 *
 * click    a holdout example at its click label: it is scored before the call after next
 * install  its install label, if it was clicked
 * Errors: ESP_ENOMEM, those of open and emit; ESP_EBUG (a click label that does not follow the last
 * one, or of which esp_drift_advance() was not told).
 */
enum esp_status esp_drift_advance(struct esp_drift *drift, int64_t due_us, struct esp_error *err);
enum esp_status esp_drift_click(struct esp_drift *drift, const struct esp_drift_example *example,
                                struct esp_error *err);
enum esp_status esp_drift_install(struct esp_drift *drift, const struct esp_example *example,
                                  struct esp_error *err);

/* There are no more labels: what is still open is evaluated with the labels it has got. Errors as
 * above. */
enum esp_status esp_drift_finish(struct esp_drift *drift, struct esp_error *err);

/* The number of the first window that may still be scored, by the time of the last label, holdout
 * or not: older ones need no snapshots any more. INT64_MIN before the first label. */
int64_t esp_drift_first_window(const struct esp_drift *drift);

struct esp_drift_usage {
    size_t windows; /* open, that being scored among them */
    uint64_t examples, memory_bytes;
    uint64_t scored, thinned; /* examples, ever */
    uint64_t measures;
};
void esp_drift_usage(const struct esp_drift *drift, struct esp_drift_usage *out);

/*
 * Scores what waits for others to be scored with. Call before esp_drift_archive() writes, which
 * cannot score; no result changes by it, for a row's logits do not depend on its batch.
 * Errors: ESP_ENOMEM.
 */
enum esp_status esp_drift_settle(struct esp_drift *drift, struct esp_error *err);

/*
 * Windows, their examples and logits, counters. Snapshots are not archived: reading opens those of
 * the window that is being scored again, through the configuration's open, and one that is gone or
 * another is an error that names it.
 */
void esp_drift_archive(struct esp_archive *archive, struct esp_drift *drift);

/* Asserts the invariants of drift.c by number. For tests. */
void esp_drift_check(const struct esp_drift *drift);

#endif
