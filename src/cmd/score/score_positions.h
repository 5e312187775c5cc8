/*
 * score_positions.h - how far each partition of the impressions was scored, kept between runs in
 * the state folder: one small file for each pair of an input and an output topic.
 *
 * In a log of files, where nothing that is written again overwrites itself, the file also tells
 * where the outputs stood: what a killed run wrote after it was saved is taken away at the next
 * start, and so every impression is scored once.
 */
#ifndef ESP_CMD_SCORE_SCORE_POSITIONS_H
#define ESP_CMD_SCORE_SCORE_POSITIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cmd/config/config.h"
#include "cmd/topics/topic_marks.h"
#include "core/status.h"
#include "state/state_folder.h"

/* The outputs that are taken back. */
enum { SCORE_MARKS_SCORES, SCORE_MARKS_DEAD, N_SCORE_MARKS };

/* { 0 } can be released. */
struct score_positions {
    struct esp_state_folder *folder; /* locked for this topic and output */
    char *path;                      /* of the file, owned */
    const char *topic, *output;      /* borrowed from the configuration */
    const char *root;                /* of a log of files; NULL: Kafka */
    int64_t *next;                   /* (n) the next record of each partition; -1: not begun */
    struct esp_log_place *places;    /* (n) Kafka: `last` alone. Files: where that record is, or one
                                        before it; file "": not known */
    size_t n;
    struct topic_marks marks[N_SCORE_MARKS]; /* files: where the outputs stand; else empty */
    bool is_known; /* the topic was scored before, or is being: what has not begun is new in it */
};

/*
 * Reads the file, if there is one, for a topic of n partitions; those that it does not know have
 * not begun. Makes the state folder where it is missing, and locks it for this topic and output.
 * Errors: ESP_EIO, ESP_ECONFIG (another process scores this topic to this output), ESP_EDATA
 * (damaged, of other topics, or of a topic with more partitions: the line says what to do),
 * ESP_ENOMEM.
 */
enum esp_status score_positions_load(struct score_positions *positions, const struct config *config,
                                     size_t n, struct esp_error *err);

/*
 * Files: takes away what was written after the positions were saved, and notes what is there.
 * Before anything is written; the positions have to be saved before, too, or a first run that is
 * killed leaves what nobody takes away.
 *
 * dead_topic  where the dead letters go
 * Errors: as esp_log_cut_back() and esp_log_bounds(), ESP_ENOMEM.
 */
enum esp_status score_positions_cut_back(struct score_positions *positions,
                                         const struct config *config, struct esp_log *log,
                                         const char *dead_topic, struct esp_error *err);

/* The topic has n partitions now; new ones have not begun. Errors: ESP_ENOMEM. */
enum esp_status score_positions_grow(struct score_positions *positions, size_t n,
                                     struct esp_error *err);

/* Where a reader whose records up to the partition's next one were scored stands. */
void score_positions_note(struct score_positions *positions, size_t partition,
                          const struct esp_log_reader *reader);

/* Writes them, once all scores before them are safe. Errors: ESP_EIO, ESP_ENOMEM. */
enum esp_status score_positions_save(const struct score_positions *positions,
                                     struct esp_error *err);
void score_positions_release(struct score_positions *positions);

#endif
