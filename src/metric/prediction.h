/* prediction.h - a logit's loss and probability from one exponential. Internal to metric/. */
#ifndef ESP_METRIC_PREDICTION_H
#define ESP_METRIC_PREDICTION_H

#include <math.h>
#include <stdbool.h>

struct esp_prediction {
    double p;    /* sigmoid(logit) */
    double loss; /* of label y, in nats */
};

/* With e = exp(-|a|): sigmoid(a) is 1 / (1 + e) or e / (1 + e), sp(a) = max(a, 0) + log1p(e), and
 * L = y sp(-a) + (1 - y) sp(a). */
static inline struct esp_prediction esp_predict(double logit, bool y)
{
    double e = exp(-fabs(logit));
    double wrong_way = (logit > 0) == y ? 0 : fabs(logit);
    return (struct esp_prediction){(logit < 0 ? e : 1) / (1 + e), wrong_way + log1p(e)};
}

#endif
