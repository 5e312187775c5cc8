/*
 * sim_records.h - the simulator's records: their schemas, and their Avro bytes.
 *
 * Impressions, clicks and installs have the default shapes of schemas/ *.avsc; the schema texts
 * here are those files' (a test compares them).
 */
#ifndef ESP_SIM_RECORDS_H
#define ESP_SIM_RECORDS_H

#include "core/buf.h"
#include "journey.h"

/* Topics: the three kinds of events, and the truth. */
enum { SIM_TRUTH = ESP_N_EVENT_KINDS, SIM_N_TOPICS };

extern const char *const sim_topic_names[SIM_N_TOPICS]; /* "impressions", ... "truth" */
extern const char *const sim_schemas[SIM_N_TOPICS];     /* JSON */

enum { SIM_ID_DIGITS = 16 };

/* The text of an impression id, not NUL-terminated. */
void sim_id_text(uint64_t id, char text[SIM_ID_DIGITS]);

/* Appends an event's record. event is one of the journey's. Errors: as esp_buf_append(). */
enum esp_status sim_put_event(struct esp_buf *buf, const struct sim_journey *journey,
                              const struct sim_event *event, struct esp_error *err);

/* Appends the record of the true probabilities of a journey that begins with an impression. */
enum esp_status sim_put_truth(struct esp_buf *buf, const struct sim_journey *journey,
                              struct esp_error *err);

#endif
