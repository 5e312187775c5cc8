/* record_sums.h - between the drift record's fields and metric/'s sums and figures. */
#ifndef ESP_DRIFT_RECORD_SUMS_H
#define ESP_DRIFT_RECORD_SUMS_H

#include "event/drift_record.h"
#include "metric/metric.h"

/* The record's counts and sums, and back: *record gets examples, positives, clusters and sums. */
struct esp_task_sums esp_drift_record_sums(const struct esp_drift_record *record);
void esp_drift_record_set_sums(struct esp_drift_record *record, const struct esp_task_sums *sums);

/* A paired part that is set, and back; `clipped` has no place among the sums. */
struct esp_paired_sums esp_drift_paired_sums(const struct esp_drift_paired *paired);
struct esp_drift_paired esp_drift_paired_of(const struct esp_paired_sums *sums, int64_t clipped);

struct esp_figure esp_drift_figure_value(const struct esp_drift_figure *figure);
struct esp_drift_figure esp_drift_figure_of(const struct esp_figure *figure);

#endif
