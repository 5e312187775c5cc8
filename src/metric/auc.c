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
    struct esp_area area = {0};
    for (size_t i = ESP_AUC_BINS; i-- > 0;)
        if (negatives[i] != 0 || positives[i] != 0)
            esp_area_step(&area, negatives[i], positives[i]);
    if (!(area.w_negative > 0) || !(area.w_positive > 0))
        return false;
    *roc = esp_area_roc(&area);
    *pr = esp_area_pr(&area);
    return true;
}
