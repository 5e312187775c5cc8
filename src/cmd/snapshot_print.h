/* snapshot_print.h - what `espalier snapshot` prints to stdout. */
#ifndef ESP_CMD_SNAPSHOT_PRINT_H
#define ESP_CMD_SNAPSHOT_PRINT_H

#include "snapshot/follower.h"
#include "snapshot/snapshot.h"

/* A line each under a heading. */
void snapshot_print_table(const struct esp_live_snapshot *const *live, size_t n);

/* An array of objects. Errors: ESP_ENOMEM, ESP_EIO. */
enum esp_status snapshot_print_json(const struct esp_live_snapshot *const *live, size_t n,
                                    struct esp_error *err);

/* The manifest, where to read again from as `live` (or NULL) has it, and the tensors. Errors:
 * ESP_ENOMEM, ESP_EIO. */
enum esp_status snapshot_print_content(const struct esp_snapshot *snapshot,
                                       const struct esp_live_snapshot *live, bool as_json,
                                       struct esp_error *err);

/* why  NULL: it is sound */
void snapshot_print_verdict(const struct esp_snapshot_id *id, const char *why);

#endif
