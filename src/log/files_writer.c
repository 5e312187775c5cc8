/*
 * files_writer.c - appends records to container files, a sequence of files a partition.
 *
 * Records gather in a block; a full block is compressed and written at once. Nothing in a file is
 * random: the sync marker is a hash of the file's name, so the same records give the same bytes.
 *
 *      append --> block --full, or flush--> file --roll_bytes--> closed
 *
 * A file that stands there already is never touched, only continued by a new one: the first offset
 * is behind the last whole block of what is there (a torn tail is left to whoever reads it). But a
 * writer that was filled from an archive goes on in the file that the archived one was in, with the
 * records that had gathered, so that blocks and files end where they would have.
 *
 * A fence names the files that are open; a later fsync of them covers all that had been written to
 * them, and those that were closed meanwhile were fsynced then.
 *
 * INVARIANTS
 *  (1) A file holds whole blocks only: a block that cannot be written whole is cut off again.
 *  (2) After a failure a writer fails every call, with the first failure's text.
 *  (3) fd >= 0 only if file >= 0; and file >= 0 with fd < 0 only before the first append or flush
 *      of a writer that was filled.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/uio.h>
#include <unistd.h>

#include "core/atomic_file.h"
#include "log/container.h"
#include "log/files_log.h"

enum {
    BLOCK_BYTES = 256 << 10, /* a block is cut when it has passed this */
};

static const uint64_t default_roll_bytes = UINT64_C(256) << 20;

struct files_partition {
    char *path;            /* of its folder, owned; NULL: not needed yet */
    bool is_begun;         /* something was appended, be it before the writer was archived */
    int64_t file;          /* the first offset in the current file's name; -1: none */
    int fd;                /* of the current file; -1: none is open */
    bool is_new;           /* the file's name is not yet fsynced */
    bool is_dirty;         /* the file was written to since its last fsync */
    int64_t next_offset;   /* of the next record */
    uint64_t n_written;    /* bytes of whole blocks in the current file */
    struct esp_buf block;  /* records */
    int64_t block_records; /* how many */
    uint8_t sync[ESP_SYNC_BYTES];
};

struct files_writer {
    struct esp_log_writer writer;
    const struct esp_files_log *files;
    char *topic, *schema; /* owned */
    uint64_t roll_bytes;
    struct files_partition *partitions;
    int64_t *fenced; /* (n_partitions) the file that was open at the last fence; -1: none */
    uint64_t n_fences;
    size_t n_partitions;
    size_t next_round_robin;
    struct esp_codec codec;
    struct esp_buf scratch;  /* a header, or an encoded block */
    struct esp_error failed; /* the first failure, which every later call returns */
};

static void files_writer_free(struct esp_log_writer *base)
{
    struct files_writer *writer = (struct files_writer *)base;
    for (size_t i = 0; writer->partitions != NULL && i < writer->n_partitions; i++) {
        if (writer->partitions[i].fd >= 0)
            close(writer->partitions[i].fd);
        esp_buf_release(&writer->partitions[i].block);
        free(writer->partitions[i].path);
    }
    esp_codec_release(&writer->codec);
    esp_buf_release(&writer->scratch);
    free(writer->partitions);
    free(writer->fenced);
    free(writer->topic);
    free(writer->schema);
    free(writer);
}

/* Its folder is there, and the offset of the next record is known. */
static enum esp_status open_partition(struct files_writer *writer, size_t index,
                                      struct esp_error *err)
{
    struct files_partition *partition = &writer->partitions[index];
    int64_t first = 0;
    enum esp_status status = esp_files_make_partition(writer->files, writer->topic, index, err);
    if (status != ESP_OK)
        return status;
    partition->path = esp_files_partition_path(writer->files, writer->topic, index);
    if (partition->path == NULL)
        return esp_fail(err, ESP_ENOMEM, "out of memory for a path");
    if (!partition->is_begun)
        status = esp_files_bounds_of(partition->path, &first, &partition->next_offset, err);
    partition->is_begun |= status == ESP_OK;
    return status;
}

static enum esp_status write_all(int fd, struct iovec *parts, int n_parts)
{
    while (n_parts > 0) {
        ssize_t n = writev(fd, parts, n_parts);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return ESP_EIO;
        while (n_parts > 0 && (size_t)n >= parts->iov_len) {
            n -= (ssize_t)parts->iov_len;
            parts++;
            n_parts--;
        }
        if (n_parts > 0) {
            parts->iov_base = (char *)parts->iov_base + n;
            parts->iov_len -= (size_t)n;
        }
    }
    return ESP_OK;
}

