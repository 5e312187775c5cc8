/* checkpoint.c - one checkpoint: mapped, verified, read. See checkpoint.h; the folder of them is in
 * checkpoint_files.c. */
#include "state/checkpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/archive.h"
#include "core/hash.h"
#include "state/checkpoint_format.h"

enum { WINDOW_BYTES = 1 << 24 }; /* mapped and hashed at a time */

struct esp_checkpoint {
    char *name; /* of the file, for messages */
    struct esp_bytes bytes;
    void *mapping; /* NULL: the bytes are the caller's */
    struct esp_hasher *hasher;
    struct esp_checkpoint_head head;
    struct esp_bytes table; /* its entries may stand at odd addresses */
    size_t n;
    char names[][ESP_CHECKPOINT_NAME_SIZE]; /* (n) copied, for callers */
};

static enum esp_status damaged(const char *name, struct esp_error *err, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static enum esp_status damaged(const char *name, struct esp_error *err, const char *format, ...)
{
    char text[ESP_ERROR_TEXT_SIZE];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return esp_fail(err, ESP_EDATA, "%s: cannot be used: %s", name, text);
}

/* ---- verifying ------------------------------------------------------------------------------- */

static uint64_t u64_at(const uint8_t *bytes)
{
    uint64_t value;
    memcpy(&value, bytes, sizeof value);
    return value;
}

/* A text of n bytes that ends with its only NUL; NULL: it does not. */
static const char *text_at(const uint8_t *bytes, size_t n)
{
    return n > 0 && memchr(bytes, 0, n) == bytes + n - 1 ? (const char *)bytes : NULL;
}

/* Everything up to the first section; *first: where that starts. */
static enum esp_status verify_head(struct esp_bytes bytes, const char *name,
                                   struct esp_checkpoint_head *head, size_t *first,
                                   struct esp_error *err)
{
    struct esp_checkpoint_start start;
    if (bytes.size >= sizeof start.magic &&
        memcmp(bytes.data, ESP_CHECKPOINT_MAGIC, sizeof start.magic) != 0)
        return damaged(name, err, "it is no checkpoint");
    if (bytes.size < sizeof start + sizeof(struct esp_checkpoint_tail))
        return damaged(name, err, "it is truncated in its head");
    memcpy(&start, bytes.data, sizeof start);
    if (start.order != ESP_CHECKPOINT_ORDER)
        return damaged(name, err, "its mark of the byte order is 0x%08" PRIx32, start.order);
    if (start.version != ESP_CHECKPOINT_VERSION)
        return damaged(name, err, "it is of format %" PRIu32 ", this program reads format %d",
                       start.version, ESP_CHECKPOINT_VERSION);
    size_t n = sizeof start + (size_t)start.build_bytes + start.run_bytes;
    if (start.build_bytes > ESP_CHECKPOINT_TEXT_SIZE ||
        start.run_bytes > ESP_CHECKPOINT_TEXT_SIZE || n + sizeof(uint64_t) > bytes.size)
        return damaged(name, err, "its head is longer than it can be, or it is truncated there");
    if (esp_hash(esp_bytes(bytes.data, n)) != u64_at(bytes.data + n))
        return damaged(name, err, "the checksum of its head is wrong");
    *head = (struct esp_checkpoint_head){
        .number = start.number,
        .time_us = start.time_us,
        .created_us = start.created_us,
        .build = text_at(bytes.data + sizeof start, start.build_bytes),
        .run = text_at(bytes.data + sizeof start + start.build_bytes, start.run_bytes),
    };
    if (head->build == NULL || head->run == NULL)
        return damaged(name, err, "its head has a text that does not end");
    *first = n + sizeof(uint64_t);
    return ESP_OK;
}

static enum esp_status verify_table(struct esp_bytes bytes, const char *name, size_t first,
                                    struct esp_bytes *table, struct esp_error *err)
{
    struct esp_checkpoint_tail tail;
    size_t at = bytes.size - sizeof tail; /* the head's check saw that it is there */
    memcpy(&tail, bytes.data + at, sizeof tail);
    if (at < first || memcmp(tail.magic, ESP_CHECKPOINT_END, sizeof tail.magic) != 0)
        return damaged(name, err, "it is truncated: its end is missing");
    if (tail.n_sections > ESP_CHECKPOINT_MAX_SECTIONS || tail.table_offset < first ||
        tail.table_offset > at ||
        at - tail.table_offset != tail.n_sections * sizeof(struct esp_checkpoint_entry))
        return damaged(name, err, "its table of sections is not where its end says");
    size_t n = at - tail.table_offset + offsetof(struct esp_checkpoint_tail, checksum);
    if (esp_hash(esp_bytes(bytes.data + tail.table_offset, n)) != tail.checksum)
        return damaged(name, err, "the checksum of its table of sections is wrong");
    *table = esp_bytes(bytes.data + tail.table_offset, at - tail.table_offset);
    return ESP_OK;
}

static struct esp_checkpoint_entry entry_at(const struct esp_checkpoint *checkpoint, size_t i)
{
    struct esp_checkpoint_entry entry;
    memcpy(&entry, checkpoint->table.data + i * sizeof entry, sizeof entry);
    return entry;
}

/*
 * The pages of a mapping are read here, where a bad sector is an error that can be told: met
 * later, by a load from memory, it would be a SIGBUS. Kernels before 5.14 do not know how.
 */
static enum esp_status read_pages(const struct esp_checkpoint *checkpoint, size_t offset, size_t n,
                                  struct esp_error *err)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), from = offset / page * page;
    if (checkpoint->mapping == NULL || n == 0 ||
        madvise((char *)checkpoint->mapping + from, offset + n - from, MADV_POPULATE_READ) == 0 ||
        errno == EINVAL)
        return ESP_OK;
    return damaged(checkpoint->name, err, "it cannot be read at byte %zu: %s", from,
                   errno == EFAULT ? strerror(EIO) : strerror(errno));
}

