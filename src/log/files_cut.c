/*
 * files_cut.c - where a partition's files end, and how they are taken back to an earlier end.
 *
 * Cutting back may be killed at any moment and be done again: files are removed from the last one
 * on, the one that is cut comes last, and each step leaves a folder that can be read.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/hash.h"
#include "log/container.h"
#include "log/files_log.h"
#include "log/folder.h"

char *esp_files_name(const char *topic, size_t partition, int64_t first_offset)
{
    char *name = NULL;
    int n = asprintf(&name, "%s+%zu+%010lld.avro", topic, partition, (long long)first_offset);
    return n < 0 ? NULL : name;
}

/* Two hashes of the name. */
void esp_files_sync_marker(const char *name, uint8_t sync[ESP_SYNC_BYTES])
{
    uint64_t low = esp_hash(esp_bytes_of(name)), high = esp_mix64(low ^ strlen(name));
    for (size_t i = 0; i < 8; i++) {
        sync[i] = (uint8_t)(low >> (8 * i));
        sync[8 + i] = (uint8_t)(high >> (8 * i));
    }
}

enum esp_status esp_files_sync_folder(const char *path, struct esp_error *err)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool is_done = fd >= 0 && fsync(fd) == 0;
    int why = errno;
    if (fd >= 0)
        close(fd);
    return is_done ? ESP_OK : esp_fail(err, ESP_EIO, "%s: fsync: %s", path, strerror(why));
}

/* ---- the end --------------------------------------------------------------------------------- */

/* The structural end of one file: the offset behind its last whole block. */
static enum esp_status end_of_file(const char *folder, const struct esp_folder_file *file,
                                   struct esp_container *container, int64_t first_offset,
                                   struct esp_error *err)
{
    char *path = NULL;
    if (asprintf(&path, "%s/%s", folder, file->name) < 0)
        return esp_fail(err, ESP_ENOMEM, "out of memory for a path");
    struct esp_error cause = {0};
    enum esp_status status = ESP_OK;
    enum esp_container_step step = ESP_STEP_DAMAGE;
    struct esp_container_block block;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        status = esp_fail(&cause, ESP_EIO, "cannot be opened: %s", strerror(errno));
    esp_container_start(container, fd, file->size, first_offset);
    while (status == ESP_OK && step != ESP_STEP_END)
        status = esp_container_next(container, false, INT64_MAX, &step, &block, &cause);
    if (fd >= 0)
        close(fd);
    if (status != ESP_OK)
        esp_fail(err, status, "%s: %s", path, cause.text);
    free(path);
    return status;
}

enum esp_status esp_files_bounds_of(const char *path, int64_t *out_first, int64_t *out_end,
                                    struct esp_error *err)
{
    struct esp_folder folder = {NULL, 0, 0};
    struct esp_container container;
    esp_container_init(&container);
    int64_t end = 0;
    enum esp_status status = esp_folder_list(path, &folder, err);
    size_t last_named = 0;
    for (size_t i = 0; i < folder.n; i++) {
        if (folder.files[i].first_offset >= 0)
            last_named = i;
    }
    for (size_t i = last_named; status == ESP_OK && i < folder.n; i++) {
        int64_t named = folder.files[i].first_offset;
        status = end_of_file(path, &folder.files[i], &container, named >= 0 ? named : end, err);
        end = container.next_offset;
    }
    *out_first =
        folder.n > 0 && folder.files[0].first_offset >= 0 ? folder.files[0].first_offset : 0;
    *out_end = end;
    esp_container_release(&container);
    esp_folder_release(&folder);
    return status;
}

enum esp_status esp_files_bounds(struct esp_log *log, const char *topic, size_t partition,
                                 int64_t *out_first, int64_t *out_end, struct esp_error *err)
{
    char *path = esp_files_partition_path((struct esp_files_log *)log, topic, partition);
    if (path == NULL)
        return esp_fail(err, ESP_ENOMEM, "out of memory for a path");
    enum esp_status status = esp_files_bounds_of(path, out_first, out_end, err);
    free(path);
    return status;
}

/* ---- back to it ------------------------------------------------------------------------------ */

/* The first offset in a name that a writer of this partition gives, or -1. */
static int64_t own_offset(const char *topic, size_t partition, const char *name)
{
    int64_t offset = esp_folder_first_offset(name);
    char *own = offset < 0 ? NULL : esp_files_name(topic, partition, offset);
    bool is_own = own != NULL && strcmp(own, name) == 0;
    free(own);
    return is_own ? offset : -1;
}

