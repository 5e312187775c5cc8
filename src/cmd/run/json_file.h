/* json_file.h - a JSON object as a file, written whole or not at all. */
#ifndef ESP_CMD_RUN_JSON_FILE_H
#define ESP_CMD_RUN_JSON_FILE_H

#include <jansson.h>

#include "core/status.h"

/*
 * Writes the object as a file, durably (core/atomic_file.h).
 *
 * option  what named the path, for messages: "--summary"; NULL: nothing did
 * Errors: ESP_EIO, ESP_ENOMEM; what stood under path is untouched then.
 */
enum esp_status json_file_write(const char *path, const json_t *root, const char *option,
                                struct esp_error *err);

#endif