static enum esp_status verify_section(const struct esp_checkpoint *checkpoint,
                                      const struct esp_checkpoint_entry *entry,
                                      struct esp_error *err)
{
    esp_hasher_reset(checkpoint->hasher);
    for (uint64_t done = 0; done < entry->bytes; done += WINDOW_BYTES) {
        size_t n = entry->bytes - done < WINDOW_BYTES ? (size_t)(entry->bytes - done)
                                                      : (size_t)WINDOW_BYTES;
        enum esp_status status = read_pages(checkpoint, entry->offset + done, n, err);
        if (status != ESP_OK)
            return status;
        esp_hasher_add(checkpoint->hasher, checkpoint->bytes.data + entry->offset + done, n);
    }
    if (esp_hasher_value(checkpoint->hasher) == entry->checksum)
        return ESP_OK;
    return damaged(checkpoint->name, err, "the checksum of its section '%s' is wrong", entry->name);
}

/* They follow one another from `first` to the table, under names that differ. */
static enum esp_status verify_sections(struct esp_checkpoint *checkpoint, size_t first,
                                       struct esp_error *err)
{
    uint64_t at = first;
    uint64_t end = (uint64_t)(checkpoint->table.data - checkpoint->bytes.data);
    for (size_t i = 0; i < checkpoint->n; i++) {
        struct esp_checkpoint_entry entry = entry_at(checkpoint, i);
        bool is_good = entry.name[0] != '\0' && entry.name[sizeof entry.name - 1] == '\0' &&
                       entry.offset == at && entry.bytes <= end - at;
        memcpy(checkpoint->names[i], entry.name, sizeof entry.name);
        for (size_t k = 0; is_good && k < i; k++)
            is_good = strcmp(checkpoint->names[k], entry.name) != 0;
        if (!is_good)
            return damaged(checkpoint->name, err, "its section %zu is not possible", i);
        at += entry.bytes;
        enum esp_status status = verify_section(checkpoint, &entry, err);
        if (status != ESP_OK)
            return status;
    }
    if (at != end)
        return damaged(checkpoint->name, err, "its sections end before their table");
    return ESP_OK;
}

/* ---- opening --------------------------------------------------------------------------------- */

/* Takes over mapping (NULL: none), also when it fails. */
static enum esp_status parse(struct esp_bytes bytes, void *mapping, const char *name,
                             struct esp_checkpoint **out, struct esp_error *err)
{
    struct esp_checkpoint_head head = {0};
    struct esp_checkpoint *checkpoint = NULL;
    struct esp_bytes table = {0};
    size_t first = 0;
    enum esp_status status = verify_head(bytes, name, &head, &first, err);
    if (status == ESP_OK)
        status = verify_table(bytes, name, first, &table, err);
    if (status == ESP_OK) {
        size_t n = table.size / sizeof(struct esp_checkpoint_entry);
        checkpoint = calloc(1, sizeof *checkpoint + n * sizeof *checkpoint->names);
        if (checkpoint != NULL) {
            *checkpoint =
                (struct esp_checkpoint){.bytes = bytes, .head = head, .table = table, .n = n};
            checkpoint->name = strdup(name);
            checkpoint->hasher = esp_hasher_new();
            checkpoint->mapping = mapping;
            mapping = NULL; /* moved */
        }
        if (checkpoint == NULL || checkpoint->name == NULL || checkpoint->hasher == NULL)
            status = esp_fail(err, ESP_ENOMEM, "out of memory for %s", name);
    }
    if (status == ESP_OK)
        status = verify_sections(checkpoint, first, err);
    if (status == ESP_OK) {
        *out = checkpoint;
        checkpoint = NULL; /* moved to the caller */
    }
    esp_checkpoint_close(checkpoint);
    if (mapping != NULL)
        munmap(mapping, bytes.size);
    return status;
}

enum esp_status esp_checkpoint_parse(struct esp_bytes bytes, const char *name,
                                     struct esp_checkpoint **out, struct esp_error *err)
{
    *out = NULL;
    return parse(bytes, NULL, name, out, err);
}

