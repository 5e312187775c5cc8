/*
 * fences.h - what had been appended to several writers up to some moment: one fence a writer (see
 * log.h, esp_log_fence()).
 */
#ifndef ESP_CMD_RUN_FENCES_H
#define ESP_CMD_RUN_FENCES_H

#include <stdbool.h>
#include <stddef.h>

#include "core/status.h"
#include "log/log.h"

struct fence {
    struct esp_log_writer *writer; /* borrowed */
    uint64_t number;
};

/* { 0 }: of none, and settled. */
struct fences {
    struct fence *items; /* (n) owned */
    size_t n, capacity;
};

void fences_release(struct fences *fences);

/* Adds one behind all that was appended to a writer. With the appending thread, or while it stands.
 * Errors: as esp_log_fence(). */
enum esp_status fences_add(struct fences *fences, struct esp_log_writer *writer,
                           struct esp_error *err);

/* Errors: ESP_ENOMEM; *to is empty then. */
enum esp_status fences_copy(const struct fences *from, struct fences *to, struct esp_error *err);

/* Whether all of it is acknowledged, or on disk. Errors: as esp_log_settled(). */
enum esp_status fences_settled(const struct fences *fences, bool *out_done, struct esp_error *err);

#endif
