/*
 * event.h - from raw records to headers, and from surviving bytes to values.
 *
 * An esp_decoder stands for one input topic. It knows the framing and the wanted fields and
 * compiles, once for each writer schema it meets, three flat plans: one that delimits and validates
 * a record, one that reads the header, one that reads the features. A header is read from every
 * record, features only from those that survive.
 *
 * Fields are named by path: `app.bundle` (nested records), `tags.color` or `tags["a.b"]` (a map's
 * key). A path that passes a null, a missing map key or a union branch of another type is missing.
 */
#ifndef ESP_EVENT_EVENT_H
#define ESP_EVENT_EVENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/archive.h"
#include "core/bytes.h"
#include "core/status.h"
#include "core/timespan.h"
#include "log/log.h"

enum esp_event_kind { ESP_IMPRESSION, ESP_CLICK, ESP_INSTALL, ESP_N_EVENT_KINDS };

/* "impression", "click", "install" */
const char *esp_event_kind_name(enum esp_event_kind kind);

/* X(name, text for the dead letter). A record is rejected for exactly one reason. */
#define ESP_REJECT_MAP(X)                                        \
    X(NONE, "none")                                              \
    X(FRAMING, "unknown framing")                                \
    X(UNKNOWN_SCHEMA, "unknown schema id")                       \
    X(MALFORMED, "does not match its schema")                    \
    X(NO_ID, "no id")                                            \
    X(NO_TIME, "no event time")                                  \
    X(TIME_RANGE, "event time outside time.min..time.max")       \
    X(FUTURE, "event time beyond the record's timestamp")        \
    X(AHEAD, "event time far beyond its partition")              \
    X(BAD_WEIGHT, "upstream weight is not between 1e-6 and 1e6") \
    X(TOO_LARGE, "record is over the size limit")                \
    X(TOMBSTONE, "no value")                                     \
    X(UNUSABLE_SCHEMA, "its schema cannot be used")

enum esp_reject {
#define ESP_REJECT_ENUM(name, text) ESP_REJECT_##name,
    ESP_REJECT_MAP(ESP_REJECT_ENUM)
#undef ESP_REJECT_ENUM
        ESP_N_REJECTS
};
const char *esp_reject_text(enum esp_reject reject);

/*
 * What the join needs of a record. Every esp_bytes is borrowed from the record.
 *
 * An id's bytes: of string, bytes, fixed: the content; of int and long: the zigzag varint as it
 * stands in the record (the same for both). An id of size 0 is no id.
 */
struct esp_header {
    int64_t time_us;     /* event time */
    int64_t log_time_us; /* the record's, or ESP_TIME_NONE */
    int64_t offset;
    struct esp_bytes id;       /* impression: its id; click: the impression's; install: the
                                  impression's, or the click's where installs refer to clicks */
    struct esp_bytes click_id; /* clicks, where installs refer to clicks; else empty */
    struct esp_bytes payload;  /* the Avro record without framing */
    struct esp_bytes raw;      /* the record's value as it stood in the log */
    uint64_t id_hash;          /* esp_hash(id) */
    uint64_t click_id_hash;    /* esp_hash(click_id), 0 if empty */
    uint16_t writer;           /* index of the writer schema in its decoder */
    uint8_t reject; /* enum esp_reject; not NONE: only offset, log_time_us and raw are set */
};

/* What sampling needs beside the id, read again from a payload that survives that far. */
struct esp_sampling_fields {
    struct esp_bytes holdout_key; /* the configured field's bytes as in its record; the id where
                                     none is configured or the field is missing */
    double weight;                /* upstream weight, 1 where none is configured */
};

enum esp_framing {
    ESP_FRAMING_AUTO,      /* files: bare, the container's schema; kafka: confluent if a schema id
                              or a source is configured, else bare with the named schema */
    ESP_FRAMING_CONFLUENT, /* 0x00, 4-byte big-endian schema id, Avro */
    ESP_FRAMING_SINGLE,    /* 0xC3 0x01, 8-byte little-endian CRC-64-AVRO fingerprint, Avro */
    ESP_FRAMING_BARE,      /* Avro of the configured schema */
};

