/*
 * linear.h - a linear model that learns a campaign as it is made: the yardstick of how hard the
 * truth is to learn, and of what a model must gain from products of features.
 *
 * Two logistic regressions on the values of the sixteen fields, for clicks and for installs of
 * clicked impressions, by Adagrad a coordinate, one impression a step. Each impression is predicted
 * before it is learned. It knows every label at once and by the windows alone: nothing is late.
 */
#ifndef ESP_SIM_LINEAR_H
#define ESP_SIM_LINEAR_H

#include "journey.h"
#include "sim_options.h"

struct sim_linear;

/* options is borrowed. Errors: ESP_ENOMEM. */
enum esp_status sim_linear_new(const struct sim_options *options, struct sim_linear **out,
                               struct esp_error *err);
void sim_linear_free(struct sim_linear *linear);

/* Predicts the journey of an impression, then learns it. Errors: ESP_ENOMEM. */
enum esp_status sim_linear_take(struct sim_linear *linear, const struct sim_journey *journey,
                                struct esp_error *err);

/* Writes its losses by window, in the shape of the trainer's summary, for `espalier-sim compare`.
 * Errors: ESP_EIO, ESP_ENOMEM. */
enum esp_status sim_linear_write(const struct sim_linear *linear, const char *path,
                                 struct esp_error *err);

#endif
