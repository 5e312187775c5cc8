/*
 * follower_topic.c - follows partition 0 of a topic, and puts snapshots together from their chunks.
 *
 * The offsets in a manifest are where to look first, not what is believed: another publisher may
 * have written the same chunks again later, and compaction then keeps those. So reading goes on
 * from the least offset to the partition's end, unless everything has come before.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/atomic_file.h"
#include "snapshot/chunks.h"
#include "snapshot/follower_ops.h"
#include "snapshot/snapshot.h"

enum { POLL_BATCH = 64 };

static const int64_t broker_patience_us = 30 * ESP_SECOND;

struct topic_source {
    struct esp_snapshot_source base;
    struct esp_log *log;           /* borrowed */
    struct esp_log_reader *reader; /* of partition 0, owned; NULL: not opened yet */
    size_t n_partitions;
    struct esp_own_fingerprints own;
    char *cache;    /* owned; NULL: none */
    int cache_lock; /* -1: none */
    bool was_at_end, said_unknown, said_malformed;
};

static struct topic_source *of(struct esp_snapshot_source *base)
{
    return (struct topic_source *)base;
}

static void topic_free(struct esp_snapshot_source *base)
{
    struct topic_source *source = of(base);
    esp_log_reader_free(source->reader);
    if (source->cache_lock >= 0)
        close(source->cache_lock);
    free(source->cache);
    free(source);
}

/* ---- the cache ------------------------------------------------------------------------------- */

static void cached_path(const struct topic_source *source, const struct esp_snapshot_id *id,
                        char path[PATH_MAX])
{
    char name[ESP_SNAPSHOT_NAME_SIZE];
    esp_snapshot_file_name(id->model, id->run, id->number, name);
    snprintf(path, PATH_MAX, "%s/%s", source->cache, name);
}

static void drop_cached(const struct topic_source *source, const struct esp_snapshot_id *id)
{
    char path[PATH_MAX];
    if (source->cache == NULL)
        return;
    cached_path(source, id, path);
    unlink(path); /* most were never fetched */
}

/* Removes what is ours and not live: what went while nobody looked, and broken-off fetches. */
static void sweep_cache(const struct topic_source *source)
{
    DIR *dir = source->cache == NULL ? NULL : opendir(source->cache);
    const struct dirent *entry;
    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        struct esp_snapshot_id id;
        char name[NAME_MAX + 1];
        const char *shown = entry->d_name;
        size_t n = strlen(shown), n_end = strlen(ESP_HIDDEN_SUFFIX);
        bool is_hidden =
            shown[0] == '.' && n > n_end + 1 && strcmp(shown + n - n_end, ESP_HIDDEN_SUFFIX) == 0;
        if (is_hidden) {
            snprintf(name, sizeof name, "%.*s", (int)(n - n_end - 1), shown + 1);
            shown = name;
        }
        if (!esp_snapshot_file_name_parse(shown, &id))
            continue;
        if (is_hidden || esp_live_set_find(&source->base.live, &id) == NULL)
            unlinkat(dirfd(dir), entry->d_name, 0);
    }
    if (dir != NULL)
        closedir(dir);
}

static enum esp_status open_cache(struct topic_source *source, const char *folder,
                                  struct esp_error *err)
{
    char path[PATH_MAX];
    enum esp_status status = esp_folder_make(folder, "[state] folder", err);
    if (status != ESP_OK)
        return status;
    if (strlen(folder) + ESP_SNAPSHOT_NAME_SIZE + 8 > sizeof path)
        return esp_fail(err, ESP_ECONFIG, "the cache of snapshots has a path too long: %s", folder);
    snprintf(path, sizeof path, "%s/.lock", folder);
    source->cache = strdup(folder);
    if (source->cache == NULL)
        return esp_fail(err, ESP_ENOMEM, "out of memory for a source of snapshots");
    source->cache_lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, ESP_FILE_MODE);
    if (source->cache_lock < 0)
        return esp_fail(err, ESP_ECONFIG, "%s cannot be opened: %s", path, strerror(errno));
    if (flock(source->cache_lock, LOCK_EX | LOCK_NB) != 0)
        return esp_fail(
            err, ESP_ECONFIG,
            "the cache of snapshots %s is in use by another process; give each a [state] "
            "folder of its own",
            folder);
    return ESP_OK;
}

/* ---- manifests ------------------------------------------------------------------------------- */

/* What is passed over is said once for each reason, and counted. */
static void say_passed_over(struct topic_source *source, const struct esp_record *record,
                            const struct esp_error *why)
{
    bool *said = why->status == ESP_ESCHEMA ? &source->said_unknown : &source->said_malformed;
    if (why->status == ESP_OK || *said)
        return;
    *said = true;
    esp_source_say(&source->base,
                   "topic %s, partition 0, offset %" PRId64
                   ": %s: passed over, as more of its kind will be",
                   source->base.place, record->offset, why->text);
}