/* Begins the file whose first record is the first that is in none yet. */
static enum esp_status begin_file(struct files_writer *writer, size_t index, struct esp_error *err)
{
    struct files_partition *partition = &writer->partitions[index];
    int64_t first = partition->next_offset - partition->block_records;
    char *name = esp_files_name(writer->topic, index, first), *path = NULL;
    if (name == NULL || asprintf(&path, "%s/%s", partition->path, name) < 0) {
        free(name);
        return esp_fail(err, ESP_ENOMEM, "out of memory for a path");
    }
    esp_files_sync_marker(name, partition->sync);
    esp_buf_clear(&writer->scratch);
    enum esp_status status = esp_container_put_header(
        &writer->scratch, esp_bytes_of(writer->schema), writer->files->codec, partition->sync, err);
    if (status != ESP_OK)
        goto out;
    /* A file of this name has no whole block, or the offset would be behind it: O_TRUNC loses
     * nothing that could be read. */
    partition->fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, ESP_FILE_MODE);
    struct iovec header = {writer->scratch.data, writer->scratch.size};
    if (partition->fd < 0 || write_all(partition->fd, &header, 1) != ESP_OK) {
        status = esp_fail(err, ESP_EIO, "%s: cannot be written: %s", path, strerror(errno));
        goto out;
    }
    partition->file = first;
    partition->n_written = writer->scratch.size;
    partition->is_new = true;
    partition->is_dirty = true;
out:
    free(name);
    free(path);
    return status;
}

/* Whether an open file's header is the one that this writer gives; else blocks of the two would not
 * go together: the configuration names another codec now, or the schema is a later version's. */
static enum esp_status has_own_header(const struct files_writer *writer, int fd, uint64_t size,
                                      bool *out, struct esp_error *err)
{
    struct esp_container container;
    struct esp_container_block block;
    enum esp_container_step step;
    esp_container_init(&container);
    esp_container_start(&container, fd, size, 0);
    enum esp_status status = esp_container_next(&container, false, INT64_MAX, &step, &block, err);
    struct esp_bytes schema = esp_bytes_of(writer->schema);
    *out = status == ESP_OK && container.codec == writer->files->codec &&
           container.schema.size == schema.size &&
           memcmp(container.schema.data, schema.data, schema.size) == 0;
    esp_container_release(&container);
    return status;
}

/* Goes on in the file that the archived writer was in; sets file to -1 where that cannot be. */
static enum esp_status go_on_in_file(struct files_writer *writer, size_t index,
                                     struct esp_error *err)
{
    struct files_partition *partition = &writer->partitions[index];
    char *name = esp_files_name(writer->topic, index, partition->file), *path = NULL;
    if (name == NULL || asprintf(&path, "%s/%s", partition->path, name) < 0) {
        free(name);
        return esp_fail(err, ESP_ENOMEM, "out of memory for a path");
    }
    bool goes_on = false;
    esp_files_sync_marker(name, partition->sync);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    enum esp_status status = ESP_OK;
    off_t end = fd < 0 ? 0 : lseek(fd, 0, SEEK_END);
    if (fd < 0 && errno != ENOENT)
        status = esp_fail(err, ESP_EIO, "%s: cannot be opened: %s", path, strerror(errno));
    else if (fd >= 0 && (uint64_t)end != partition->n_written)
        status = esp_fail(err, ESP_EIO, "%s: it has %lld bytes and was left at %llu", path,
                          (long long)end, (unsigned long long)partition->n_written);
    else if (fd >= 0)
        status = has_own_header(writer, fd, partition->n_written, &goes_on, err);
    if (goes_on) {
        partition->fd = fd;
        partition->is_dirty = true;
    } else {
        partition->file = -1;
        if (fd >= 0)
            close(fd);
    }
    free(name);
    free(path);
    return status;
}

/* A file to write the next block to. */
static enum esp_status need_file(struct files_writer *writer, size_t index, struct esp_error *err)
{
    struct files_partition *partition = &writer->partitions[index];
    enum esp_status status = ESP_OK;
    if (partition->fd >= 0)
        return ESP_OK;
    if (partition->path == NULL)
        status = open_partition(writer, index, err);
    if (status == ESP_OK && partition->file >= 0)
        status = go_on_in_file(writer, index, err);
    if (status == ESP_OK && partition->fd < 0)
        status = begin_file(writer, index, err);
    return status;
}

