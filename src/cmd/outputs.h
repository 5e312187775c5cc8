/*
 * outputs.h - records that leave the run: examples, late events, dead letters, drift.
 *
 * Keys are deterministic, so that a replay overwrites what it wrote before: an example's is its
 * impression's id and stage, a turned-away event's its topic, partition and offset, a drift
 * record's what it measures.
 */
#ifndef ESP_CMD_OUTPUTS_H
#define ESP_CMD_OUTPUTS_H

#include "cmd/config.h"
#include "core/buf.h"
#include "event/drift_record.h"
#include "join/joiner.h"
#include "log/log.h"
#include "sample/example.h"

/* An example holds its impression as it stood, so another schema of impressions is another schema
 * of examples. In Kafka all go to one topic, told apart by fingerprint; a folder has one schema, so
 * the first has the topic's own and others TOPIC-FINGERPRINT. */
struct example_output {
    const struct esp_writer *impressions; /* borrowed */
    uint64_t fingerprint;                 /* of the examples' schema */
    struct esp_log_writer *writer;
};

/* One thread's outputs; each topic is opened when its first record comes. */
struct outputs {
    const struct config *config;           /* borrowed */
    struct esp_log *log;                   /* borrowed */
    const struct esp_decoder *impressions; /* borrowed */
    struct esp_log_writer *late, *dead, *drift;
    uint64_t dead_letter_fingerprint, drift_fingerprint;
    struct example_output *examples; /* (n_examples): one a schema of impressions */
    size_t n_examples, example_capacity;
    struct esp_buf key, value; /* scratch */
};

void outputs_init(struct outputs *outputs, const struct config *config, struct esp_log *log,
                  const struct esp_decoder *impressions);
void outputs_release(struct outputs *outputs);

/* Topics that a run would write, for `check` and before a start: name and whether it is wanted. */
struct output_topic {
    const char *name;
    bool wanted;
};
enum { N_OUTPUT_TOPICS = 4 };
void outputs_topics(const struct config *config, struct output_topic topics[N_OUTPUT_TOPICS]);

/*
 * Whether the folder that an option names can be written to.
 *
 * is_made  one that is not there yet is made when it is needed
 * Errors: ESP_ECONFIG.
 */
enum esp_status outputs_check_folder(const struct config *config, const char *section,
                                     const char *key, const char *path, bool is_made,
                                     struct esp_error *err);

/* Errors: as esp_log_append(). */
enum esp_status outputs_write_turned_away(struct outputs *outputs,
                                          const struct esp_turned_away *event,
                                          struct esp_error *err);
enum esp_status outputs_write_example(struct outputs *outputs, const struct esp_example *example,
                                      struct esp_error *err);

enum esp_status outputs_write_drift(struct outputs *outputs, const struct esp_drift_record *record,
                                    struct esp_error *err);

/* Everything written is acknowledged or on disk. Errors: as esp_log_flush(), of every topic. */
enum esp_status outputs_flush(struct outputs *outputs, struct esp_error *err);

#endif
