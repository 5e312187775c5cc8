/*
 * ingest.h - the thread that reads, decodes, joins and samples, and hands examples over.
 */
#ifndef ESP_CMD_TRAIN_INGEST_H
#define ESP_CMD_TRAIN_INGEST_H

#include "cmd/run/run.h"
#include "cmd/topics/inputs.h"
#include "cmd/topics/outputs.h"
#include "cmd/train/checkpoints.h"
#include "cmd/train/join_store.h"
#include "core/archive.h"
#include "core/queue.h"
#include "join/intake.h"
#include "sample/example.h"

struct ingest_config {
    bool follow;
    bool whole;               /* a model learns at ESP_STAGE_WHOLE */
    size_t read_batch;        /* records a read; changes the speed, not the result */
    struct join_store *store; /* borrowed: where the join may page to */
};

struct ingest {
    struct ingest_config config;
    struct run *run; /* borrowed, as the next four are */
    struct inputs *inputs;
    struct outputs *outputs;         /* of events turned away */
    struct esp_queue *full, *empty;  /* of struct esp_example_batch */
    struct checkpoints *checkpoints; /* set before it starts; NULL: none */

    struct esp_sampler_config sampler;
    struct esp_joiner *joiner;
    struct esp_intake *intake;
    struct esp_record *records;      /* (read_batch) */
    struct esp_header *headers;      /* (read_batch) */
    struct esp_label *labels;        /* (LABELS_A_CALL) */
    struct esp_example_batch *batch; /* the one being filled */
    struct ingest_status status;     /* published now and then */
    int64_t learned_before_us; /* labels due before are in the snapshot that the run began with;
                                  INT64_MIN: it began with none */
    int64_t published_us, committed_us, looked_us;
    bool called_off; /* the run stopped while a schema was waited for: the last batch is not read */
};

/*
 * Builds joiner and intake for inputs whose topics were found. Errors: ESP_EINVAL, ESP_ENOMEM.
 * ingest must not move afterwards: the joiner asks it about whole labels.
 */
enum esp_status ingest_init(struct ingest *ingest, const struct ingest_config *config,
                            struct run *run, struct inputs *inputs, struct outputs *outputs,
                            struct esp_queue *full, struct esp_queue *empty, struct esp_error *err);
void ingest_release(struct ingest *ingest);

/* Joiner, intake and what was counted, into a checkpoint and back. At a standstill. */
void ingest_archive(struct esp_archive *archive, struct ingest *ingest);

/* The thread: runs until the input ends, the run stops or something fails; then closes `full`. */
void *ingest_main(void *ingest);

#endif
