/*
 * values.h - from texts to Avro values.
 */
#ifndef ESP_LOAD_VALUES_H
#define ESP_LOAD_VALUES_H

#include "event/avro_schema.h"
#include "mapping.h"

/* Whether a mapping's type may fill a scalar of this type. */
bool load_type_fits(enum load_type type, const struct esp_avro_type *avro);

/* Whether a type is a number that can be sorted by, or a time (timestamp-millis, -micros). */
bool load_is_time(const struct esp_avro_type *avro);
bool load_is_whole(const struct esp_avro_type *avro);

/*
 * Appends a text as a value of a scalar type; times are texts as esp_time_parse() takes them, or
 * numbers where the mapping says so.
 *
 * *out_number  of whole numbers the value, of times the us since 1970; else 0
 * Errors: ESP_EDATA (not such a value), ESP_ELIMIT, ESP_ENOMEM; buf may hold a part then.
 */
enum esp_status load_put_value(struct esp_buf *buf, const struct esp_avro_type *avro,
                               enum load_type type, struct esp_bytes text, int64_t *out_number,
                               struct esp_error *err);

/* Appends a field's default. Errors: ESP_ECONFIG (not one that can be written here), as above. */
enum esp_status load_put_default(struct esp_buf *buf, const struct esp_avro_type *avro,
                                 const json_t *fallback, struct esp_error *err);

#endif
