/* grid.c - see grid.h. */
#include "cmd/run/grid.h"

#include <stdlib.h>
#include <string.h>

#include "core/buf.h"

void grid_init(struct grid *grid, const char *const *head, size_t n_left)
{
    *grid = (struct grid){.n_left = n_left};
    while (head[grid->n_columns] != NULL && grid->n_columns < GRID_MAX_COLUMNS)
        grid->n_columns++;
    for (size_t c = 0; c < grid->n_columns; c++)
        grid_add(grid, head[c]);
}

void grid_add(struct grid *grid, const char *text)
{
    char *copy = NULL;
    if (grid->status == ESP_OK)
        grid->status = esp_array_grow((void **)&grid->cells, &grid->capacity, grid->n_cells + 1,
                                      sizeof *grid->cells, NULL);
    if (grid->status == ESP_OK && (copy = strdup(text)) == NULL)
        grid->status = ESP_ENOMEM;
    if (copy != NULL)
        grid->cells[grid->n_cells++] = copy;
}

/* Characters of UTF-8 text: bytes that do not continue one. */
static size_t text_width(const char *text)
{
    size_t n = 0;
    for (; *text != '\0'; text++)
        n += ((unsigned char)*text & 0xc0) != 0x80;
    return n;
}

static void print_cell(const struct grid *grid, size_t column, const char *text, size_t width,
                       FILE *out)
{
    int padding = (int)(width - text_width(text));
    bool is_left = column < grid->n_left, is_last = column + 1 == grid->n_columns;
    if (is_left)
        fprintf(out, "%s%*s", text, is_last ? 0 : padding, "");
    else
        fprintf(out, "%*s%s", padding, "", text);
    fputs(is_last ? "\n" : "  ", out);
}

enum esp_status grid_print(struct grid *grid, FILE *out, struct esp_error *err)
{
    size_t width[GRID_MAX_COLUMNS] = {0};
    enum esp_status status = grid->status;
    for (size_t i = 0; i < grid->n_cells; i++) {
        size_t one = text_width(grid->cells[i]), c = i % grid->n_columns;
        width[c] = one > width[c] ? one : width[c];
    }
    for (size_t i = 0; i < grid->n_cells; i++) {
        if (status == ESP_OK)
            print_cell(grid, i % grid->n_columns, grid->cells[i], width[i % grid->n_columns], out);
        free(grid->cells[i]);
    }
    free(grid->cells);
    *grid = (struct grid){0};
    return status == ESP_OK ? ESP_OK : esp_fail(err, status, "out of memory for a table");
}
