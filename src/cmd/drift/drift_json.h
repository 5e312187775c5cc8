/* drift_json.h - a drift report's pooled figures as JSON: of `drift --format json`, and the data of
 * the page. docs/drift.md describes both. */
#ifndef ESP_CMD_DRIFT_DRIFT_JSON_H
#define ESP_CMD_DRIFT_DRIFT_JSON_H

#include <jansson.h>

#include "drift/pooled.h"

/* Both return NULL: out of memory. */
json_t *drift_pooled_json(const struct esp_drift_report *report);

/* The same, but with columns in place of an object a day, windows among them, and texts to show. */
json_t *drift_page_json(const struct esp_drift_report *report);

#endif
