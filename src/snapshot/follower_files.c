/*
 * follower_files.c - snapshots that are files: all of a folder, or one.
 *
 * A file is read again only if its inode, size or time of change is another; one that is no
 * snapshot is remembered in the same way, so that it is said once.
 */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "core/atomic_file.h"
#include "core/buf.h"
#include "snapshot/follower_ops.h"
#include "snapshot/snapshot.h"

enum { FILES_MAX = ESP_LIVE_MAX };

struct bad_file {
    char *path; /* owned */
    uint64_t file[3];
};

struct bad_files {
    struct bad_file *items; /* owned */
    size_t n, capacity;
};

struct files_source {
    struct esp_snapshot_source base;
    struct bad_files bad;
};

/* A look at the folder: what will be the source's when it is through. */
struct look {
    struct files_source *source;
    struct esp_live_set live;
    struct bad_files bad;
    bool changed;
};

static struct files_source *of(struct esp_snapshot_source *base)
{
    return (struct files_source *)base;
}

static void release_bad(struct bad_files *bad)
{
    for (size_t i = 0; i < bad->n; i++)
        free(bad->items[i].path);
    free(bad->items);
    *bad = (struct bad_files){0};
}

static void files_free(struct esp_snapshot_source *base)
{
    release_bad(&of(base)->bad);
    free(base);
}

static void fingerprint(const struct stat *info, uint64_t file[3])
{
    file[0] = (uint64_t)info->st_ino;
    file[1] = (uint64_t)info->st_size;
    file[2] = (uint64_t)info->st_mtim.tv_sec * 1000000000u + (uint64_t)info->st_mtim.tv_nsec;
}

static bool is_known_bad(const struct bad_files *bad, const char *path, const uint64_t file[3])
{
    for (size_t i = 0; i < bad->n; i++) {
        if (strcmp(bad->items[i].path, path) == 0 &&
            memcmp(bad->items[i].file, file, sizeof bad->items[i].file) == 0)
            return true;
    }
    return false;
}

/* Notes a file that cannot be used, and says so if it is news. */
static enum esp_status add_bad(struct look *look, const char *path, const uint64_t file[3],
                               const char *why, struct esp_error *err)
{
    struct files_source *source = look->source;
    enum esp_status status = esp_array_grow((void **)&look->bad.items, &look->bad.capacity,
                                            look->bad.n + 1, sizeof *look->bad.items, err);
    if (status != ESP_OK)
        return status;
    char *copy = strdup(path);
    if (copy == NULL)
        return esp_fail(err, ESP_ENOMEM, "out of memory for a path");
    struct bad_file *bad = &look->bad.items[look->bad.n++];
    bad->path = copy;
    memcpy(bad->file, file, sizeof bad->file);
    if (!is_known_bad(&source->bad, path, file)) {
        source->base.stats.bad_files++;
        esp_source_say(&source->base, "%s: passed over", why);
    }
    return ESP_OK;
}

/* Reads a file's head. */
static enum esp_status read_head(const char *path, const struct stat *info,
                                 struct esp_live_snapshot *live, struct esp_error *err)
{
    struct esp_snapshot_info head = {0};
    enum esp_status status = esp_snapshot_peek(path, &head, err);
    if (status != ESP_OK)
        return status;
    struct esp_snapshot_id *id = &live->manifest.id;
    memcpy(id->run, head.run, sizeof id->run);
    memcpy(id->model, head.model, sizeof id->model);
    id->number = head.number;
    live->manifest.boundary_us = head.boundary_us;
    live->manifest.created_us =
        (int64_t)info->st_mtim.tv_sec * ESP_SECOND + info->st_mtim.tv_nsec / 1000;
    live->manifest.size = head.size;
    live->manifest.checksum = head.checksum;
    live->manifest.manifest = esp_bytes_of(head.manifest_json);
    live->bytes = head.manifest_json; /* moved */
    head.manifest_json = NULL;
    esp_snapshot_info_release(&head);
    live->offset = -1;
    live->path = strdup(path);
    if (live->path == NULL)
        return esp_fail(err, ESP_ENOMEM, "out of memory for a path");
    return esp_snapshot_id_check(id, err);
}

/* The item of this very file in the source's last list. */
static struct esp_live_snapshot *find_known(struct files_source *source, const char *path,
                                            const uint64_t file[3])
{
    for (size_t i = 0; i < source->base.live.n; i++) {
        struct esp_live_snapshot *item = &source->base.live.items[i];
        if (item->path != NULL && strcmp(item->path, path) == 0 &&
            memcmp(item->file, file, sizeof item->file) == 0)
            return item;
    }
    return NULL;
}

/* A copy of an item, with texts of its own: the last list stays whole until the look is through. */
static enum esp_status copy_item(const struct esp_live_snapshot *from, struct esp_live_snapshot *to,
                                 struct esp_error *err)
{
    *to = *from;
    to->path = strdup(from->path);
    to->bytes = strdup(from->bytes);
    if (to->path == NULL || to->bytes == NULL)
        return esp_fail(err, ESP_ENOMEM, "out of memory for a snapshot");
    to->manifest.manifest = esp_bytes_of(to->bytes);
    return ESP_OK;
}