enum esp_time_unit { ESP_UNIT_NONE, ESP_UNIT_S, ESP_UNIT_MS, ESP_UNIT_US, ESP_UNIT_NS };

/* A schema that the configuration names: by id for confluent framing; id -1 for the others. */
struct esp_schema_file {
    int64_t id;
    const char *path;
    const char *where; /* "FILE:LINE" for errors */
};

/*
 * Where schemas are looked up that the configuration does not name, by the id of confluent framing.
 * Called from the thread that reads, and may keep it waiting. An id that was found is not asked for
 * again; one that was not is asked for with each of its records, so the source remembers those.
 */
struct esp_schema_source {
    const char *name; /* for messages: "schema 7 of NAME" */
    void *context;
    /*
     * out_json    NUL-terminated, self-contained, borrowed until the next call; NULL: no such
     *             schema, or none that can be used
     * out_reject  set if *out_json is NULL: ESP_REJECT_UNKNOWN_SCHEMA or ESP_REJECT_UNUSABLE_SCHEMA
     * Errors: what stops the reading, with neither set. ESP_EBROKER: the answer was waited for
     * until the wait was called off.
     */
    enum esp_status (*look_up)(void *context, uint32_t id, const char **out_json,
                               enum esp_reject *out_reject, struct esp_error *err);
    /* Told once about a schema that was found and does not fit the topic. */
    void (*refused)(void *context, uint32_t id, const struct esp_error *why);
};

/* What a value is, once read. */
enum esp_value_type {
    ESP_VALUE_MISSING, /* null, or a path that led nowhere */
    ESP_VALUE_BOOL,    /* i */
    ESP_VALUE_INT,     /* i: int, long */
    ESP_VALUE_REAL,    /* f: float, double */
    ESP_VALUE_TEXT,    /* bytes: string, the symbol of an enum */
    ESP_VALUE_BYTES,   /* bytes: bytes, fixed */
    ESP_VALUE_ARRAY,   /* items: of scalars */
};

struct esp_value {
    uint8_t type;     /* enum esp_value_type */
    uint32_t n_items; /* ARRAY */
    union {
        int64_t i;
        double f;
        struct esp_bytes bytes;        /* borrowed from the payload or from the plan */
        const struct esp_value *items; /* in the scratch of the call */
    } u;
};

struct esp_decoder_config {
    enum esp_event_kind kind;
    const char *topic; /* for messages */
    enum esp_framing framing;
    const char *reader_schema; /* path of the users' schema, or NULL: each writer's own fields */
    const struct esp_schema_file *writers; /* n_writers */
    size_t n_writers;
    const struct esp_schema_source *source; /* NULL: none; copied, what it points to is not */
    const char *id_path;
    const char *time_path;            /* NULL: the log's own timestamp is the event time */
    enum esp_time_unit time_unit;     /* NONE: the field's logical type tells */
    const char *click_id_path;        /* NULL: none */
    const char *holdout_path;         /* NULL: the id */
    const char *weight_path;          /* NULL: 1 */
    int64_t time_min_us, time_max_us; /* inclusive; outside is ESP_REJECT_TIME_RANGE */
    size_t max_record_bytes;          /* 0: no limit */
    const char *const *feature_paths; /* n_features; impressions only */
    size_t n_features;
};

struct esp_decoder;
struct esp_writer; /* one writer schema with its plans; immutable, owned by its decoder */

/*
 * Copies the configuration, reads and compiles the schemas that it names.
 * Errors: ESP_ECONFIG, ESP_ESCHEMA (a file that is missing or no schema; a path that no branch of
 * the schema has, with the nearest field; a time field without unit), ESP_ENOMEM. One line each.
 */
enum esp_status esp_decoder_new(const struct esp_decoder_config *config, struct esp_decoder **out,
                                struct esp_error *err);
void esp_decoder_free(struct esp_decoder *decoder);

/*
 * The framer to lend to esp_log_reader_new(): compiles each container's schema (once per distinct
 * text). Its open() refuses a container whose schema lacks the header's fields, or looks like one
 * of another kind of event: see open_container() in decoder.c.
 * Valid as long as the decoder. Call from the thread that reads.
 */
