/* log_loss.c - the loss and the probabilities of logits, in forms that neither overflow nor
 * cancel: docs/design.md, section 5. */
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
