/* task_logit.h - from the logits of a set-up's heads to those of the tasks. */
#ifndef ESP_MODEL_TASK_LOGIT_H
#define ESP_MODEL_TASK_LOGIT_H

#include "model/setup.h"

/* The logit of a product of two probabilities given as finite logits: docs/design.md, section 5. */
double esp_product_logit(double a, double b);

/* Logit of a task from the heads' logits; the set-up has the task. */
double esp_task_logit(const struct esp_setup *setup, enum esp_task task, const float *head_logits);

#endif
