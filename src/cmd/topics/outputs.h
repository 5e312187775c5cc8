/*
 * outputs.h - records that leave the run: examples, late events, dead letters, drift.
 *
 * Keys are deterministic, so that a replay overwrites what it wrote before: an example's is its
 * impression's id and stage, a turned-away event's its topic, partition and offset, a drift
 * record's what it measures. Files keep all that they are given: there what a replay writes again
 * is taken away first.
 *
 *      first start   outputs_init, outputs_begin
 *      checkpoint    outputs_fence, outputs_archive; made visible once fences_settled
 *      recovery      outputs_init, outputs_archive, outputs_cut_back
 */
#ifndef ESP_CMD_TOPICS_OUTPUTS_H
#define ESP_CMD_TOPICS_OUTPUTS_H

#include "cmd/config/config.h"
#include "cmd/run/fences.h"
#include "cmd/topics/topic_marks.h"
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

enum { OUTPUT_TOPIC_SIZE = 512 };

/* Which topics are whose. */
enum { OUTPUT_LATE = 1, OUTPUT_DEAD = 2, OUTPUT_EXAMPLES = 4, OUTPUT_DRIFT = 8 };

/* One thread's outputs; each topic is opened when its first record comes. */
struct outputs {
    unsigned topics;                       /* OUTPUT_...: those that it writes */
    const struct config *config;           /* borrowed */
    struct esp_log *log;                   /* borrowed */
    const struct esp_decoder *impressions; /* borrowed */
    struct esp_log_writer *late, *dead, *drift;
    uint64_t dead_letter_fingerprint, drift_fingerprint;
    char dead_topic[OUTPUT_TOPIC_SIZE]; /* files of a scoring run: DEAD-LETTERS-SCORES, for a folder
                                           has one writer, and a trainer may run beside it */
    struct example_output *examples;    /* (n_examples): one a schema of impressions */
    size_t n_examples, example_capacity;
    struct esp_buf key, value; /* scratch */
    struct topic_marks *bases; /* (n_bases) files: each topic as it was at the first start */
    size_t n_bases, base_capacity;
};

/* topics  OUTPUT_...: those that will be written; no other outputs may have one of them */
void outputs_init(struct outputs *outputs, unsigned topics, const struct config *config,
                  struct esp_log *log, const struct esp_decoder *impressions);
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

/*
 * Notes what each topic holds before the first record of a run that will go on from checkpoints:
 * that stays, whatever a recovery takes away. Before anything is written.
 * Errors: as esp_log_bounds(), ESP_EIO, ESP_ENOMEM.
 */
enum esp_status outputs_begin(struct outputs *outputs, struct esp_error *err);

/* Divides what was written before from what comes after: adds its fences to others. Once they are
 * settled a checkpoint, or a snapshot, that was taken here may count. With the writing thread, or
 * while it stands. Errors: as esp_log_fence(). */
enum esp_status outputs_fence(const struct outputs *outputs, struct fences *fences,
                              struct esp_error *err);

/* Where each topic stands. Reading: into new outputs with the same configuration, once the decoder
 * of impressions was filled; opens writers, and changes no file. */
void outputs_archive(struct esp_archive *archive, struct outputs *outputs);

/* Takes away what was written after the archive that was read. Can be done again after a failure.
 * Errors: as esp_log_cut_back(). */
enum esp_status outputs_cut_back(struct outputs *outputs, struct esp_error *err);

/* Everything written is acknowledged or on disk. Errors: as esp_log_flush(), of every topic. */
enum esp_status outputs_flush(struct outputs *outputs, struct esp_error *err);

/* ---- for outputs_back.c ---------------------------------------------------------------------- */

/* Open a writer that is not open yet. Errors: as esp_log_writer_new(). */
enum esp_status outputs_open_late(struct outputs *outputs, struct esp_error *err);
enum esp_status outputs_open_dead(struct outputs *outputs, struct esp_error *err);
enum esp_status outputs_open_drift(struct outputs *outputs, struct esp_error *err);
enum esp_status outputs_add_examples(struct outputs *outputs, const struct esp_writer *impressions,
                                     struct esp_error *err);

/* Where the i-th schema's examples go; files: the topic or TOPIC-FINGERPRINT. */
const char *outputs_example_topic(const struct outputs *outputs, size_t i,
                                  char name[OUTPUT_TOPIC_SIZE]);

#endif
