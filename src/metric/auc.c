/* auc.c - see auc.h. The figures: docs/design.md, section 7. */
#include "metric/auc.h"

#include "metric/metric.h"

#define FIRST_LOGIT   (-16.0)
#define BINS_PER_UNIT 128.0 /* ESP_AUC_BINS over [-16, 16) */

size_t esp_auc_bin(double logit)
{
    double place = (logit - FIRST_LOGIT) * BINS_PER_UNIT;
    if (!(place >= 0)) /* also if it is no number */
        return 0;
    return place < ESP_AUC_BINS ? (size_t)place : ESP_AUC_BINS - 1;
}

bool esp_auc_areas(const double *bins, double *roc, double *pr)
{
    const double *negatives = bins, *positives = bins + ESP_AUC_BINS;
    double w_negative = 0, w_positive = 0, pairs = 0, precision = 0;
    /* From the highest logit down: w_* are the weights of the bins at or above this one. */
    for (size_t i = ESP_AUC_BINS; i-- > 0;) {
        double negative = negatives[i], positive = positives[i];
        if (negative == 0 && positive == 0)
            continue;
        /* a negative here loses against the positives above and ties with those beside it */
        pairs += negative * (w_positive + positive / 2);
        w_negative += negative;
        w_positive += positive;
        precision += positive * (w_positive / (w_positive + w_negative));
    }
    if (!(w_negative > 0) || !(w_positive > 0))
        return false;
    *roc = pairs / (w_negative * w_positive);
    *pr = precision / w_positive;
    return true;
}
