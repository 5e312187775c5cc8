/*
 * checkpoint_writer.c - see checkpoint_writer.h.
 *
 * What is small is gathered in a buffer; what is large goes to the file in pieces of the buffer's
 * size, each hashed just before it is written, while it is in the cache.
 *
 * The kernel is told to write back behind us. A file of gigabytes that waits for one fsync at the
 * end would fill memory with dirty pages until all writers of the machine are slowed down, and a
 * process in such an fsync does not die of SIGKILL before it is over: the lock would stay taken.
 */
#include "state/checkpoint_writer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/atomic_file.h"
#include "core/hash.h"
#include "state/checkpoint_format.h"

enum { BUFFER_BYTES = 1 << 18, BEHIND_BYTES = 1 << 23 };

struct esp_checkpoint_writer {
    struct esp_hasher *hasher; /* of the part that is being written */
    uint8_t *buffer;           /* BUFFER_BYTES */
    size_t n_buffered;
    uint64_t at;     /* bytes of the file so far, the buffered ones included */
    uint64_t behind; /* the kernel was told to write back what is before */
    int fd;
    const char *path;
    struct esp_error error; /* the first failure */
    struct esp_archive archive;
    bool is_open; /* a section is */
    size_t n;
    struct esp_checkpoint_entry entries[ESP_CHECKPOINT_MAX_SECTIONS];
};

struct esp_checkpoint_writer *esp_checkpoint_writer_new(void)
{
    struct esp_checkpoint_writer *writer = calloc(1, sizeof *writer);
    if (writer == NULL)
        return NULL;
    writer->hasher = esp_hasher_new();
    writer->buffer = malloc(BUFFER_BYTES);
    if (writer->hasher != NULL && writer->buffer != NULL)
        return writer;
    esp_checkpoint_writer_free(writer);
    return NULL;
}

void esp_checkpoint_writer_free(struct esp_checkpoint_writer *writer)
{
    if (writer == NULL)
        return;
    esp_hasher_free(writer->hasher);
    free(writer->buffer);
    free(writer);
}

uint64_t esp_checkpoint_writer_size(const struct esp_checkpoint_writer *writer)
{
    return writer->at;
}

/* ---- bytes ----------------------------------------------------------------------------------- */

/* strerror() may translate, which takes locks; this does not. */
static const char *reason(void)
{
    const char *text = strerrordesc_np(errno);
    return text == NULL ? "an unknown error" : text;
}

static enum esp_status failure(struct esp_checkpoint_writer *writer)
{
    return esp_fail(&writer->error, ESP_EIO, "%s: cannot be written: %s", writer->path, reason());
}

/* Starts the write-back of the newest stretch and waits for the one before it. */
static enum esp_status write_behind(struct esp_checkpoint_writer *writer)
{
    enum { STARTS = SYNC_FILE_RANGE_WRITE };
    enum {
        WAITS = SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER
    };
    while (writer->at - writer->n_buffered >= writer->behind + BEHIND_BYTES) {
        int result = sync_file_range(writer->fd, (off64_t)writer->behind, BEHIND_BYTES, STARTS);
        if (result == 0 && writer->behind > 0)
            result = sync_file_range(writer->fd, (off64_t)writer->behind - BEHIND_BYTES,
                                     BEHIND_BYTES, WAITS);
        /* It may have taken the failure that fsync would have told. A file system that does not
         * know the call leaves all to fsync. */
        if (result != 0 && errno != ENOSYS && errno != EINVAL && errno != ESPIPE)
            return failure(writer);
        writer->behind += BEHIND_BYTES;
    }
    return ESP_OK;
}

static enum esp_status flush(struct esp_checkpoint_writer *writer)
{
    if (writer->error.status != ESP_OK)
        return writer->error.status;
    if (!esp_fd_write(writer->fd, writer->buffer, writer->n_buffered))
        return failure(writer);
    writer->n_buffered = 0;
    return write_behind(writer);
}

/* Adds to the part that is being written, under its checksum. */
static enum esp_status put(struct esp_checkpoint_writer *writer, const void *bytes, size_t n)
{
    const uint8_t *from = bytes;
    while (n > 0 && writer->error.status == ESP_OK) {
        size_t room = BUFFER_BYTES - writer->n_buffered;
        size_t piece = n < room ? n : room;
        esp_hasher_add(writer->hasher, from, piece);
        writer->at += piece;
        if (piece == BUFFER_BYTES) { /* a whole buffer need not be copied */
            if (!esp_fd_write(writer->fd, from, piece))
                return failure(writer);
            write_behind(writer);
        } else {
            memcpy(writer->buffer + writer->n_buffered, from, piece);
            writer->n_buffered += piece;
            if (writer->n_buffered == BUFFER_BYTES)
                flush(writer);
        }
        from += piece;
        n -= piece;
    }
    return writer->error.status;
}

static void put_checksum(struct esp_checkpoint_writer *writer)
{
    uint64_t checksum = esp_hasher_value(writer->hasher);
    put(writer, &checksum, sizeof checksum);
}

