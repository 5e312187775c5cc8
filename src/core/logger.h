/*
 * logger.h - lines on stderr: `level=info msg="..." key=value`. For commands only; a library
 * returns what it has to say.
 */
#ifndef ESP_CORE_LOGGER_H
#define ESP_CORE_LOGGER_H

#include "core/status.h"

enum esp_level { ESP_DEBUG, ESP_INFO, ESP_WARN, ESP_ERROR };

/* Lines below the level are dropped. The default is ESP_INFO. */
void esp_logger_set_level(enum esp_level level);

/*
 * Called before and after each line is written, with the context, so that a display on the same
 * terminal can step aside. NULL: none. The logger's lock is held during both calls.
 */
void esp_logger_set_hooks(void (*before)(void *), void (*after)(void *), void *context);

/* Runs write with the logger's lock held, so that no line lands in the middle of what it writes to
 * stderr. write must not log. */
void esp_logger_alone(void (*write)(void *), void *context);

/*
 * One line. message is quoted as needed; the rest are pairs of const char * key and value, ended
 * by NULL: esp_log(ESP_INFO, "model is ready", "model", name, "rows", rows_text, NULL).
 * From any thread.
 */
void esp_log(enum esp_level level, const char *message, ...) __attribute__((sentinel));

/* One line whose message is formatted. */
void esp_logf(enum esp_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A line of level error: the error's text, with key status. */
void esp_log_error(const struct esp_error *err);

#endif
