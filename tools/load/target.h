/*
 * target.h - from rows to Avro records of the target schema.
 *
 * The schema is compiled once into steps in the order of a record's bytes: constants (defaults,
 * branches of unions, empty arrays) and values that a mapping fills.
 */
#ifndef ESP_LOAD_TARGET_H
#define ESP_LOAD_TARGET_H

#include "event/avro_schema.h"
#include "mapping.h"

struct load_step;

struct load_target {
    const struct load_mappings *mappings; /* borrowed */
    struct esp_schema *schema;            /* owned */
    struct load_step *steps;              /* owned */
    size_t n_steps, capacity;
    struct esp_buf constants; /* what constant steps point into */
    struct esp_buf scratch;   /* a template, filled in */
    struct esp_buf key;       /* of the record that was put last */
};

/* What is noted of a record beside its bytes. */
struct load_noted {
    struct esp_bytes key; /* the text of the key field; borrowed until the next record */
    int64_t sort;         /* value of the sort field: a number, or a time in us */
    int64_t time_us;      /* value of the timestamp field */
};

/* The fields that are noted; NULL: not wanted. */
struct load_notes {
    const char *key, *sort, *timestamp;
};

/*
 * Compiles a schema.
 *
 * schema    taken over, also on failure
 * mappings  borrowed
 * Errors: ESP_ECONFIG (a mapped field that the schema does not have, with the nearest; a field with
 *         neither mapping nor default; a noted field that is not mapped or of no fitting type),
 *         ESP_ENOMEM.
 */
enum esp_status load_target_init(struct load_target *target, struct esp_schema *schema,
                                 const struct load_mappings *mappings,
                                 const struct load_notes *notes, struct esp_error *err);
void load_target_release(struct load_target *target);

/*
 * Appends the record of a row. On failure buf is as it was.
 * Errors: ESP_EDATA (a value that its field cannot hold: the row is bad), ESP_ELIMIT, ESP_ENOMEM.
 */
enum esp_status load_target_put(struct load_target *target, const struct load_row *row,
                                struct esp_buf *buf, struct load_noted *out, struct esp_error *err);

#endif
