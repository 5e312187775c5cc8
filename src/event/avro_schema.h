/*
 * avro_schema.h - an Avro schema as a graph of types.
 *
 * Source: Avro 1.11 specification, "Schema Declaration". Types refer to each other by pointer; a
 * recursive schema is a cyclic graph.
 */
#ifndef ESP_EVENT_AVRO_SCHEMA_H
#define ESP_EVENT_AVRO_SCHEMA_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/status.h"
#include "event/schema_arena.h"

enum esp_avro_kind {
    ESP_AVRO_NULL,
    ESP_AVRO_BOOLEAN,
    ESP_AVRO_INT,
    ESP_AVRO_LONG,
    ESP_AVRO_FLOAT,
    ESP_AVRO_DOUBLE,
    ESP_AVRO_BYTES,
    ESP_AVRO_STRING,
    ESP_AVRO_RECORD,
    ESP_AVRO_ENUM,
    ESP_AVRO_ARRAY,
    ESP_AVRO_MAP,
    ESP_AVRO_UNION,
    ESP_AVRO_FIXED,
    ESP_N_AVRO_KINDS
};

/* "null", "boolean", ... */
const char *esp_avro_kind_name(enum esp_avro_kind kind);

struct esp_avro_type;

struct esp_avro_names {
    const char **names;
    size_t n;
};

struct esp_avro_field {
    const char *name;
    struct esp_avro_type *type;
    struct esp_avro_names aliases;
    const json_t *fallback; /* the default; NULL: none. Owned by the schema */
};

/* Everything is owned by the schema. Members that a kind does not have are 0. */
struct esp_avro_type {
    enum esp_avro_kind kind;
    uint32_t index;                /* in its schema, dense from 0 */
    uint32_t n_uses;               /* of a named type: its definition and every reference */
    const char *logical;           /* logicalType, NULL: none */
    const char *name;              /* record, enum, fixed: full name */
    struct esp_avro_names aliases; /* record, enum, fixed: full names */
    struct esp_avro_field *fields; /* record: n_fields */
    size_t n_fields;
    struct esp_avro_names symbols;   /* enum */
    const char *symbol_fallback;     /* enum: its default, NULL: none */
    struct esp_avro_type **branches; /* union: n_branches */
    size_t n_branches;
    struct esp_avro_type *items; /* array, map */
    size_t size;                 /* fixed: bytes */
    bool is_empty; /* values take no bytes: null, fixed of size 0, records of nothing else */
};

struct esp_schema {
    struct esp_avro_type *root;
    size_t n_types;
    char *json;           /* the text as it came, NUL-terminated */
    uint64_t fingerprint; /* CRC-64-AVRO of the Parsing Canonical Form */
    struct esp_arena arena;
    json_t *document; /* defaults point into it */
};

enum {
    ESP_SCHEMA_MAX_BYTES = 1 << 22,
    ESP_SCHEMA_MAX_DEPTH = 64,   /* of nested definitions */
    ESP_SCHEMA_MAX_TYPES = 8192, /* nodes of the graph */
};

/*
 * Parses JSON text.
 * Errors: ESP_ESCHEMA (one line that names the type or field), ESP_ENOMEM.
 */
enum esp_status esp_schema_parse(const char *json, size_t size, struct esp_schema **out,
                                 struct esp_error *err);

/* The same from a file. Errors: also ESP_ESCHEMA if it cannot be read. */
enum esp_status esp_schema_read(const char *path, struct esp_schema **out, struct esp_error *err);

/* NULL is fine. */
void esp_schema_free(struct esp_schema *schema);

/* The part of a full name after its namespace. */
const char *esp_avro_short_name(const char *full_name);

/* The field of a record by its own name, or NULL. */
const struct esp_avro_field *esp_avro_find_field(const struct esp_avro_type *record,
                                                 const char *name, size_t size);

/*
 * CRC-64-AVRO of the Parsing Canonical Form; and the form itself as NUL-terminated text, free()d
 * by the caller. Errors: ESP_ENOMEM, ESP_ELIMIT.
 */
enum esp_status esp_schema_canonical(const struct esp_schema *schema, char **out_text,
                                     uint64_t *out_fingerprint, struct esp_error *err);

/* Describes a type in words, "array of int", into text of capacity bytes, cut if need be. */
void esp_avro_describe(const struct esp_avro_type *type, char *text, size_t capacity);

#endif
