/*
 * event_writer.h - one writer schema of a topic and the plans that were compiled for it.
 *
 *     skip      delimits and checks a record: lent to `files`
 *     header    reads the header and checks the whole record: for records that nobody has checked
 *     brief     reads the header and stops: for records that skip has passed
 *     sampling  id, holdout key, weight
 *     features  the features
 */
#ifndef ESP_EVENT_EVENT_WRITER_H
#define ESP_EVENT_EVENT_WRITER_H

#include "event/plan.h"

enum esp_header_slot {
    ESP_SLOT_ID,
    ESP_SLOT_TIME,
    ESP_SLOT_CLICK_ID,
    ESP_SLOT_WEIGHT,
    ESP_N_SLOTS
};

/* Slots of the sampling plan. */
enum esp_sampling_slot {
    ESP_SAMPLING_ID,
    ESP_SAMPLING_KEY,
    ESP_SAMPLING_WEIGHT,
    ESP_N_SAMPLING_SLOTS
};

/* What a decoder wants of each of its writers. Owned by the decoder, outlives its writers. */
struct esp_wanted {
    struct esp_decoder_config config;           /* a copy; texts are owned too */
    struct esp_schema *reader;                  /* NULL: each writer's own fields */
    struct esp_want header, sampling, features; /* roots */
};

struct esp_writer {
    struct esp_schema *schema;                                    /* owned */
    struct esp_arena arena;                                       /* texts of constants */
    struct esp_plan *skip, *header, *brief, *sampling, *features; /* owned */
    const struct esp_wanted *wanted;
    size_t n_missing, first_missing; /* of features */
    uint16_t index;
};

/*
 * Compiles the plans of a schema, which is owned by the writer on success.
 *
 * Features whose path the schema lacks are missing in all of its records: see
 * esp_wanted_count_missing().
 * Errors: ESP_ESCHEMA (a path of the header that the schema lacks, ...), ESP_ENOMEM.
 */
enum esp_status esp_writer_new(struct esp_schema *schema, const struct esp_wanted *wanted,
                               uint16_t index, struct esp_writer **out, struct esp_error *err);

/* What the schema's text and the plans take. */
size_t esp_writer_bytes(const struct esp_writer *writer);

/* NULL is fine. */
void esp_writer_free(struct esp_writer *writer);

/* Checks all paths of the header against a schema. Errors as esp_path_check(). */
enum esp_status esp_wanted_check_header(const struct esp_wanted *wanted,
                                        const struct esp_schema *schema, struct esp_error *err);

/* The same for one feature. out_type may be NULL. */
enum esp_status esp_wanted_check_feature(const struct esp_wanted *wanted,
                                         const struct esp_schema *schema, size_t feature,
                                         const struct esp_avro_type **out_type,
                                         struct esp_error *err);

/*
 * How many features' paths a schema lacks, or has as something that is no feature. With a reader
 * schema none: Avro's resolution decides.
 *
 * first   the first of them, if there are any
 * out_why what is wrong with it
 */
size_t esp_wanted_count_missing(const struct esp_wanted *wanted, const struct esp_schema *schema,
                                size_t *first, struct esp_error *out_why);

#endif
