/*
 * metric.c - sums over examples, and the figures and intervals made from them: metric.h.
 *
 * Intervals are linearised (the delta method). A figure f of weighted means is moved by unit c by
 * d_c / W, with W = sum w and d_c linear in the unit's W_c, L_c, P_c, Y_c; its variance is
 * estimated by sum d_c^2 / W^2 times n / (n - 1), n units: sources in docs/metrics.md. So sums of
 * squares and products are all that must be kept, and intervals of merged sums are those of all the
 * examples.
 *
 *   log loss     f = R = sum L / W         d = L - R W
 *   NE           f = R / H(b), b = sum Y / W
 *                                          d = ((L - R W) - f H'(b) (Y - b W)) / H(b)
 *   calibration  f = C = sum P / sum Y     d = (P - C Y) W / sum Y
 *   paired loss  f = m = sum D / W         d = D - m W
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
#include "metric/figure.h"
#include "metric/prediction.h"

#define N_BINS ((size_t)(2 * ESP_AUC_BINS))

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

void esp_task_sums_add(struct esp_task_sums *sums, const struct esp_unit *unit)
{
    const double w = unit->w, wl = unit->wl, wp = unit->wp, wy = unit->wy;
    if (unit->n == 0)
        return;
    sums->n += unit->n;
    sums->n_positive += unit->n_positive;
    sums->n_units++;
    sums->w += w;
    sums->wl += wl;
    sums->wp += wp;
    sums->wy += wy;
    sums->ww += w * w;
    sums->wwl += w * wl;
    sums->wwll += wl * wl;
    sums->wwp += w * wp;
    sums->wwpp += wp * wp;
    sums->wwy += w * wy;
    sums->wwyy += wy * wy;
    sums->wwpy += wp * wy;
    sums->wwly += wl * wy;
    sums->wwlp += wl * wp;
}

void esp_paired_sums_add(struct esp_paired_sums *sums, const struct esp_unit *unit, double d)
{
    if (unit->n == 0)
        return;
    sums->n += unit->n;
    sums->n_positive += unit->n_positive;
    sums->n_units++;
    sums->w += unit->w;
    sums->d += d;
    sums->ww += unit->w * unit->w;
    sums->wd += unit->w * d;
    sums->dd += d * d;
}

void esp_task_sums_merge(struct esp_task_sums *sums, const struct esp_task_sums *other)
{
    sums->n += other->n;
    sums->n_positive += other->n_positive;
    sums->n_units += other->n_units;
    sums->w += other->w;
    sums->wl += other->wl;
    sums->wp += other->wp;
    sums->wy += other->wy;
    sums->ww += other->ww;
    sums->wwl += other->wwl;
    sums->wwll += other->wwll;
    sums->wwp += other->wwp;
    sums->wwpp += other->wwpp;
    sums->wwy += other->wwy;
    sums->wwyy += other->wwyy;
    sums->wwpy += other->wwpy;
    sums->wwly += other->wwly;
    sums->wwlp += other->wwlp;
}

void esp_paired_sums_merge(struct esp_paired_sums *sums, const struct esp_paired_sums *other)
{
    sums->n += other->n;
    sums->n_positive += other->n_positive;
    sums->n_units += other->n_units;
    sums->w += other->w;
    sums->d += other->d;
    sums->ww += other->ww;
    sums->wd += other->wd;
    sums->dd += other->dd;
}

void esp_task_metric_add(struct esp_task_metric *metric, double logit, bool y, double weight)
{
    struct esp_unit unit = {0};
    esp_unit_add(&unit, logit, y, weight);
    esp_task_sums_add(&metric->sums, &unit);
    if (metric->bins != NULL)
        metric->bins[esp_auc_bin(logit) + (y ? ESP_AUC_BINS : 0)] += weight;
}

void esp_task_metric_merge(struct esp_task_metric *metric, const struct esp_task_metric *other)
{
    assert(metric->bins == NULL || other->bins != NULL || other->sums.n == 0);
    esp_task_sums_merge(&metric->sums, &other->sums);
    for (size_t i = 0; metric->bins != NULL && other->bins != NULL && i < N_BINS; i++)
        metric->bins[i] += other->bins[i];
}

bool esp_counts_suffice(struct esp_counts counts)
{
    return counts.n_units >= 2 && counts.n_positive >= ESP_INTERVAL_MIN_CLASS &&
           counts.n - counts.n_positive >= ESP_INTERVAL_MIN_CLASS;
}

struct esp_figure esp_figure_of(double value)
{
    struct esp_figure result = {.defined = isfinite(value)};
    if (result.defined)
        result.value = value;
    return result;
}

/* A figure with the interval that sum d^2 / w^2 gives, if there are enough for one. */
static struct esp_figure figure_within(double value, double sum_dd, double w,
                                       struct esp_counts counts)
{
    struct esp_figure result = esp_figure_of(value);
    if (!result.defined || !esp_counts_suffice(counts))
        return result;
    double n = (double)counts.n_units;
    /* the sums' rounding can take a sum of squares that is nearly 0 below it */
    double deviation = sqrt(fmax(sum_dd, 0) * n / (n - 1)) / w;
    result.has_interval = isfinite(deviation);
    if (result.has_interval) {
        result.low = value - ESP_NORMAL_975 * deviation;
        result.high = value + ESP_NORMAL_975 * deviation;
    }
    return result;
}

