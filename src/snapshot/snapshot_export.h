/* snapshot_export.h - a snapshot without what only we need, for other tools. */
#ifndef ESP_SNAPSHOT_SNAPSHOT_EXPORT_H
#define ESP_SNAPSHOT_SNAPSHOT_EXPORT_H

#include "snapshot/snapshot.h"

/*
 * Writes one plain safetensors file, whole or not at all:
 *
 *     TENSOR NAMES OF THE NETWORK   F32, as in the snapshot
 *     embedding.T.keys              U64 (n)     the keys that have a row, ascending
 *     embedding.T.rows              F32 (n, D)  their rows, in the same order
 *
 * No pads, no index, no free rows; __metadata__ has the manifest as espalier.snapshot. Equal
 * snapshots give equal bytes.
 * Errors: ESP_EIO, ESP_ENOMEM, ESP_ELIMIT.
 */
enum esp_status esp_snapshot_export(const struct esp_snapshot *snapshot, const char *path,
                                    struct esp_error *err);

#endif
