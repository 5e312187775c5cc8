/*
 * lost_state.h - what a training run goes on from when its state folder is lost: the newest
 * snapshots of all its models, and what the join needs, read again.
 *
 * The boundary B is the newest for which every model has a snapshot that stands. Labels due before
 * it are in these; labels due then or later come out as they would have (docs/recovery.md says what
 * that takes), because reading begins where the snapshot's manifest says: see
 * join/partition_rewinds.h. In files, which are kept whole, it begins with the first record.
 */
#ifndef ESP_CMD_TRAIN_LOST_STATE_H
#define ESP_CMD_TRAIN_LOST_STATE_H

#include "cmd/run/rewinds.h"

struct train;

struct lost_state {
    int64_t boundary_us; /* ESP_TIME_NONE: there are no snapshots, the run begins anew */
    int64_t *numbers;    /* (n_models) of the snapshot that stands, whose file is fetched */
    struct rewinds rewinds;
};

/*
 * Looks for snapshots of this run, fetches the chosen ones into the state folder, and puts the
 * inputs where reading begins. After the topics were found and learning was made, before readers
 * are opened. A snapshot that is not sound is said, and passed over.
 * Errors: ESP_EBROKER, ESP_EIO, ESP_ENOMEM.
 */
enum esp_status lost_state_find(struct lost_state *lost, struct train *train,
                                struct esp_error *err);

/*
 * Fills learners, features, ladder and join from what was found; says in one line what restarts.
 * Does nothing where nothing was found. Errors: ESP_EDATA, ESP_EIO, ESP_ENOMEM.
 */
enum esp_status lost_state_resume(const struct lost_state *lost, struct train *train,
                                  struct esp_error *err);

/* { 0 } is fine. */
void lost_state_release(struct lost_state *lost);

#endif
