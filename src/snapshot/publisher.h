/*
 * publisher.h - makes snapshots' files known: on a compacted topic, or in a folder.
 *
 * On a topic a model's chunks are in partition 1 + hash(model) mod (n - 1), manifests in partition
 * 0. A manifest is written when all of its chunks are acknowledged; retiring tombstones the
 * manifest first, then its chunks. So whoever reads partition 0 never sees a snapshot whose chunks
 * were not written, and a publisher that is killed anywhere leaves no more than chunks that no
 * manifest names: the next publisher of the model tombstones or overwrites them.
 *
 * In a folder a snapshot is a file MODEL-RUN-NUMBER.safetensors that appears by a rename.
 *
 * A publisher is used from one thread at a time. It may be killed, and started again with the same
 * files, at any moment. Two publishers of one model at once write the same files, which is what
 * `run` promises, but one that is ahead may tombstone chunks that the other is still writing: that
 * snapshot is then refused by followers, who keep the one before until the next.
 */
#ifndef ESP_SNAPSHOT_PUBLISHER_H
#define ESP_SNAPSHOT_PUBLISHER_H

#include "snapshot/live_set.h"
#include "snapshot/partition_read.h"

struct esp_publisher;

enum { ESP_KEEP_AT_LEAST = 2 };

struct esp_publisher_config {
    struct esp_log *log; /* Kafka; no other reader of the topic may be open on it; NULL: a folder */
    const char *place;   /* the topic, or the folder (made if it is missing) */
    size_t keep;         /* snapshots of a run and model that stay, >= ESP_KEEP_AT_LEAST */
    size_t chunk_bytes;  /* 0: ESP_CHUNK_BYTES */
    struct esp_patience patience;
};

/* A file to publish. Everything is borrowed for the call. */
struct esp_publication {
    const char *path;
    struct esp_snapshot_id id;
    int64_t boundary_us;
    int64_t created_us;                    /* the wall clock, for the manifest alone */
    uint64_t size, checksum;               /* of the file, esp_hash() */
    const char *manifest_json;             /* as in the file */
    const struct esp_input_offset *inputs; /* (n_inputs) */
    size_t n_inputs;
    const struct esp_rewind_offset *rewinds; /* (n_rewinds) */
    size_t n_rewinds;
};

enum esp_publish_result {
    ESP_PUBLISHED,
    ESP_PUBLISHED_BEFORE, /* these very bytes are live already */
    ESP_PUBLISH_OUTDATED, /* as many newer ones as are kept are live: it would be retired at once */
    ESP_PUBLISH_STOPPED,  /* told to stop before it was live; publish it again later */
};

struct esp_publisher_stats {
    uint64_t published, before, outdated;
    uint64_t retired;
    uint64_t chunks, bytes; /* written */
    uint64_t orphans;       /* chunks of earlier lives that were tombstoned, or files removed */
    struct esp_manifest_counts manifests; /* that were read, with what was passed over */
};

/*
 * Opens a place and reads what is live there.
 * Errors: ESP_ECONFIG (no such topic, fewer than 2 partitions; cannot be a folder), ESP_EBROKER,
 *         ESP_EIO, ESP_EINVAL (keep), ESP_ENOMEM.
 */
enum esp_status esp_publisher_new(const struct esp_publisher_config *config,
                                  struct esp_publisher **out, struct esp_error *err);

/* What is under way is abandoned. NULL is fine. */
void esp_publisher_free(struct esp_publisher *publisher);

/*
 * Publishes one file and retires what is then too old of its run and model. Returns when
 * everything is acknowledged, or it was told to stop. After a failure it may be called again.
 *
 * Errors: ESP_EDATA (the number is live with other bytes; the file is not what size and checksum
 *         say, nothing of it is seen then), ESP_EIO, ESP_EBROKER, ESP_EINVAL (the identity),
 *         ESP_ENOMEM.
 */
enum esp_status esp_publisher_publish(struct esp_publisher *publisher,
                                      const struct esp_publication *publication,
                                      enum esp_publish_result *out, struct esp_error *err);

/*
 * Takes a snapshot away for good: on a topic its manifest first, then its chunks.
 *
 * *stopped  told to stop: it may still be live, or have left chunks; call again
 * Errors: ESP_EDATA (it is not there), ESP_EIO, ESP_EBROKER, ESP_ENOMEM.
 */
enum esp_status esp_publisher_retire(struct esp_publisher *publisher,
                                     const struct esp_snapshot_id *id, bool *stopped,
                                     struct esp_error *err);

void esp_publisher_stats(const struct esp_publisher *publisher, struct esp_publisher_stats *out);

/* The partition of a model's chunks. n_partitions >= 2. */
uint32_t esp_chunk_partition(const char *model, size_t n_partitions);

#endif
