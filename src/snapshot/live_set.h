/*
 * live_set.h - the snapshots that are there for the taking, and how records of a topic's partition
 * 0 make them come and go.
 */
#ifndef ESP_SNAPSHOT_LIVE_SET_H
#define ESP_SNAPSHOT_LIVE_SET_H

#include "event/own_records.h"
#include "log/log.h"

/* More than so many are taken for a mistake. */
enum { ESP_LIVE_MAX = 65536, ESP_LIVE_MAX_BYTES = 256 << 20 /* of their manifests */ };

/* A snapshot on a topic, or in a file. */
struct esp_live_snapshot {
    /* What is known of it. Of a file: no chunks; created_us is the file's time; checksum is of its
     * data section. */
    struct esp_snapshot_manifest_record manifest;
    void *bytes;      /* owned: what the manifest's texts point into */
    int64_t offset;   /* of the manifest in partition 0; -1: a file */
    char *path;       /* owned; NULL: on a topic */
    uint64_t file[3]; /* a file's inode, size and time of change in ns: the same file if equal */
    bool is_verified; /* a file whose checksums held */
    bool is_refused;  /* it could not be used: see esp_snapshot_source_fetch() */
};

/* In the order of their identities. { 0 } is empty. */
struct esp_live_set {
    struct esp_live_snapshot *items;
    size_t n, capacity;
    size_t n_bytes; /* of the manifests */
};

void esp_live_snapshot_release(struct esp_live_snapshot *live);
void esp_live_set_release(struct esp_live_set *set);

/* NULL: not there. Valid until the set changes. */
struct esp_live_snapshot *esp_live_set_find(const struct esp_live_set *set,
                                            const struct esp_snapshot_id *id);

/*
 * Takes over *live, whose place is by its manifest.id; one of the same identity gives way. *live is
 * empty then. Errors: ESP_ENOMEM, ESP_ELIMIT; *live is as it was.
 */
enum esp_status esp_live_set_put(struct esp_live_set *set, struct esp_live_snapshot *live,
                                 struct esp_error *err);

/* False: it was not there. */
bool esp_live_set_remove(struct esp_live_set *set, const struct esp_snapshot_id *id);

/* The items of one run and model: [*begin, end), ascending by number. Returns end. */
size_t esp_live_set_series(const struct esp_live_set *set, const struct esp_snapshot_id *id,
                           size_t *begin);

/* What partition 0 has held. read is the sum of the others. */
struct esp_manifest_counts {
    uint64_t read;
    uint64_t manifests, tombstones;
    uint64_t unknown_version; /* of another version, or no manifest at all */
    uint64_t malformed;       /* no framing, a broken record, or a key that is not its own */
};

/* What a record of partition 0 did. */
enum esp_manifest_change {
    ESP_MANIFEST_NOTHING, /* passed over, or a tombstone of what was not there */
    ESP_MANIFEST_CAME,
    ESP_MANIFEST_WENT,
};

/*
 * Lets a record of partition 0 change the set. What cannot be read is counted and passed over.
 *
 * id    whose manifest came or went
 * why   gets the reason where a record is passed over, { 0 } else; may be NULL
 * Errors: ESP_ENOMEM, ESP_ELIMIT.
 */
enum esp_status esp_live_set_take(struct esp_live_set *set, const struct esp_own_fingerprints *own,
                                  const struct esp_record *record,
                                  struct esp_manifest_counts *counts, enum esp_manifest_change *out,
                                  struct esp_snapshot_id *id, struct esp_error *why,
                                  struct esp_error *err);

/* The identity that a file's name tells, as esp_snapshot_file_name() makes it; false: none. */
bool esp_snapshot_file_name_parse(const char *name, struct esp_snapshot_id *id);

#endif
