/*
 * metric.h - losses, calibration, AUC and intervals: the formulas, once.
 *
 * Sums are doubles, added in the order of the calls, so that equal inputs give equal bits. Merging
 * two accumulators is exact in everything but rounding. A figure that is undefined is null
 * (esp_figure.defined = false), never 0 or NaN.
 */
#ifndef ESP_METRIC_METRIC_H
#define ESP_METRIC_METRIC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/archive.h"
#include "core/status.h"

/* A value with its 95 % interval; low and high only if has_interval. */
struct esp_figure {
    bool defined, has_interval;
    double value, low, high;
};

/* Weighted log loss in nats of a label y under logit a: w (y sp(-a) + (1 - y) sp(a)). */
double esp_log_loss(double logit, bool y);

/* sigmoid(a), without overflow. */
double esp_sigmoid(double logit);

/*
 * The logit of another's score, a probability, clipped to [1e-7, 1 - 1e-7]; *clipped is set if it
 * was outside (it is never cleared). A score that is no number is no score: NaN.
 */
double esp_logit_of_score(double p, bool *clipped);

enum {
    ESP_AUC_BINS = 4096,         /* of logits in [-16, 16), the outermost take the rest */
    ESP_INTERVAL_MIN_CLASS = 30, /* positives and negatives that any interval needs */
};

/*
 * A resampling unit's (cluster's) share of a set of examples: sums over its examples. Intervals
 * take the units as independent of each other and say nothing of the examples inside one.
 */
struct esp_unit {
    uint64_t n, n_positive; /* examples, and those with y = 1 */
    double w, wl, wp, wy;   /* sums of w, w l, w p, w y */
};

/*
 * What one task gathers over a set of examples: all that its figures and intervals need. With l the
 * loss, p the prediction, and for each unit W = sum w, L = sum w l, P = sum w p, Y = sum w y.
 *
 * Sums add up: those of two windows, added, are those of all their examples, if no unit is in both.
 * A unit that is in both counts as two, so pooling takes units as independent between windows.
 */
struct esp_task_sums {
    uint64_t n, n_positive, n_units;
    double w, wl, wp, wy; /* sums of W, L, P, Y */
    double ww, wwl, wwll; /* sums over units of W^2, W L, L^2: for the loss' interval */
    double wwp, wwpp, wwy, wwyy, wwpy; /* W P, P^2, W Y, Y^2, P Y: for calibration and NE */
    double wwly, wwlp;                 /* L Y, L P */
};

/*
 * The paired part: examples that another model, snapshot or a logged score has predicted too, the
 * reference. They may be fewer than the task's. With l0 the reference's loss, a unit's
 * D = sum w (l - l0). Adds up as esp_task_sums do.
 */
struct esp_paired_sums {
    uint64_t n, n_positive, n_units;
    double w, d;       /* sums of W, D */
    double ww, wd, dd; /* sums over units of W^2, W D, D^2 */
};

/* Adds a unit; one without examples is none. */
void esp_task_sums_add(struct esp_task_sums *sums, const struct esp_unit *unit);

/* The same with its D; wl, wp and wy of the unit are not read. */
void esp_paired_sums_add(struct esp_paired_sums *sums, const struct esp_unit *unit, double d);

/* Adds what others gathered: pooling. */
void esp_task_sums_merge(struct esp_task_sums *sums, const struct esp_task_sums *other);
void esp_paired_sums_merge(struct esp_paired_sums *sums, const struct esp_paired_sums *other);

/* Writes or reads sums as they are; whatever numbers they hold are taken. */
void esp_task_sums_archive(struct esp_archive *archive, struct esp_task_sums *sums);

/* One task's accumulator, each example a unit: sums and, if it has them, AUC bins. { 0 } is empty.
 * Sets of examples with units of their own: scored.h. */
struct esp_task_metric {
    struct esp_task_sums sums;
    double *bins; /* (2 * ESP_AUC_BINS) weights of negatives, then of positives; NULL: no AUC */
};

/* with_auc allocates the bins. Errors: ESP_ENOMEM. */
enum esp_status esp_task_metric_init(struct esp_task_metric *metric, bool with_auc,
                                     struct esp_error *err);
void esp_task_metric_release(struct esp_task_metric *metric);
void esp_task_metric_reset(struct esp_task_metric *metric);

/* Writes or reads sums and bins, those that are not 0. Reading: the bins are made, or freed, as it
 * was when they were written. */
void esp_task_metric_archive(struct esp_archive *archive, struct esp_task_metric *metric);

/* weight > 0 */
void esp_task_metric_add(struct esp_task_metric *metric, double logit, bool y, double weight);

/* Adds what another gathered; if metric has bins, other must have them unless it is empty. */
void esp_task_metric_merge(struct esp_task_metric *metric, const struct esp_task_metric *other);

struct esp_task_report {
    uint64_t examples, positives;
    double weight;                        /* sum of w */
    struct esp_figure log_loss;           /* sum w l / sum w */
    struct esp_figure normalised_entropy; /* log loss / entropy of the weighted base rate */
    struct esp_figure calibration;        /* sum w p / sum w y */
    struct esp_figure roc_auc;            /* from the bins: ties within a bin count half */
    struct esp_figure pr_auc;             /* weighted average precision, a bin as one step */
};

/*
 * Figures of sums: ratios with linearised intervals, cut at 0 (docs/metrics.md). The AUCs are null:
 * they have no sums.
 *
 * Null: everything of no examples; NE of a single class; calibration at sum w y = 0; what is not
 * finite. No interval: fewer than ESP_INTERVAL_MIN_CLASS positives or negatives, a single unit.
 */
void esp_task_sums_report(const struct esp_task_sums *sums, struct esp_task_report *out);

/* As esp_task_sums_report(), and the AUCs of the bins, which have no interval here (null without
 * bins or with a single class). */
void esp_task_metric_report(const struct esp_task_metric *metric, struct esp_task_report *out);

/*
 * The mean loss less the reference's, sum D / sum W, with its paired interval: temporal-drift loss,
 * or the difference of two models. Null of no examples or where not finite; no interval as above.
 * Against itself it is 0 in [0, 0].
 */
struct esp_figure esp_paired_loss(const struct esp_paired_sums *sums);

#endif
