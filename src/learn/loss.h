/*
 * loss.h - the loss of one example and its gradient by the logits: one routine for all set-ups.
 *
 * Weighted cross-entropy in nats. With a, b, d the logits of the heads ctr, cvr, ctcvr; c the
 * logit of sigmoid(a) sigmoid(b); L(t, x) = t sp(-x) + (1 - t) sp(x):
 *
 *     CLICK           w L(y, a)
 *     CLICKED_INSTALL w L(z, b)      only rows with y = 1 carry it
 *     PRODUCT         w L(z, c)      over the entire space
 *     DIRECT          w L(z, d)      over the entire space
 *
 * Under correction by offset, CLICK and PRODUCT take a + shift for a (shift = -ln r) and the
 * weight without 1/r (docs/design.md, section 4).
 */
#ifndef ESP_LEARN_LOSS_H
#define ESP_LEARN_LOSS_H

#include <stdbool.h>

#include "model/setup.h"

enum esp_term {
    ESP_TERM_CLICK = 1,
    ESP_TERM_CLICKED_INSTALL = 2,
    ESP_TERM_PRODUCT = 4,
    ESP_TERM_DIRECT = 8,
};

/* The terms that read a head's logit. */
unsigned esp_terms_of_head(enum esp_head head);

struct esp_loss_input {
    double logits[ESP_N_HEADS]; /* read where a term of the row needs them */
    unsigned terms;             /* of enum esp_term */
    bool y, z;
    double weight;       /* of CLICKED_INSTALL and DIRECT */
    double space_weight; /* of CLICK and PRODUCT */
    double shift;        /* added to a in CLICK and PRODUCT */
};

/* The weighted sum of the row's terms; *d_logits are its derivatives by the unshifted logits, 0
 * for heads without a term. */
double esp_loss(const struct esp_loss_input *input, double d_logits[ESP_N_HEADS]);

#endif
