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

double esp_product_logit(double a, double b)
{
    double low = fmin(a, b), high = fmax(a, b);
    /* -ln sigmoid(c) = sp(-a) + sp(-b), with the largest of the exponents taken out */
    if (high >= 0)
        return low - log1p(exp(low - high) + exp(-high));
    return a + b - log1p(exp(a) + exp(b));
}