/* Writes the block that has gathered, if there is one. */
static enum esp_status end_block(struct files_writer *writer, size_t index, struct esp_error *err)
{
    struct files_partition *partition = &writer->partitions[index];
    if (partition->block_records == 0)
        return ESP_OK;
    enum esp_status status = need_file(writer, index, err);
    if (status != ESP_OK)
        return status;
    struct esp_bytes stored = esp_buf_bytes(&partition->block);
    if (writer->files->codec != ESP_CODEC_NULL) {
        status =
            esp_codec_encode(&writer->codec, writer->files->codec, stored, &writer->scratch, err);
        if (status != ESP_OK)
            return status;
        stored = esp_buf_bytes(&writer->scratch);
    }
    uint8_t head[ESP_BLOCK_HEAD_MAX];
    size_t n_head = esp_container_put_block_head(head, partition->block_records, stored.size);
    struct iovec parts[] = {{head, n_head},
                            {(void *)(uintptr_t)stored.data, stored.size},
                            {partition->sync, ESP_SYNC_BYTES}};
    if (write_all(partition->fd, parts, 3) != ESP_OK) {
        int why = errno;
        if (ftruncate(partition->fd, (off_t)partition->n_written) != 0)
            esp_log_say(&writer->files->log, ESP_LOG_PROBLEM,
                        "%s: the newest file ends in a torn block", partition->path);
        return esp_fail(err, ESP_EIO, "%s: cannot be written: %s", partition->path, strerror(why));
    }
    partition->is_dirty = true;
    partition->n_written += n_head + stored.size + ESP_SYNC_BYTES;
    partition->block_records = 0;
    esp_buf_clear(&partition->block);
    return ESP_OK;
}

/* Makes what was written to the current file durable. */
static enum esp_status sync_file(struct files_partition *partition, struct esp_error *err)
{
    if (!partition->is_dirty)
        return ESP_OK;
    if (fsync(partition->fd) != 0)
        return esp_fail(err, ESP_EIO, "%s: fsync: %s", partition->path, strerror(errno));
    enum esp_status status =
        partition->is_new ? esp_files_sync_folder(partition->path, err) : ESP_OK;
    if (status == ESP_OK)
        partition->is_new = partition->is_dirty = false;
    return status;
}

static enum esp_status end_file(struct files_partition *partition, struct esp_error *err)
{
    enum esp_status status = sync_file(partition, err);
    close(partition->fd);
    partition->fd = -1;
    partition->file = -1;
    partition->n_written = 0;
    return status;
}

/* Passes on the failure that the writer has kept, and every later call with it. */
static enum esp_status pass_on(const struct files_writer *writer, struct esp_error *err)
{
    return esp_fail(err, writer->failed.status, "%s", writer->failed.text);
}

static enum esp_status append_to(struct files_writer *writer, size_t index, struct esp_bytes value,
                                 struct esp_error *err)
{
    struct files_partition *partition = &writer->partitions[index];
    enum esp_status status = need_file(writer, index, err);
    if (status == ESP_OK && partition->block.size + value.size > ESP_BLOCK_MAX_BYTES)
        status = end_block(writer, index, err);
    if (status == ESP_OK)
        status = esp_buf_append(&partition->block, value.data, value.size, err);
    if (status != ESP_OK)
        return status;
    partition->block_records++;
    partition->next_offset++;
    if (partition->block.size < BLOCK_BYTES)
        return ESP_OK;
    status = end_block(writer, index, err);
    if (status == ESP_OK && partition->n_written >= writer->roll_bytes)
        status = end_file(partition, err);
    return status;
}

static enum esp_status files_append(struct esp_log_writer *base, int32_t partition,
                                    struct esp_bytes key, struct esp_bytes value,
                                    int64_t log_time_us, int64_t *offset, struct esp_error *err)
{
    (void)log_time_us;
    struct files_writer *writer = (struct files_writer *)base;
    if (writer->failed.status != ESP_OK)
        return pass_on(writer, err);
    if (value.data == NULL)
        return esp_fail(err, ESP_EINVAL,
                        "%s: a tombstone cannot be in a file, which is never "
                        "compacted",
                        writer->topic);
    if (value.size == 0 || value.size > ESP_BLOCK_MAX_BYTES)
        return esp_fail(err, ESP_EINVAL, "%s: a record of %zu bytes cannot be in a file",
                        writer->topic, value.size);
    size_t index = (size_t)partition;
    if (partition == ESP_PARTITION_BY_KEY && key.size > 0)
        index = esp_log_partition_of(key, (uint32_t)writer->n_partitions);
    else if (partition == ESP_PARTITION_BY_KEY)
        index = writer->next_round_robin++ % writer->n_partitions;
    if (index >= writer->n_partitions)
        return esp_fail(err, ESP_EINVAL, "%s has %zu partitions, no partition %ld", writer->topic,
                        writer->n_partitions, (long)partition);
    if (append_to(writer, index, value, &writer->failed) != ESP_OK)
        return pass_on(writer, err);
    if (offset != NULL)
        *offset = writer->partitions[index].next_offset - 1;
    return ESP_OK;
}

