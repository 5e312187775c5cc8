/* figures.c - see figures.h. */
#include "cmd/run/figures.h"

#include <math.h>
#include <stdio.h>

#include "core/timespan.h"

const char *figure_exact(uint64_t value, char text[FIGURE_TEXT_SIZE])
{
    char digits[24];
    int n = snprintf(digits, sizeof digits, "%llu", (unsigned long long)value), at = 0;
    for (int i = 0; i < n; i++) {
        if (i > 0 && (n - i) % 3 == 0)
            text[at++] = ',';
        text[at++] = digits[i];
    }
    text[at] = '\0';
    return text;
}

const char *figure_short(double value, char text[FIGURE_TEXT_SIZE])
{
    static const char *const units[] = {"", " k", " M", " G", " T"};
    size_t unit = 0;
    while (value >= 999.5 && unit + 1 < sizeof units / sizeof units[0]) {
        value /= 1000;
        unit++;
    }
    int decimals = unit == 0 ? 0 : value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
    snprintf(text, FIGURE_TEXT_SIZE, "%.*f%s", decimals, value, units[unit]);
    return text;
}

const char *figure_value(const struct esp_figure *figure, int decimals, char text[FIGURE_TEXT_SIZE])
{
    if (figure->defined)
        snprintf(text, FIGURE_TEXT_SIZE, "%.*f", decimals, figure->value);
    else
        snprintf(text, FIGURE_TEXT_SIZE, "-");
    return text;
}

const char *figure_span(int64_t span_us, char text[FIGURE_TEXT_SIZE])
{
    double seconds = (double)span_us / (double)ESP_SECOND;
    if (fabs(seconds) < 120)
        snprintf(text, FIGURE_TEXT_SIZE, "%.0f s", seconds);
    else if (fabs(seconds) < 7200)
        snprintf(text, FIGURE_TEXT_SIZE, "%.0f min", seconds / 60);
    else if (fabs(seconds) < 48 * 3600)
        snprintf(text, FIGURE_TEXT_SIZE, "%.1f h", seconds / 3600);
    else
        snprintf(text, FIGURE_TEXT_SIZE, "%.1f d", seconds / 86400);
    return text;
}
