/*
 * avro_path.h - the fields that a configuration names, and where a schema has them.
 *
 *     app.bundle    tags.color    tags["a.b"].n
 *
 * A step is a record's field or a map's key; text in quotes may hold anything, with \" and \\. All
 * wanted paths together are a tree, which is walked beside a schema.
 */
#ifndef ESP_EVENT_AVRO_PATH_H
#define ESP_EVENT_AVRO_PATH_H

#include "event/avro_schema.h"
#include "event/event.h"

/* What a value is wanted for: it decides which types fit and how they are read. */
enum esp_want_use {
    ESP_WANT_ID,      /* the bytes of string, bytes, fixed; int and long as they stand */
    ESP_WANT_TIME,    /* int, long, float, double with a unit: microseconds */
    ESP_WANT_NUMBER,  /* int, long, float, double */
    ESP_WANT_KEY,     /* the bytes of any scalar as they stand; of an enum its symbol */
    ESP_WANT_FEATURE, /* any scalar, or an array of scalars */
    ESP_WANT_ITEM,    /* any scalar: an item of such an array */
};

struct esp_want_slot {
    uint16_t slot; /* where a plan puts the value */
    uint8_t use;   /* enum esp_want_use */
};

/* A node of the tree of wanted paths: what is wanted here, and below. */
struct esp_want {
    struct esp_bytes step; /* the way here from the parent: a field's name or a map's key */
    struct esp_want *children, *next; /* first child; next sibling */
    struct esp_want_slot *slots;      /* n_slots */
    size_t n_slots;
};

enum {
    ESP_PATH_MAX_STEPS = 32,
    ESP_PATH_MAX_BYTES = 1024,
};

/*
 * Adds a path to the tree below root.
 *
 * arena  owns the tree's nodes
 * Errors: ESP_ECONFIG (not a path), ESP_ENOMEM.
 */
enum esp_status esp_want_add(struct esp_want *root, const char *path, struct esp_want_slot slot,
                             struct esp_arena *arena, struct esp_error *err);

/* The unit of a time's logical type, NONE if it has none. */
enum esp_time_unit esp_avro_time_unit(const struct esp_avro_type *type);

/* True if a value of this type, which is no union, can be read for that use. unit: configured. */
bool esp_want_fits(const struct esp_avro_type *type, enum esp_want_use use,
                   enum esp_time_unit unit);

/*
 * Finds out whether a schema has a path for a use.
 *
 * unit      configured for times
 * what      "id", "time", ...: the setting, for the message
 * out_type  may be NULL; the first type that fits, or the union that holds it
 * Errors: ESP_ECONFIG (not a path), ESP_ESCHEMA (one line with the nearest field, or with what is
 * there instead), ESP_ENOMEM.
 */
enum esp_status esp_path_check(const struct esp_schema *schema, const char *path,
                               enum esp_want_use use, enum esp_time_unit unit, const char *what,
                               const struct esp_avro_type **out_type, struct esp_error *err);

#endif
