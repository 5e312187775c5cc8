/*
 * records.h - the records that we write ourselves: labelled examples, dead letters, scores.
 *
 * Their schemas are in schemas/; the program carries them.
 */
#ifndef ESP_EVENT_RECORDS_H
#define ESP_EVENT_RECORDS_H

#include "event/encode.h"
#include "event/event.h"

/* schemas/example.avsc (an envelope: see esp_example_schema()) and so on. */
enum esp_own_schema {
    ESP_SCHEMA_EXAMPLE,
    ESP_SCHEMA_DEAD_LETTER,
    ESP_SCHEMA_SNAPSHOT_CHUNK,
    ESP_SCHEMA_SNAPSHOT_MANIFEST,
    ESP_SCHEMA_SCORE,
    ESP_SCHEMA_DRIFT,
    ESP_N_OWN_SCHEMAS
};

/* The schema's text. NUL-terminated, static. */
const char *esp_own_schema_json(enum esp_own_schema schema);

/* Symbols of the envelope's enum Stage, in its order. */
enum esp_example_stage { ESP_EXAMPLE_CLICK, ESP_EXAMPLE_INSTALL, ESP_EXAMPLE_WHOLE };

/* Fields in the schema's order. Times in us, ESP_TIME_NONE: null. */
struct esp_example_record {
    struct esp_bytes impression_id;
    int64_t impression_time_us;
    int64_t click_time_us;
    int64_t install_time_us;
    int64_t maturity_us;
    enum esp_example_stage stage;
    bool click;
    bool install; /* written as null at stage CLICK */
    double weight;
    double base_weight;
    bool holdout;
    struct esp_bytes impression; /* the users' record, as it came */
};

/* Appends one bare record. On failure the buffer is as it was. Errors: ESP_ENOMEM, ESP_ELIMIT. */
enum esp_status esp_encode_example(struct esp_buf *buf, const struct esp_example_record *record,
                                   struct esp_error *err);

/* Symbols of the enum Verdict, in its order. */
enum esp_dead_letter_verdict { ESP_DEAD_LETTER_LATE, ESP_DEAD_LETTER_DEAD };

/* Fields in the schema's order. Times in us, ESP_TIME_NONE: null. */
struct esp_dead_letter_record {
    enum esp_event_kind kind;
    enum esp_dead_letter_verdict verdict;
    const char *reason; /* esp_reject_text(), or in words why it is late */
    const char *topic;
    int32_t partition;
    int64_t offset;
    int64_t log_time_us;
    int64_t event_time_us;
    struct esp_bytes value; /* data NULL: a tombstone */
};

/* As esp_encode_example(). */
enum esp_status esp_encode_dead_letter(struct esp_buf *buf,
                                       const struct esp_dead_letter_record *record,
                                       struct esp_error *err);

/* The probabilities of a score, in the schema's order. */
enum esp_score_task {
    ESP_SCORE_CLICK,
    ESP_SCORE_INSTALL_GIVEN_CLICK,
    ESP_SCORE_INSTALL,
    ESP_N_SCORE_TASKS
};

/* Fields in the schema's order. */
struct esp_score_record {
    struct esp_bytes impression_id; /* as text */
    int64_t event_time_us;
    const char *model, *run;
    int64_t snapshot;
    double p[ESP_N_SCORE_TASKS]; /* NaN: written as null */
};

/* As esp_encode_example(). */
enum esp_status esp_encode_score(struct esp_buf *buf, const struct esp_score_record *record,
                                 struct esp_error *err);

#endif
