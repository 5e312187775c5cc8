/*
 * file_page.h - a page that another program writes: a file, read anew for each request.
 */
#ifndef ESP_SERVE_FILE_PAGE_H
#define ESP_SERVE_FILE_PAGE_H

#include "serve/http.h"

/*
 * An esp_page's render. context is the file's path, const char *.
 *
 * A file that is not there (yet) is answered with 404 and a line. Whoever replaces it should rename
 * a finished one into its place.
 * Errors: ESP_EIO (it cannot be read, or is no regular file), as esp_buf_reserve().
 */
enum esp_status esp_file_page(void *context, struct esp_buf *out, unsigned *code,
                              struct esp_error *err);

#endif
