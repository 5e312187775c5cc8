/*
 * orphans.h - chunks on a topic that no live manifest names: what is left of a publication that was
 * broken off, or of a retirement that was.
 */
#ifndef ESP_SNAPSHOT_ORPHANS_H
#define ESP_SNAPSHOT_ORPHANS_H

#include "snapshot/live_set.h"
#include "snapshot/partition_read.h"

/* A snapshot that is not live, and which of its chunks are there. */
struct esp_orphan {
    struct esp_snapshot_id id;
    uint8_t *bits; /* owned; a bit a chunk */
    size_t n_bytes;
};

/* { 0 } is empty. */
struct esp_orphans {
    struct esp_orphan *items; /* owned */
    size_t n, capacity;
};

/*
 * Reads a partition's keys and notes the chunks of one run and model whose snapshots are not live
 * and have a number below. (One of that number and above is about to be written again, or another
 * publisher is about to write it.) Long stretches that a live manifest names are not read.
 *
 * *stopped  told to stop: what was found is not all
 * Errors: as esp_partition_read(), ESP_ENOMEM.
 */
enum esp_status esp_orphans_find(struct esp_orphans *orphans, struct esp_log *log,
                                 const char *topic, int32_t partition,
                                 const struct esp_live_set *live,
                                 const struct esp_snapshot_id *below,
                                 const struct esp_patience *patience, bool *stopped,
                                 struct esp_error *err);

/* Calls for each chunk until one fails. */
enum esp_status esp_orphans_each(const struct esp_orphans *orphans,
                                 enum esp_status (*call)(void *context,
                                                         const struct esp_snapshot_id *id,
                                                         int32_t index, struct esp_error *err),
                                 void *context, struct esp_error *err);

void esp_orphans_release(struct esp_orphans *orphans);

#endif
