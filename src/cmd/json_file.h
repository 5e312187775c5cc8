/* json_file.h - a JSON object as a file, written whole or not at all. */
#ifndef ESP_CMD_JSON_FILE_H
#define ESP_CMD_JSON_FILE_H

#include <jansson.h>
#include <stdbool.h>

#include "core/status.h"

/*
 * Writes the object under a temporary name beside path and renames it.
 *
 * what     the file, for messages: "--summary s.json"
 * durable  it is on the disk before the rename
 * Errors: ESP_EIO; what stood under path is untouched then.
 */
enum esp_status json_file_write(const char *path, const json_t *root, bool durable,
                                const char *what, struct esp_error *err);

#endif