static enum esp_status files_flush(struct esp_log_writer *base, int64_t timeout_us,
                                   struct esp_error *err)
{
    (void)timeout_us;
    struct files_writer *writer = (struct files_writer *)base;
    if (writer->failed.status != ESP_OK)
        return pass_on(writer, err);
    for (size_t i = 0; i < writer->n_partitions; i++) {
        enum esp_status status = end_block(writer, i, &writer->failed);
        if (status == ESP_OK && writer->partitions[i].fd >= 0)
            status = sync_file(&writer->partitions[i], &writer->failed);
        if (status != ESP_OK)
            return pass_on(writer, err);
    }
    return ESP_OK;
}

static enum esp_status files_wait(struct esp_log_writer *base, int64_t timeout_us, bool *out_done,
                                  struct esp_error *err)
{
    *out_done = true;
    return files_flush(base, timeout_us, err);
}

/* ---- going back to an earlier moment --------------------------------------------------------- */

static enum esp_status files_fence(struct esp_log_writer *base, uint64_t *out_fence,
                                   struct esp_error *err)
{
    struct files_writer *writer = (struct files_writer *)base;
    if (writer->failed.status != ESP_OK)
        return pass_on(writer, err);
    *out_fence = ++writer->n_fences;
    for (size_t i = 0; i < writer->n_partitions; i++)
        writer->fenced[i] = writer->partitions[i].file;
    return ESP_OK;
}

/* By name, for the writer may have closed the file meanwhile, and goes on in any case. One that is
 * gone was taken away by somebody: nothing of it is left to lose. */
static enum esp_status sync_named(const struct files_writer *writer, size_t index, int64_t file,
                                  struct esp_error *err)
{
    char *folder = esp_files_partition_path(writer->files, writer->topic, index);
    char *name = esp_files_name(writer->topic, index, file), *path = NULL;
    enum esp_status status = ESP_OK;
    if (folder == NULL || name == NULL || asprintf(&path, "%s/%s", folder, name) < 0) {
        path = NULL;
        status = esp_fail(err, ESP_ENOMEM, "out of memory for a path");
        goto out;
    }
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        goto out;
    if (fd < 0 || fsync(fd) != 0)
        status = esp_fail(err, ESP_EIO, "%s: fsync: %s", path, strerror(errno));
    else
        status = esp_files_sync_folder(folder, err);
    if (fd >= 0)
        close(fd);
out:
    free(folder);
    free(name);
    free(path);
    return status;
}

/* Of an earlier fence, too: a file that was open then is open now, or was fsynced when it was
 * closed. */
static enum esp_status files_settled(struct esp_log_writer *base, uint64_t fence, bool *out_done,
                                     struct esp_error *err)
{
    (void)fence;
    const struct files_writer *writer = (const struct files_writer *)base;
    enum esp_status status = ESP_OK;
    for (size_t i = 0; i < writer->n_partitions && status == ESP_OK; i++) {
        if (writer->fenced[i] >= 0)
            status = sync_named(writer, i, writer->fenced[i], err);
    }
    *out_done = status == ESP_OK;
    return status;
}

static bool files_mark(const struct esp_log_writer *base, size_t index, struct esp_log_mark *mark)
{
    const struct files_writer *writer = (const struct files_writer *)base;
    if (index >= writer->n_partitions || !writer->partitions[index].is_begun)
        return false;
    const struct files_partition *partition = &writer->partitions[index];
    *mark = (struct esp_log_mark){
        .file = partition->file,
        .length = partition->file < 0 ? 0 : partition->n_written,
        .end = partition->next_offset - partition->block_records,
    };
    return true;
}

