/*
 * files_writer.c - appends records to container files, a sequence of files a partition.
 *
 * Records gather in a block; a full block is compressed and written at once. Nothing in a file is
 * random: the sync marker is a hash of the file's name, so the same records give the same bytes.
 *
 *      append --> block --full, or flush--> file --roll_bytes--> closed
 *
 * A file that stands there already is never touched, only continued by a new one: the first offset
 * is behind the last whole block of what is there (a torn tail is left to whoever reads it).
 *
 * INVARIANTS
 *  (1) A file holds whole blocks only: a block that cannot be written whole is cut off again.
 *  (2) After a failure a writer fails every call, with the first failure's text.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/uio.h>
#include <unistd.h>

#include "core/atomic_file.h"
#include "core/hash.h"
#include "log/container.h"
#include "log/files_log.h"
#include "log/folder.h"

enum {
    BLOCK_BYTES = 256 << 10, /* a block is cut when it has passed this */
};

static const uint64_t default_roll_bytes = UINT64_C(256) << 20;

struct files_partition {
    char *path;            /* of its folder, owned; NULL: nothing was appended yet */
    int fd;                /* of the current file; -1: none */
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
    free(writer->topic);
    free(writer->schema);
    free(writer);
}

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

/* Where a folder's records end, counted as a reader counts. */
static enum esp_status end_of_folder(const char *path, int64_t *out_offset, struct esp_error *err)
{
    struct esp_folder folder = {NULL, 0, 0};
    struct esp_container container;
    esp_container_init(&container);
    int64_t offset = 0;
    enum esp_status status = esp_folder_list(path, &folder, err);
    size_t first = 0;
    for (size_t i = 0; i < folder.n; i++) {
        if (folder.files[i].first_offset >= 0)
            first = i;
    }
    for (size_t i = first; status == ESP_OK && i < folder.n; i++) {
        int64_t named = folder.files[i].first_offset;
        status = end_of_file(path, &folder.files[i], &container, named >= 0 ? named : offset, err);
        offset = container.next_offset;
    }
    esp_container_release(&container);
    esp_folder_release(&folder);
    *out_offset = offset;
    return status;
}

static enum esp_status open_partition(struct files_writer *writer, size_t index,
                                      struct esp_error *err)
{
    struct files_partition *partition = &writer->partitions[index];
    enum esp_status status = esp_files_make_partition(writer->files, writer->topic, index, err);
    if (status != ESP_OK)
        return status;
    partition->path = esp_files_partition_path(writer->files, writer->topic, index);
    if (partition->path == NULL)
        return esp_fail(err, ESP_ENOMEM, "out of memory for a path");
    return end_of_folder(partition->path, &partition->next_offset, err);
}

/* Two hashes of the file's name. */
static void make_sync(const char *name, uint8_t sync[ESP_SYNC_BYTES])
{
    uint64_t low = esp_hash(esp_bytes_of(name)), high = esp_mix64(low ^ strlen(name));
    for (size_t i = 0; i < 8; i++) {
        sync[i] = (uint8_t)(low >> (8 * i));
        sync[8 + i] = (uint8_t)(high >> (8 * i));
    }
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

/* Begins the file whose first record is the partition's next one. */
static enum esp_status begin_file(struct files_writer *writer, size_t index, struct esp_error *err)
{
    struct files_partition *partition = &writer->partitions[index];
    char *path = NULL;
    if (asprintf(&path, "%s/%s+%zu+%010lld.avro", partition->path, writer->topic, index,
                 (long long)partition->next_offset) < 0)
        return esp_fail(err, ESP_ENOMEM, "out of memory for a path");
    make_sync(strrchr(path, '/') + 1, partition->sync);
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
    partition->n_written = writer->scratch.size;
    partition->is_new = true;
    partition->is_dirty = true;
out:
    free(path);
    return status;
}

/* Writes the block that has gathered, if there is one. */
static enum esp_status end_block(struct files_writer *writer, size_t index, struct esp_error *err)
{
    struct files_partition *partition = &writer->partitions[index];
    if (partition->block_records == 0)
        return ESP_OK;
    struct esp_bytes stored = esp_buf_bytes(&partition->block);
    if (writer->files->codec != ESP_CODEC_NULL) {
        enum esp_status status =
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

static enum esp_status sync_folder(const char *path, struct esp_error *err)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool is_done = fd >= 0 && fsync(fd) == 0;
    int why = errno;
    if (fd >= 0)
        close(fd);
    return is_done ? ESP_OK : esp_fail(err, ESP_EIO, "%s: fsync: %s", path, strerror(why));
}

/* Makes what was written to the current file durable. */
static enum esp_status sync_file(struct files_partition *partition, struct esp_error *err)
{
    if (!partition->is_dirty)
        return ESP_OK;
    if (fsync(partition->fd) != 0)
        return esp_fail(err, ESP_EIO, "%s: fsync: %s", partition->path, strerror(errno));
    enum esp_status status = partition->is_new ? sync_folder(partition->path, err) : ESP_OK;
    if (status == ESP_OK)
        partition->is_new = partition->is_dirty = false;
    return status;
}

static enum esp_status end_file(struct files_partition *partition, struct esp_error *err)
{
    enum esp_status status = sync_file(partition, err);
    close(partition->fd);
    partition->fd = -1;
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
    enum esp_status status = ESP_OK;
    if (partition->path == NULL)
        status = open_partition(writer, index, err);
    if (status == ESP_OK && partition->fd < 0)
        status = begin_file(writer, index, err);
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

static const struct esp_log_writer_ops writer_ops = {
    .free = files_writer_free,
    .append = files_append,
    .wait = files_wait,
    .flush = files_flush,
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
    esp_buf_init(&writer->scratch, (size_t)2 * ESP_BLOCK_MAX_BYTES);
    if (writer->topic == NULL || writer->schema == NULL || writer->partitions == NULL) {
        files_writer_free(&writer->writer);
        return esp_fail(err, ESP_ENOMEM, "out of memory for a writer");
    }
    for (size_t i = 0; i < writer->n_partitions; i++) {
        writer->partitions[i].fd = -1;
        esp_buf_init(&writer->partitions[i].block, ESP_BLOCK_MAX_BYTES);
    }
    *out = &writer->writer;
    return ESP_OK;
}
