/*
 * snapshots.h - the models' snapshots on the learning thread: when they are taken, the files that
 * drift still needs, and their way to the publisher.
 *
 * A boundary is a multiple of snapshot.every. It is crossed by the first label that is due at or
 * after it; what was due before is then learned, and nothing else. A model that has learned nothing
 * since its last snapshot gets none: the last one stands for the boundaries up to the next. A
 * model of which a set-up's first labels are still to come has none at all.
 *
 * Files stay as long as a window may be scored by them, of this run or of one that begins again at
 * the oldest checkpoint that is kept. A checkpoint names files by number; those taken after it are
 * taken again by the run that begins there, with the same bytes.
 */
#ifndef ESP_CMD_TRAIN_SNAPSHOTS_H
#define ESP_CMD_TRAIN_SNAPSHOTS_H

#include <stdatomic.h>

#include "cmd/config/config.h"
#include "cmd/run/run.h"
#include "core/archive.h"
#include "learn/learner.h"
#include "snapshot/snapshot.h"

/* What the second name of a file that is to be published ends with: see publishing.h. */
#define SNAPSHOTS_TO_PUBLISH ".publish"

/* A file that stands for the boundaries [from, until) of its model. */
struct snapshot_file {
    int64_t from_us, until_us; /* until ESP_TIME_END: the newest */
    char *path;                /* owned */
    bool is_known;             /* was opened and found sound */
};

struct model_snapshots {
    char run[CONFIG_RUN_SIZE];
    struct snapshot_file *files; /* (n) oldest first */
    size_t n, capacity;
    uint64_t n_steps;    /* of the model when the newest was taken */
    uint64_t statistics; /* hash of the features' then */
    uint64_t n_taken, n_bytes;
    int64_t newest_us; /* boundary; ESP_TIME_NONE: none yet */
};

/* Takes a finished file, which stays where it is until the ladder needs it no more. */
typedef enum esp_status snapshot_taker(void *context, size_t model, int64_t number,
                                       const char *path, struct esp_error *err);

struct snapshots {
    const struct config *config;    /* borrowed */
    char *folder;                   /* of the files: [state] folder/snapshots */
    struct model_snapshots *models; /* (config->n_models) */
    int64_t next_us;   /* the boundary that is crossed next; ESP_TIME_NONE: no label came */
    uint64_t *schemas; /* (n_schemas) fingerprints of impressions that were learned, ascending */
    size_t n_schemas, schema_capacity;
    const struct esp_writer *last_writer; /* whose fingerprint is among them */
    snapshot_taker *taker;                /* NULL: nobody publishes */
    void *taker_context;
    _Atomic int64_t keep_from; /* windows from it on may be scored by a run that begins at a
                                  checkpoint; INT64_MAX: there is no checkpoint */
    int64_t *saved; /* (n_saved) first windows of this process's checkpoints that are kept, oldest
                       first, of the thread that makes them; NULL: none are made */
    size_t n_saved;
};

/* Makes the folder in the state folder, whose lock the caller holds: two runs would remove each
 * other's files. Errors: ESP_EIO, ESP_ENOMEM. */
enum esp_status snapshots_init(struct snapshots *snapshots, const struct config *config,
                               struct esp_error *err);

/* Removes the files, unless there are checkpoints, which may need them. */
void snapshots_release(struct snapshots *snapshots);

/* Removes what killed runs left and this one does not name: call once, before the first snapshot
 * is taken, after snapshots_archive() has read if it does. What waits to be published is not
 * touched: publishing_start() looks after that. */
void snapshots_tidy(const struct snapshots *snapshots);

/* The file of a snapshot, to be free()d; NULL: out of memory. */
char *snapshots_path(const struct snapshots *snapshots, size_t model, int64_t number);

/*
 * A model has just gone on from a snapshot that another run of this configuration left: the ladder
 * begins with it, and its like is not taken again.
 *
 * path      of the file in the folder, as snapshots_path() names it
 * features  as the snapshot has filled them
 * Errors: ESP_ENOMEM.
 */
enum esp_status snapshots_adopt(struct snapshots *snapshots, size_t model, const char *path,
                                const struct esp_snapshot *snapshot,
                                const struct esp_learner *learner,
                                const struct esp_features *features, struct esp_error *err);

/* True if a label that is due then crosses a boundary: snapshots_take() comes before it. */
bool snapshots_due(struct snapshots *snapshots, int64_t due_us);

/*
 * Takes snapshots of all models, whose batches were closed, at the boundary that due_us crosses.
 *
 * features  as the models' batches were made with
 * Errors: ESP_EIO, ESP_ENOMEM, the taker's.
 */
enum esp_status snapshots_take(struct snapshots *snapshots, struct esp_learner *const *learners,
                               const struct esp_features *features, int64_t due_us,
                               struct esp_error *err);

/* Time has ended: everything before the next boundary is learned, so it is crossed. */
enum esp_status snapshots_finish(struct snapshots *snapshots, struct esp_learner *const *learners,
                                 const struct esp_features *features, struct esp_error *err);

/* Notes whose impressions are learned. Errors: ESP_ENOMEM. */
enum esp_status snapshots_note_writer(struct snapshots *snapshots, const struct esp_writer *writer,
                                      struct esp_error *err);

/* Opens the snapshot that stands for a boundary; *out NULL: there is none. For drift's config. */
enum esp_status snapshots_open(void *snapshots, size_t model, int64_t boundary_us,
                               struct esp_snapshot **out, struct esp_error *err);

/* Fills what is known here of a model's snapshots; the rest stays. */
void snapshots_report(const struct snapshots *snapshots, size_t model, struct snapshot_status *out);

/* Removes the files that windows from first_window on do not need, nor those from keep_from on. */
void snapshots_forget(struct snapshots *snapshots, int64_t first_window);

/* ---- checkpoints ----------------------------------------------------------------------------- */

/*
 * What is known of the files; what the next snapshot depends on; schemas.
 *
 * first_window  writing: of drift, as snapshots_forget() is told; reading: not looked at
 * Reading: a file that windows of the checkpoint need and that is not there is ESP_EIO, with its
 * path. Call before drift's, which opens some.
 */
void snapshots_archive(struct esp_archive *archive, struct snapshots *snapshots,
                       int64_t first_window);

/*
 * A checkpoint was made visible, and one more than [state] keep would be there is removed: what
 * none of those that are left needs may go from now on. Until there are that many of this process
 * all files stay. From one thread, any.
 *
 * first_window  of drift when the checkpoint was begun, as snapshots_archive() had it
 */
void snapshots_saved(struct snapshots *snapshots, int64_t first_window);

/* Puts all files, those to publish too, and their names on the disk: comes before a checkpoint that
 * was written is made visible. From any thread; reads nothing but the folder. Errors: ESP_EIO. */
enum esp_status snapshots_sync(const struct snapshots *snapshots, struct esp_error *err);

#endif
