/* delay.c - see delay.h. */
#include "delay.h"

#include <math.h>

#include "chance.h"
#include "core/timespan.h"

const struct sim_delay sim_click_delay = {
    .quick_share = 0.8,
    .quick = {12 * ESP_SECOND, 1.0},
    .slow = {4 * ESP_MINUTE, 1.2},
    .cap_us = ESP_DAY,
};

const struct sim_delay sim_install_delay = {
    .quick_share = 0.6,
    .quick = {6 * ESP_MINUTE, 1.2},
    .slow = {20 * ESP_HOUR, 1.3},
    .cap_us = 30 * ESP_DAY,
};

int64_t sim_delay_draw(const struct sim_delay *delay, struct sim_chance *chance)
{
    double normals[2];
    double which = sim_unit(chance);
    sim_normals(chance, normals);
    const struct sim_lognormal *part = which < delay->quick_share ? &delay->quick : &delay->slow;
    double us = (double)part->median_us * exp(part->sigma * normals[0]);
    int64_t whole_us = us < (double)delay->cap_us ? (int64_t)us : delay->cap_us;
    return whole_us - whole_us % ESP_MS;
}

static double lognormal_below(const struct sim_lognormal *part, double us)
{
    double deviations = log(us / (double)part->median_us) / part->sigma;
    return 0.5 * erfc(-deviations / 1.4142135623730951);
}

double sim_delay_within(const struct sim_delay *delay, int64_t window_us)
{
    if (window_us >= delay->cap_us)
        return 1;
    /* Delays are rounded down, so that one within the window's last millisecond still is in it. */
    double us = (double)(window_us - window_us % ESP_MS + ESP_MS);
    return delay->quick_share * lognormal_below(&delay->quick, us) +
           (1 - delay->quick_share) * lognormal_below(&delay->slow, us);
}
