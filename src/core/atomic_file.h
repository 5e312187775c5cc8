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
 * take more away. Of two writers of one path, in whatever processes, the second waits until the
 * first has closed its file; then it replaces it.
 */
#ifndef ESP_CORE_ATOMIC_FILE_H
#define ESP_CORE_ATOMIC_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "core/status.h"

enum { ESP_FILE_MODE = 0640, ESP_FOLDER_MODE = 0750 };

/* What a hidden file's name ends with. */
#define ESP_HIDDEN_SUFFIX ".tmp"

struct esp_atomic_file {
    int fd;       /* of the hidden file: callers may read it, write to it and seek; -1: none */
    FILE *stream; /* of the same descriptor, once it was asked for; NULL: none */
    char *path;   /* where it will stand; owned */
    char *hidden; /* where it is written; owned */
    bool
        is_lazy; /* for callers to set: nothing is brought to the disk (esp_file_sync() can, later),
                    so only other processes see all or nothing, not those after a loss of power */
};

/* Makes the hidden file, empty. On failure nothing needs to be closed, but may be.
 * Errors: ESP_EIO, ESP_ENOMEM. */
enum esp_status esp_atomic_file_open(struct esp_atomic_file *file, const char *path,
                                     struct esp_error *err);

/* Writes all n bytes. Errors: ESP_EIO. */
enum esp_status esp_atomic_file_write(struct esp_atomic_file *file, const void *bytes, size_t n,
                                      struct esp_error *err);

/* A stream to write through, lent until the file is closed, which sees what failed. NULL: out of
 * memory (err says so). */
FILE *esp_atomic_file_stream(struct esp_atomic_file *file, struct esp_error *err);

/*
 * Ends a file either way. If status is ESP_OK: fsync, rename to its path, fsync of the folder.
 * Otherwise, and if one of these fails, the hidden file is removed and what stood under the path
 * is as it was (but where the fsync of the folder failed: the new file stands there, perhaps not
 * for good). Returns status, or the failure of closing: ESP_EIO.
 */
enum esp_status esp_atomic_file_close(struct esp_atomic_file *file, enum esp_status status,
                                      struct esp_error *err);

/* Removes the hidden file; what stands under the path is as it was. */
void esp_atomic_file_abandon(struct esp_atomic_file *file);

/* All of the above for bytes at hand. Errors: ESP_EIO, ESP_ENOMEM. */
enum esp_status esp_atomic_file_save(const char *path, const void *bytes, size_t n,
                                     struct esp_error *err);

/*
 * Makes path a copy of the file `from`, whole or not at all; an older file under path gives way.
 *
 * may_link  it may be another name of the same file, for nobody will change it
 * Errors: ESP_EIO, ESP_ENOMEM.
 */
enum esp_status esp_atomic_file_copy(const char *from, const char *path, bool may_link,
                                     struct esp_error *err);

/* Renames a file that is whole and on the disk, and brings the folder to the disk. Errors: ESP_EIO,
 * ESP_ENOMEM. */
enum esp_status esp_file_rename(const char *from, const char *path, struct esp_error *err);

/* What was written to a file, or made, renamed and removed in a folder, is on the disk. Allocates
 * and locks nothing. Errors: ESP_EIO. */
enum esp_status esp_file_sync(const char *path, struct esp_error *err);

/* Writes all n bytes to a descriptor, from where it stands; false: errno says why. */
bool esp_fd_write(int fd, const void *bytes, size_t n);

/*
 * Makes a folder whose parent is there, durably; one that is there is fine, if files can be made in
 * it. Allocates nothing and takes no lock, so that a forked child may call it.
 *
 * setting  what names it, for the message: "[state] folder"; NULL: nothing does
 * Errors: ESP_EIO (it cannot be made or written to, the line says why).
 */
enum esp_status esp_folder_make(const char *path, const char *setting, struct esp_error *err);

#endif
