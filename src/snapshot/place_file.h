/* place_file.h - puts a whole file under a name at once, and makes folders. */
#ifndef ESP_SNAPSHOT_PLACE_FILE_H
#define ESP_SNAPSHOT_PLACE_FILE_H

#include <stdbool.h>
#include <stddef.h>

#include "core/status.h"

/* What stands under FOLDER/.NAME.tmp until it is renamed to FOLDER/NAME. */
#define ESP_PLACE_SUFFIX ".tmp"

/* Writes FOLDER/.NAME.tmp for FOLDER/NAME. Errors: ESP_EIO (too long). */
enum esp_status esp_place_hidden(const char *path, char *hidden, size_t size,
                                 struct esp_error *err);

/* Renames a hidden file that is written and fsynced to its name, and fsyncs the folder. */
enum esp_status esp_place_show(const char *hidden, const char *path, struct esp_error *err);

/*
 * Makes `to` a copy of `from`, on the disk and whole or not at all. An older `to` gives way.
 *
 * may_link  it may be another name of the same file, which nobody will change
 * Errors: ESP_EIO, ESP_ENOMEM.
 */
enum esp_status esp_place_file(const char *from, const char *to, bool may_link,
                               struct esp_error *err);

/* Makes a folder whose parent is there; one that is there is fine. Errors: ESP_ECONFIG. */
enum esp_status esp_make_folder(const char *path, struct esp_error *err);

#endif
