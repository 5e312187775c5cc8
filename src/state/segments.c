/*
 * segments.c - see segments.h.
 *
 * A file is written beside its place and linked to it, not renamed: a link never replaces what is
 * there. Parent and child may write the same segment at once, the parent for want of memory, the
 * child for a checkpoint, and the file that the child has brought to the disk must not give way to
 * one that is only on its way there.
 *
 * Paths are made in buffers of fixed size: a forked child must not allocate.
 */
#include "state/segments.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/atomic_file.h"
#include "core/hash.h"

#define ENDING ".segment"
#define PART   ".part."

enum {
    NAME_ROOM = 64, /* for "/NNNNNNNNNN.segment.part.PID" */
    VERIFY_BYTES = 1 << 20,
};

struct esp_segments {
    char state_folder[PATH_MAX];
    char folder[PATH_MAX];
    bool is_lasting;
    struct esp_segment_store store;
};

/* ---- paths ----------------------------------------------------------------------------------- */

/* Where a file is written. */
static const char *part_path_of(const struct esp_segments *segments, uint64_t number,
                                char path[PATH_MAX + NAME_ROOM])
{
    snprintf(path, PATH_MAX + NAME_ROOM, "%s/%010" PRIu64 ENDING PART "%ld", segments->folder,
             number, (long)getpid());
    return path;
}

/* Where it stands then. */
static const char *path_of(const struct esp_segments *segments, uint64_t number,
                           char path[PATH_MAX + NAME_ROOM])
{
    if (!segments->is_lasting)
        return part_path_of(segments, number, path);
    snprintf(path, PATH_MAX + NAME_ROOM, "%s/%010" PRIu64 ENDING, segments->folder, number);
    return path;
}

/* Reads the name of a file, or of one that is being written; false: it is neither. */
static bool read_name(const char *name, uint64_t *out_number, bool *out_is_part)
{
    char *end;
    if (name[0] < '0' || name[0] > '9')
        return false;
    errno = 0;
    *out_number = strtoull(name, &end, 10);
    if (errno != 0 || strncmp(end, ENDING, strlen(ENDING)) != 0)
        return false;
    end += strlen(ENDING);
    *out_is_part = *end != '\0';
    return !*out_is_part || strncmp(end, PART, strlen(PART)) == 0;
}

/* strerror() may translate, which takes locks that a forked child must not wait for. */
static enum esp_status fail_at(const char *path, enum esp_status code, const char *what,
                               struct esp_error *err)
{
    return esp_fail(err, code, "%s: %s: %s", path, what, strerrordesc_np(errno));
}

/* ---- the store ------------------------------------------------------------------------------- */

/* Opens a file to be written; makes the folders where they are missing. -1: errno says why. */
static int open_part(const struct esp_segments *segments, const char *part, struct esp_error *err)
{
    int flags = O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC;
    int fd = open(part, flags, ESP_FILE_MODE);
    if (fd < 0 && errno == ENOENT) {
        if (esp_folder_make(segments->state_folder, "[state] folder", err) != ESP_OK ||
            esp_folder_make(segments->folder, "[state] folder", err) != ESP_OK)
            return -1;
        fd = open(part, flags, ESP_FILE_MODE);
    }
    if (fd < 0)
        fail_at(part, ESP_EIO, "a segment of the join cannot be written", err);
    return fd;
}

static enum esp_status segments_write(void *context, uint64_t number, struct esp_bytes bytes,
                                      struct esp_error *err)
{
    const struct esp_segments *segments = context;
    char path[PATH_MAX + NAME_ROOM], part[PATH_MAX + NAME_ROOM];
    path_of(segments, number, path);
    part_path_of(segments, number, part);
    if (segments->is_lasting && access(path, F_OK) == 0)
        return ESP_OK;
    int fd = open_part(segments, part, err);
    if (fd < 0)
        return ESP_EIO;
    bool is_good = esp_fd_write(fd, bytes.data, bytes.size);
    int why = errno;
    if (close(fd) != 0 && is_good) {
        is_good = false;
        why = errno;
    }
    if (is_good && segments->is_lasting && link(part, path) != 0 && errno != EEXIST) {
        is_good = false;
        why = errno;
    }
    if (segments->is_lasting || !is_good)
        unlink(part);
    errno = why;
    return is_good ? ESP_OK
                   : fail_at(path, ESP_EIO, "a segment of the join cannot be written", err);
}

