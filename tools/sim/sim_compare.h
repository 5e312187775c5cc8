/*
 * sim_compare.h - `espalier-sim compare`: a trainer's losses beside the best possible ones.
 */
#ifndef ESP_SIM_COMPARE_H
#define ESP_SIM_COMPARE_H

#include <stdio.h>

#include "core/status.h"

/*
 * Reads --truth and --summary, pairs their windows by their start, and prints a line a model and
 * task: over the whole stream, and over the last windows that hold a tenth of the impressions.
 * Errors: ESP_ECONFIG (command line), ESP_EDATA (a file that is none of these, no window in
 * common), ESP_ENOMEM.
 */
enum esp_status sim_compare(int argc, char **argv, FILE *out, struct esp_error *err);

#endif