/* A block ends where the mark says, in the marker of a file of this name; sets *why where not. */
static bool is_marked_file(int fd, const char *name, const struct esp_log_mark *mark,
                           uint64_t *size, char why[128])
{
    struct stat info;
    uint8_t sync[ESP_SYNC_BYTES], found[ESP_SYNC_BYTES];
    esp_files_sync_marker(name, sync);
    if (fstat(fd, &info) != 0) {
        snprintf(why, 128, "%s", strerror(errno));
        return false;
    }
    *size = (uint64_t)info.st_size;
    if (*size < mark->length) {
        snprintf(why, 128, "it has %llu bytes, and had %llu", (unsigned long long)*size,
                 (unsigned long long)mark->length);
        return false;
    }
    off_t at = (off_t)(mark->length - ESP_SYNC_BYTES);
    if (mark->length < ESP_SYNC_BYTES || pread(fd, found, sizeof found, at) != ESP_SYNC_BYTES ||
        memcmp(found, sync, sizeof sync) != 0) {
        snprintf(why, 128, "no block ends after its first %llu bytes",
                 (unsigned long long)mark->length);
        return false;
    }
    return true;
}

/* Cuts the file that the mark names to its length. */
static enum esp_status cut_file(const struct esp_files_log *files, const char *path,
                                const char *name, const struct esp_log_mark *mark,
                                struct esp_error *err)
{
    char *whole = NULL, why[128];
    if (asprintf(&whole, "%s/%s", path, name) < 0)
        return esp_fail(err, ESP_ENOMEM, "out of memory for a path");
    enum esp_status status = ESP_OK;
    uint64_t size = 0;
    int fd = open(whole, O_RDWR | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) {
        esp_log_say(&files->log, ESP_LOG_PROBLEM,
                    "%s: is gone; what it held is not written again, a new file goes on behind it",
                    whole);
        goto out;
    }
    if (fd < 0) {
        status = esp_fail(err, ESP_EIO, "%s: cannot be opened: %s", whole, strerror(errno));
    } else if (!is_marked_file(fd, name, mark, &size, why)) {
        status = esp_fail(err, ESP_EDATA,
                          "%s: it is not the file that this run wrote: %s; put the one back that "
                          "was there, or begin anew in another [state] folder",
                          whole, why);
    } else if (size > mark->length && (ftruncate(fd, (off_t)mark->length) != 0 || fsync(fd) != 0)) {
        status = esp_fail(err, ESP_EIO, "%s: cannot be cut back: %s", whole, strerror(errno));
    }
out:
    if (fd >= 0)
        close(fd);
    free(whole);
    return status;
}

static enum esp_status remove_file(const char *path, const char *name, struct esp_error *err)
{
    char *whole = NULL;
    if (asprintf(&whole, "%s/%s", path, name) < 0)
        return esp_fail(err, ESP_ENOMEM, "out of memory for a path");
    enum esp_status status = ESP_OK;
    if (unlink(whole) != 0 && errno != ENOENT)
        status = esp_fail(err, ESP_EIO, "%s: cannot be removed: %s", whole, strerror(errno));
    free(whole);
    return status;
}

enum esp_status esp_files_cut_back(struct esp_log *log, const char *topic, size_t partition,
                                   const struct esp_log_mark *mark, struct esp_error *err)
{
    const struct esp_files_log *files = (const struct esp_files_log *)log;
    if (mark->file < -1 || mark->end < 0 || mark->length > INT64_MAX)
        return esp_fail(err, ESP_EDATA, "%s [%zu]: a mark that is not possible", topic, partition);
    struct esp_folder folder = {NULL, 0, 0};
    bool has_removed = false;
    char *path = esp_files_partition_path(files, topic, partition);
    char *name = mark->file < 0 ? NULL : esp_files_name(topic, partition, mark->file);
    enum esp_status status = ESP_OK;
    if (path == NULL || (mark->file >= 0 && name == NULL))
        status = esp_fail(err, ESP_ENOMEM, "out of memory for a path");
    if (status == ESP_OK)
        status = esp_folder_list(path, &folder, err);
    int64_t least = mark->file >= 0 ? mark->file + 1 : mark->end;
    for (size_t i = folder.n; status == ESP_OK && i > 0; i--) {
        if (own_offset(topic, partition, folder.files[i - 1].name) < least)
            continue;
        status = remove_file(path, folder.files[i - 1].name, err);
        has_removed = true;
    }
    if (status == ESP_OK && has_removed)
        status = esp_files_sync_folder(path, err);
    if (status == ESP_OK && name != NULL)
        status = cut_file(files, path, name, mark, err);
    esp_folder_release(&folder);
    free(path);
    free(name);
    return status;
}
