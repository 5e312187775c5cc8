/* prediction.h - a logit's loss and probability from one exponential. Internal to metric/. */
#ifndef ESP_METRIC_PREDICTION_H
#define ESP_METRIC_PREDICTION_H

#include <math.h>
#include <stdbool.h>

struct esp_prediction {
    double p;    /* sigmoid(logit) */
    double loss; /* of label y, in nats */
};

/*
 * With e = exp(-|a|): sigmoid(a) is 1 / (1 + e) or e / (1 + e), sp(a) = max(a, 0) + ln(1 + e), and
 * L = y sp(-a) + (1 - y) sp(a).
 *
 * ln(1 + e) is ln(u) with u = 1 + e as rounded, plus what the rounding lost, (e - (u - 1)) / u:
 * within two units of the last place of log1p(e), and faster.
 */
static inline struct esp_prediction esp_predict(double logit, bool y)
{
    double size = fabs(logit), e = exp(-size), u = 1 + e, inverse = 1 / u;
    double softplus = log(u) + (e - (u - 1)) * inverse;
    bool is_right = (logit > 0) == y;
    return (struct esp_prediction){(logit < 0 ? e : 1) * inverse, (is_right ? 0 : size) + softplus};
}

#endif
