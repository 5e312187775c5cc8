/*
 * figures.h - numbers as people read them: 812,004 and 41.2 M, and figures that may be undefined.
 */
#ifndef ESP_CMD_RUN_FIGURES_H
#define ESP_CMD_RUN_FIGURES_H

#include <stdint.h>

#include "metric/metric.h"

enum { FIGURE_TEXT_SIZE = 40 };

/* "812,004" */
const char *figure_exact(uint64_t value, char text[FIGURE_TEXT_SIZE]);

/* "812", "81.2 k", "41.2 M", "1.04 G" */
const char *figure_short(double value, char text[FIGURE_TEXT_SIZE]);

/* The value with that many decimals; "-" where it is undefined. */
const char *figure_value(const struct esp_figure *figure, int decimals,
                         char text[FIGURE_TEXT_SIZE]);

/* "4 s", "12 min", "3.5 h", "2.1 d" */
const char *figure_span(int64_t span_us, char text[FIGURE_TEXT_SIZE]);

#endif
