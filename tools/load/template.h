/*
 * template.h - a field's source: a column's name, or a text with columns in it.
 *
 *     click_time               the column of that name
 *     {date} {hour:02d}:00:00  texts and columns; :0Nd pads a number with zeros to N digits
 *     td{row:06d}              row: the row's number, from 0 in the order of the input
 *     a{{b}}                   the text a{b}
 */
#ifndef ESP_LOAD_TEMPLATE_H
#define ESP_LOAD_TEMPLATE_H

#include "columns.h"
#include "core/buf.h"

struct load_part;

/* { 0 } is empty. */
struct load_template {
    struct load_part *parts; /* owned */
    size_t n, capacity;
};

/*
 * Parses size bytes of text and adds its columns. Without a brace the text is a column's name.
 * Errors: ESP_ECONFIG (a brace without its partner, a format that is none), ESP_ENOMEM.
 */
enum esp_status load_template_parse(struct load_template *tmpl, const char *text, size_t size,
                                    struct load_columns *columns, struct esp_error *err);
void load_template_release(struct load_template *tmpl);

/*
 * Fills it in from a row. *out is borrowed from the row or from scratch. A column alone gives its
 * value as it is; any other text is not there (data == NULL) if one of its columns is empty.
 * Errors: ESP_ELIMIT (scratch is full), ESP_ENOMEM.
 */
enum esp_status load_template_fill(const struct load_template *tmpl, const struct load_row *row,
                                   struct esp_buf *scratch, struct esp_bytes *out,
                                   struct esp_error *err);

#endif
