/* atomic_file.c - see atomic_file.h. */
#include "core/atomic_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { COPY_BYTES = 1 << 16 };

static enum esp_status out_of_memory(const char *path, struct esp_error *err)
{
    return esp_fail(err, ESP_ENOMEM, "out of memory for the path of %s", path);
}

/* ---- paths ----------------------------------------------------------------------------------- */

/* Length of the folder's part, its '/' included; 0: none. */
static size_t folder_length(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash == NULL ? 0 : (size_t)(slash - path) + 1;
}

char *esp_hidden_path(const char *path)
{
    char *hidden = NULL;
    size_t n = folder_length(path);
    return asprintf(&hidden, "%.*s.%s" ESP_HIDDEN_SUFFIX, (int)n, path, path + n) < 0 ? NULL
                                                                                      : hidden;
}

/* ---- folders --------------------------------------------------------------------------------- */

enum esp_status esp_folder_make(const char *path, const char *setting, struct esp_error *err)
{
    struct stat info;
    bool is_there = mkdir(path, ESP_FOLDER_MODE) == 0 || errno == EEXIST;
    if (is_there && stat(path, &info) == 0) {
        if (S_ISDIR(info.st_mode))
            return ESP_OK;
        errno = ENOTDIR;
    }
    return esp_fail(err, ESP_EIO, "%s: the folder cannot be made: %s%s%s", path, strerror(errno),
                    setting == NULL ? "" : "; name another in ", setting == NULL ? "" : setting);
}

enum esp_status esp_folder_sync(const char *path, struct esp_error *err)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool is_good = fd >= 0 && fsync(fd) == 0;
    enum esp_status status = ESP_OK;
    if (!is_good)
        status = esp_fail(err, ESP_EIO, "%s: the folder cannot be brought to the disk: %s", path,
                          strerror(errno));
    if (fd >= 0)
        close(fd);
    return status;
}

enum esp_status esp_file_rename(const char *from, const char *path, struct esp_error *err)
{
    size_t n = folder_length(path);
    char *folder = n == 0 ? strdup(".") : strndup(path, n);
    if (folder == NULL)
        return out_of_memory(path, err);
    enum esp_status status = ESP_OK;
    if (rename(from, path) != 0)
        status =
            esp_fail(err, ESP_EIO, "%s: cannot be renamed to %s: %s", from, path, strerror(errno));
    if (status == ESP_OK)
        status = esp_folder_sync(folder, err);
    free(folder);
    return status;
}

/* ---- files ----------------------------------------------------------------------------------- */

bool esp_fd_write(int fd, const void *bytes, size_t n)
{
    const char *at = bytes;
    while (n > 0) {
        ssize_t put = write(fd, at, n);
        if (put < 0 && errno == EINTR)
            continue;
        if (put == 0)
            errno = EIO; /* neither a byte nor a reason: not for ever */
        if (put <= 0)
            return false;
        at += put;
        n -= (size_t)put;
    }
    return true;
}

/* Paths, but no file yet. */
static enum esp_status file_init(struct esp_atomic_file *file, const char *path,
                                 struct esp_error *err)
{
    *file =
        (struct esp_atomic_file){.fd = -1, .path = strdup(path), .hidden = esp_hidden_path(path)};
    return file->path != NULL && file->hidden != NULL ? ESP_OK : out_of_memory(path, err);
}

static void file_release(struct esp_atomic_file *file)
{
    if (file->fd >= 0)
        close(file->fd);
    free(file->path);
    free(file->hidden);
    *file = (struct esp_atomic_file){.fd = -1};
}

static enum esp_status file_make(struct esp_atomic_file *file, struct esp_error *err)
{
    file->fd = open(file->hidden, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, ESP_FILE_MODE);
    if (file->fd >= 0)
        return ESP_OK;
    return esp_fail(err, ESP_EIO, "%s: cannot be made: %s", file->path, strerror(errno));
}