/* As figure_within() for a figure that cannot be negative: neither is a bound. */
static struct esp_figure ratio_within(double value, double sum_dd, double w,
                                      const struct esp_task_sums *sums)
{
    struct esp_counts counts = {sums->n, sums->n_positive, sums->n_units};
    struct esp_figure result = figure_within(value, sum_dd, w, counts);
    result.low = fmax(result.low, 0);
    return result;
}

static struct esp_figure log_loss(const struct esp_task_sums *s)
{
    double r = s->wl / s->w;
    return ratio_within(r, s->wwll - 2 * r * s->wwl + r * r * s->ww, s->w, s);
}

static struct esp_figure normalised_entropy(const struct esp_task_sums *s)
{
    double r = s->wl / s->w, b = s->wy / s->w;
    double entropy = -b * log(b) - (1 - b) * log1p(-b);
    double ne = r / entropy;
    /* d H(b) = L - k Y + c W */
    double k = ne * (log1p(-b) - log(b)), c = k * b - r;
    double sum_dd = s->wwll + k * k * s->wwyy + c * c * s->ww - 2 * k * s->wwly + 2 * c * s->wwl -
                    2 * k * c * s->wwy;
    return ratio_within(ne, sum_dd, s->w * entropy, s);
}

static struct esp_figure calibration(const struct esp_task_sums *s)
{
    double c = s->wp / s->wy;
    return ratio_within(c, s->wwpp - 2 * c * s->wwpy + c * c * s->wwyy, s->wy, s);
}

void esp_task_sums_report(const struct esp_task_sums *sums, struct esp_task_report *out)
{
    *out = (struct esp_task_report){.examples = sums->n, .positives = sums->n_positive};
    out->weight = sums->w;
    if (sums->n > 0)
        out->log_loss = log_loss(sums);
    if (sums->n_positive > 0 && sums->n_positive < sums->n)
        out->normalised_entropy = normalised_entropy(sums);
    if (sums->wy > 0)
        out->calibration = calibration(sums);
}

void esp_task_metric_report(const struct esp_task_metric *metric, struct esp_task_report *out)
{
    double roc, pr;
    esp_task_sums_report(&metric->sums, out);
    if (metric->bins != NULL && esp_auc_areas(metric->bins, &roc, &pr)) {
        out->roc_auc = esp_figure_of(roc);
        out->pr_auc = esp_figure_of(pr);
    }
}

struct esp_figure esp_paired_loss(const struct esp_paired_sums *s)
{
    if (s->n == 0)
        return (struct esp_figure){0};
    double m = s->d / s->w;
    struct esp_counts counts = {s->n, s->n_positive, s->n_units};
    return figure_within(m, s->dd - 2 * m * s->wd + m * m * s->ww, s->w, counts);
}
