/*
 * inputs.h - the log, and a decoder and readers for each of the input topics.
 */
#ifndef ESP_CMD_TOPICS_INPUTS_H
#define ESP_CMD_TOPICS_INPUTS_H

#include <stdatomic.h>

#include "cmd/config/config.h"
#include "cmd/registry/registry.h"
#include "core/archive.h"
#include "event/event.h"
#include "log/log.h"

struct inputs;

/* What was read of an input. */
struct input_read {
    uint64_t bytes, damaged_files, skipped_bytes;
    uint64_t gap_records; /* offsets that were passed over, as the log no longer had them */
};

struct input {
    struct inputs *inputs; /* that it is one of */
    struct esp_decoder *decoder;
    struct esp_log_framer framer;    /* the decoder's, with refusals noted below */
    size_t n_partitions;             /* 0: the input is not read */
    struct esp_log_reader **readers; /* (n_partitions) NULL where one could not be opened anew */
    struct esp_log_place *next;      /* (n_partitions) what the run takes next; before that all is
                                        taken */
    struct esp_error refusal;        /* the first container or registered schema that does not fit
                                        the topic, and why */
    size_t n_told;                   /* of the decoder's writers: the user knows of these */
    struct input_read before;        /* by readers before these, of this run and those before it,
                                        since the state began */
    struct input_read noted;         /* all of it, at the last standstill */
};

struct inputs {
    const struct config *config;
    esp_log_report *report; /* and its context: where the log's events go */
    void *report_context;
    atomic_bool quiet; /* a peek is under way whose findings the run will report again */
    struct esp_log *log;
    struct registry *registry; /* NULL: none */
    struct input kinds[ESP_N_EVENT_KINDS];
};

/* Opens the log that the configuration names. Errors: ESP_ECONFIG, ESP_ENOMEM. */
enum esp_status inputs_open_log(const struct config *config, esp_log_report *report, void *context,
                                struct esp_log **out, struct esp_error *err);

/*
 * Opens the log and compiles what the configuration names; reads nothing yet. inputs must not move
 * afterwards.
 * Errors: ESP_ECONFIG, ESP_ESCHEMA, ESP_ENOMEM.
 */
enum esp_status inputs_open(struct inputs *inputs, const struct config *config,
                            esp_log_report *report, void *context, struct esp_error *err);

/*
 * Looks at each topic: how many partitions there are.
 * Errors: ESP_ECONFIG (a topic or folder that is missing, with its key), ESP_EBROKER, ESP_EIO.
 */
enum esp_status inputs_find_topics(struct inputs *inputs, int64_t timeout_us,
                                   struct esp_error *err);

/* At a standstill, before inputs_archive() writes: readers cannot be asked in a forked child, as
 * they may take locks that other threads held at the fork. */
void inputs_note(struct inputs *inputs);

/*
 * Where the run is in every input, into a checkpoint and back: after the topics were found, before
 * readers are opened. Partitions that a topic has gained are read from their first record.
 */
void inputs_archive(struct esp_archive *archive, struct inputs *inputs);

/* Everything that was read of an input, by the runs before too. */
struct input_read inputs_read(const struct input *input);

/*
 * Opens a reader for every partition, at what the run takes next: the first record that the log has
 * where it has taken none. Errors: as esp_log_reader_new().
 */
enum esp_status inputs_open_readers(struct inputs *inputs, bool follow, struct esp_error *err);
void inputs_close_readers(struct inputs *inputs);

/*
 * A reader's next record is no longer in the log: with [state] gap = continue it goes on with the
 * first that is there, which is said and counted.
 *
 * why  what esp_log_read() said
 * Errors: ESP_EDATA (why, and the option that mends it; or the log is not what it was), as
 * esp_log_reader_new().
 */
enum esp_status inputs_pass_gap(struct inputs *inputs, enum esp_event_kind kind, size_t partition,
                                bool follow, const struct esp_error *why, struct esp_error *err);

/*
 * Looks once for partitions that a topic has gained since, and opens readers that follow them from
 * their first record. On failure nothing has changed.
 *
 * out_n   how many there are; 0: none
 * Errors: ESP_EBROKER (look again later), ESP_EIO (the topic is gone), ESP_EDATA (it has fewer
 * partitions), as esp_log_reader_new().
 */
enum esp_status inputs_open_new_partitions(struct inputs *inputs, enum esp_event_kind kind,
                                           size_t *out_n, struct esp_error *err);

/*
 * Decodes records of a topic as esp_decoder_headers() does; a field that a schema lacks is said
 * with the key that asks for it. Errors: as esp_decoder_headers() and registry_look_up().
 */
enum esp_status inputs_headers(struct inputs *inputs, enum esp_event_kind kind,
                               const struct esp_record *records, size_t n,
                               struct esp_header *headers, struct esp_error *err);

/*
 * ESP_ESCHEMA, with the place of the key, if there is a topic's schema and none that fits it was
 * found so far; else ESP_OK. For a topic all of whose records were refused.
 */
enum esp_status inputs_check_schemas(const struct inputs *inputs, enum esp_event_kind kind,
                                     struct esp_error *err);

/* What a first look at one topic found. */
struct input_peek {
    size_t n_records, n_rejected;
    int first_reject;          /* enum esp_reject of the first rejected one */
    int64_t first_us, last_us; /* event times, ESP_TIME_NONE if there are none */
};

/*
 * Reads up to n_records of the topic's first partitions and forgets them, so that a schema that
 * lacks a configured field is said before a run begins. Opens and closes readers of its own.
 * quiet  keeps back what the log reports meanwhile.
 *
 * Errors: ESP_ESCHEMA (the schemas lack a field: the line names it), as read's and
 * inputs_headers().
 */
enum esp_status inputs_peek(struct inputs *inputs, enum esp_event_kind kind, size_t n_records,
                            bool quiet, struct input_peek *out, struct esp_error *err);

/* { 0 } and half-open ones are fine. */
void inputs_release(struct inputs *inputs);

#endif
