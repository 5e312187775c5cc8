/*
 * atomic_file.c - see atomic_file.h.
 *
 * The hidden file has one name, so that what a killed writer left is overwritten by the next one
 * rather than gathered; a lock on it keeps two writers of one path apart. A lock hangs on the file
 * itself, which the rename moves away: whoever got the lock looks whether it is still the one that
 * stands under the hidden name.
 */
#include "core/atomic_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { COPY_BYTES = 1 << 18 };

static enum esp_status out_of_memory(const char *path, struct esp_error *err)
{
    return esp_fail(err, ESP_ENOMEM, "out of memory for the path of %s", path);
}

/* Length of the folder's part, its '/' included; 0: none. */
static size_t folder_length(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash == NULL ? 0 : (size_t)(slash - path) + 1;
}

/* ---- folders, names -------------------------------------------------------------------------- */

/*
 * Puts the name of a folder that was made on the disk: else a power cut could take it away with all
 * that is in it, however durable that is. A parent that may not be read is none that can be asked.
 * No allocation: see esp_folder_make().
 */
static bool sync_parent(const char *path)
{
    char parent[PATH_MAX] = ".";
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/')
        n--;
    while (n > 0 && path[n - 1] != '/')
        n--;
    if (n >= sizeof parent) {
        errno = ENAMETOOLONG;
        return false;
    }
    if (n > 0) {
        memcpy(parent, path, n);
        parent[n] = '\0';
    }
    int fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return errno == EACCES;
    bool is_good = fsync(fd) == 0;
    int why = errno;
    close(fd);
    errno = why;
    return is_good;
}

enum esp_status esp_folder_make(const char *path, const char *setting, struct esp_error *err)
{
    struct stat info;
    const char *what = "the folder cannot be made";
    bool is_made = mkdir(path, ESP_FOLDER_MODE) == 0;
    if (is_made && !sync_parent(path)) {
        what = "the folder's name cannot be brought to the disk";
    } else if (is_made || errno == EEXIST) {
        what = "cannot be written to";
        bool is_folder = stat(path, &info) == 0 && S_ISDIR(info.st_mode);
        if (is_folder && access(path, W_OK | X_OK) == 0)
            return ESP_OK;
        if (!is_folder)
            errno = ENOTDIR;
    }
    /* As below: a forked child makes folders, too. */
    return esp_fail(err, ESP_EIO, "%s: %s: %s%s%s", path, what, strerrordesc_np(errno),
                    setting == NULL ? "" : "; name another in ", setting == NULL ? "" : setting);
}

enum esp_status esp_file_sync(const char *path, struct esp_error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool is_good = fd >= 0 && fsync(fd) == 0;
    const char *why = strerrordesc_np(errno); /* strerror() may translate, which takes locks */
    if (fd >= 0)
        close(fd);
    if (is_good)
        return ESP_OK;
    return esp_fail(err, ESP_EIO, "%s: cannot be brought to the disk: %s", path, why);
}

/* Renames; durably unless it is lazy. */
static enum esp_status rename_file(const char *from, const char *path, bool is_lazy,
                                   struct esp_error *err)
{
    size_t n = folder_length(path);
    char *folder = n == 0 ? strdup(".") : strndup(path, n);
    if (folder == NULL)
        return out_of_memory(path, err);
    enum esp_status status = ESP_OK;
    if (rename(from, path) != 0)
        status =
            esp_fail(err, ESP_EIO, "%s: cannot be renamed to %s: %s", from, path, strerror(errno));
    if (status == ESP_OK && !is_lazy)
        status = esp_file_sync(folder, err);
    free(folder);
    return status;
}

enum esp_status esp_file_rename(const char *from, const char *path, struct esp_error *err)
{
    return rename_file(from, path, false, err);
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
    size_t n = folder_length(path);
    *file = (struct esp_atomic_file){.fd = -1, .path = strdup(path)};
    if (asprintf(&file->hidden, "%.*s.%s" ESP_HIDDEN_SUFFIX, (int)n, path, path + n) < 0)
        file->hidden = NULL;
    return file->path != NULL && file->hidden != NULL ? ESP_OK : out_of_memory(path, err);
}

static void file_release(struct esp_atomic_file *file)
{
    if (file->stream != NULL)
        fclose(file->stream); /* and the descriptor */
    else if (file->fd >= 0)
        close(file->fd);
    free(file->path);
    free(file->hidden);
    *file = (struct esp_atomic_file){.fd = -1};
}

/* Is it still the file that stands under the hidden name? Its writer may have renamed it. */
static bool is_hidden(int fd, const char *hidden)
{
    struct stat mine, there;
    return fstat(fd, &mine) == 0 && lstat(hidden, &there) == 0 && mine.st_dev == there.st_dev &&
           mine.st_ino == there.st_ino;
}

