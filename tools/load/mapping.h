/*
 * mapping.h - what --map says: which source fills which field, and as what it is to be read.
 *
 *     --map app.bundle=app            the column app
 *     --map impression_id=td{row:06d} a text made of columns and the row's number
 *     --map ip=ip:long                a type, for the schema that is made where none is given
 *     --map event_time=ts:epoch-s     a time that counts seconds from 1970
 */
#ifndef ESP_LOAD_MAPPING_H
#define ESP_LOAD_MAPPING_H

#include "template.h"

enum load_type {
    LOAD_TYPE_NONE, /* the schema tells; string where there is none */
    LOAD_TYPE_STRING,
    LOAD_TYPE_INT,
    LOAD_TYPE_LONG,
    LOAD_TYPE_FLOAT,
    LOAD_TYPE_DOUBLE,
    LOAD_TYPE_BOOLEAN,
    LOAD_TYPE_MILLIS, /* a time's text, to milliseconds */
    LOAD_TYPE_MICROS,
    LOAD_TYPE_EPOCH_S, /* a time's number */
    LOAD_TYPE_EPOCH_MS,
    LOAD_TYPE_EPOCH_US,
    LOAD_N_TYPES
};

struct load_mapping {
    char *field; /* path in the target; owned */
    enum load_type type;
    struct load_template source;
};

/* { 0 } is empty. */
struct load_mappings {
    struct load_mapping *items; /* owned */
    size_t n, capacity;
};

/* Adds what one --map says, and its columns. Errors: ESP_ECONFIG, ESP_ENOMEM. */
enum esp_status load_mappings_add(struct load_mappings *mappings, const char *text,
                                  struct load_columns *columns, struct esp_error *err);
void load_mappings_release(struct load_mappings *mappings);

/*
 * The schema of a record with the mapped fields, in the order of the mapping; paths become nested
 * records. *out is NUL-terminated JSON, free()d by the caller.
 * Errors: ESP_ECONFIG (a field that is both a value and a record, a name that Avro does not allow),
 *         ESP_ENOMEM.
 */
enum esp_status load_mappings_schema(const struct load_mappings *mappings, const char *name,
                                     char **out, struct esp_error *err);

#endif