static enum esp_status take_record(struct topic_source *source, const struct esp_record *record,
                                   bool *changed, struct esp_error *err)
{
    enum esp_manifest_change change = ESP_MANIFEST_NOTHING;
    struct esp_snapshot_id id;
    struct esp_error why = {0};
    enum esp_status status =
        esp_live_set_take(&source->base.live, &source->own, record, &source->base.stats.manifests,
                          &change, &id, &why, err);
    if (status != ESP_OK)
        return status;
    say_passed_over(source, record, &why);
    if (change == ESP_MANIFEST_WENT)
        drop_cached(source, &id);
    *changed = *changed || change != ESP_MANIFEST_NOTHING;
    return ESP_OK;
}

/* From the start: what was live before may have gone together with its tombstone. */
static enum esp_status open_reader(struct topic_source *source, struct esp_error *err)
{
    enum esp_status status = esp_log_reader_new(
        source->log, source->base.place, 0, ESP_OFFSET_EARLIEST, true, NULL, &source->reader, err);
    if (status == ESP_OK) {
        esp_live_set_release(&source->base.live);
        source->was_at_end = false;
    }
    return status;
}

/* The next poll opens another reader. A topic that was made anew, or lost its head, is no failure:
 * what is there now is what counts. */
static enum esp_status give_up_reader(struct topic_source *source, enum esp_status status,
                                      const struct esp_error *why, bool *changed,
                                      struct esp_error *err)
{
    bool is_gap = status == ESP_EDATA && source->reader != NULL;
    esp_log_reader_free(source->reader);
    source->reader = NULL;
    if (!is_gap)
        return esp_fail(err, status, "%s", why->text);
    esp_source_say(&source->base, "%s; snapshots are read from the start again", why->text);
    *changed = true;
    return ESP_OK;
}

static enum esp_status topic_poll(struct esp_snapshot_source *base, int64_t timeout_us,
                                  bool *changed, bool *at_end, struct esp_error *err)
{
    struct topic_source *source = of(base);
    struct esp_record records[POLL_BATCH];
    enum esp_log_position position = ESP_LOG_MORE;
    enum esp_status status = ESP_OK;
    size_t n = 1;
    struct esp_error why = {0};
    if (source->reader == NULL)
        status = open_reader(source, &why);
    /* Waits once; then takes what is there. */
    for (int64_t wait_us = timeout_us; status == ESP_OK && n > 0; wait_us = 0) {
        status = esp_log_read(source->reader, records, POLL_BATCH, wait_us, &n, &position, &why);
        for (size_t i = 0; i < n && status == ESP_OK; i++)
            status = take_record(source, &records[i], changed, &why);
    }
    if (status != ESP_OK)
        return give_up_reader(source, status, &why, changed, err);
    *at_end = position == ESP_LOG_AT_END;
    if (*at_end && !source->was_at_end) {
        source->was_at_end = true;
        sweep_cache(source);
    }
    return status;
}

/* ---- chunks ---------------------------------------------------------------------------------- */

struct gathering {
    struct topic_source *source;
    struct esp_assembly *assembly;
};

static enum esp_status visit_chunk(void *context, const struct esp_record *record, bool *out_enough,
                                   struct esp_error *err)
{
    struct gathering *gathering = context;
    struct topic_source *source = gathering->source;
    struct esp_snapshot_chunk_record chunk;
    struct esp_bytes bare;
    enum esp_chunk_verdict verdict = ESP_CHUNK_FOREIGN;
    if (record->value.data == NULL)
        return ESP_OK; /* a tombstone: what it buries may still be read, or has come again */
    enum esp_status status =
        esp_own_unframe(&source->own, ESP_SCHEMA_SNAPSHOT_CHUNK, record->value, &bare, NULL);
    if (status == ESP_OK)
        status = esp_decode_snapshot_chunk(bare, &chunk, NULL);
    if (status != ESP_OK) {
        source->base.stats.wrong_chunks++;
        return ESP_OK; /* if it was needed, it will be missing */
    }
    status = esp_assembly_take(gathering->assembly, &chunk, &verdict, err);
    source->base.stats.wrong_chunks += status == ESP_OK && verdict == ESP_CHUNK_WRONG;
    *out_enough = esp_assembly_missing(gathering->assembly) == 0;
    return status;
}

static int64_t least_offset(const struct esp_snapshot_manifest_record *manifest)
{
    int64_t least = manifest->chunk_offsets[0];
    for (size_t i = 1; i < manifest->n_chunks; i++)
        least = manifest->chunk_offsets[i] < least ? manifest->chunk_offsets[i] : least;
    return least;
}

