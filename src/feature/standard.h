/*
 * standard.h - running mean and deviation of one number, and its standardised value.
 *
 * The state is a parameter: it goes into checkpoint and snapshot as it lies in memory.
 */
#ifndef ESP_FEATURE_STANDARD_H
#define ESP_FEATURE_STANDARD_H

#include <stdbool.h>
#include <stdint.h>

enum {
    ESP_STANDARD_WARM_UP = 32, /* values before a score is other than 0 */
    ESP_STANDARD_CLIP = 8,     /* scores are in [-8, 8] */
};

/* All zero: nothing was seen. */
struct esp_standard {
    uint64_t count;
    double mean;
    double m2; /* sum of squared distances from the mean */
};

/* Of the population; 0 where scores are 0 for want of one: while warming up, and of a constant. */
double esp_standard_deviation(const struct esp_standard *standard);

/* (x - mean) / deviation, clipped; 0 while warming up and where the deviation is none. */
double esp_standard_score(const struct esp_standard *standard, double x);

/* Takes a finite x into the mean and the deviation. */
void esp_standard_learn(struct esp_standard *standard, double x);

/* False for a state that esp_standard_learn() cannot have left. */
bool esp_standard_valid(const struct esp_standard *standard);

#endif
