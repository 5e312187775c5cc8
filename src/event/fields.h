/*
 * fields.h - reads a list of fields that was not known when the decoder was made: each snapshot
 * names those of its own features, and scoring follows.
 *
 * A list compiles one plan for each writer schema that it meets. It borrows schemas from the
 * decoder and must be freed before it.
 */
#ifndef ESP_EVENT_FIELDS_H
#define ESP_EVENT_FIELDS_H

#include "event/event.h"

struct esp_fields;

/* Copies the paths. Errors: ESP_ECONFIG (no path: the line names it), ESP_ELIMIT, ESP_ENOMEM. */
enum esp_status esp_fields_new(const char *const *paths, size_t n, struct esp_fields **out,
                               struct esp_error *err);
void esp_fields_free(struct esp_fields *fields);

/* True if the list is these paths in this order. */
bool esp_fields_equal(const struct esp_fields *fields, const char *const *paths, size_t n);

/*
 * Finds out whether the records of a decoder can have every field: its reader schema, or without
 * one some writer so far, must know the path. While there is no writer nothing can be said, and all
 * is well. As everywhere, a writer that lacks what another has gives missing values.
 *
 * From the thread that reads. Errors: ESP_ESCHEMA (one line with the nearest field), ESP_ENOMEM.
 */
enum esp_status esp_fields_check(const struct esp_fields *fields, const struct esp_decoder *decoder,
                                 struct esp_error *err);

/* Compiles the plan for a writer unless it is there. While nobody reads with this list. Errors:
 * ESP_ESCHEMA (too large a plan), ESP_ENOMEM. */
enum esp_status esp_fields_prepare(struct esp_fields *fields, const struct esp_writer *writer,
                                   struct esp_error *err);

/*
 * Reads the fields of a payload that this writer's decoder accepted. From any thread.
 *
 * writer   one that was prepared
 * values   (n) in the order of the list; arrays live in scratch until its next use
 * Errors: ESP_ENOMEM, ESP_EBUG (the payload does not match, though it was accepted).
 */
enum esp_status esp_fields_read(const struct esp_fields *fields, const struct esp_writer *writer,
                                struct esp_bytes payload, struct esp_value *values,
                                struct esp_value_scratch *scratch, struct esp_error *err);

#endif
