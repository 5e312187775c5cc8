/* place_file.c - see place_file.h. */
#include "snapshot/place_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { COPY_BYTES = 1 << 20 };

/* Length of the folder's part, its '/' included; 0: none. */
static size_t folder_length(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash == NULL ? 0 : (size_t)(slash - path) + 1;
}

enum esp_status esp_place_hidden(const char *path, char *hidden, size_t size, struct esp_error *err)
{
    size_t n = folder_length(path);
    int written = snprintf(hidden, size, "%.*s.%s" ESP_PLACE_SUFFIX, (int)n, path, path + n);
    if (written < 0 || (size_t)written >= size)
        return esp_fail(err, ESP_EIO, "%s: the path is too long", path);
    return ESP_OK;
}

static enum esp_status sync_path(const char *path, int flags, struct esp_error *err)
{
    int fd = open(path, flags | O_RDONLY | O_CLOEXEC);
    bool is_good = fd >= 0 && fsync(fd) == 0;
    enum esp_status status =
        is_good ? ESP_OK : esp_fail(err, ESP_EIO, "%s: fsync: %s", path, strerror(errno));
    if (fd >= 0)
        close(fd);
    return status;
}

enum esp_status esp_place_show(const char *hidden, const char *path, struct esp_error *err)
{
    char folder[PATH_MAX];
    size_t n = folder_length(path);
    snprintf(folder, sizeof folder, "%.*s", n == 0 ? 1 : (int)n, n == 0 ? "." : path);
    if (rename(hidden, path) != 0)
        return esp_fail(err, ESP_EIO, "%s cannot be renamed to %s: %s", hidden, path,
                        strerror(errno));
    return sync_path(folder, O_DIRECTORY, err);
}

static enum esp_status copy_bytes(int from, int to, const char *path, struct esp_error *err)
{
    char *bytes = malloc(COPY_BYTES);
    if (bytes == NULL)
        return esp_fail(err, ESP_ENOMEM, "out of memory for a copy");
    ssize_t n;
    enum esp_status status = ESP_OK;
    while (status == ESP_OK && (n = read(from, bytes, COPY_BYTES)) != 0) {
        ssize_t done = 0;
        while (n > 0 && done < n) {
            ssize_t put = write(to, bytes + done, (size_t)(n - done));
            if (put < 0 && errno != EINTR)
                break;
            done += put > 0 ? put : 0;
        }
        if ((n < 0 && errno != EINTR) || done < n)
            status = esp_fail(err, ESP_EIO, "%s cannot be copied: %s", path, strerror(errno));
    }
    free(bytes);
    return status;
}

static enum esp_status copy_file(const char *from, const char *to, struct esp_error *err)
{
    int source = open(from, O_RDONLY | O_CLOEXEC);
    int target = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    enum esp_status status = ESP_OK;
    if (source < 0 || target < 0)
        status = esp_fail(err, ESP_EIO, "%s cannot be copied to %s: %s", from, to, strerror(errno));
    else
        status = copy_bytes(source, target, from, err);
    if (source >= 0)
        close(source);
    if (target >= 0 && close(target) != 0 && status == ESP_OK)
        status = esp_fail(err, ESP_EIO, "%s cannot be written: %s", to, strerror(errno));
    return status;
}

enum esp_status esp_place_file(const char *from, const char *to, bool may_link,
                               struct esp_error *err)
{
    char hidden[PATH_MAX];
    enum esp_status status = esp_place_hidden(to, hidden, sizeof hidden, err);
    if (status != ESP_OK)
        return status;
    if (unlink(hidden) != 0 && errno != ENOENT)
        return esp_fail(err, ESP_EIO, "%s cannot be removed: %s", hidden, strerror(errno));
    if (!may_link || link(from, hidden) != 0) /* another file system, or one without links */
        status = copy_file(from, hidden, err);
    if (status == ESP_OK)
        status = sync_path(hidden, 0, err);
    if (status == ESP_OK)
        status = esp_place_show(hidden, to, err);
    unlink(hidden); /* on failure; or where both were the same file, which a rename leaves alone */
    return status;
}

enum esp_status esp_make_folder(const char *path, struct esp_error *err)
{
    struct stat info;
    if (mkdir(path, 0777) != 0 && errno != EEXIST)
        return esp_fail(err, ESP_ECONFIG, "the folder %s cannot be made: %s", path,
                        strerror(errno));
    if (stat(path, &info) != 0 || !S_ISDIR(info.st_mode))
        return esp_fail(err, ESP_ECONFIG, "%s is no folder", path);
    return ESP_OK;
}
