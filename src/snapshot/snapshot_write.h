/* snapshot_write.h - writes what a model has learned as one file. */
#ifndef ESP_SNAPSHOT_SNAPSHOT_WRITE_H
#define ESP_SNAPSHOT_SNAPSHOT_WRITE_H

#include "core/archive.h"
#include "model/parameters.h"
#include "snapshot/manifest.h"
#include "snapshot/safetensors.h"

#define ESP_REST_TENSOR "resume.learner"

/* What its maker needs beyond the parameters to learn on; opaque here. archive() is called twice,
 * first for the length, and writes the same bytes. */
struct esp_snapshot_rest {
    void (*archive)(struct esp_archive *archive, void *context);
    void *context;
};

/*
 * Writes a snapshot under a temporary name beside path, then renames it: whoever opens path sees
 * the whole file or none. Not fsynced: who publishes it, or names it in a checkpoint, does that.
 *
 *     TENSOR NAMES OF THE NETWORK   F32 (n_out, n_in) or (n_out)
 *     embedding.T.keys              U64 (capacity)   open addressing, 0: empty; see model/lookup.h
 *     embedding.T.row_of            U32 (capacity)   the row of each slot
 *     embedding.T.rows              F32 or BF16 (n_rows, D)
 *     features.state                U8 (bytes)       esp_features_state()
 *
 * T counts the set-up's towers from 0. Equal weights give equal bytes.
 *
 * With a rest, and only then, one more tensor stands at the end:
 *
 *     resume.learner                U8 (bytes)       what rest->archive() writes
 *
 * manifest   its checksum is computed here; statistics must be set
 * row_dtype  ESP_DTYPE_F32 or ESP_DTYPE_BF16 (rounded to nearest, ties to even)
 * rest       NULL: none
 * out_bytes  the file's size; may be NULL
 * On failure nothing stands under path that did not before.
 * Errors: ESP_EIO (with the path), ESP_ENOMEM, ESP_EINVAL.
 */
enum esp_status esp_snapshot_write_with(const char *path, const struct esp_manifest *manifest,
                                        const struct esp_parameters *parameters,
                                        enum esp_dtype row_dtype,
                                        const struct esp_snapshot_rest *rest, uint64_t *out_bytes,
                                        struct esp_error *err);

/* The same without a rest. */
enum esp_status esp_snapshot_write(const char *path, const struct esp_manifest *manifest,
                                   const struct esp_parameters *parameters,
                                   enum esp_dtype row_dtype, uint64_t *out_bytes,
                                   struct esp_error *err);

#endif