/* The records that have gathered. */
static void archive_block(struct esp_archive *archive, struct files_partition *partition)
{
    size_t n_bytes = partition->block.size;
    esp_archive_i64(archive, &partition->block_records);
    esp_archive_count(archive, &n_bytes, 1);
    int64_t most = n_bytes < ESP_BLOCK_MAX_BYTES ? (int64_t)n_bytes : ESP_BLOCK_MAX_BYTES;
    if (!esp_archive_check(archive,
                           partition->block_records >= (n_bytes > 0) &&
                               partition->block_records <= most && n_bytes <= ESP_BLOCK_MAX_BYTES,
                           "an output's number of records"))
        return;
    if (esp_archive_reads(archive)) {
        esp_buf_clear(&partition->block);
        struct esp_error why = {0};
        if (esp_buf_reserve(&partition->block, n_bytes, &why) != ESP_OK) {
            esp_archive_fail(archive, why.status, "%s", why.text);
            return;
        }
        partition->block.size = n_bytes;
    }
    if (n_bytes > 0)
        esp_archive_bytes(archive, partition->block.data, n_bytes);
}

static void archive_partition(struct esp_archive *archive, struct files_partition *partition)
{
    esp_archive_bool(archive, &partition->is_begun);
    if (!partition->is_begun)
        return;
    esp_archive_i64(archive, &partition->file);
    esp_archive_u64(archive, &partition->n_written);
    esp_archive_i64(archive, &partition->next_offset);
    archive_block(archive, partition);
    if (!esp_archive_check(archive, partition->next_offset >= 0, "where an output stood"))
        return;
    int64_t end = partition->next_offset - partition->block_records; /* neither is below 0 */
    esp_archive_check(archive,
                      end >= 0 && partition->file >= -1 && partition->file <= end &&
                          partition->n_written <= INT64_MAX,
                      "where an output stood");
}

static void files_archive(struct esp_archive *archive, struct esp_log_writer *base)
{
    struct files_writer *writer = (struct files_writer *)base;
    esp_archive_mark(archive, "files writer", 1);
    esp_archive_same(archive, writer->n_partitions, "the number of an output's partitions");
    esp_archive_size(archive, &writer->next_round_robin);
    for (size_t i = 0; i < writer->n_partitions && esp_archive_is_ok(archive); i++)
        archive_partition(archive, &writer->partitions[i]);
}

static const struct esp_log_writer_ops writer_ops = {
    .free = files_writer_free,
    .append = files_append,
    .wait = files_wait,
    .flush = files_flush,
    .fence = files_fence,
    .settled = files_settled,
    .mark = files_mark,
    .archive = files_archive,
};

enum esp_status esp_files_writer_new(struct esp_log *log,
                                     const struct esp_log_writer_config *config,
                                     struct esp_log_writer **out, struct esp_error *err)
{
    if (config->n_partitions == 0 || config->n_partitions > ESP_LOG_MAX_PARTITIONS)
        return esp_fail(err, ESP_EINVAL, "%s: %zu partitions", config->topic, config->n_partitions);
    if (config->schema_json == NULL)
        return esp_fail(err, ESP_EINVAL, "%s: files need a schema", config->topic);
    struct files_writer *writer = calloc(1, sizeof *writer);
    if (writer == NULL)
        return esp_fail(err, ESP_ENOMEM, "out of memory for a writer");
    writer->writer.ops = &writer_ops;
    writer->files = (const struct esp_files_log *)log;
    writer->topic = strdup(config->topic);
    writer->schema = strdup(config->schema_json);
    writer->roll_bytes = config->roll_bytes == 0 ? default_roll_bytes : config->roll_bytes;
    writer->n_partitions = config->n_partitions;
    writer->partitions = calloc(config->n_partitions, sizeof *writer->partitions);
    writer->fenced = malloc(config->n_partitions * sizeof *writer->fenced);
    esp_buf_init(&writer->scratch, (size_t)2 * ESP_BLOCK_MAX_BYTES);
    if (writer->topic == NULL || writer->schema == NULL || writer->partitions == NULL ||
        writer->fenced == NULL) {
        files_writer_free(&writer->writer);
        return esp_fail(err, ESP_ENOMEM, "out of memory for a writer");
    }
    for (size_t i = 0; i < writer->n_partitions; i++) {
        writer->partitions[i].fd = -1;
        writer->partitions[i].file = writer->fenced[i] = -1;
        esp_buf_init(&writer->partitions[i].block, ESP_BLOCK_MAX_BYTES);
    }
    *out = &writer->writer;
    return ESP_OK;
}
