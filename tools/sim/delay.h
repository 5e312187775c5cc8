/*
 * delay.h - how long after an impression its click comes, and after a click its install: mixtures
 * of two log-normals, a quick one and a slow one with a long tail.
 */
#ifndef ESP_SIM_DELAY_H
#define ESP_SIM_DELAY_H

#include <stdint.h>

struct sim_chance;

struct sim_delay {
    double quick_share; /* the slow one has the rest */
    struct sim_lognormal {
        int64_t median_us;
        double sigma; /* of the logarithm */
    } quick, slow;
    int64_t cap_us; /* what would be longer is that long */
};

extern const struct sim_delay sim_click_delay;   /* 99.7 % within an hour; at most a day */
extern const struct sim_delay sim_install_delay; /* 98 % within 7 days; at most 30 days */

/* A delay, rounded down to a millisecond. */
int64_t sim_delay_draw(const struct sim_delay *delay, struct sim_chance *chance);

/* The probability that a delay is at most a window, rounding included. */
double sim_delay_within(const struct sim_delay *delay, int64_t window_us);

#endif
