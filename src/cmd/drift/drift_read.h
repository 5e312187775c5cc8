/*
 * drift_read.h - reads a drift topic to its end.
 */
#ifndef ESP_CMD_DRIFT_DRIFT_READ_H
#define ESP_CMD_DRIFT_DRIFT_READ_H

#include "cmd/drift/drift_store.h"
#include "log/log.h"

/* What was read, and what was passed over, each for one reason. */
struct drift_counts {
    uint64_t records;         /* in the log, tombstones among them */
    uint64_t unknown_records; /* of a version that is not known */
    uint64_t unknown_files;   /* containers of another schema: their records are not among those */
    uint64_t malformed;       /* impossible records, each reported */
    uint64_t damaged_files;   /* others that could not be read whole; the log has reported them */
    struct esp_error unknown; /* the first record of an unknown version */
};

/*
 * Fills an empty store from every partition of the topic, up to its end of the moment.
 *
 * Records that cannot be used are counted; the first of each kind is in a line on stderr.
 * Errors: ESP_ECONFIG (no such topic), as esp_log_read() and drift_store_put().
 */
enum esp_status drift_read(struct esp_log *log, const char *topic, struct drift_store *store,
                           struct drift_counts *counts, struct esp_error *err);

#endif
