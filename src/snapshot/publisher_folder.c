/*
 * publisher_folder.c - publishes to a folder: a file appears under its name by a rename, and is
 * retired by being unlinked, which leaves it to those who have mapped it.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/atomic_file.h"
#include "snapshot/chunks.h"
#include "snapshot/publisher_ops.h"
#include "snapshot/snapshot.h"

static void folder_free(struct esp_publisher *base)
{
    free(base);
}

/* ".NAME.tmp" to "NAME"; false: another name. */
static bool unhide(const char *hidden, char *name, size_t size)
{
    size_t n = strlen(hidden), n_end = strlen(ESP_HIDDEN_SUFFIX);
    if (hidden[0] != '.' || n <= n_end + 1 || n - n_end > size ||
        strcmp(hidden + n - n_end, ESP_HIDDEN_SUFFIX) != 0)
        return false;
    memcpy(name, hidden + 1, n - n_end - 1);
    name[n - n_end - 1] = '\0';
    return true;
}

/* Calls for every name in the folder. */
static enum esp_status each_name(const char *folder,
                                 enum esp_status (*call)(void *context, const char *name,
                                                         struct esp_error *err),
                                 void *context, struct esp_error *err)
{
    DIR *dir = opendir(folder);
    if (dir == NULL)
        return esp_fail(err, ESP_EIO, "%s cannot be listed: %s", folder, strerror(errno));
    enum esp_status status = ESP_OK;
    const struct dirent *entry;
    while (status == ESP_OK && (errno = 0, entry = readdir(dir)) != NULL)
        status = call(context, entry->d_name, err);
    if (status == ESP_OK && errno != 0)
        status = esp_fail(err, ESP_EIO, "%s cannot be listed: %s", folder, strerror(errno));
    closedir(dir);
    return status;
}

static enum esp_status add_live(void *context, const char *name, struct esp_error *err)
{
    struct esp_publisher *publisher = context;
    struct esp_live_snapshot live = {.offset = -1};
    if (!esp_snapshot_file_name_parse(name, &live.manifest.id))
        return ESP_OK;
    return esp_live_set_put(&publisher->live, &live, err);
}

static enum esp_status folder_refresh(struct esp_publisher *base, bool *stopped,
                                      struct esp_error *err)
{
    *stopped = false;
    esp_live_set_release(&base->live);
    return each_name(base->place, add_live, base, err);
}

static void path_of(const struct esp_publisher *base, const struct esp_snapshot_id *id,
                    char path[PATH_MAX])
{
    char name[ESP_SNAPSHOT_NAME_SIZE];
    esp_snapshot_file_name(id->model, id->run, id->number, name);
    snprintf(path, PATH_MAX, "%s/%s", base->place, name);
}

static enum esp_status sum_file(const char *path, uint64_t *checksum, uint64_t *size,
                                struct esp_error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return esp_fail(err, ESP_EIO, "%s cannot be opened: %s", path, strerror(errno));
    enum esp_status status = esp_file_checksum(fd, path, checksum, size, err);
    close(fd);
    return status;
}

static enum esp_status folder_is_same(struct esp_publisher *base,
                                      const struct esp_live_snapshot *live,
                                      const struct esp_publication *publication, bool *out,
                                      struct esp_error *err)
{
    char path[PATH_MAX];
    uint64_t checksum = 0, size = 0;
    path_of(base, &live->manifest.id, path);
    enum esp_status status = sum_file(path, &checksum, &size, err);
    if (status == ESP_OK)
        *out = size == publication->size && checksum == publication->checksum;
    return status;
}

static enum esp_status folder_put(struct esp_publisher *base,
                                  const struct esp_publication *publication, bool *stopped,
                                  struct esp_error *err)
{
    char path[PATH_MAX];
    uint64_t checksum = 0, size = 0;
    struct esp_live_snapshot live = {.offset = -1};
    *stopped = esp_patience_stop(&base->patience);
    if (*stopped)
        return ESP_OK;
    path_of(base, &publication->id, path);
    enum esp_status status = sum_file(publication->path, &checksum, &size, err);
    if (status == ESP_OK && (size != publication->size || checksum != publication->checksum))
        status = esp_fail(err, ESP_EDATA, "%s was changed after it was written", publication->path);
    if (status == ESP_OK)
        status = esp_atomic_file_copy(publication->path, path, true, err);
    if (status != ESP_OK)
        return status;
    base->stats.bytes += size;
    live.manifest.id = publication->id;
    return esp_live_set_put(&base->live, &live, err);
}

static enum esp_status folder_retire(struct esp_publisher *base, const struct esp_snapshot_id *id,
                                     bool *stopped, struct esp_error *err)
{
    char path[PATH_MAX];
    *stopped = false;
    path_of(base, id, path);
    if (unlink(path) != 0 && errno != ENOENT)
        return esp_fail(err, ESP_EIO, "%s cannot be removed: %s", path, strerror(errno));
    esp_live_set_remove(&base->live, id);
    return ESP_OK;
}

struct sweep {
    struct esp_publisher *publisher;
    const struct esp_snapshot_id *of; /* run and model */
};

static enum esp_status remove_hidden(void *context, const char *name, struct esp_error *err)
{
    struct sweep *sweep = context;
    struct esp_snapshot_id id;
    char shown[ESP_SNAPSHOT_NAME_SIZE], path[PATH_MAX];
    if (!unhide(name, shown, sizeof shown) || !esp_snapshot_file_name_parse(shown, &id) ||
        strcmp(id.run, sweep->of->run) != 0 || strcmp(id.model, sweep->of->model) != 0)
        return ESP_OK;
    snprintf(path, sizeof path, "%s/%s", sweep->publisher->place, name);
    if (unlink(path) != 0 && errno != ENOENT)
        return esp_fail(err, ESP_EIO, "%s cannot be removed: %s", path, strerror(errno));
    sweep->publisher->stats.orphans++;
    return ESP_OK;
}

static enum esp_status folder_tidy(struct esp_publisher *base, const struct esp_snapshot_id *below,
                                   bool *stopped, struct esp_error *err)
{
    struct sweep sweep = {base, below};
    *stopped = false;
    return each_name(base->place, remove_hidden, &sweep, err);
}

static const struct esp_publisher_ops folder_ops = {
    .free = folder_free,
    .refresh = folder_refresh,
    .tidy = folder_tidy,
    .is_same = folder_is_same,
    .put = folder_put,
    .retire = folder_retire,
};

enum esp_status esp_folder_publisher_new(const struct esp_publisher_config *config,
                                         struct esp_publisher **out, struct esp_error *err)
{
    if (strlen(config->place) + ESP_SNAPSHOT_NAME_SIZE + 8 > PATH_MAX)
        return esp_fail(err, ESP_ECONFIG, "the folder of snapshots has a path too long: %s",
                        config->place);
    enum esp_status status = esp_folder_make(config->place, NULL, err);
    if (status != ESP_OK)
        return status;
    struct esp_publisher *publisher = calloc(1, sizeof *publisher);
    if (publisher == NULL)
        return esp_fail(err, ESP_ENOMEM, "out of memory for a publisher");
    publisher->ops = &folder_ops;
    *out = publisher;
    return ESP_OK;
}
