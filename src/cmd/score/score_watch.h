/*
 * score_watch.h - the thread that looks for snapshots, fetches, checks and opens them, and hands
 * them over.
 *
 * Of each model it takes the snapshot with the largest number of the run that was published to
 * last. It goes back neither to a smaller number of the same run nor to an older run, so that old
 * snapshots may retire. What cannot be used is refused once, and counted.
 */
#ifndef ESP_CMD_SCORE_SCORE_WATCH_H
#define ESP_CMD_SCORE_SCORE_WATCH_H

#include "cmd/run/run.h"
#include "cmd/score/score_models.h"
#include "snapshot/follower.h"

struct score_watch_config {
    const char *path; /* a file or a folder; NULL: the topic of the configuration */
    bool follow;      /* wait for a topic that does not exist yet */
    size_t n_workers; /* threads that score */
};

/* The snapshot of a model that was last tried. */
struct score_choice {
    struct esp_snapshot_id id;
    int64_t created_us;
    uint64_t size, checksum;
};

struct score_watch {
    struct score_watch_config config;
    struct run *run;                    /* borrowed */
    struct score_models *models;        /* borrowed */
    char *place, *cache;                /* owned */
    struct esp_log *log;                /* owned: of the topic; NULL: files */
    struct esp_snapshot_source *source; /* owned; NULL: not open yet */
    struct score_choice choices[SCORE_MAX_MODELS];
    size_t n_choices;
    bool is_behind;   /* something is to be looked at again */
    int64_t said_us;  /* when a failure was last said */
    atomic_bool stop; /* the scoring thread has ended */

    struct esp_snapshot_source_stats shown; /* under the run's lock */
    int64_t fetch_us;                       /* under the run's lock: of the last fetch and open */
};

/*
 * Opens nothing that could fail for want of a broker.
 * Errors: ESP_ECONFIG, ESP_ENOMEM. { 0 } and a half-built one can be released.
 */
enum esp_status score_watch_init(struct score_watch *watch, const struct score_watch_config *config,
                                 struct run *run, struct score_models *models,
                                 struct esp_error *err);
void score_watch_release(struct score_watch *watch);

/* Where snapshots come from, for people. */
const char *score_watch_place(const struct score_watch *watch);

/* The thread: until the run stops or score_watch_stop(). */
void *score_watch_main(void *watch);
void score_watch_stop(struct score_watch *watch);

#endif
