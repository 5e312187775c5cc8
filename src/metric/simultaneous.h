/*
 * simultaneous.h - intervals that hold the truth for all ages at once: sup-t bands (Montiel Olea
 * and Plagborg-Moller 2019) whose critical value is the 95 % quantile of max |t| under a multiplier
 * bootstrap of the units (Chernozhukov, Chetverikov and Kato 2013), with multipliers N - 1,
 * N ~ Poisson(1).
 *
 * Difference a is sum_u D[a][u] / sum_u W[u]: drift loss at A ages on the same examples. Units are
 * those of the examples; or windows, each a unit, where only their sums are known.
 */
#ifndef ESP_METRIC_SIMULTANEOUS_H
#define ESP_METRIC_SIMULTANEOUS_H

#include "metric/metric.h"
#include "metric/units.h"

/*
 * units     whose counts are made (esp_units_draw())
 * sums      of the same examples, at any age: classes too small for an interval leave none
 * w         (n_units) weight of each unit, 0 where it has no examples
 * d         (A, n_units) differences, sums of w (l - l0) as of esp_scored_by_unit()
 * out       (A) the differences with their intervals; one that is 0 for every unit is 0 in [0, 0]
 * critical  may be NULL; the critical value, at least 1.96 (0 without intervals)
 *
 * On failure nothing is written. Errors: ESP_EINVAL (no counts), ESP_ENOMEM.
 */
enum esp_status esp_simultaneous(const struct esp_units *units, const struct esp_paired_sums *sums,
                                 const double *w, const double *d, size_t A, struct esp_pool *pool,
                                 struct esp_figure *out, double *critical, struct esp_error *err);

#endif