/* Partitions may have been added since the last look. */
static enum esp_status check_partition(struct topic_source *source, int32_t partition,
                                       struct esp_error *err)
{
    enum esp_status status = ESP_OK;
    if ((size_t)partition >= source->n_partitions)
        status = esp_log_partitions(source->log, source->base.place, broker_patience_us,
                                    &source->n_partitions, err);
    if (status == ESP_OK && (partition < 1 || (size_t)partition >= source->n_partitions))
        status = esp_fail(err, ESP_EDATA, "its chunks are said to be in partition %d of %zu",
                          partition, source->n_partitions);
    return status;
}

/* Puts a snapshot together in an empty file. */
static enum esp_status assemble(struct topic_source *source,
                                const struct esp_snapshot_manifest_record *manifest, int fd,
                                bool *stopped, struct esp_error *err)
{
    struct gathering gathering = {.source = source};
    enum esp_read_end end = ESP_READ_END;
    enum esp_status status = check_partition(source, manifest->chunk_partition, err);
    if (status == ESP_OK)
        status = esp_assembly_new(manifest, fd, &gathering.assembly, err);
    if (status != ESP_OK)
        return status;
    int64_t offset = least_offset(manifest);
    status =
        esp_partition_read(source->log, source->base.place, (size_t)manifest->chunk_partition,
                           &offset, &source->base.patience, visit_chunk, &gathering, &end, err);
    *stopped = status == ESP_OK && end == ESP_READ_STOPPED;
    if (status == ESP_OK && !*stopped)
        status = esp_assembly_finish(gathering.assembly, err);
    esp_assembly_free(gathering.assembly);
    return status;
}

static enum esp_status topic_fetch_to(struct esp_snapshot_source *base,
                                      struct esp_live_snapshot *live, const char *path,
                                      bool *stopped, struct esp_error *err)
{
    struct esp_atomic_file file;
    enum esp_status status = esp_atomic_file_open(&file, path, err);
    if (status != ESP_OK)
        return status;
    status = assemble(of(base), &live->manifest, file.fd, stopped, err);
    if (status != ESP_OK || *stopped) {
        esp_atomic_file_abandon(&file);
        return status;
    }
    status = esp_atomic_file_close(&file, ESP_OK, err);
    if (status != ESP_OK)
        return status;
    base->stats.fetched++;
    base->stats.bytes += live->manifest.size;
    return ESP_OK;
}

/* A file of that name with the manifest's size and checksum is what would be fetched. */
static bool is_cached(const char *path, const struct esp_snapshot_manifest_record *manifest)
{
    uint64_t checksum = 0, size = 0;
    struct stat info;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool is_same = fd >= 0 && fstat(fd, &info) == 0 && (uint64_t)info.st_size == manifest->size &&
                   esp_file_checksum(fd, path, &checksum, &size, NULL) == ESP_OK &&
                   size == manifest->size && checksum == manifest->checksum;
    if (fd >= 0)
        close(fd);
    return is_same;
}

static enum esp_status topic_fetch(struct esp_snapshot_source *base, struct esp_live_snapshot *live,
                                   char **out, struct esp_error *err)
{
    struct topic_source *source = of(base);
    char path[PATH_MAX];
    bool stopped = false;
    enum esp_status status = ESP_OK;
    if (source->cache == NULL)
        return esp_fail(err, ESP_EINVAL, "there is no cache to fetch it to");
    cached_path(source, &live->manifest.id, path);
    if (is_cached(path, &live->manifest))
        base->stats.reused++;
    else
        status = topic_fetch_to(base, live, path, &stopped, err);
    if (status != ESP_OK || stopped)
        return status;
    *out = strdup(path);
    return *out != NULL ? ESP_OK : esp_fail(err, ESP_ENOMEM, "out of memory for a path");
}

static const struct esp_source_ops topic_ops = {
    .free = topic_free,
    .poll = topic_poll,
    .fetch = topic_fetch,
    .fetch_to = topic_fetch_to,
};

enum esp_status esp_topic_source_new(const struct esp_snapshot_source_config *config,
                                     struct esp_snapshot_source **out, struct esp_error *err)
{
    struct topic_source *source = calloc(1, sizeof *source);
    if (source == NULL)
        return esp_fail(err, ESP_ENOMEM, "out of memory for a source of snapshots");
    source->base.ops = &topic_ops;
    source->log = config->log;
    source->cache_lock = -1;
    enum esp_status status = esp_log_partitions(config->log, config->place, broker_patience_us,
                                                &source->n_partitions, err);
    if (status == ESP_OK && source->n_partitions == 0)
        status = esp_fail(err, ESP_ECONFIG,
                          "topic %s does not exist; `espalier check --create-topics` makes it",
                          config->place);
    if (status == ESP_OK)
        status = esp_own_fingerprints_init(&source->own, err);
    if (status == ESP_OK && config->cache != NULL)
        status = open_cache(source, config->cache, err);
    if (status != ESP_OK) {
        topic_free(&source->base);
        return status;
    }
    *out = &source->base;
    return ESP_OK;
}
