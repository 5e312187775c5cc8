/* task_logit.c - see task_logit.h. */
#include "model/task_logit.h"

#include <math.h>

double esp_product_logit(double a, double b)
{
    double low = fmin(a, b), high = fmax(a, b);
    /* -ln sigmoid(c) = sp(-a) + sp(-b), with the largest of the exponents taken out */
    if (high >= 0)
        return low - log1p(exp(low - high) + exp(-high));
    return a + b - log1p(exp(a) + exp(b));
}

double esp_task_logit(const struct esp_setup *setup, enum esp_task task, const float *head_logits)
{
    if (task == ESP_TASK_CLICK)
        return head_logits[ESP_HEAD_CTR];
    if (task == ESP_TASK_INSTALL_GIVEN_CLICK)
        return head_logits[ESP_HEAD_CVR];
    if (setup->has_head[ESP_HEAD_CTCVR])
        return head_logits[ESP_HEAD_CTCVR];
    return esp_product_logit(head_logits[ESP_HEAD_CTR], head_logits[ESP_HEAD_CVR]);
}
