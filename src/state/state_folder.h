/*
 * state_folder.h - the folder that a process keeps its state in, locked against a second process.
 *
 * A lock is a file of its own, so that processes with different purposes can share a folder: each
 * holds the lock of its purpose. It is held until the folder is closed AND no child that was forked
 * meanwhile lives on: a child inherits the descriptor that the lock hangs on.
 */
#ifndef ESP_STATE_STATE_FOLDER_H
#define ESP_STATE_STATE_FOLDER_H

#include "core/status.h"

/* The lock of `espalier train`. */
#define ESP_STATE_LOCK "lock"

struct esp_state_folder;

/*
 * Makes the folder where it is missing (not its parents), sees that it can be written to, and takes
 * the lock. Where another process holds it, this one waits two seconds before it gives up: the
 * child of a process that was killed may take that long to follow it.
 *
 * lock  the name of the lock's file in the folder: ESP_STATE_LOCK, or another for another purpose.
 *       The file stays when the lock is released
 * Errors: ESP_ECONFIG (in use: the line names the folder, the other process and the mend), ESP_EIO,
 * ESP_ENOMEM; *out is NULL then.
 */
enum esp_status esp_state_folder_open(const char *path, const char *lock,
                                      struct esp_state_folder **out, struct esp_error *err);
void esp_state_folder_close(struct esp_state_folder *folder);

/* The folder's own path, lent until it is closed. */
const char *esp_state_folder_root(const struct esp_state_folder *folder);

/* FOLDER/NAME, a new allocation; NULL: out of memory. */
char *esp_state_folder_path(const struct esp_state_folder *folder, const char *name);

/* Makes FOLDER/NAME, a folder; one that is there is fine. Errors: ESP_EIO, ESP_ENOMEM. */
enum esp_status esp_state_folder_make(const struct esp_state_folder *folder, const char *name,
                                      struct esp_error *err);

#endif
