/*
 * where.h - which rows are taken: `yes=1,browser!=Firefox` are conditions that must all hold;
 * several such lists are alternatives.
 */
#ifndef ESP_LOAD_WHERE_H
#define ESP_LOAD_WHERE_H

#include "columns.h"

struct load_condition;

/* { 0 } takes every row. */
struct load_where {
    struct load_condition *conditions; /* owned; of all alternatives */
    size_t n, capacity;
    size_t n_alternatives;
};

/* Adds an alternative and its columns. Errors: ESP_ECONFIG, ESP_ENOMEM. */
enum esp_status load_where_add(struct load_where *where, const char *text,
                               struct load_columns *columns, struct esp_error *err);
void load_where_release(struct load_where *where);

bool load_where_takes(const struct load_where *where, const struct load_row *row);

#endif
