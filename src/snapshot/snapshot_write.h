/* snapshot_write.h - writes what a model has learned as one file. */
#ifndef ESP_SNAPSHOT_SNAPSHOT_WRITE_H
#define ESP_SNAPSHOT_SNAPSHOT_WRITE_H

#include "model/parameters.h"
#include "snapshot/manifest.h"
#include "snapshot/safetensors.h"

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
 * manifest   its checksum is computed here; statistics must be set
 * row_dtype  ESP_DTYPE_F32 or ESP_DTYPE_BF16 (rounded to nearest, ties to even)
 * out_bytes  the file's size; may be NULL
 * On failure nothing stands under path that did not before.
 * Errors: ESP_EIO (with the path), ESP_ENOMEM, ESP_EINVAL.
 */
enum esp_status esp_snapshot_write(const char *path, const struct esp_manifest *manifest,
                                   const struct esp_parameters *parameters,
                                   enum esp_dtype row_dtype, uint64_t *out_bytes,
                                   struct esp_error *err);

#endif
