/*
 * metric.c - sums over examples, and the figures and intervals made from them: metric.h.
 *
 * Intervals are linearised (the delta method). A figure f of weighted means is moved by example i
 * by d_i / W, with W = sum w and d_i linear in l_i, p_i, y_i; its variance is estimated by
 * sum d_i^2 / W^2 times n / (n - 1). So sums of squares and products are all that must be kept,
 * and intervals of merged sums are those of all the examples.
 *
 *   log loss     f = R = sum w l / W        d = w (l - R)
 *   NE           f = R / H(b), b = sum w y / W
 *                                           d = w ((l - R) - f H'(b) (y - b)) / H(b)
 *   calibration  f = C = sum w p / sum w y  d = w (p - C y) W / sum w y
 *
 * with H(b) = -b ln b - (1 - b) ln(1 - b) and H'(b) = ln((1 - b) / b): the base rate is taken from
 * the same examples, and where it moves NE's numerator and denominator move together.
 */
#include "metric/metric.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "metric/auc.h"
#include "metric/prediction.h"

#define N_BINS     ((size_t)(2 * ESP_AUC_BINS))
#define NORMAL_975 1.959963984540054 /* 97.5 % quantile of the normal distribution */

enum esp_status esp_task_metric_init(struct esp_task_metric *metric, bool with_auc,
                                     struct esp_error *err)
{
    *metric = (struct esp_task_metric){0};
    if (!with_auc)
        return ESP_OK;
    metric->bins = calloc(N_BINS, sizeof *metric->bins);
    if (metric->bins == NULL)
        return esp_fail(err, ESP_ENOMEM, "out of memory for %zu bins of a metric", N_BINS);
    return ESP_OK;
}

void esp_task_metric_release(struct esp_task_metric *metric)
{
    free(metric->bins);
    *metric = (struct esp_task_metric){0};
}

void esp_task_metric_reset(struct esp_task_metric *metric)
{
    metric->sums = (struct esp_task_sums){0};
    if (metric->bins != NULL)
        memset(metric->bins, 0, N_BINS * sizeof *metric->bins);
}

void esp_task_metric_add(struct esp_task_metric *metric, double logit, bool y, double weight)
{
    struct esp_task_sums *sums = &metric->sums;
    struct esp_prediction prediction = esp_predict(logit, y);
    double wl = weight * prediction.loss, wp = weight * prediction.p, wy = y ? weight : 0;
    sums->n++;
    sums->n_positive += y;
    sums->w += weight;
    sums->wl += wl;
    sums->wp += wp;
    sums->wy += wy;
    sums->ww += weight * weight;
    sums->wwl += weight * wl;
    sums->wwll += wl * wl;
    sums->wwp += weight * wp;
    sums->wwpp += wp * wp;
    sums->wwy += weight * wy;
    sums->wwyy += wy * wy;
    sums->wwpy += wp * wy;
    sums->wwly += wl * wy;
    sums->wwlp += wl * wp;
    if (metric->bins != NULL)
        metric->bins[esp_auc_bin(logit) + (y ? ESP_AUC_BINS : 0)] += weight;
}

void esp_task_metric_merge(struct esp_task_metric *metric, const struct esp_task_metric *other)
{
    struct esp_task_sums *to = &metric->sums;
    const struct esp_task_sums *from = &other->sums;
    assert(metric->bins == NULL || other->bins != NULL || from->n == 0);
    to->n += from->n;
    to->n_positive += from->n_positive;
    to->w += from->w;
    to->wl += from->wl;
    to->wp += from->wp;
    to->wy += from->wy;
    to->ww += from->ww;
    to->wwl += from->wwl;
    to->wwll += from->wwll;
    to->wwp += from->wwp;
    to->wwpp += from->wwpp;
    to->wwy += from->wwy;
    to->wwyy += from->wwyy;
    to->wwpy += from->wwpy;
    to->wwly += from->wwly;
    to->wwlp += from->wwlp;
    for (size_t i = 0; metric->bins != NULL && other->bins != NULL && i < N_BINS; i++)
        metric->bins[i] += other->bins[i];
}

/* A figure without an interval; null if it is not finite. */
static struct esp_figure figure(double value)
{
    struct esp_figure result = {.defined = isfinite(value)};
    if (result.defined)
        result.value = value;
    return result;
}

/*
 * A figure with the interval that sum d^2 / W^2 gives, if both classes are large enough for one.
 * None of the figures can be negative, so neither is a bound.
 */
static struct esp_figure figure_within(double value, double sum_dd, double w,
                                       const struct esp_task_sums *sums)
{
    struct esp_figure result = figure(value);
    if (!result.defined || sums->n_positive < ESP_INTERVAL_MIN_CLASS ||
        sums->n - sums->n_positive < ESP_INTERVAL_MIN_CLASS)
        return result;
    double n = (double)sums->n;
    /* the sums' rounding can take a sum of squares that is nearly 0 below it */
    double deviation = sqrt(fmax(sum_dd, 0) * n / (n - 1)) / w;
    result.has_interval = isfinite(deviation);
    if (result.has_interval) {
        result.low = fmax(value - NORMAL_975 * deviation, 0);
        result.high = value + NORMAL_975 * deviation;
    }
    return result;
}

static struct esp_figure log_loss(const struct esp_task_sums *s)
{
    double r = s->wl / s->w;
    return figure_within(r, s->wwll - 2 * r * s->wwl + r * r * s->ww, s->w, s);
}

static struct esp_figure normalised_entropy(const struct esp_task_sums *s)
{
    double r = s->wl / s->w, b = s->wy / s->w;
    double entropy = -b * log(b) - (1 - b) * log1p(-b);
    double ne = r / entropy;
    /* d H(b) / w = l - k y + c */
    double k = ne * (log1p(-b) - log(b)), c = k * b - r;
    double sum_dd = s->wwll + k * k * s->wwyy + c * c * s->ww - 2 * k * s->wwly + 2 * c * s->wwl -
                    2 * k * c * s->wwy;
    return figure_within(ne, sum_dd, s->w * entropy, s);
}

static struct esp_figure calibration(const struct esp_task_sums *s)
{
    double c = s->wp / s->wy;
    return figure_within(c, s->wwpp - 2 * c * s->wwpy + c * c * s->wwyy, s->wy, s);
}

void esp_task_metric_report(const struct esp_task_metric *metric, struct esp_task_report *out)
{
    const struct esp_task_sums *sums = &metric->sums;
    bool both_classes = sums->n_positive > 0 && sums->n_positive < sums->n;
    double roc, pr;
    *out = (struct esp_task_report){.examples = sums->n, .positives = sums->n_positive};
    out->weight = sums->w;
    if (sums->n > 0)
        out->log_loss = log_loss(sums);
    if (both_classes)
        out->normalised_entropy = normalised_entropy(sums);
    if (sums->wy > 0)
        out->calibration = calibration(sums);
    if (metric->bins != NULL && esp_auc_areas(metric->bins, &roc, &pr)) {
        out->roc_auc = figure(roc);
        out->pr_auc = figure(pr);
    }
}
