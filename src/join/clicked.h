/*
 * clicked.h - what can still change about an impression with a click: 24 bytes, found through its
 * slot in the index of ids.
 *
 * Records in the ring never change, so an impression whose click has come but whose click stage
 * has not passed has its t_c here, and one whose install counts has its t_z here.
 */
#ifndef ESP_JOIN_CLICKED_H
#define ESP_JOIN_CLICKED_H

#include <stddef.h>
#include <stdint.h>

#include "core/archive.h"
#include "core/status.h"

struct esp_clicked {
    uint32_t ref;       /* the impression's record; 0: this entry is free */
    uint32_t next_free; /* if free; 0: last */
    int64_t click_us;
    int64_t install_us; /* ESP_TIME_NONE: no install counts yet */
};

/* { 0 } is empty. Entries are named by index, 1 and up; pointers hold until the next take. */
struct esp_clicked_table {
    struct esp_clicked *entries;
    size_t n, capacity; /* n: ever used, entry 0 included */
    uint32_t first_free;
    size_t n_used;
};

void esp_clicked_table_release(struct esp_clicked_table *table);

/* Errors: ESP_ENOMEM. */
enum esp_status esp_clicked_take(struct esp_clicked_table *table, struct esp_clicked value,
                                 uint32_t *out, struct esp_error *err);

void esp_clicked_give(struct esp_clicked_table *table, uint32_t index);

/* The table in a checkpoint; reading fills one that is { 0 }. Its free entries are sound then;
 * what the others say is left to the caller to check. */
void esp_clicked_table_archive(struct esp_archive *archive, struct esp_clicked_table *table);

#endif
