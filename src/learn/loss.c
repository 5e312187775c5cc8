/* loss.c - see loss.h. Formulas of the product: docs/design.md, section 5. */
#include "learn/loss.h"

#include "metric/metric.h"
#include "model/task_logit.h"

#include <math.h>

unsigned esp_terms_of_head(enum esp_head head)
{
    static const unsigned TERMS[ESP_N_HEADS] = {
        [ESP_HEAD_CTR] = ESP_TERM_CLICK | ESP_TERM_PRODUCT,
        [ESP_HEAD_CVR] = ESP_TERM_CLICKED_INSTALL | ESP_TERM_PRODUCT,
        [ESP_HEAD_CTCVR] = ESP_TERM_DIRECT,
    };
    return TERMS[head];
}

/* w L(t, x); adds its derivative to *d_x. */
static double cross_entropy(bool t, double x, double w, double *d_x)
{
    *d_x += w * (t ? -esp_sigmoid(-x) : esp_sigmoid(x));
    return w * esp_log_loss(x, t);
}

/* log(1 + e^x) without overflow. */
static double softplus(double x)
{
    return fmax(x, 0) + log1p(exp(-fabs(x)));
}

/* w L(z, c) for the product of sigmoid(a) and sigmoid(b); dc/da = sigmoid(b - a + sp(-b)). */
static double product_entropy(bool z, double a, double b, double w, double *d_a, double *d_b)
{
    double d_c = 0;
    double loss = cross_entropy(z, esp_product_logit(a, b), w, &d_c);
    *d_a += d_c * esp_sigmoid(b - a + softplus(-b));
    *d_b += d_c * esp_sigmoid(a - b + softplus(-a));
    return loss;
}

double esp_loss(const struct esp_loss_input *input, double d_logits[ESP_N_HEADS])
{
    double a = input->logits[ESP_HEAD_CTR] + input->shift;
    double b = input->logits[ESP_HEAD_CVR];
    double loss = 0;
    for (size_t h = 0; h < ESP_N_HEADS; h++)
        d_logits[h] = 0;
    if (input->terms & ESP_TERM_CLICK)
        loss += cross_entropy(input->y, a, input->space_weight, &d_logits[ESP_HEAD_CTR]);
    if (input->terms & ESP_TERM_CLICKED_INSTALL)
        loss += cross_entropy(input->z, b, input->weight, &d_logits[ESP_HEAD_CVR]);
    if (input->terms & ESP_TERM_PRODUCT)
        loss += product_entropy(input->z, a, b, input->space_weight, &d_logits[ESP_HEAD_CTR],
                                &d_logits[ESP_HEAD_CVR]);
    if (input->terms & ESP_TERM_DIRECT)
        loss += cross_entropy(input->z, input->logits[ESP_HEAD_CTCVR], input->weight,
                              &d_logits[ESP_HEAD_CTCVR]);
    return loss;
}
