/* log_loss.c - the loss and the probabilities of logits, in forms that neither overflow nor
 * cancel: docs/design.md, section 5. */
#include <math.h>

#include "metric/metric.h"
#include "metric/prediction.h"

double esp_log_loss(double logit, bool y)
{
    return esp_predict(logit, y).loss;
}

double esp_sigmoid(double logit)
{
    return esp_predict(logit, false).p;
}

double esp_logit_of_score(double p, bool *clipped)
{
    const double low = 1e-7, high = 1 - 1e-7;
    *clipped |= p < low || p > high;
    if (p < low)
        p = low;
    else if (p > high)
        p = high;
    return log(p) - log1p(-p);
}
