/*
 * ladder.h - the ages at which models are measured, and which snapshots that takes.
 *
 * Ages count windows: on the window [B, B + h) age a is the snapshot of boundary B - a h. Ages from
 * `sparse_from` up are measured at every sparse-th window alone (those whose number, B / h, it
 * divides), so that of the old snapshots only every sparse-th must be kept.
 */
#ifndef ESP_DRIFT_LADDER_H
#define ESP_DRIFT_LADDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/status.h"

enum { ESP_MAX_AGES = 16, ESP_MAX_AGE = 100000 };

struct esp_ladder {
    int64_t window_us; /* h > 0 */
    size_t n_ages;
    uint32_t ages[ESP_MAX_AGES];  /* ascending, the first is 0 */
    uint32_t sparse_from, sparse; /* sparse 1: every age at every window */
};

/* Errors: ESP_ECONFIG (one line: ages that do not ascend from 0, or too many, or out of range). */
enum esp_status esp_ladder_validate(const struct esp_ladder *ladder, struct esp_error *err);

/* The number of the window that holds a time: floor(time / h). */
int64_t esp_ladder_window(const struct esp_ladder *ladder, int64_t time_us);

/* True if the window measures that age (an index of ages). */
bool esp_ladder_measures(const struct esp_ladder *ladder, int64_t window, size_t age);

/*
 * True if a window of number first_window or later measures an age whose boundary is in [from, to):
 * whether the snapshot that stands for these boundaries is still needed.
 */
bool esp_ladder_needs(const struct esp_ladder *ladder, int64_t first_window, int64_t from_us,
                      int64_t to_us);

#endif