/* -1: errno says why. */
static int open_hidden(const char *hidden)
{
    for (;;) {
        int fd = open(hidden, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, ESP_FILE_MODE);
        if (fd < 0)
            return -1;
        /* A file system without locks has to do without. */
        while (flock(fd, LOCK_EX) != 0 && errno == EINTR)
            ;
        bool is_mine = is_hidden(fd, hidden);
        if (is_mine && ftruncate(fd, 0) == 0)
            return fd;
        int why = errno;
        close(fd);
        errno = why;
        if (is_mine)
            return -1;
    }
}

static enum esp_status file_make(struct esp_atomic_file *file, struct esp_error *err)
{
    file->fd = open_hidden(file->hidden);
    if (file->fd >= 0)
        return ESP_OK;
    return esp_fail(err, ESP_EIO, "%s: cannot be written: %s", file->path, strerror(errno));
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

static enum esp_status cannot_write(const struct esp_atomic_file *file, struct esp_error *err)
{
    return esp_fail(err, ESP_EIO, "%s: cannot be written: %s", file->path, strerror(errno));
}

enum esp_status esp_atomic_file_write(struct esp_atomic_file *file, const void *bytes, size_t n,
                                      struct esp_error *err)
{
    return esp_fd_write(file->fd, bytes, n) ? ESP_OK : cannot_write(file, err);
}

FILE *esp_atomic_file_stream(struct esp_atomic_file *file, struct esp_error *err)
{
    if (file->stream == NULL)
        file->stream = fdopen(file->fd, "w");
    if (file->stream == NULL)
        esp_fail(err, ESP_ENOMEM, "out of memory for %s", file->path);
    return file->stream;
}

/* All that was written has left the process. */
static enum esp_status flush(struct esp_atomic_file *file, struct esp_error *err)
{
    if (file->stream == NULL)
        return ESP_OK;
    bool failed_before = ferror(file->stream) != 0;
    if (fflush(file->stream) != 0)
        return cannot_write(file, err);
    errno = EIO; /* the stream kept that it failed, not why */
    return failed_before ? cannot_write(file, err) : ESP_OK;
}

/* Some file systems tell first when a descriptor is closed that there was no room. */
static bool closes_well(int fd)
{
    int copy = dup(fd);
    return copy >= 0 && close(copy) == 0;
}

enum esp_status esp_atomic_file_close(struct esp_atomic_file *file, enum esp_status status,
                                      struct esp_error *err)
{
    if (file->fd < 0) {
        file_release(file);
        return status;
    }
    if (status == ESP_OK)
        status = flush(file, err);
    if (status == ESP_OK && !(file->is_lazy ? closes_well(file->fd) : fsync(file->fd) == 0))
        status = cannot_write(file, err);
    if (status == ESP_OK)
        status = rename_file(file->hidden, file->path, file->is_lazy, err);
    /* Before the lock is released: afterwards it may be another's. */
    if (status != ESP_OK && is_hidden(file->fd, file->hidden))
        unlink(file->hidden);
    file_release(file);
    return status;
}

void esp_atomic_file_abandon(struct esp_atomic_file *file)
{
    esp_atomic_file_close(file, ESP_EIO, NULL);
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

static enum esp_status copy_file(int source, const char *from, const char *path,
                                 struct esp_error *err)
{
    struct esp_atomic_file file;
    enum esp_status status = esp_atomic_file_open(&file, path, err);
    if (status == ESP_OK)
        status = copy_bytes(source, from, &file, err);
    return esp_atomic_file_close(&file, status, err);
}

/* ESP_OK with *done false: there can be no link. */
static enum esp_status link_file(int source, const char *from, const char *path, bool *done,
                                 struct esp_error *err)
{
    struct esp_atomic_file file;
    enum esp_status status = file_init(&file, path, err);
    *done = false;
    if (status == ESP_OK) {
        unlink(file.hidden); /* what a killed writer left */
        *done = link(from, file.hidden) == 0;
    }
    if (*done) {
        if (fsync(source) != 0)
            status = cannot_write(&file, err);
        if (status == ESP_OK)
            status = rename_file(file.hidden, path, false, err);
        /* On failure; or where both were one file, which a rename leaves alone. */
        unlink(file.hidden);
    }
    file_release(&file);
    return status;
}

enum esp_status esp_atomic_file_copy(const char *from, const char *path, bool may_link,
                                     struct esp_error *err)
{
    bool done = false;
    int source = open(from, O_RDONLY | O_CLOEXEC);
    if (source < 0)
        return esp_fail(err, ESP_EIO, "%s: cannot be opened: %s", from, strerror(errno));
    enum esp_status status = may_link ? link_file(source, from, path, &done, err) : ESP_OK;
    if (status == ESP_OK && !done)
        status = copy_file(source, from, path, err);
    close(source);
    return status;
}