static enum esp_status segments_sync(void *context, uint64_t number, struct esp_error *err)
{
    const struct esp_segments *segments = context;
    char path[PATH_MAX + NAME_ROOM];
    if (number > 0)
        return esp_file_sync(path_of(segments, number, path), err);
    enum esp_status status = esp_file_sync(segments->folder, err);
    return status == ESP_OK ? esp_file_sync(segments->state_folder, err) : status;
}

/* Opens a file and compares its length. Returns the descriptor, or -1. */
static int open_named(const struct esp_segments *segments, const struct esp_segment_file *file,
                      char path[PATH_MAX + NAME_ROOM], enum esp_status *status,
                      struct esp_error *err)
{
    struct stat info;
    int fd = open(path_of(segments, file->number, path), O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        enum esp_status code = errno == ENOENT ? ESP_EDATA : ESP_EIO;
        *status = fail_at(path, code, "a segment of the join cannot be opened", err);
        return -1;
    }
    if (fstat(fd, &info) != 0) {
        *status = fail_at(path, ESP_EIO, "a segment of the join cannot be read", err);
    } else if ((uint64_t)info.st_size != file->n_bytes) {
        *status =
            esp_fail(err, ESP_EDATA, "%s: the segment has %lld bytes, %" PRIu64 " were written",
                     path, (long long)info.st_size, file->n_bytes);
    } else {
        *status = ESP_OK;
        return fd;
    }
    close(fd);
    return -1;
}

/* Hashes n bytes of a file, by way of a buffer. False: errno says why, 0 if it was too short. */
static bool hash_file(int fd, uint64_t n, uint8_t *buffer, struct esp_hasher *hasher)
{
    while (n > 0) {
        ssize_t got = read(fd, buffer, n < VERIFY_BYTES ? (size_t)n : VERIFY_BYTES);
        if (got < 0 && errno == EINTR)
            continue;
        if (got == 0)
            errno = 0;
        if (got <= 0)
            return false;
        esp_hasher_add(hasher, buffer, (size_t)got);
        n -= (uint64_t)got;
    }
    return true;
}

/*
 * Reads rather than maps: a sector that cannot be read is a failure here, which sends recovery to
 * the checkpoint before, and would be the process's death in a mapping.
 */
static enum esp_status segments_verify(void *context, const struct esp_segment_file *file,
                                       struct esp_error *err)
{
    char path[PATH_MAX + NAME_ROOM];
    enum esp_status status;
    int fd = open_named(context, file, path, &status, err);
    if (fd < 0)
        return status;
    uint8_t *buffer = malloc(VERIFY_BYTES);
    struct esp_hasher *hasher = esp_hasher_new();
    if (buffer == NULL || hasher == NULL) {
        status = esp_fail(err, ESP_ENOMEM, "out of memory for %d bytes", VERIFY_BYTES);
    } else if (!hash_file(fd, file->n_bytes, buffer, hasher)) {
        status = fail_at(path, ESP_EDATA, "a segment of the join cannot be read", err);
    } else if (esp_hasher_value(hasher) != file->checksum) {
        status =
            esp_fail(err, ESP_EDATA, "%s: the segment is damaged: its checksum is wrong", path);
    }
    esp_hasher_free(hasher);
    free(buffer);
    close(fd);
    return status;
}

static enum esp_status segments_map(void *context, const struct esp_segment_file *file,
                                    void **out_base, struct esp_error *err)
{
    char path[PATH_MAX + NAME_ROOM];
    enum esp_status status;
    int fd = open_named(context, file, path, &status, err);
    if (fd < 0)
        return status;
    void *base = mmap(NULL, (size_t)file->n_bytes, PROT_READ, MAP_PRIVATE, fd, 0);
    if (base == MAP_FAILED)
        status = fail_at(path, ESP_EIO, "a segment of the join cannot be mapped", err);
    else
        *out_base = base;
    close(fd);
    const struct esp_segments *segments = context;
    if (!segments->is_lasting)
        unlink(path);
    return status;
}

