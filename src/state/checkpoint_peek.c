/*
 * checkpoint_peek.c - one section of a checkpoint, by way of the table at its end. For lists of a
 * few KiB in files of gigabytes, which only esp_checkpoint_open() reads as a whole.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/buf.h"
#include "core/hash.h"
#include "state/checkpoint_format.h"

/* A file that is looked at. */
struct peek {
    int fd;
    const char *path;
    uint64_t size;
};

static enum esp_status damaged(const struct peek *peek, const char *what, struct esp_error *err)
{
    return esp_fail(err, ESP_EDATA, "%s: cannot be used: %s", peek->path, what);
}

/* Adds n bytes of the file to out. */
static enum esp_status read_at(const struct peek *peek, uint64_t offset, uint64_t n,
                               struct esp_buf *out, struct esp_error *err)
{
    if (offset > peek->size || n > peek->size - offset)
        return damaged(peek, "it is truncated", err);
    enum esp_status status = esp_buf_reserve(out, n, err);
    if (status != ESP_OK)
        return status;
    for (uint64_t done = 0; done < n;) {
        ssize_t got =
            pread(peek->fd, out->data + out->size, (size_t)(n - done), (off_t)(offset + done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return damaged(peek, got == 0 ? "it is truncated" : strerror(errno), err);
        out->size += (size_t)got;
        done += (uint64_t)got;
    }
    return ESP_OK;
}

/* Adds the table of sections, verified, to out. */
static enum esp_status read_table(const struct peek *peek, struct esp_buf *out,
                                  struct esp_error *err)
{
    struct esp_checkpoint_tail tail;
    if (peek->size < sizeof tail)
        return damaged(peek, "it is truncated", err);
    enum esp_status status = read_at(peek, peek->size - sizeof tail, sizeof tail, out, err);
    if (status != ESP_OK)
        return status;
    memcpy(&tail, out->data, sizeof tail);
    esp_buf_clear(out);
    if (memcmp(tail.magic, ESP_CHECKPOINT_END, sizeof tail.magic) != 0)
        return damaged(peek, "it is truncated: its end is missing", err);
    uint64_t table_bytes = tail.n_sections * sizeof(struct esp_checkpoint_entry);
    if (tail.n_sections > ESP_CHECKPOINT_MAX_SECTIONS || tail.table_offset > peek->size ||
        peek->size - tail.table_offset != table_bytes + sizeof tail)
        return damaged(peek, "its table of sections is not where its end says", err);
    size_t n = table_bytes + offsetof(struct esp_checkpoint_tail, checksum);
    status = read_at(peek, tail.table_offset, n, out, err);
    if (status == ESP_OK && esp_hash(esp_buf_bytes(out)) != tail.checksum)
        return damaged(peek, "the checksum of its table of sections is wrong", err);
    out->size = status == ESP_OK ? table_bytes : 0;
    return status;
}

static enum esp_status read_section(const struct peek *peek, const char *name, struct esp_buf *out,
                                    struct esp_error *err)
{
    struct esp_checkpoint_entry entry = {.name = ""};
    struct esp_buf table;
    esp_buf_init(&table, (ESP_CHECKPOINT_MAX_SECTIONS + 1) * sizeof entry);
    enum esp_status status = read_table(peek, &table, err);
    bool is_found = false;
    for (size_t at = 0; status == ESP_OK && !is_found && at < table.size; at += sizeof entry) {
        memcpy(&entry, table.data + at, sizeof entry);
        is_found = strncmp(entry.name, name, sizeof entry.name) == 0;
    }
    esp_buf_release(&table);
    if (status == ESP_OK && !is_found)
        status = esp_fail(err, ESP_EDATA, "%s: cannot be used: it has no section '%s'", peek->path,
                          name);
    size_t before = out->size;
    if (status == ESP_OK)
        status = read_at(peek, entry.offset, entry.bytes, out, err);
    if (status == ESP_OK &&
        esp_hash(esp_bytes(out->data + before, out->size - before)) != entry.checksum)
        status = damaged(peek, "the checksum of a section is wrong", err);
    if (status != ESP_OK)
        out->size = before;
    return status;
}

enum esp_status esp_checkpoint_peek(const struct esp_state_folder *folder, uint64_t number,
                                    const char *name, struct esp_buf *out, struct esp_error *err)
{
    char *path = esp_checkpoint_path(folder, number, "");
    if (path == NULL)
        return esp_fail(err, ESP_ENOMEM, "out of memory for a path");
    struct stat info;
    struct peek peek = {.fd = open(path, O_RDONLY | O_CLOEXEC), .path = path};
    enum esp_status status;
    if (peek.fd < 0 || fstat(peek.fd, &info) != 0) {
        status = esp_fail(err, ESP_EIO, "%s: cannot be opened: %s", path, strerror(errno));
    } else {
        peek.size = (uint64_t)info.st_size;
        status = read_section(&peek, name, out, err);
    }
    if (peek.fd >= 0)
        close(peek.fd);
    free(path);
    return status;
}
