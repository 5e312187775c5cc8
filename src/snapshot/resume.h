/*
 * resume.h - learning on from a snapshot, where nothing else of the one who took it is left.
 *
 * A snapshot holds the weights, and with snapshot.resume = on also the rest that its learner needs
 * to go on as if nothing had happened. docs/snapshot-files.md says what restarts without.
 */
#ifndef ESP_SNAPSHOT_RESUME_H
#define ESP_SNAPSHOT_RESUME_H

#include "learn/learner.h"
#include "snapshot/manifest.h"
#include "snapshot/snapshot.h"

/*
 * Writes a snapshot of a learner from which learning goes on to the bit; after a flush. Rows are
 * F32. Otherwise, and in its errors, as esp_snapshot_write().
 */
enum esp_status esp_resume_write(const char *path, const struct esp_manifest *manifest,
                                 struct esp_learner *learner, uint64_t *out_bytes,
                                 struct esp_error *err);

/* True if the snapshot was written by esp_resume_write(). */
bool esp_resume_is_whole(const struct esp_snapshot *snapshot);

/* What restarts when learning goes on from the snapshot: part of a sentence, "progressive
 * validation" and the like. Static. */
const char *esp_resume_restarts(const struct esp_snapshot *snapshot);

/* Whose snapshot it must be, and where its labels go on. */
struct esp_resume_of {
    const char *run, *model;
    int64_t click_window_us; /* progressive validation begins at the boundary less this */
};

/*
 * Makes a new learner, and the feature statistics, go on from a snapshot of a learner of the same
 * configuration. The caller has checked the file's checksum, and feeds the labels that are due at
 * the boundary or later.
 *
 * features  of the same list; NULL: another model's snapshot of the same boundary has filled them
 * After a failure learner and features may only be freed.
 * Errors: ESP_EDATA (of another run, model, shape or feature list; damaged: one line), ESP_ENOMEM.
 */
enum esp_status esp_resume(const struct esp_snapshot *snapshot, const struct esp_resume_of *of,
                           struct esp_learner *learner, struct esp_features *features,
                           struct esp_error *err);

#endif
