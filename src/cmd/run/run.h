/*
 * run.h - what the threads of one training run share: the status that is shown, the first failure,
 * and the wish to stop.
 *
 *     ingest thread                      learning thread
 *     read, decode, join, sample  -->    features, learners, examples    (esp_queue of batches)
 *                                  <--   (the emptied batches)
 *                                        | snapshots
 *     publishing thread: chunks, manifest  <--   (publishing.h)
 *     main thread: signals, display, summary
 *
 * The ingest thread owns readers, decoders, joiner and the outputs of what is turned away; the
 * learning thread owns features, learners and the output of examples. They share the decoders'
 * writers (immutable once handed over) and this struct.
 */
#ifndef ESP_CMD_RUN_RUN_H
#define ESP_CMD_RUN_RUN_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "cmd/config/config.h"
#include "cmd/run/barrier.h"
#include "cmd/run/crossings.h"
#include "cmd/run/pulse.h"
#include "core/status.h"
#include "drift/drift.h"
#include "event/own_records.h"
#include "join/joiner.h"
#include "learn/learner.h"

/* What the ingest thread last said of itself. */
struct ingest_status {
    struct esp_join_counters counters[ESP_N_EVENT_KINDS];
    struct esp_joiner_usage usage;
    int64_t watermark_us;                   /* ESP_TIME_NONE, or ESP_TIME_END once time has ended */
    uint64_t bytes;                         /* of records read */
    size_t n_partitions[ESP_N_EVENT_KINDS]; /* 0: the input is not read */
    uint64_t damaged_files, skipped_bytes;
    uint64_t gap_records;                /* that the log no longer had */
    uint64_t labels_before;              /* read again, and learned by a run before: passed over */
    uint64_t labels[3];                  /* by enum esp_stage */
    uint64_t kept, sampled_out, holdout; /* click-stage labels */
    size_t n_idle, n_paused;
    bool is_ready; /* records were read, or every partition's end was confirmed */
    bool is_over;  /* time has ended, and every label that there was is handed over */
};

/* A model's snapshots. */
struct snapshot_status {
    char run[CONFIG_RUN_SIZE];
    uint64_t n_taken, n_bytes;
    int64_t newest_us; /* boundary; ESP_TIME_NONE: none yet */
    uint64_t n_published;
    uint64_t n_outdated; /* not published: newer ones would have retired it at once */
    uint64_t n_refused; /* for their content, or a place that cannot be written to; each was said */
    uint64_t n_given_up; /* because the run was told to stop */
};

/* The run's checkpoints. */
struct checkpoint_status {
    bool is_writing;
    uint64_t n_written, n_failed; /* by this process */
    uint64_t number, bytes;       /* of the newest */
    int64_t written_us;           /* wall clock; 0: none yet */
    int64_t watermark_us;         /* W of the newest */
    int64_t write_us, pause_us;   /* how long it took, how long training stood still for it */
    int64_t pause_us_sum, most_pause_us, most_write_us; /* of all of this process */
};

/* What the learning thread, and for publishing its own, last said of itself. */
struct learn_status {
    struct esp_learner_report *models; /* (config->n_models) */
    struct snapshot_status *snapshots; /* (config->n_models) */
    struct esp_drift_usage drift;      /* 0 where it is off */
    uint64_t drift_records;            /* written */
    uint64_t examples;                 /* handed over, all stages */
    uint64_t examples_written;
};

/* Threads whose pulse is watched. */
enum run_thread { RUN_INGEST, RUN_LEARNING, RUN_PUBLISHING, N_RUN_THREADS };

/* Where the ingest thread is in each input partition: the next record. */
struct run_positions {
    struct esp_input_offset *items; /* (n) owned; topics are the configuration's */
    size_t n, capacity;
};

struct run {
    const struct config *config;
    atomic_bool stop; /* somebody wants an end: leave at the next batch */
    struct pulse pulses[N_RUN_THREADS];
    struct barrier barrier;     /* where ingest brings learning to a standstill */
    struct crossings crossings; /* has a lock of its own */

    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t ended; /* n_running became 0 */
    int n_running;
    struct ingest_status ingest;
    struct run_positions positions;
    struct learn_status learn;
    struct checkpoint_status checkpoints;
    struct esp_error failure; /* the first one */
};

/* Errors: ESP_ENOMEM. */
enum esp_status run_init(struct run *run, const struct config *config, struct esp_error *err);
void run_release(struct run *run);

/* Notes the first failure, logs a later one, and asks everybody to stop. From any thread. */
void run_fail(struct run *run, const struct esp_error *err);

/* So many threads are about to start. */
void run_threads_start(struct run *run, int n);

/* A thread's last act. */
void run_thread_ended(struct run *run);

/* Waits until all threads have ended, at most timeout_us. True if they have. */
bool run_wait(struct run *run, int64_t timeout_us);

/* What is published, copied under the lock so that it can be written at leisure. */
struct run_view {
    struct ingest_status ingest;
    struct esp_learner_report *models; /* (config->n_models), owned; { 0 } before the first */
    struct snapshot_status *snapshots; /* the same */
    struct esp_drift_usage drift;
    uint64_t drift_records;
    uint64_t examples, examples_written;
    struct checkpoint_status checkpoints;
    bool has_ended; /* all threads have */
};

/* Errors: ESP_ENOMEM. */
enum esp_status run_look(struct run *run, struct run_view *out, struct esp_error *err);
void run_view_release(struct run_view *view);

/* The pulse of one of the run's threads: see pulse.h. */
void run_beat(struct run *run, enum run_thread thread);
void run_waits(struct run *run, enum run_thread thread);

/* Microseconds of the monotonic clock: for idleness and rates, never for what is learned. */
int64_t run_clock_us(void);

/* Microseconds of the wall clock since 1970: for people, and fields named created_at. */
int64_t run_wall_us(void);

#endif
