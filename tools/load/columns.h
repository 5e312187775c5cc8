/*
 * columns.h - which columns of the input the mapping wants, by name; a row's values stand in the
 * same order.
 */
#ifndef ESP_LOAD_COLUMNS_H
#define ESP_LOAD_COLUMNS_H

#include "core/bytes.h"
#include "core/status.h"

/* { 0 } is empty. */
struct load_columns {
    char **names; /* (n) owned */
    size_t n, capacity;
};

/* The number of a column, added if it is new. Errors: ESP_ENOMEM. */
enum esp_status load_columns_add(struct load_columns *columns, const char *name, size_t size,
                                 size_t *out, struct esp_error *err);
void load_columns_release(struct load_columns *columns);

/* A row: data == NULL is a value that is not there (JSON's null, or no such member). */
struct load_row {
    uint64_t number;                /* 0-based, of data rows in the order of the input */
    uint64_t line;                  /* where it begins, for messages */
    const struct esp_bytes *values; /* (columns), borrowed until the next row */
};

#endif
