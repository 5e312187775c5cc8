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

enum {
    ESP_AUC_BINS = 4096,         /* of logits in [-16, 16), the outermost take the rest */
    ESP_INTERVAL_MIN_CLASS = 30, /* positives and negatives that any interval needs */
};

/*
 * What one task gathers over a set of examples. With l the loss, p the prediction, over examples i
 * (here each its own resampling unit; clusters come with drift).
 */
struct esp_task_sums {
    uint64_t n, n_positive;
    double w, wl, wp, wy;              /* sums of w, w l, w p, w y */
    double ww, wwl, wwll;              /* sums of w^2, w^2 l, w^2 l^2: for the loss' interval */
    double wwp, wwpp, wwy, wwyy, wwpy; /* the same way, for calibration and NE */
    double wwly, wwlp;
};

/* One task's accumulator: sums and, if it has them, AUC bins. { 0 } is empty. */
struct esp_task_metric {
    struct esp_task_sums sums;
    double *bins; /* (2 * ESP_AUC_BINS) weights of negatives, then of positives; NULL: no AUC */
};

/* with_auc allocates the bins. Errors: ESP_ENOMEM. */
enum esp_status esp_task_metric_init(struct esp_task_metric *metric, bool with_auc,
                                     struct esp_error *err);
void esp_task_metric_release(struct esp_task_metric *metric);
void esp_task_metric_reset(struct esp_task_metric *metric);

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
 * Intervals are linearised ratios' (log loss, NE, calibration), cut at 0; the AUCs have none here.
 * Of bare sums: wrap them, { .sums = ... }.
 */
void esp_task_metric_report(const struct esp_task_metric *metric, struct esp_task_report *out);

#endif
