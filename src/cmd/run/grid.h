/* grid.h - a table of texts on the terminal, its columns as wide as they must be. */
#ifndef ESP_CMD_RUN_GRID_H
#define ESP_CMD_RUN_GRID_H

#include <stdio.h>

#include "core/status.h"

enum { GRID_MAX_COLUMNS = 16 };

struct grid {
    size_t n_columns, n_cells, capacity;
    char **cells;           /* (n_cells) row by row, the head first; owned */
    size_t n_left;          /* so many columns from the left are names, the others numbers */
    enum esp_status status; /* of the first cell that failed: nothing is printed then */
};

/* Begins a table whose head are these texts, ended by NULL. */
void grid_init(struct grid *grid, const char *const *head, size_t n_left);

/* The next cell; rows fill from the left. */
void grid_add(struct grid *grid, const char *text);

/* Prints what was added, two blanks between columns, and empties the grid. Errors: ESP_ENOMEM. */
enum esp_status grid_print(struct grid *grid, FILE *out, struct esp_error *err);

#endif
