/*
 * rows.h - the rows of a CSV file or of JSON lines, as the values of the wanted columns.
 */
#ifndef ESP_LOAD_ROWS_H
#define ESP_LOAD_ROWS_H

#include <stdio.h>

#include "columns.h"

enum load_format { LOAD_FORMAT_UNKNOWN, LOAD_CSV, LOAD_JSON_LINES };

struct load_rows;

/*
 * Begins to read; CSV: its header line, in which all columns must stand.
 *
 * input    borrowed
 * name     of the input, for messages; borrowed
 * columns  borrowed; a column of JSON lines is a member, or a path of members: "app.bundle"
 * Errors: ESP_ECONFIG (a column that the header does not have, with the nearest that it has),
 *         ESP_EDATA (no header), ESP_EIO, ESP_ENOMEM.
 */
enum esp_status load_rows_new(FILE *input, const char *name, enum load_format format,
                              char delimiter, const struct load_columns *columns,
                              struct load_rows **out, struct esp_error *err);
void load_rows_free(struct load_rows *rows);

enum load_rows_result { LOAD_ROW, LOAD_END, LOAD_BAD_ROW, LOAD_FAILED };

/*
 * Reads the next row.
 *
 * *out  set for LOAD_ROW; for LOAD_BAD_ROW its number and line
 * LOAD_BAD_ROW: err says what is wrong with this row; LOAD_FAILED: why reading cannot go on
 * (ESP_EIO, ESP_ENOMEM).
 */
enum load_rows_result load_rows_next(struct load_rows *rows, struct load_row *out,
                                     struct esp_error *err);

#endif
