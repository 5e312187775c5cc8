/*
 * encode.h - Avro's binary encoding, for the records that we write ourselves.
 *
 * Each call appends to a buffer. Source: Avro 1.11 specification, "Binary Encoding".
 */
#ifndef ESP_EVENT_ENCODE_H
#define ESP_EVENT_ENCODE_H

#include "core/buf.h"

enum esp_status esp_put_long(struct esp_buf *buf, int64_t value, struct esp_error *err);
enum esp_status esp_put_float(struct esp_buf *buf, float value, struct esp_error *err);
enum esp_status esp_put_double(struct esp_buf *buf, double value, struct esp_error *err);
enum esp_status esp_put_bool(struct esp_buf *buf, bool value, struct esp_error *err);
/* bytes or string: length, then content */
enum esp_status esp_put_bytes(struct esp_buf *buf, struct esp_bytes value, struct esp_error *err);
/* content alone: fixed, or a record that is Avro already */
enum esp_status esp_put_raw(struct esp_buf *buf, struct esp_bytes value, struct esp_error *err);
/* Single-object framing: 0xC3 0x01 and the fingerprint, little-endian. */
enum esp_status esp_put_single_object(struct esp_buf *buf, uint64_t fingerprint,
                                      struct esp_error *err);

/* CRC-64-AVRO of the schema's Parsing Canonical Form. Errors: ESP_ESCHEMA, ESP_ENOMEM. */
enum esp_status esp_schema_fingerprint(const char *json, size_t size, uint64_t *out,
                                       struct esp_error *err);

/*
 * The schema of an example record: the envelope's JSON with the type of its field "impression"
 * replaced by the users' own impression schema, so that an impression's bytes go in as they are.
 *
 * *out   NUL-terminated, free()d by the caller
 * Errors: ESP_ESCHEMA (no such field), ESP_ENOMEM.
 */
enum esp_status esp_example_schema(const char *envelope_json, const char *impression_json,
                                   char **out, struct esp_error *err);

#endif
