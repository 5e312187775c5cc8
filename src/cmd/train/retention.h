/*
 * retention.h - for `check`: whether a topic keeps its records for as long as a start without its
 * state folder needs them, which reads back from the newest snapshot's boundary.
 */
#ifndef ESP_CMD_TRAIN_RETENTION_H
#define ESP_CMD_TRAIN_RETENTION_H

#include "cmd/config/config.h"
#include "log/log.h"

/* How much event time such a start has to read again before its labels are what they were: both
 * windows, the largest grace, and as much as the snapshot may be old. */
int64_t retention_needed_us(const struct config *config);

/*
 * Prints what the topic keeps, and a line with both numbers and the mend for each thing that keeps
 * less than is needed. files: nothing. A broker that does not tell is said, and is no failure.
 * Errors: ESP_EBROKER.
 */
enum esp_status retention_check(const struct config *config, struct esp_log *log,
                                enum esp_event_kind kind, struct esp_error *err);

#endif