static enum esp_status result(const struct esp_checkpoint_writer *writer, struct esp_error *err)
{
    if (writer->error.status == ESP_OK)
        return ESP_OK;
    return esp_fail(err, writer->error.status, "%s", writer->error.text);
}

/* ---- the head -------------------------------------------------------------------------------- */

enum esp_status esp_checkpoint_writer_begin(struct esp_checkpoint_writer *writer, int fd,
                                            const char *path,
                                            const struct esp_checkpoint_head *head,
                                            struct esp_error *err)
{
    size_t build_bytes = strlen(head->build) + 1, run_bytes = strlen(head->run) + 1;
    writer->fd = fd;
    writer->path = path;
    writer->at = writer->behind = 0;
    writer->n_buffered = 0;
    writer->n = 0;
    writer->is_open = false;
    writer->error = (struct esp_error){.status = ESP_OK};
    if (head->number > ESP_CHECKPOINT_MAX_NUMBER || build_bytes > ESP_CHECKPOINT_TEXT_SIZE ||
        run_bytes > ESP_CHECKPOINT_TEXT_SIZE) {
        esp_fail(&writer->error, ESP_EINVAL, "%s: its number or a text of its head is too large",
                 path);
        return result(writer, err);
    }
    struct esp_checkpoint_start start = {
        .version = ESP_CHECKPOINT_VERSION,
        .order = ESP_CHECKPOINT_ORDER,
        .number = head->number,
        .time_us = head->time_us,
        .created_us = head->created_us,
        .build_bytes = (uint32_t)build_bytes,
        .run_bytes = (uint32_t)run_bytes,
    };
    memcpy(start.magic, ESP_CHECKPOINT_MAGIC, sizeof start.magic);
    esp_hasher_reset(writer->hasher);
    put(writer, &start, sizeof start);
    put(writer, head->build, build_bytes);
    put(writer, head->run, run_bytes);
    put_checksum(writer);
    return result(writer, err);
}

/* ---- sections -------------------------------------------------------------------------------- */

static enum esp_status take(void *context, const void *bytes, size_t n, struct esp_error *err)
{
    struct esp_checkpoint_writer *writer = context;
    put(writer, bytes, n);
    return result(writer, err);
}

static bool is_new_name(const struct esp_checkpoint_writer *writer, const char *name)
{
    for (size_t i = 0; i < writer->n; i++)
        if (strcmp(writer->entries[i].name, name) == 0)
            return false;
    return name[0] != '\0' && strlen(name) < ESP_CHECKPOINT_NAME_SIZE;
}

struct esp_archive *esp_checkpoint_section_begin(struct esp_checkpoint_writer *writer,
                                                 const char *name)
{
    esp_archive_write_to(&writer->archive, take, writer);
    if (writer->is_open || writer->n == ESP_CHECKPOINT_MAX_SECTIONS || !is_new_name(writer, name))
        esp_fail(&writer->error, ESP_EINVAL, "%s: no section '%s' can begin here", writer->path,
                 name);
    if (writer->error.status != ESP_OK) {
        esp_archive_fail(&writer->archive, writer->error.status, "%s", writer->error.text);
        return &writer->archive;
    }
    struct esp_checkpoint_entry *entry = &writer->entries[writer->n];
    *entry = (struct esp_checkpoint_entry){.offset = writer->at};
    memcpy(entry->name, name, strlen(name));
    esp_hasher_reset(writer->hasher);
    writer->is_open = true;
    return &writer->archive;
}

enum esp_status esp_checkpoint_section_end(struct esp_checkpoint_writer *writer,
                                           struct esp_error *err)
{
    esp_archive_end(&writer->archive, &writer->error);
    if (writer->is_open) {
        struct esp_checkpoint_entry *entry = &writer->entries[writer->n++];
        entry->bytes = writer->at - entry->offset;
        entry->checksum = esp_hasher_value(writer->hasher);
        writer->is_open = false;
    }
    return result(writer, err);
}

/* ---- the end --------------------------------------------------------------------------------- */

enum esp_status esp_checkpoint_writer_finish(struct esp_checkpoint_writer *writer,
                                             struct esp_error *err)
{
    struct esp_checkpoint_tail tail = {.table_offset = writer->at, .n_sections = writer->n};
    if (writer->is_open)
        esp_fail(&writer->error, ESP_EINVAL, "%s: a section has not ended", writer->path);
    memcpy(tail.magic, ESP_CHECKPOINT_END, sizeof tail.magic);
    esp_hasher_reset(writer->hasher);
    put(writer, writer->entries, writer->n * sizeof *writer->entries);
    put(writer, &tail, offsetof(struct esp_checkpoint_tail, checksum));
    put_checksum(writer);
    put(writer, tail.magic, sizeof tail.magic);
    flush(writer);
    if (writer->error.status == ESP_OK && fsync(writer->fd) != 0)
        failure(writer);
    return result(writer, err);
}
