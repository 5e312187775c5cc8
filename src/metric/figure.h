/* figure.h - what the figures of sums and of the bootstrap share. Internal to metric/. */
#ifndef ESP_METRIC_FIGURE_H
#define ESP_METRIC_FIGURE_H

#include "metric/metric.h"
#include "metric/prediction.h"

#define ESP_NORMAL_975 1.959963984540054 /* 97.5 % quantile of the normal distribution */

/* A figure without an interval; null if it is not finite. */
struct esp_figure esp_figure_of(double value);

/* How many examples, positives and units a figure is made from. */
struct esp_counts {
    uint64_t n, n_positive, n_units;
};

/* True if there are enough positives, negatives and units for an interval. */
bool esp_counts_suffice(struct esp_counts counts);

/* Counts an example in its unit. Returns its loss times its weight. */
static inline double esp_unit_add(struct esp_unit *unit, double logit, bool y, double weight)
{
    struct esp_prediction prediction = esp_predict(logit, y);
    double wl = weight * prediction.loss;
    unit->n++;
    unit->n_positive += y;
    unit->w += weight;
    unit->wl += wl;
    unit->wp += weight * prediction.p;
    unit->wy += y ? weight : 0;
    return wl;
}

#endif
