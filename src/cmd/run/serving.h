/*
 * serving.h - the HTTP server as [serve] configures it, for any command: it brings its own table of
 * pages.
 */
#ifndef ESP_CMD_RUN_SERVING_H
#define ESP_CMD_RUN_SERVING_H

#include "cmd/config/config.h"
#include "cmd/run/pulse.h"
#include "serve/http.h"

/* Can [serve] be used? Binds nothing. Errors: ESP_ECONFIG (the line names the key). */
enum esp_status serving_check(const struct config *config, struct esp_error *err);

/*
 * Starts the server and says where, or leaves *out NULL where serve.port is 0.
 *
 * pages  borrowed until esp_http_stop(*out)
 * Errors: as serving_check(), ESP_EIO (the port is taken: the line names the key), ESP_ENOMEM.
 */
enum esp_status serving_start(const struct config *config, const struct esp_page *pages,
                              size_t n_pages, struct esp_http **out, struct esp_error *err);

/*
 * The body of /healthz: "ok", or a line for each thread that has not gone round for
 * serve.stall_after, and 503. now_us is monotonic. Errors: as esp_buf_append().
 */
enum esp_status serving_health(const struct config *config, const struct pulse *pulses,
                               size_t n_pulses, int64_t now_us, struct esp_buf *out, unsigned *code,
                               struct esp_error *err);

#endif