enum esp_status esp_atomic_file_open(struct esp_atomic_file *file, const char *path,
                                     struct esp_error *err)
{
    enum esp_status status = file_init(file, path, err);
    if (status == ESP_OK)
        status = file_make(file, err);
    if (status != ESP_OK)
        file_release(file);
    return status;
}

enum esp_status esp_atomic_file_write(struct esp_atomic_file *file, const void *bytes, size_t n,
                                      struct esp_error *err)
{
    if (esp_fd_write(file->fd, bytes, n))
        return ESP_OK;
    return esp_fail(err, ESP_EIO, "%s: cannot be written: %s", file->path, strerror(errno));
}

enum esp_status esp_atomic_file_close(struct esp_atomic_file *file, enum esp_status status,
                                      struct esp_error *err)
{
    bool is_made = file->fd >= 0;
    if (is_made) {
        bool is_good = status != ESP_OK || fsync(file->fd) == 0;
        int why = errno;
        if (close(file->fd) != 0 && is_good && status == ESP_OK) {
            is_good = false;
            why = errno;
        }
        file->fd = -1;
        if (!is_good)
            status = esp_fail(err, ESP_EIO, "%s: cannot be written: %s", file->path, strerror(why));
        if (status == ESP_OK)
            status = esp_file_rename(file->hidden, file->path, err);
        /* Renamed it is gone; but a rename leaves alone what is another name of the same file. */
        unlink(file->hidden);
    }
    file_release(file);
    return status;
}

enum esp_status esp_atomic_file_save(const char *path, const void *bytes, size_t n,
                                     struct esp_error *err)
{
    struct esp_atomic_file file;
    enum esp_status status = esp_atomic_file_open(&file, path, err);
    if (status == ESP_OK)
        status = esp_atomic_file_write(&file, bytes, n, err);
    return esp_atomic_file_close(&file, status, err);
}

/* ---- copies ---------------------------------------------------------------------------------- */

static enum esp_status copy_bytes(int source, const char *from, struct esp_atomic_file *file,
                                  struct esp_error *err)
{
    char *bytes = malloc(COPY_BYTES);
    if (bytes == NULL)
        return esp_fail(err, ESP_ENOMEM, "out of memory for a copy of %s", from);
    enum esp_status status = ESP_OK;
    ssize_t n;
    while (status == ESP_OK && (n = read(source, bytes, COPY_BYTES)) != 0) {
        if (n > 0)
            status = esp_atomic_file_write(file, bytes, (size_t)n, err);
        else if (errno != EINTR)
            status = esp_fail(err, ESP_EIO, "%s: cannot be read: %s", from, strerror(errno));
    }
    free(bytes);
    return status;
}

static enum esp_status copy_into(struct esp_atomic_file *file, const char *from,
                                 struct esp_error *err)
{
    int source = open(from, O_RDONLY | O_CLOEXEC);
    if (source < 0)
        return esp_fail(err, ESP_EIO, "%s: cannot be opened: %s", from, strerror(errno));
    enum esp_status status = file_make(file, err);
    if (status == ESP_OK)
        status = copy_bytes(source, from, file, err);
    close(source);
    return status;
}

enum esp_status esp_atomic_file_copy(const char *from, const char *path, bool may_link,
                                     struct esp_error *err)
{
    struct esp_atomic_file file;
    enum esp_status status = file_init(&file, path, err);
    if (status == ESP_OK && unlink(file.hidden) != 0 && errno != ENOENT)
        status = esp_fail(err, ESP_EIO, "%s: cannot be removed: %s", file.hidden, strerror(errno));
    if (status == ESP_OK && may_link && link(from, file.hidden) == 0) {
        file.fd = open(file.hidden, O_RDONLY | O_CLOEXEC); /* for its fsync */
        if (file.fd < 0) {
            status =
                esp_fail(err, ESP_EIO, "%s: cannot be opened: %s", file.hidden, strerror(errno));
            unlink(file.hidden);
        }
    } else if (status == ESP_OK) { /* another file system, or one without links */
        status = copy_into(&file, from, err);
    }
    return esp_atomic_file_close(&file, status, err);
}