/* One that stays is found by the next sweep. */
static void segments_drop(void *context, uint64_t number)
{
    char path[PATH_MAX + NAME_ROOM];
    unlink(path_of(context, number, path));
}

/* ---- the folder ------------------------------------------------------------------------------ */

/* The names in the folder are given to visit(); a folder that is missing has none. */
static enum esp_status each_file(struct esp_segments *segments,
                                 void (*visit)(void *context, uint64_t number, bool is_part,
                                               const char *name),
                                 void *context, struct esp_error *err)
{
    DIR *folder = opendir(segments->folder);
    if (folder == NULL && errno == ENOENT)
        return ESP_OK;
    if (folder == NULL)
        return fail_at(segments->folder, ESP_EIO, "the folder cannot be read", err);
    const struct dirent *entry;
    errno = 0;
    while ((entry = readdir(folder)) != NULL) {
        uint64_t number;
        bool is_part;
        if (read_name(entry->d_name, &number, &is_part))
            visit(context, number, is_part, entry->d_name);
        errno = 0;
    }
    enum esp_status status = ESP_OK;
    if (errno != 0)
        status = fail_at(segments->folder, ESP_EIO, "the folder cannot be read", err);
    closedir(folder);
    return status;
}

static void note_number(void *context, uint64_t number, bool is_part, const char *name)
{
    struct esp_segments *segments = context;
    (void)is_part, (void)name;
    if (number >= segments->store.first_number && number < UINT64_MAX)
        segments->store.first_number = number + 1;
}

enum esp_status esp_segments_open(const char *state_folder, bool is_lasting,
                                  struct esp_segments **out, struct esp_error *err)
{
    *out = NULL;
    struct esp_segments *segments = calloc(1, sizeof *segments);
    if (segments == NULL)
        return esp_fail(err, ESP_ENOMEM, "out of memory for the folder of segments");
    segments->is_lasting = is_lasting;
    segments->store = (struct esp_segment_store){
        .context = segments,
        .first_number = 1,
        .write = segments_write,
        .sync = segments_sync,
        .verify = segments_verify,
        .map = segments_map,
        .drop = segments_drop,
    };
    int n = snprintf(segments->folder, sizeof segments->folder, "%s/" ESP_SEGMENTS_FOLDER,
                     state_folder);
    enum esp_status status = ESP_OK;
    if (n < 0 || (size_t)n >= sizeof segments->folder)
        status = esp_fail(err, ESP_EINVAL, "[state] folder: its path is too long");
    else
        snprintf(segments->state_folder, sizeof segments->state_folder, "%s", state_folder);
    if (status == ESP_OK)
        status = each_file(segments, note_number, segments, err);
    if (status != ESP_OK) {
        free(segments);
        return status;
    }
    *out = segments;
    return ESP_OK;
}

void esp_segments_free(struct esp_segments *segments)
{
    if (segments == NULL)
        return;
    rmdir(segments->folder); /* refused where there is something in it */
    free(segments);
}

const struct esp_segment_store *esp_segments_store(const struct esp_segments *segments)
{
    return &segments->store;
}

/* ---- sweeping -------------------------------------------------------------------------------- */

struct sweep {
    const struct esp_segments *segments;
    const struct esp_segment_list *keep;
    size_t n_removed;
    enum esp_status status;
    struct esp_error *err;
};

static void sweep_one(void *context, uint64_t number, bool is_part, const char *name)
{
    struct sweep *sweep = context;
    if (!is_part && esp_segment_list_find(sweep->keep, number) != NULL)
        return;
    char path[PATH_MAX + NAME_MAX + 2];
    snprintf(path, sizeof path, "%s/%s", sweep->segments->folder, name);
    if (unlink(path) == 0)
        sweep->n_removed++;
    else if (errno != ENOENT)
        sweep->status = fail_at(path, ESP_EIO, "cannot be removed", sweep->err);
}

enum esp_status esp_segments_sweep(struct esp_segments *segments,
                                   const struct esp_segment_list *keep, size_t *n_removed,
                                   struct esp_error *err)
{
    struct sweep sweep = {.segments = segments, .keep = keep, .err = err};
    enum esp_status status = each_file(segments, sweep_one, &sweep, err);
    if (n_removed != NULL)
        *n_removed = sweep.n_removed;
    return status == ESP_OK ? sweep.status : status;
}
