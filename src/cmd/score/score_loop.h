/*
 * score_loop.h - the thread that reads impressions, scores them with the snapshots in use and
 * writes the scores.
 *
 *     watcher thread              scoring thread
 *     poll, fetch, open    -->    take snapshots; read a batch of one partition; decode; score on
 *     close                <--    all cores; write in the order of the partition; note positions
 *     main thread: signals, display, summary
 */
#ifndef ESP_CMD_SCORE_SCORE_LOOP_H
#define ESP_CMD_SCORE_SCORE_LOOP_H

#include "cmd/run/run.h"
#include "cmd/score/score_batch.h"
#include "cmd/score/score_models.h"
#include "cmd/score/score_positions.h"
#include "cmd/topics/inputs.h"
#include "cmd/topics/outputs.h"
#include "core/hash.h"

/* The threads whose pulses are watched; they are the run's first ones. */
enum { SCORE_SCORING, SCORE_WATCHING, N_SCORE_THREADS };

/* What the scoring thread last said of itself. read is scored and dead. */
struct score_status {
    uint64_t read, scored, dead;
    uint64_t dead_by_reason[ESP_N_REJECTS];
    uint64_t records; /* written: one an impression and model */
    uint64_t bytes;   /* of records read */
    uint64_t damaged_files, skipped_bytes;
    int64_t time_us; /* the largest event time that was scored; ESP_TIME_NONE: none */
    bool is_waiting; /* for a first snapshot */
    bool has_begun;  /* the wait is over */
};

struct score_loop_config {
    bool follow;
    size_t read_batch;                     /* records a read; changes the speed, not the result */
    const struct esp_setting_list *models; /* that must be there; empty: any */
    const char *source;                    /* where snapshots come from, for messages */
};

struct score_partition {
    struct esp_log_reader *reader; /* owned; NULL once it has ended */
    struct esp_hasher *hasher;     /* owned: of the records of all its scores */
    struct esp_log_reader_stats stats;
};

struct score_loop {
    struct score_loop_config config;
    struct run *run; /* borrowed, as the next three are */
    struct inputs *inputs;
    struct score_models *models;
    struct outputs *outputs;       /* of dead letters */
    struct esp_log_writer *writer; /* owned: of scores */
    struct score_batch batch;
    struct score_positions positions;
    struct score_partition *partitions; /* (n_partitions) */
    size_t n_partitions, n_open, partition_capacity;
    size_t next;                        /* whose turn it is */
    size_t n_fruitless;                 /* reads since one gave a record */
    struct esp_record *records;         /* (read_batch) */
    struct esp_header *headers;         /* (read_batch) */
    const struct esp_header **accepted; /* (read_batch) */
    struct score_status status;
    int64_t published_us, saved_us;
    int64_t looked_us;   /* when partitions were last counted */
    bool called_off;     /* the run stopped while the last batch waited for a schema */
    bool has_lost;       /* a flush has failed: positions are saved no more */
    uint64_t saved_read; /* status.read when positions were last saved */

    struct score_status shown; /* under the run's lock */
};

/*
 * Opens readers where the last run ended, and the output. Inputs whose topics were found.
 * pool  borrowed; may be NULL
 * Errors: ESP_ECONFIG, ESP_EDATA, ESP_EIO, ESP_EBROKER, ESP_ENOMEM. { 0 } and a half-built one can
 * be released.
 */
enum esp_status score_loop_init(struct score_loop *loop, const struct score_loop_config *config,
                                struct run *run, struct inputs *inputs, struct score_models *models,
                                struct outputs *outputs, struct esp_pool *pool,
                                struct esp_error *err);
void score_loop_release(struct score_loop *loop);

/*
 * While following: now and then looks for partitions that the topic has gained, and opens them from
 * their first record. Errors: as esp_log_reader_new(), ESP_ENOMEM.
 */
enum esp_status score_loop_look_for_partitions(struct score_loop *loop, int64_t now_us,
                                               struct esp_error *err);

/* The thread: runs until the input ends, the run stops or something fails. */
void *score_loop_main(void *loop);

/* A hash of all scores in the order of the partitions, after the thread has ended: equal for equal
 * scores, wherever they were written. */
uint64_t score_loop_hash(const struct score_loop *loop);

#endif
