/* drift_fields.h - a drift record as one flat row, for CSV and for JSON. */
#ifndef ESP_CMD_DRIFT_DRIFT_FIELDS_H
#define ESP_CMD_DRIFT_DRIFT_FIELDS_H

#include <jansson.h>
#include <stdio.h>

#include "event/drift_record.h"

/* The head line, and a line a record; RFC 4180 but for line ends, null is empty. */
void drift_csv_head(FILE *out);
void drift_csv_row(const struct esp_drift_record *record, FILE *out);

/* An object with the same names; NULL: out of memory. */
json_t *drift_record_json(const struct esp_drift_record *record);

#endif
