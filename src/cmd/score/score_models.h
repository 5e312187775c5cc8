/*
 * score_models.h - the models of a scoring run: the snapshot of each that is in use, and the one
 * that waits to be.
 *
 *     watcher thread                            scoring thread
 *     opened  -->  waiting (at most one a       in use: taken between two batches, so that a batch
 *                  model; a newer one replaces  is scored with one snapshot of each model
 *                  it)
 *     closed  <--  retired                <--   what it replaced, or a list that does not fit
 *
 * Opening, checksums and closing are the watcher's, so that a swap costs the scoring thread the
 * exchange of a pointer and, where the list of fields is new, a plan for it.
 *
 * INVARIANTS
 *  (1) A snapshot is in exactly one of: the watcher's hands, waiting, in use, retired.
 *  (2) Snapshots in use that read the same fields share one struct score_fields.
 */
#ifndef ESP_CMD_SCORE_SCORE_MODELS_H
#define ESP_CMD_SCORE_SCORE_MODELS_H

#include <pthread.h>

#include "core/settings.h"
#include "event/fields.h"
#include "model/scorer.h"
#include "snapshot/snapshot.h"

enum { SCORE_MAX_MODELS = 64 };

/* A list of fields that snapshots in use read. */
struct score_fields {
    struct esp_fields *fields; /* owned */
    size_t n;
    size_t n_prepared; /* writers below this have their plan */
    bool is_checked;   /* against a schema */
};

/* A snapshot with the workspaces of all threads. */
struct score_snapshot {
    struct esp_snapshot *snapshot;           /* owned, as the workspaces are */
    const struct esp_manifest *manifest;     /* its */
    const struct esp_forward_model *forward; /* its */
    struct esp_scorer **scorers;             /* (n_workers) */
    struct esp_feature_batch *batches;       /* (n_workers) */
    size_t n_workers;
    size_t fields;               /* scoring thread: index of its list, while it is in use */
    struct score_snapshot *next; /* while retired */
};

struct score_model {
    char name[ESP_MODEL_SIZE];
    struct score_snapshot *in_use; /* scoring thread's */
    uint64_t n_scores;             /* scoring thread's: written, over all snapshots */

    /* Under the lock. */
    struct score_snapshot *waiting;
    char run[ESP_RUN_SIZE]; /* of the snapshot in use, "" before the first */
    int64_t number, boundary_us;
    uint64_t n_taken, n_refused;
    struct esp_error refusal; /* the last one */
};

struct score_models {
    pthread_mutex_t lock;
    pthread_cond_t changed; /* something waits, was refused, or a look has ended; monotonic */
    uint64_t n_looks;       /* under the lock: whole looks at the source */
    struct score_model list[SCORE_MAX_MODELS]; /* in the order of their names */
    size_t n;                                  /* under the lock; grows in the watcher alone */
    struct score_snapshot *retired;            /* under the lock */

    /* Scoring thread's. */
    struct score_snapshot *active[SCORE_MAX_MODELS]; /* in use, in the order of names */
    struct score_model *active_models[SCORE_MAX_MODELS];
    size_t n_active;
    struct score_fields fields[SCORE_MAX_MODELS + 1]; /* those in use, and one to try */
    size_t n_fields;
};

void score_models_init(struct score_models *models);
/* No thread is left. */
void score_models_release(struct score_models *models);

/* What is shown of a model. */
struct score_model_view {
    char name[ESP_MODEL_SIZE], run[ESP_RUN_SIZE]; /* run "": it has no snapshot in use */
    int64_t number, boundary_us;
    uint64_t n_taken, n_refused;
};

/* Copies what is shown of all models. From any thread. Returns how many there are. */
size_t score_models_look(struct score_models *models,
                         struct score_model_view views[SCORE_MAX_MODELS]);

/* ---- watcher --------------------------------------------------------------------------------- */

/*
 * Opens a file for n_workers threads.
 * Errors: as esp_snapshot_open().
 */
enum esp_status score_snapshot_open(const char *path, size_t n_workers, struct score_snapshot **out,
                                    struct esp_error *err);
void score_snapshot_close(struct score_snapshot *snapshot); /* NULL is fine */

/*
 * Lets a snapshot wait for its turn; takes it over.
 * Errors: ESP_ELIMIT (more models than SCORE_MAX_MODELS); the snapshot is closed then.
 */
enum esp_status score_models_offer(struct score_models *models, struct score_snapshot *snapshot,
                                   struct esp_error *err);

/* Counts and says that a snapshot of this model cannot be used; what is in use stays. From any
 * thread. which  "run R, snapshot N" or a path */
void score_models_refuse(struct score_models *models, const char *name, const char *which,
                         const struct esp_error *why);

/* A look at the source has ended: whatever it had is waiting or refused. */
void score_models_looked(struct score_models *models);

/* Closes what the scoring thread no longer needs. */
void score_models_close_retired(struct score_models *models);

/* ---- scoring thread -------------------------------------------------------------------------- */

/* How far the models are before the first batch. */
enum score_readiness {
    SCORE_UNKNOWN,   /* the source was not looked at yet */
    SCORE_NOT_READY, /* none can be used, or one of the list has neither come nor been refused */
    SCORE_READY,
};

/* Waits at most timeout_us for SCORE_READY, and less if anything changes. names: those that must
 * be there; an empty list: any. */
enum score_readiness score_models_wait(struct score_models *models,
                                       const struct esp_setting_list *names, int64_t timeout_us);

/*
 * Between two batches: puts to use what waits, as far as the impressions have the fields that it
 * reads. Errors: ESP_ENOMEM. A snapshot that does not fit is refused and no error.
 */
enum esp_status score_models_take(struct score_models *models, const struct esp_decoder *decoder,
                                  struct esp_error *err);

/*
 * Compiles plans for writers that are new since the last batch; a list that could not be checked
 * before is checked now, and snapshots that it does not fit are refused.
 * Errors: ESP_ENOMEM, ESP_ESCHEMA.
 */
enum esp_status score_models_meet_writers(struct score_models *models,
                                          const struct esp_decoder *decoder, struct esp_error *err);

/* The reason of the first refusal, { 0 } if there was none. From any thread. */
struct esp_error score_models_refusal(struct score_models *models);

#endif
