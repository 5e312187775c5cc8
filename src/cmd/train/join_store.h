/*
 * join_store.h - the files that the join pages to and checkpoints name: who lends the folder, who
 * sweeps it, and what is said when it cannot be written to.
 *
 * A checkpoint and these files, by the calls of checkpoints.c:
 *
 *     standstill   esp_joiner_before_save()      what is sealed may be named from here on
 *     child        esp_joiner_store_segments()   it is on files, before the sections that name it
 *     committed    join_store_saved()            it need not be written again; what only older
 *                                                checkpoints named is swept
 */
#ifndef ESP_CMD_TRAIN_JOIN_STORE_H
#define ESP_CMD_TRAIN_JOIN_STORE_H

#include "cmd/run/seldom.h"
#include "join/joiner.h"
#include "state/segments.h"
#include "state/state_folder.h"

/* The section of a checkpoint that lists the files which the joiner's section names. */
#define JOIN_STORE_SECTION "segments"

/* { 0 } can be released. Used by the ingest thread, once that runs. */
struct join_store {
    struct esp_segments *segments;
    struct seldom failed;
    uint64_t n_failures; /* of paging, that were seen */
    bool over_was_said;
};

/*
 * Opens [state] folder for the join, and makes nothing there.
 *
 * has_checkpoints  the folder is locked, and its files may be named
 * Errors: ESP_EIO, ESP_ENOMEM, ESP_EINVAL.
 */
enum esp_status join_store_open(struct join_store *store, const char *state_folder,
                                bool has_checkpoints, struct esp_error *err);

/* After the joiner is freed. */
void join_store_release(struct join_store *store);

/* Lent to the joiner. */
const struct esp_segment_store *join_store_lend(const struct join_store *store);

/* Says, seldom, what hinders the joiner to stay below join.memory. */
void join_store_watch(struct join_store *store, const struct esp_joiner *joiner,
                      const struct esp_joiner_usage *usage);

/* Removes what neither the joiner uses nor a kept checkpoint names: at start, under the lock, once
 * the joiner has its state. Logs what fails. */
void join_store_sweep(struct join_store *store, const struct esp_state_folder *folder,
                      const struct esp_joiner *joiner);

/* Checkpoint `number` has its name, and those that it made superfluous are gone. Logs what fails:
 * the next checkpoint makes up for it. */
void join_store_saved(struct join_store *store, const struct esp_state_folder *folder,
                      uint64_t number, struct esp_joiner *joiner);

/* The section, both ways; what is read is held for nothing but its form. */
void join_store_archive(struct esp_archive *archive, const struct esp_joiner *joiner);

#endif
