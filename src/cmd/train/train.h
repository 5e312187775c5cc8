/*
 * train.h - all that a run of `espalier train` owns, built in order and released in reverse.
 */
#ifndef ESP_CMD_TRAIN_TRAIN_H
#define ESP_CMD_TRAIN_TRAIN_H

#include "cmd/run/long_run.h"
#include "cmd/train/ingest.h"
#include "cmd/train/learning.h"
#include "cmd/train/lost_state.h"
#include "cmd/train/publishing.h"
#include "cmd/train/recovery.h"
#include "cmd/train/train_pages.h"

enum { TRAIN_BATCHES = 8 /* of examples between the threads */ };

/* { 0 } can be released. */
struct train {
    const struct run_arguments *arguments;
    struct config config;
    struct esp_state_folder *folder; /* NULL: nothing is kept there */
    char *state_text, *build;        /* what the state depends on, and the program that makes it */
    struct recovery recovery;
    struct lost_state lost;
    struct inputs inputs;
    struct run run;
    struct train_pages pages;
    struct esp_queue *full, *empty;
    struct esp_example_batch batches[TRAIN_BATCHES];
    struct outputs ingest_outputs, learning_outputs; /* one a thread */
    struct fences checkpoint_fences;                 /* of both, at the last standstill */
    struct learning learning;
    struct publishing publishing;
    struct join_store store;
    struct ingest ingest;
    struct checkpoints checkpoints;
};

/* Reads the configuration, opens the input, makes the stages. Errors: what each of these may say.
 */
enum esp_status train_build(struct train *train, struct esp_error *err);
void train_release(struct train *train);

#endif
