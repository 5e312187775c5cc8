/*
 * snapshot.h - a snapshot's file, mapped and read in place.
 *
 * Whatever stands in the file, opening it never reads outside of it nor loops for ever: the header
 * is checked as safetensors.h says, the manifest against the tensors, and the index of every table
 * as a whole (once, of files that are known). Nothing is ever written; any number of threads may
 * read.
 */
#ifndef ESP_SNAPSHOT_SNAPSHOT_H
#define ESP_SNAPSHOT_SNAPSHOT_H

#include "model/forward.h"
#include "snapshot/manifest.h"
#include "snapshot/safetensors.h"

struct esp_snapshot;

enum esp_snapshot_check {
    ESP_SNAPSHOT_STRUCTURE, /* all but the checksum */
    ESP_SNAPSHOT_CHECKSUM,  /* also that the data section is what was written */
    /* A file of this process's own, which it opened before with one of the above, and which nobody
     * has written to since: its indexes are not read again as a whole. */
    ESP_SNAPSHOT_KNOWN,
};

/*
 * Maps a file. The file may be unlinked or replaced by rename afterwards, never truncated.
 * Errors: ESP_EIO (cannot be opened), ESP_EDATA (no sound snapshot: path and reason), ESP_ENOMEM.
 */
enum esp_status esp_snapshot_open(const char *path, enum esp_snapshot_check check,
                                  struct esp_snapshot **out, struct esp_error *err);
void esp_snapshot_close(struct esp_snapshot *snapshot);

const struct esp_manifest *esp_snapshot_manifest(const struct esp_snapshot *snapshot);

/* The manifest's JSON text as it stands in the file, NUL-terminated. */
const char *esp_snapshot_manifest_text(const struct esp_snapshot *snapshot);

/* The tensors of the file. */
const struct esp_file_layout *esp_snapshot_layout(const struct esp_snapshot *snapshot);

/* The content of a tensor of that layout. */
struct esp_bytes esp_snapshot_tensor(const struct esp_snapshot *snapshot,
                                     const struct esp_file_tensor *tensor);

/* The feature list with its statistics: rows are made with learn = false, from any thread, each
 * with a batch of its own. values are those of the manifest's fields, in their order. */
struct esp_features *esp_snapshot_features(const struct esp_snapshot *snapshot);

/* For esp_scorer_score(). Valid as long as the snapshot. */
const struct esp_forward_model *esp_snapshot_model(const struct esp_snapshot *snapshot);

/* Rows of tower t's embedding table, those in no slot included. */
size_t esp_snapshot_n_rows(const struct esp_snapshot *snapshot, size_t t);

/* Bytes that are mapped. */
uint64_t esp_snapshot_bytes(const struct esp_snapshot *snapshot);

/* What a file says of itself, from its head alone. */
struct esp_snapshot_info {
    char run[ESP_RUN_SIZE];
    char model[ESP_MODEL_SIZE];
    int64_t number, boundary_us;
    uint64_t size;       /* of the file */
    uint64_t checksum;   /* of the data section, as the manifest has it */
    char *manifest_json; /* owned; NUL-terminated */
};

/* Reads and checks the head; the data section is not looked at. Errors: as esp_snapshot_open(). */
enum esp_status esp_snapshot_peek(const char *path, struct esp_snapshot_info *out,
                                  struct esp_error *err);
void esp_snapshot_info_release(struct esp_snapshot_info *info);

/* "MODEL-RUN-NUMBER.safetensors", the number with 12 digits, so that names sort by it. */
enum { ESP_SNAPSHOT_NAME_SIZE = ESP_MODEL_SIZE + ESP_RUN_SIZE + 40 };
void esp_snapshot_file_name(const char *model, const char *run, int64_t number,
                            char out[ESP_SNAPSHOT_NAME_SIZE]);

#endif