const struct esp_log_framer *esp_decoder_framer(struct esp_decoder *decoder);

/*
 * Decodes records into headers, one each: headers[i] tells of records[i]. A record never makes it
 * fail: what cannot be used is rejected. A lookup of its schema may.
 * From the thread that reads; the decoder may gain writers.
 *
 * On failure no header may be used, and the same records can be given again.
 * Errors: only where there is a source: ESP_ESCHEMA (the first schema that fits the topic lacks a
 * feature: the line names field and id), ESP_ENOMEM, and what the source fails with.
 */
enum esp_status esp_decoder_headers(struct esp_decoder *decoder, const struct esp_record *records,
                                    size_t n, struct esp_header *headers, struct esp_error *err);

/* A writer by the index in a header. From any thread, for an index that was handed over. */
const struct esp_writer *esp_decoder_writer(const struct esp_decoder *decoder, uint16_t index);

/* Sampling's fields of an impression. From any thread. payload was accepted by this writer. */
void esp_writer_sampling_fields(const struct esp_writer *writer, struct esp_bytes payload,
                                struct esp_sampling_fields *out);

/* Scratch for arrays. { 0 } before use; one a thread; freed by esp_value_scratch_release(). */
struct esp_value_scratch {
    struct esp_value *items;
    size_t n, capacity;
};
void esp_value_scratch_release(struct esp_value_scratch *scratch);

enum {
    ESP_MAX_ARRAY_ITEMS = 4096
}; /* a longer array is cut there; counted by nobody: said in docs */

/*
 * Reads the configured features of an impression.
 *
 * values   (n_features of the decoder's configuration), in its order; arrays live in scratch until
 *          its next use
 * Errors: ESP_ENOMEM; ESP_EBUG (the payload does not match, though it was accepted).
 */
enum esp_status esp_writer_features(const struct esp_writer *writer, struct esp_bytes payload,
                                    struct esp_value *values, struct esp_value_scratch *scratch,
                                    struct esp_error *err);

/* The writer's schema as JSON text (NUL-terminated, owned by the writer), its CRC-64-AVRO
 * fingerprint, its index, its full name. For output records and for `check`. */
const char *esp_writer_json(const struct esp_writer *writer);
uint64_t esp_writer_fingerprint(const struct esp_writer *writer);
uint16_t esp_writer_index(const struct esp_writer *writer);
const char *esp_writer_name(const struct esp_writer *writer);

/* How many of the features this schema lacks, so that they are missing in all of its records; the
 * path of the first of them, if there are any. */
size_t esp_writer_n_missing(const struct esp_writer *writer, const char **out_first);

/* How many writers there are now (their indices are 0 .. n-1). */
size_t esp_decoder_n_writers(const struct esp_decoder *decoder);

/*
 * The decoder's writers in a checkpoint, by which records are named there, and which schema ids
 * mean them. Reading gives a decoder that _new() made with the same configuration, and whose
 * headers nobody has kept yet, the same writers at the same indices; what it knows beyond them
 * comes behind.
 */
void esp_decoder_archive(struct esp_archive *archive, struct esp_decoder *decoder);

/* What type a feature's path has in the reader schema (or, without one, in the first writer):
 * "string", "array of int", "union of null and long (timestamp-millis)" ... NULL: not known yet.
 * Owned by the decoder. For `check`. */
const char *esp_decoder_feature_type(const struct esp_decoder *decoder, size_t feature);

/* True if ids are int or long, so that esp_id_format() writes them as decimal numbers. */
bool esp_decoder_id_is_number(const struct esp_decoder *decoder);

/* True of UTF-8 without control characters; empty is text. */
bool esp_is_text(struct esp_bytes bytes);

/* Writes an id as text: as it is if it is UTF-8 text, a number in decimal, other bytes in hex. At
 * most capacity - 1 characters and a NUL; returns the length written. */
size_t esp_id_format(struct esp_bytes id, bool is_number, char *text, size_t capacity);

#endif
