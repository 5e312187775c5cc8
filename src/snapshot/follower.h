/*
 * follower.h - where snapshots come from: a topic, a folder, or one file, behind one interface.
 *
 * On a topic a follower reads the manifests of partition 0 from the start; the last record of a
 * key counts, and a tombstone retires it. It believes a manifest only when all of its chunks are
 * there, each with its checksum, and the whole with its own. In a folder it lists the files that
 * end in .safetensors and are not hidden, and reads their heads.
 *
 * A source is used from one thread at a time.
 */
#ifndef ESP_SNAPSHOT_FOLLOWER_H
#define ESP_SNAPSHOT_FOLLOWER_H

#include "snapshot/live_set.h"
#include "snapshot/partition_read.h"

struct esp_snapshot_source;

struct esp_snapshot_source_config {
    struct esp_log *log; /* Kafka; no other reader of the topic may be open on it; NULL: files */
    const char *place;   /* the topic; a folder, which may come later; or a file */
    const char *cache;   /* a topic's: the folder for what is fetched, this source's alone while it
                            is open; made if it is missing; NULL: only fetch_to() works */
    struct esp_patience patience;
    esp_log_report *report; /* told once of what is passed over; may be NULL */
    void *report_context;
};

/*
 * Errors: ESP_ECONFIG (no such topic; the cache is in use or cannot be made), ESP_EBROKER,
 *         ESP_EIO, ESP_ENOMEM.
 */
enum esp_status esp_snapshot_source_open(const struct esp_snapshot_source_config *config,
                                         struct esp_snapshot_source **out, struct esp_error *err);

/* What was fetched into a cache stays there for the next one. NULL is fine. */
void esp_snapshot_source_free(struct esp_snapshot_source *source);

/*
 * Looks for what came and went. A snapshot that went is removed from the cache; who has mapped it
 * keeps it.
 *
 * timeout_us  of the wait for news; 0: none
 * *changed    the live set is another than before
 * *at_end     all that is there now has been seen; a first list is whole only then
 * Errors: as esp_log_read(), ESP_EIO, ESP_ENOMEM.
 */
enum esp_status esp_snapshot_source_poll(struct esp_snapshot_source *source, int64_t timeout_us,
                                         bool *changed, bool *at_end, struct esp_error *err);

/* All that are live. Valid until the next call of poll(). */
const struct esp_live_set *esp_snapshot_source_live(const struct esp_snapshot_source *source);

/*
 * The newest snapshot of a model that was not refused: the highest number; of several runs that of
 * the run whose newest was made last. NULL: none. Valid until the next call of poll().
 *
 * run  only of this run; NULL: of any
 */
const struct esp_live_snapshot *esp_snapshot_source_newest(const struct esp_snapshot_source *source,
                                                           const char *model, const char *run);

/*
 * Gives the path of a live snapshot's verified file: of a topic the one in the cache, which is
 * reused if its checksum holds; else the file itself.
 *
 * out  to be free()d; NULL: told to stop
 * Errors: ESP_EDATA (not live; chunks missing or wrong; no sound file: the reason; it is counted,
 *         and newest() passes over it from now on), ESP_EIO, ESP_EBROKER, ESP_ENOMEM.
 */
enum esp_status esp_snapshot_source_fetch(struct esp_snapshot_source *source,
                                          const struct esp_snapshot_id *id, char **out,
                                          struct esp_error *err);

/* The same, written to a path of the caller's, whole or not at all. */
enum esp_status esp_snapshot_source_fetch_to(struct esp_snapshot_source *source,
                                             const struct esp_snapshot_id *id, const char *path,
                                             bool *stopped, struct esp_error *err);

struct esp_snapshot_source_stats {
    struct esp_manifest_counts manifests; /* of a topic */
    uint64_t bad_files;                   /* in a folder: passed over, each said once */
    uint64_t fetched, reused;             /* files */
    uint64_t bytes;                       /* fetched */
    uint64_t refused;                     /* snapshots that were not believed */
    uint64_t wrong_chunks; /* that said to be of a snapshot, or could not be read at all */
};
void esp_snapshot_source_stats(const struct esp_snapshot_source *source,
                               struct esp_snapshot_source_stats *out);

#endif
