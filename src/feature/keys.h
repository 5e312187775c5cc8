/*
 * keys.h - how a key is made: XXH3_64 of (feature name, 0x1F, type tag, value bytes).
 *
 * docs/features.md is the normative text, with test vectors. Keys are in every snapshot, so
 * nothing here may ever change for a value that has a key today.
 */
#ifndef ESP_FEATURE_KEYS_H
#define ESP_FEATURE_KEYS_H

#include "core/bytes.h"

enum { ESP_KEY_SEPARATOR = 0x1F };

/* What the value bytes are. Numbers are little-endian. */
enum esp_key_tag {
    ESP_KEY_TEXT = 's',    /* UTF-8 of a string, the symbol of an enum */
    ESP_KEY_BYTES = 'b',   /* bytes, fixed */
    ESP_KEY_INT = 'i',     /* int, long: 8 bytes, two's complement */
    ESP_KEY_REAL = 'f',    /* float, double: 8 bytes, IEEE 754; one zero, one NaN */
    ESP_KEY_BOOL = 't',    /* 1 byte, 0 or 1 */
    ESP_KEY_MISSING = 'm', /* none */
    ESP_KEY_BUCKET = 'q',  /* 8 bytes: the bucket's number */
    ESP_KEY_VALUE = 'v',   /* none: the row that a standardised number multiplies */
    ESP_KEY_CROSS = 'x',   /* 16 bytes: the two keys */
    ESP_KEY_DEFAULT = 'd', /* none: the row of keys that have no row */
};

/* The key of a value given as bytes; never 0. */
uint64_t esp_key_of_bytes(struct esp_bytes name, enum esp_key_tag tag, struct esp_bytes value);

/* The key of a value of 8 bytes: ESP_KEY_INT, ESP_KEY_BUCKET. */
uint64_t esp_key_of_u64(struct esp_bytes name, enum esp_key_tag tag, uint64_t value);

uint64_t esp_key_of_real(struct esp_bytes name, double value);
uint64_t esp_key_of_bool(struct esp_bytes name, bool value);
uint64_t esp_key_of_cross(struct esp_bytes name, uint64_t key_a, uint64_t key_b);

#endif