static enum esp_status look_at_file(struct look *look, const char *path, const struct stat *info,
                                    struct esp_error *err)
{
    struct files_source *source = look->source;
    struct esp_live_snapshot live = {0};
    struct esp_error why = {0};
    enum esp_status status = ESP_OK;
    uint64_t file[3];
    fingerprint(info, file);
    const struct esp_live_snapshot *known = find_known(source, path, file);
    if (known != NULL)
        status = copy_item(known, &live, &why);
    else if (is_known_bad(&source->bad, path, file))
        status = esp_fail(&why, ESP_EDATA, "%s", path);
    else
        status = read_head(path, info, &live, &why);
    memcpy(live.file, file, sizeof live.file);
    if (status == ESP_OK && esp_live_set_find(&look->live, &live.manifest.id) != NULL)
        status = esp_fail(&why, ESP_EDATA, "%s is the same snapshot as another file", path);
    if (status == ESP_ENOMEM)
        esp_fail(err, status, "%s", why.text);
    else if (status != ESP_OK)
        status = add_bad(look, path, file, why.text, err);
    else if ((status = esp_live_set_put(&look->live, &live, err)) == ESP_OK)
        look->changed = look->changed || known == NULL;
    esp_live_snapshot_release(&live);
    return status;
}

static int is_shown(const struct dirent *entry)
{
    static const char end[] = ".safetensors";
    size_t n = strlen(entry->d_name), n_end = sizeof end - 1;
    return entry->d_name[0] != '.' && n > n_end && strcmp(entry->d_name + n - n_end, end) == 0;
}

static enum esp_status look_at_folder(struct look *look, const char *folder, struct esp_error *err)
{
    struct dirent **names = NULL;
    struct stat info;
    char path[PATH_MAX];
    enum esp_status status = ESP_OK;
    int n = scandir(folder, &names, is_shown, alphasort);
    if (n < 0 && errno == ENOENT)
        return ESP_OK; /* it may come */
    if (n < 0)
        return esp_fail(err, ESP_EIO, "%s cannot be listed: %s", folder, strerror(errno));
    if (n > FILES_MAX)
        status = esp_fail(err, ESP_ELIMIT, "%s: more than %d snapshots", folder, FILES_MAX);
    for (int i = 0; i < n; i++) {
        int length = snprintf(path, sizeof path, "%s/%s", folder, names[i]->d_name);
        if (status == ESP_OK && length > 0 && (size_t)length < sizeof path &&
            stat(path, &info) == 0 && S_ISREG(info.st_mode)) /* else it went just now */
            status = look_at_file(look, path, &info, err);
        free(names[i]);
    }
    free(names);
    return status;
}

static enum esp_status files_poll(struct esp_snapshot_source *base, int64_t timeout_us,
                                  bool *changed, bool *at_end, struct esp_error *err)
{
    (void)timeout_us; /* whoever follows a folder looks again after a while */
    struct files_source *source = of(base);
    struct look look = {.source = source};
    struct stat info;
    enum esp_status status = ESP_OK;
    if (stat(base->place, &info) == 0 && S_ISREG(info.st_mode))
        status = look_at_file(&look, base->place, &info, err);
    else
        status = look_at_folder(&look, base->place, err);
    if (status != ESP_OK) {
        esp_live_set_release(&look.live);
        release_bad(&look.bad);
        return status;
    }
    *changed = look.changed || look.live.n != base->live.n;
    *at_end = true;
    esp_live_set_release(&base->live);
    release_bad(&source->bad);
    base->live = look.live;
    source->bad = look.bad;
    return ESP_OK;
}

static enum esp_status verify(struct esp_live_snapshot *live, struct esp_error *err)
{
    struct esp_snapshot *snapshot = NULL;
    if (live->is_verified)
        return ESP_OK;
    enum esp_status status = esp_snapshot_open(live->path, ESP_SNAPSHOT_CHECKSUM, &snapshot, err);
    if (status != ESP_OK)
        return status;
    esp_snapshot_close(snapshot);
    live->is_verified = true;
    return ESP_OK;
}

static enum esp_status files_fetch(struct esp_snapshot_source *base, struct esp_live_snapshot *live,
                                   char **out, struct esp_error *err)
{
    enum esp_status status = verify(live, err);
    if (status != ESP_OK)
        return status;
    *out = strdup(live->path);
    base->stats.reused++;
    return *out != NULL ? ESP_OK : esp_fail(err, ESP_ENOMEM, "out of memory for a path");
}

static enum esp_status files_fetch_to(struct esp_snapshot_source *base,
                                      struct esp_live_snapshot *live, const char *path,
                                      bool *stopped, struct esp_error *err)
{
    *stopped = false;
    enum esp_status status = verify(live, err);
    if (status == ESP_OK)
        status = esp_atomic_file_copy(live->path, path, false, err);
    if (status != ESP_OK)
        return status;
    base->stats.fetched++;
    base->stats.bytes += live->manifest.size;
    return ESP_OK;
}

static const struct esp_source_ops files_ops = {
    .free = files_free,
    .poll = files_poll,
    .fetch = files_fetch,
    .fetch_to = files_fetch_to,
};

enum esp_status esp_files_source_new(const struct esp_snapshot_source_config *config,
                                     struct esp_snapshot_source **out, struct esp_error *err)
{
    (void)config;
    struct files_source *source = calloc(1, sizeof *source);
    if (source == NULL)
        return esp_fail(err, ESP_ENOMEM, "out of memory for a source of snapshots");
    source->base.ops = &files_ops;
    *out = &source->base;
    return ESP_OK;
}
