/*
 * rewinds.h - where the inputs are read again from by a run that begins with a snapshot: one point
 * a partition.
 */
#ifndef ESP_CMD_RUN_REWINDS_H
#define ESP_CMD_RUN_REWINDS_H

#include "cmd/config/config.h"
#include "core/archive.h"
#include "event/own_records.h"

/* { 0 }: not known. */
struct rewinds {
    struct esp_rewind_offset *items; /* (n) owned; topics are the configuration's */
    size_t n;
};

void rewinds_release(struct rewinds *rewinds);

/* Errors: ESP_ENOMEM; *to is empty then. */
enum esp_status rewinds_copy(const struct rewinds *from, struct rewinds *to, struct esp_error *err);

/* Reading fills an empty one. */
void rewinds_archive(struct esp_archive *archive, struct rewinds *rewinds,
                     const struct config *config);

#endif
