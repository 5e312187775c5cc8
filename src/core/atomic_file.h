/*
 * atomic_file.h - a file that is there is whole: it is written beside its place, as
 * FOLDER/.NAME.tmp, brought to the disk, and renamed. And the folders that such files stand in.
 *
 *     struct esp_atomic_file file;
 *     enum esp_status status = esp_atomic_file_open(&file, path, err);
 *     if (status == ESP_OK)
 *         status = esp_atomic_file_write(&file, bytes, n, err);
 *     return esp_atomic_file_close(&file, status, err);
 *
 * Files are made for their owner to write and their group to read, folders likewise; the umask may
 * take more away. Two writers of one path must not be at work at once: they would share the hidden
 * file.
 */
#ifndef ESP_CORE_ATOMIC_FILE_H
#define ESP_CORE_ATOMIC_FILE_H

#include <stdbool.h>
#include <stddef.h>

#include "core/status.h"

enum { ESP_FILE_MODE = 0640, ESP_FOLDER_MODE = 0750 };

/* What a hidden file's name ends with. */
#define ESP_HIDDEN_SUFFIX ".tmp"

/* { .fd = -1 } may be closed. */
struct esp_atomic_file {
    int fd;       /* of the hidden file: callers may read it, write to it and seek */
    char *path;   /* where it will stand; owned */
    char *hidden; /* where it is written; owned */
};

/* Makes the hidden file anew, empty. On failure nothing needs to be closed, but may be.
 * Errors: ESP_EIO, ESP_ENOMEM. */
enum esp_status esp_atomic_file_open(struct esp_atomic_file *file, const char *path,
                                     struct esp_error *err);

/* Writes all n bytes. Errors: ESP_EIO. */
enum esp_status esp_atomic_file_write(struct esp_atomic_file *file, const void *bytes, size_t n,
                                      struct esp_error *err);

/*
 * Ends a file either way. If status is ESP_OK: fsync, rename to its path, fsync of the folder.
 * Otherwise, and if one of these fails, the hidden file is removed and what stood under the path
 * is as it was (but for a folder whose fsync failed: the new file stands there, perhaps not for
 * good). Returns status, or the failure of closing: ESP_EIO.
 */
enum esp_status esp_atomic_file_close(struct esp_atomic_file *file, enum esp_status status,
                                      struct esp_error *err);

/* All of the above for bytes at hand. Errors: ESP_EIO, ESP_ENOMEM. */
enum esp_status esp_atomic_file_save(const char *path, const void *bytes, size_t n,
                                     struct esp_error *err);

/*
 * Makes path another name of the file `from`, or where that cannot be (or may_link is false) a copy
 * of it, whole or not at all; an older file under path gives way.
 *
 * may_link  both may be one file, for nobody will change it
 * Errors: ESP_EIO, ESP_ENOMEM.
 */
enum esp_status esp_atomic_file_copy(const char *from, const char *path, bool may_link,
                                     struct esp_error *err);

/* FOLDER/.NAME.tmp of FOLDER/NAME, a new allocation; NULL: out of memory. */
char *esp_hidden_path(const char *path);

/* Renames a file that is whole and on the disk, and brings the folder to the disk. Errors: ESP_EIO,
 * ESP_ENOMEM. */
enum esp_status esp_file_rename(const char *from, const char *path, struct esp_error *err);

/* Writes all n bytes to a descriptor, from wherever it stands; false: errno says why. */
bool esp_fd_write(int fd, const void *bytes, size_t n);

/*
 * Makes a folder whose parent is there; one that is there is fine.
 *
 * setting  what names it, for the message: "[state] folder"; NULL: nothing does
 * Errors: ESP_EIO (it cannot be made or is no folder, the line says why).
 */
enum esp_status esp_folder_make(const char *path, const char *setting, struct esp_error *err);

/* What was made, renamed and removed in a folder is on the disk. Errors: ESP_EIO. */
enum esp_status esp_folder_sync(const char *path, struct esp_error *err);

#endif
