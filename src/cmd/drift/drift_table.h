/* drift_table.h - a drift report as tables on the terminal. */
#ifndef ESP_CMD_DRIFT_DRIFT_TABLE_H
#define ESP_CMD_DRIFT_DRIFT_TABLE_H

#include <stdio.h>

#include "drift/pooled.h"

enum drift_by { DRIFT_BY_ITSELF, DRIFT_BY_WINDOW, DRIFT_BY_DAY };

/*
 * by  rows of the tables by time; BY_ITSELF: days where there are more than a day's windows
 * Errors: ESP_ENOMEM. What `out` cannot take is seen at its flush.
 */
enum esp_status drift_table_print(const struct esp_drift_report *report, enum drift_by by,
                                  FILE *out, struct esp_error *err);

#endif