static enum esp_status open_path(const char *path, struct esp_checkpoint **out,
                                 struct esp_error *err)
{
    struct stat info;
    void *mapping = MAP_FAILED;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &info) != 0) {
        int why = errno;
        if (fd >= 0)
            close(fd);
        return esp_fail(err, ESP_EIO, "%s: cannot be opened: %s", path, strerror(why));
    }
    size_t size = (size_t)info.st_size;
    if (S_ISREG(info.st_mode) && size > 0)
        mapping = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
    int why = errno;
    close(fd);
    if (!S_ISREG(info.st_mode))
        return damaged(path, err, "it is no file");
    if (size == 0)
        return damaged(path, err, "it is empty");
    if (mapping == MAP_FAILED)
        return esp_fail(err, ESP_EIO, "%s: cannot be mapped: %s", path, strerror(why));
    madvise(mapping, size, MADV_SEQUENTIAL);
    return parse(esp_bytes(mapping, size), mapping, path, out, err);
}

enum esp_status esp_checkpoint_open(const struct esp_state_folder *folder, uint64_t number,
                                    struct esp_checkpoint **out, struct esp_error *err)
{
    *out = NULL;
    char *path = esp_checkpoint_path(folder, number, "");
    if (path == NULL)
        return esp_fail(err, ESP_ENOMEM, "out of memory for a path");
    struct esp_checkpoint *checkpoint = NULL;
    enum esp_status status = open_path(path, &checkpoint, err);
    if (status == ESP_OK && checkpoint->head.number != number)
        status =
            damaged(path, err, "it is checkpoint %" PRIu64 " by its head", checkpoint->head.number);
    if (status == ESP_OK) {
        *out = checkpoint;
        checkpoint = NULL; /* moved to the caller */
    }
    esp_checkpoint_close(checkpoint);
    free(path);
    return status;
}

void esp_checkpoint_close(struct esp_checkpoint *checkpoint)
{
    if (checkpoint == NULL)
        return;
    if (checkpoint->mapping != NULL)
        munmap(checkpoint->mapping, checkpoint->bytes.size);
    esp_hasher_free(checkpoint->hasher);
    free(checkpoint->name);
    free(checkpoint);
}

/* ---- reading --------------------------------------------------------------------------------- */

const struct esp_checkpoint_head *esp_checkpoint_head(const struct esp_checkpoint *checkpoint)
{
    return &checkpoint->head;
}

const char *esp_checkpoint_section_name(const struct esp_checkpoint *checkpoint, size_t i)
{
    return i < checkpoint->n ? checkpoint->names[i] : NULL;
}

enum esp_status esp_checkpoint_section(const struct esp_checkpoint *checkpoint, const char *name,
                                       struct esp_bytes *bytes, struct esp_error *err)
{
    for (size_t i = 0; i < checkpoint->n; i++) {
        if (strcmp(checkpoint->names[i], name) != 0)
            continue;
        struct esp_checkpoint_entry entry = entry_at(checkpoint, i);
        *bytes = esp_bytes(checkpoint->bytes.data + entry.offset, entry.bytes);
        return ESP_OK;
    }
    *bytes = esp_bytes(NULL, 0);
    return damaged(checkpoint->name, err, "it has no section '%s'", name);
}

enum esp_status esp_checkpoint_end(const struct esp_checkpoint *checkpoint, const char *name,
                                   struct esp_archive *archive, struct esp_error *err)
{
    struct esp_error why = {.status = ESP_OK};
    enum esp_status status = esp_archive_end(archive, &why);
    if (status == ESP_OK)
        return ESP_OK;
    return esp_fail(err, status, "%s: section '%s' cannot be used: %s", checkpoint->name, name,
                    why.text);
}

/* The line of a text that starts at it. */
static struct esp_bytes line_of(const char *text)
{
    return esp_bytes(text, strcspn(text, "\n"));
}

/* Says the first line in which saved and wanted differ; what: "build" or "run". */
static enum esp_status compare(const struct esp_checkpoint *checkpoint, const char *what,
                               const char *saved, const char *wanted, struct esp_error *err)
{
    enum { SHOWN = 120 };
    while (*saved != '\0' || *wanted != '\0') {
        struct esp_bytes a = line_of(saved), b = line_of(wanted);
        if (!esp_bytes_equal(a, b))
            return esp_fail(err, ESP_EDATA,
                            "%s: is of another %s: it was written with \"%.*s\", this one has "
                            "\"%.*s\"",
                            checkpoint->name, what, a.size < SHOWN ? (int)a.size : SHOWN, saved,
                            b.size < SHOWN ? (int)b.size : SHOWN, wanted);
        saved += a.size + (saved[a.size] == '\n');
        wanted += b.size + (wanted[b.size] == '\n');
    }
    return ESP_OK;
}

enum esp_status esp_checkpoint_expect(const struct esp_checkpoint *checkpoint, const char *build,
                                      const char *run, struct esp_error *err)
{
    enum esp_status status = ESP_OK;
    if (run != NULL)
        status = compare(checkpoint, "run", checkpoint->head.run, run, err);
    if (status == ESP_OK && build != NULL)
        status = compare(checkpoint, "build", checkpoint->head.build, build, err);
    return status;
}
