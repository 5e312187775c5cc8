/* metric_twin.h - the figures by their definitions, slowly: over all pairs, over sorted examples,
 * by leaving each unit out in turn. */
#ifndef ESP_TESTS_METRIC_TWIN_H
#define ESP_TESTS_METRIC_TWIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct twin_example {
    double logit, weight;
    bool y;
};

/* sum w_i w_j ([s_i > s_j] + 1/2 [s_i = s_j]) / (W+ W-) over positives i and negatives j */
double twin_roc_auc(const struct twin_example *examples, size_t n);

/* sum over distinct scores, descending, of (recall gained) x (precision down to it) */
double twin_pr_auc(const struct twin_example *examples, size_t n);

enum twin_figure { TWIN_LOG_LOSS, TWIN_NE, TWIN_CALIBRATION };

/* The figure over all examples but those of unit `without`; units (n), NULL: example i is unit i.
 */
double twin_value(enum twin_figure figure, const struct twin_example *examples, size_t n,
                  const uint64_t *units, uint64_t without);

/* The jackknife's deviation of the figure over units 0 .. n_units-1: no derivative is taken.
 * O(n * n_units). */
double twin_deviation(enum twin_figure figure, const struct twin_example *examples, size_t n,
                      const uint64_t *units, size_t n_units);

#endif
