/*
 * auc.h - areas under the ROC and precision-recall curves from weights in bins of logits.
 * Internal to metric/.
 *
 * bins  (2 * ESP_AUC_BINS) weights of negatives, then of positives, by ascending logit
 */
#ifndef ESP_METRIC_AUC_H
#define ESP_METRIC_AUC_H

#include <stdbool.h>
#include <stddef.h>

#include "core/vectorised.h"

/*
 * From the highest logit down: the weights at or above the bins so far, and what the areas gather.
 * The same steps make one area and, side by side, those of many bootstrap replicates.
 */
struct esp_area {
    double w_negative, w_positive, pairs, precision;
};

/* Goes down one bin, with the weights in it. */
ESP_INLINE void esp_area_step(struct esp_area *area, double negative, double positive)
{
    /* a negative here loses against the positives above and ties with those beside it */
    area->pairs += negative * (area->w_positive + positive / 2);
    area->w_negative += negative;
    area->w_positive += positive;
    double total = area->w_positive + area->w_negative;
    area->precision += positive * (area->w_positive / (total > 0 ? total : 1));
}

/* Areas after the last bin; NaN if the positives or the negatives weigh nothing. The rounding of
 * sums may carry a perfect order past 1: it is cut there. */
ESP_INLINE double esp_area_roc(const struct esp_area *area)
{
    double area_roc = area->pairs / (area->w_negative * area->w_positive);
    return area_roc > 1 ? 1 : area_roc;
}

ESP_INLINE double esp_area_pr(const struct esp_area *area)
{
    double area_pr = area->precision / area->w_positive;
    return area_pr > 1 ? 1 : area_pr;
}

/* The bin of a logit, 0 .. ESP_AUC_BINS-1; what is beyond, or no number, goes to an end. */
size_t esp_auc_bin(double logit);

/* Area under the ROC curve, and average precision. False, and both untouched, if the weights of
 * positives or of negatives sum to 0. */
bool esp_auc_areas(const double *bins, double *roc, double *pr);

#endif
