/*
 * learning.h - the thread that turns examples into features and lets every model learn from them.
 */
#ifndef ESP_CMD_TRAIN_LEARNING_H
#define ESP_CMD_TRAIN_LEARNING_H

#include "cmd/run/run.h"
#include "cmd/topics/outputs.h"
#include "cmd/train/measuring.h"
#include "cmd/train/snapshots.h"
#include "core/archive.h"
#include "core/pool.h"
#include "core/queue.h"
#include "feature/features.h"
#include "learn/learner.h"
#include "sample/example.h"

struct learning {
    struct run *run;                /* borrowed, as the next two are */
    struct outputs *outputs;        /* of examples */
    struct esp_queue *full, *empty; /* of struct esp_example_batch */

    struct esp_pool *pool; /* NULL: one thread */
    struct esp_features *features;
    struct esp_learner **learners; /* (config->n_models) */
    struct esp_feature_batch rows;
    struct esp_value *values; /* (config->n_feature_paths) */
    struct esp_value_scratch scratch;
    struct snapshots snapshots;
    struct measuring measuring;
    struct learn_status status; /* its models point to run->learn's */
    int64_t published_us;
    bool is_over; /* time has ended, and all that follows from it is done */
};

/* Builds features and learners. Errors: ESP_ECONFIG, ESP_EIO, ESP_ENOMEM. learning must not move
 * afterwards. */
enum esp_status learning_init(struct learning *learning, struct run *run, struct outputs *outputs,
                              struct esp_queue *full, struct esp_queue *empty,
                              struct esp_error *err);
void learning_release(struct learning *learning);

/* True if a model learns at ESP_STAGE_WHOLE. */
bool learning_needs_whole(const struct learning *learning);

/* What was counted, into a checkpoint and back. At a standstill. */
void learning_archive(struct esp_archive *archive, struct learning *learning);

/* The thread: runs until `full` is closed and empty, or something fails; then closes `empty`. */
void *learning_main(void *learning);

#endif
