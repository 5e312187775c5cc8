/*
 * html.h - plain pages for people: text with its special characters escaped, and the frame that
 * index pages share.
 */
#ifndef ESP_SERVE_HTML_H
#define ESP_SERVE_HTML_H

#include "serve/http.h"

#define ESP_HTML_TYPE "text/html; charset=utf-8"

/* Text as it is / with &, <, >, " and ' escaped. Errors: as esp_buf_append(). */
enum esp_status esp_html_raw(struct esp_buf *out, const char *text, struct esp_error *err);
enum esp_status esp_html_text(struct esp_buf *out, const char *text, struct esp_error *err);

/* One row of the index: a name and what it is now. */
struct esp_index_row {
    const char *name, *value;
};

/*
 * The index page: a heading, rows as a table, and a link to every page with a title.
 * Errors: as esp_buf_append().
 */
enum esp_status esp_html_index(struct esp_buf *out, const char *heading,
                               const struct esp_index_row *rows, size_t n_rows,
                               const struct esp_page *pages, size_t n_pages, struct esp_error *err);

#endif
