/*
 * standard.c - Welford's running variance (Technometrics 4, 1962), made safe for an endless stream.
 *
 * The first 32 values give no score, for a deviation from a few values makes scores of any size.
 * Later ones are clipped, as what is learned from them is: to 8 deviations around the mean. So one
 * absurd number cannot spoil the statistics for good, while a lasting change of scale is followed
 * (a clipped value adds 64 variances' worth of squares: the sum grows with the 64th power of the
 * count). Without a deviation there is nothing to clip to.
 */
#include "feature/standard.h"

#include <math.h>

#define LARGEST         1e100 /* its square, a billion times over, is still finite */
#define LEAST_DEVIATION 1e-12 /* of the mean; below it is the rounding of a constant */

static double clamp(double x, double low, double high)
{
    return x < low ? low : x > high ? high : x;
}

/* 0: none yet. */
double esp_standard_deviation(const struct esp_standard *standard)
{
    if (standard->count < ESP_STANDARD_WARM_UP)
        return 0;
    double sd = sqrt(standard->m2 / (double)standard->count);
    return sd > LEAST_DEVIATION * fabs(standard->mean) ? sd : 0;
}

double esp_standard_score(const struct esp_standard *standard, double x)
{
    double sd = esp_standard_deviation(standard);
    if (sd == 0)
        return 0;
    x = clamp(x, -LARGEST, LARGEST);
    return clamp((x - standard->mean) / sd, -ESP_STANDARD_CLIP, ESP_STANDARD_CLIP);
}

void esp_standard_learn(struct esp_standard *standard, double x)
{
    double sd = esp_standard_deviation(standard);
    x = clamp(x, -LARGEST, LARGEST);
    if (sd > 0)
        x = clamp(x, standard->mean - ESP_STANDARD_CLIP * sd,
                  standard->mean + ESP_STANDARD_CLIP * sd);
    standard->count++;
    double delta = x - standard->mean;
    standard->mean += delta / (double)standard->count;
    standard->m2 += delta * (x - standard->mean);
}

bool esp_standard_valid(const struct esp_standard *standard)
{
    return isfinite(standard->mean) && isfinite(standard->m2) && standard->m2 >= 0;
}
