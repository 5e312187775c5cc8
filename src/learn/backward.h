/* backward.h - from the derivatives of the logits back to every parameter and to the inputs. */
#ifndef ESP_LEARN_BACKWARD_H
#define ESP_LEARN_BACKWARD_H

#include "model/forward.h"

/*
 * The backward pass of one tower for one slice.
 *
 * active  by head: false where no row of the slice has a term that reads it; its derivatives are 0
 *         and its layers are not computed
 * y       what esp_forward_tower() left
 * dy      its gradient: the last layers of active heads, (S, 1), are given; everything before them
 *         and dy->x is filled
 * grads   a block laid out as the parameters; the tower's tensors are set, not added to
 */
void esp_backward_tower(const struct esp_tower *tower, const struct esp_weights *weights, size_t S,
                        const bool active[ESP_N_HEADS], const struct esp_activations *y,
                        struct esp_activations *dy, float *grads);

/* Sets the tower's tensors and dx (S, F*D) to 0: a slice in which no row learns by it. */
void esp_backward_nothing(const struct esp_network *network, const struct esp_tower *tower,
                          size_t S, float *dx, float *grads);

#endif
