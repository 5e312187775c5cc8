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

/* The bin of a logit, 0 .. ESP_AUC_BINS-1; what is beyond, or no number, goes to an end. */
size_t esp_auc_bin(double logit);

/* Area under the ROC curve, and average precision. False, and both untouched, if the weights of
 * positives or of negatives sum to 0. */
bool esp_auc_areas(const double *bins, double *roc, double *pr);

#endif
