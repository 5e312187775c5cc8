/*
 * pooled.h - from drift records to what a person reads: losses by the age of the model, by time,
 * and models side by side.
 *
 * Figures of several windows come from their added sums, never from means of figures (metric.h);
 * AUCs, which have no sums, are means over the windows that have one.
 *
 *     report
 *       entry: one model of one run, one task
 *         curve    by age, of windows that have every age
 *         windows  by time, one window each
 *         days     by time, UTC days
 *         common   at age 0, of windows that all models of the task have
 */
#ifndef ESP_DRIFT_POOLED_H
#define ESP_DRIFT_POOLED_H

#include <stddef.h>

#include "event/drift_record.h"
#include "metric/metric.h"

/* Windows of one kind and age, pooled. { 0 }: none. */
struct esp_drift_pool {
    size_t n_windows;
    int64_t start_us, end_us;       /* from the first window's start to the last one's end */
    double least_share;             /* the smallest share of the windows: 1 if none was thinned */
    struct esp_task_report figures; /* AUCs: means over windows, without intervals */
    struct esp_figure drift_loss;
    struct esp_paired_sums with_production; /* examples that carried a score */
    uint64_t n_clipped;                     /* of those scores */
    struct esp_figure production_loss;      /* loss less the carried scores' */
};

struct esp_drift_point {
    int32_t age; /* in windows */
    int64_t age_us;
    struct esp_drift_pool pool;
};

/*
 * Loss by age. All points are of the same windows. Whole UTC days are taken where there are any,
 * so that every age meets the same hours of the day.
 */
struct esp_drift_curve {
    struct esp_drift_point *points; /* (n_points), from age 0 on; owned */
    size_t n_points;
    size_t n_days;  /* whole days; 0: single windows, whose hours of the day are not balanced */
    size_t n_older; /* ages that have records, but too few for a curve of every age */
};

struct esp_drift_period {
    int64_t start_us, end_us;
    struct esp_drift_pool fresh;       /* holdout at age 0; of others' scores: these */
    struct esp_drift_pool progressive; /* no windows: there are no such records */
    struct esp_figure *drift_loss;     /* (n_ages of the entry); owned by the entry */
};

struct esp_drift_periods {
    struct esp_drift_period *periods; /* (n), in the order of time; owned */
    size_t n;
};

/* Records of one kind and age, in the order of time. */
struct esp_drift_series {
    enum esp_drift_kind kind;
    int32_t age;
    int64_t age_us;
    const struct esp_drift_record *records; /* (n) */
    size_t n;
};

struct esp_drift_entry {
    struct esp_bytes run, model, setup;
    enum esp_drift_task task;
    int64_t window_us;
    bool is_production;              /* another's scores: no ages, no progressive loss */
    struct esp_drift_series *series; /* (n_series), holdout first, by age; owned */
    size_t n_series;
    size_t n_ages; /* how many of them are of the holdout */
    struct esp_drift_curve curve;
    struct esp_drift_periods windows, days;
    struct esp_figure *figures;        /* what the periods' drift_loss point into */
    struct esp_drift_pool common;      /* at age 0, or others' scores */
    struct esp_drift_pool progressive; /* of the same windows, but of other impressions */
};

struct esp_drift_report {
    struct esp_drift_entry *entries; /* (n_entries), by task, then model; owned */
    size_t n_entries;
    bool is_common[ESP_N_DRIFT_TASKS]; /* false: no window that all models have, so that `common`
                                          is of each one's own windows */
    int64_t start_us, end_us;          /* of all records */
};

/*
 * Sorts the records and pools them. They must be of distinct keys.
 *
 * records  (n), borrowed until the report is released
 * On failure *report is empty. Errors: ESP_ENOMEM.
 */
enum esp_status esp_drift_report_init(struct esp_drift_report *report,
                                      struct esp_drift_record *records, size_t n,
                                      struct esp_error *err);
/* Forgets the entries of other tasks. Their records must be there when it is made, for those of
 * clicks tell which windows a task without an example has no record of. */
void esp_drift_report_keep_task(struct esp_drift_report *report, enum esp_drift_task task);

/* { 0 } is fine. */
void esp_drift_report_release(struct esp_drift_report *report);

/* The point that one sentence is made of: the oldest of at most a day that has a drift loss, else
 * the youngest that has one. NULL: no point has. */
const struct esp_drift_point *esp_drift_telling_point(const struct esp_drift_curve *curve);

#endif
