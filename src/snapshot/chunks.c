/*
 * chunks.c - cuts files into chunks, puts chunks together.
 *
 * DESIGN  A chunk's bytes are believed where their checksum is the manifest's for its index. From
 * the size of such bytes alone follows where they belong: any chunk but the last has the chunks'
 * common size; the last begins where it ends with the file, and that is a multiple of the common
 * size. What the record says of itself, its count and offset, must agree.
 *
 * INVARIANTS (esp_assembly_check() asserts each by number)
 *  (1) A chunk's bit is set if and only if the bytes in its place have its checksum.
 *  (2) n_missing is the number of bits that are not set.
 *  (3) Once a chunk has come, of a file of several, the common size is known and never changes:
 *      chunks of this size tile the file, the last is neither empty nor larger.
 *  (4) offered == taken + double + foreign + wrong; taken == n_chunks - n_missing.
 *  (5) Nothing is written beyond the file's size.
 */
#include "snapshot/chunks.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/check.h"
#include "core/hash.h"

enum { READ_BYTES = 1 << 20 };

/* ---- files ----------------------------------------------------------------------------------- */

/* As pread(), whole unless the file ends; *out_n is less then. */
static enum esp_status read_at(int fd, const char *path, uint8_t *bytes, size_t size,
                               uint64_t offset, size_t *out_n, struct esp_error *err)
{
    size_t n = 0;
    while (n < size) {
        ssize_t got = pread(fd, bytes + n, size - n, (off_t)(offset + n));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return esp_fail(err, ESP_EIO, "%s cannot be read: %s", path, strerror(errno));
        if (got == 0)
            break;
        n += (size_t)got;
    }
    *out_n = n;
    return ESP_OK;
}

static enum esp_status write_at(int fd, struct esp_bytes bytes, uint64_t offset,
                                struct esp_error *err)
{
    size_t n = 0;
    while (n < bytes.size) {
        ssize_t put = pwrite(fd, bytes.data + n, bytes.size - n, (off_t)(offset + n));
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return esp_fail(err, ESP_EIO, "a chunk cannot be written: %s", strerror(errno));
        n += (size_t)put;
    }
    return ESP_OK;
}

enum esp_status esp_file_checksum(int fd, const char *path, uint64_t *out_checksum,
                                  uint64_t *out_size, struct esp_error *err)
{
    enum esp_status status = ESP_OK;
    uint8_t *bytes = malloc(READ_BYTES);
    struct esp_hasher *hasher = esp_hasher_new();
    uint64_t at = 0;
    size_t n = READ_BYTES;
    if (bytes == NULL || hasher == NULL) {
        status = esp_fail(err, ESP_ENOMEM, "out of memory to read %s", path);
        goto out;
    }
    esp_hasher_reset(hasher);
    while (n == READ_BYTES) {
        if ((status = read_at(fd, path, bytes, READ_BYTES, at, &n, err)) != ESP_OK)
            goto out;
        esp_hasher_add(hasher, bytes, n);
        at += n;
    }
    *out_checksum = esp_hasher_value(hasher);
    *out_size = at;
out:
    esp_hasher_free(hasher);
    free(bytes);
    return status;
}

/* ---- cutting --------------------------------------------------------------------------------- */

enum esp_status esp_cutter_open(struct esp_cutter *cutter, const char *path, size_t chunk_bytes,
                                struct esp_error *err)
{
    struct stat info;
    *cutter = (struct esp_cutter){.fd = open(path, O_RDONLY | O_CLOEXEC)};
    if (cutter->fd < 0 || fstat(cutter->fd, &info) != 0)
        return esp_fail(err, ESP_EIO, "%s cannot be opened: %s", path, strerror(errno));
    if (chunk_bytes == 0 || chunk_bytes > ESP_CHUNK_MAX_BYTES)
        return esp_fail(err, ESP_EINVAL, "chunks of %zu bytes", chunk_bytes);
    if (info.st_size == 0)
        return esp_fail(err, ESP_EDATA, "%s is empty", path);
    cutter->size = (uint64_t)info.st_size;
    uint64_t count = (cutter->size - 1) / chunk_bytes + 1;
    if (count > ESP_CHUNK_MAX_COUNT)
        return esp_fail(err, ESP_EDATA, "%s: its %" PRIu64 " bytes are more than %d chunks hold",
                        path, cutter->size, ESP_CHUNK_MAX_COUNT);
    cutter->count = (int32_t)count;
    cutter->chunk_bytes = chunk_bytes;
    cutter->buffer = malloc(chunk_bytes);
    cutter->hasher = esp_hasher_new();
    if (cutter->buffer == NULL || cutter->hasher == NULL)
        return esp_fail(err, ESP_ENOMEM, "out of memory to read %s", path);
    esp_hasher_reset(cutter->hasher);
    return ESP_OK;
}

enum esp_status esp_cutter_next(struct esp_cutter *cutter, struct esp_chunk *out,
                                struct esp_error *err)
{
    uint64_t left = cutter->size - cutter->at;
    size_t want = left < cutter->chunk_bytes ? (size_t)left : cutter->chunk_bytes, n = 0;
    enum esp_status status =
        read_at(cutter->fd, "a snapshot", cutter->buffer, want, cutter->at, &n, err);
    if (status != ESP_OK)
        return status;
    if (n < want)
        return esp_fail(err, ESP_EDATA, "a snapshot has become shorter while it was read");
    esp_hasher_add(cutter->hasher, cutter->buffer, n);
    *out = (struct esp_chunk){
        .index = cutter->index++,
        .count = cutter->count,
        .offset = (int64_t)cutter->at,
        .checksum = esp_hash(esp_bytes(cutter->buffer, n)),
        .data = esp_bytes(cutter->buffer, n),
    };
    cutter->at += n;
    return ESP_OK;
}

uint64_t esp_cutter_checksum(const struct esp_cutter *cutter)
{
    return esp_hasher_value(cutter->hasher);
}

void esp_cutter_release(struct esp_cutter *cutter)
{
    if (cutter->fd >= 0)
        close(cutter->fd);
    free(cutter->buffer);
    esp_hasher_free(cutter->hasher);
    *cutter = (struct esp_cutter){.fd = -1};
}

/* ---- assembly -------------------------------------------------------------------------------- */

struct esp_assembly {
    const struct esp_snapshot_manifest_record *manifest; /* borrowed */
    int fd;                                              /* borrowed */
    uint64_t chunk_bytes;                                /* all chunks' but the last; 0: unknown */
    size_t n_missing;
    struct esp_assembly_counts counts;
    uint8_t bits[]; /* a bit a chunk: it has come */
};

static bool has_come(const struct esp_assembly *assembly, size_t index)
{
    return (assembly->bits[index / 8] >> (index % 8) & 1) != 0;
}

enum esp_status esp_assembly_new(const struct esp_snapshot_manifest_record *manifest, int fd,
                                 struct esp_assembly **out, struct esp_error *err)
{
    uint64_t n = manifest->n_chunks;
    /* Of n chunks of S bytes the last has size - (n - 1) S, from 1 to S: the smallest S is the
     * size's n-th part, rounded up, and has to leave something for the last. */
    uint64_t least = (manifest->size - 1) / n + 1;
    if ((n - 1) * least >= manifest->size)
        return esp_fail(err, ESP_EDATA, "%" PRIu64 " chunks cannot hold %" PRIu64 " bytes evenly",
                        n, manifest->size);
    struct esp_assembly *assembly = calloc(1, sizeof *assembly + (n + 7) / 8);
    if (assembly == NULL)
        return esp_fail(err, ESP_ENOMEM, "out of memory for %" PRIu64 " chunks", n);
    assembly->manifest = manifest;
    assembly->fd = fd;
    assembly->n_missing = n;
    *out = assembly;
    return ESP_OK;
}

void esp_assembly_free(struct esp_assembly *assembly)
{
    free(assembly);
}

/* The common size that these bytes, which are a chunk's, ask for; 0: none would do. A file of one
 * chunk has that chunk's. */
static uint64_t size_asked(const struct esp_assembly *assembly, size_t index, uint64_t n_bytes)
{
    uint64_t size = assembly->manifest->size, n = assembly->manifest->n_chunks, asked = n_bytes;
    if (index == n - 1 && n > 1) {
        if (n_bytes > size || (size - n_bytes) % (n - 1) != 0)
            return 0;
        asked = (size - n_bytes) / (n - 1);
    }
    bool tiles = asked > 0 && asked <= ESP_CHUNK_MAX_BYTES && (n - 1) * asked < size &&
                 n * asked >= size && (n > 1 || asked == size);
    return tiles ? asked : 0;
}

static enum esp_chunk_verdict judge(const struct esp_assembly *assembly,
                                    const struct esp_snapshot_chunk_record *chunk,
                                    uint64_t *chunk_bytes)
{
    const struct esp_snapshot_manifest_record *manifest = assembly->manifest;
    if (!esp_snapshot_id_equal(&chunk->id, &manifest->id))
        return ESP_CHUNK_FOREIGN;
    if (chunk->index < 0 || (size_t)chunk->index >= manifest->n_chunks ||
        (size_t)chunk->count != manifest->n_chunks)
        return ESP_CHUNK_WRONG;
    size_t index = (size_t)chunk->index;
    if (chunk->checksum != manifest->chunk_checksums[index] ||
        esp_hash(chunk->data) != chunk->checksum)
        return ESP_CHUNK_WRONG;
    uint64_t asked = size_asked(assembly, index, chunk->data.size);
    if (asked == 0 || (assembly->chunk_bytes != 0 && asked != assembly->chunk_bytes) ||
        (uint64_t)chunk->offset != index * asked)
        return ESP_CHUNK_WRONG;
    *chunk_bytes = asked;
    return has_come(assembly, index) ? ESP_CHUNK_DOUBLE : ESP_CHUNK_TAKEN;
}

enum esp_status esp_assembly_take(struct esp_assembly *assembly,
                                  const struct esp_snapshot_chunk_record *chunk,
                                  enum esp_chunk_verdict *out, struct esp_error *err)
{
    uint64_t chunk_bytes = 0;
    enum esp_chunk_verdict verdict = judge(assembly, chunk, &chunk_bytes);
    if (verdict == ESP_CHUNK_TAKEN) {
        size_t index = (size_t)chunk->index;
        enum esp_status status = write_at(assembly->fd, chunk->data, index * chunk_bytes, err);
        if (status != ESP_OK)
            return status;
        assembly->chunk_bytes = chunk_bytes;
        assembly->bits[index / 8] |= (uint8_t)(1u << (index % 8));
        assembly->n_missing--;
    }
    assembly->counts.offered++;
    assembly->counts.of[verdict]++;
    *out = verdict;
    return ESP_OK;
}

size_t esp_assembly_missing(const struct esp_assembly *assembly)
{
    return assembly->n_missing;
}

size_t esp_assembly_first_missing(const struct esp_assembly *assembly)
{
    size_t i = 0;
    while (i < assembly->manifest->n_chunks && has_come(assembly, i))
        i++;
    return i;
}

void esp_assembly_counts(const struct esp_assembly *assembly, struct esp_assembly_counts *out)
{
    *out = assembly->counts;
}

enum esp_status esp_assembly_finish(struct esp_assembly *assembly, struct esp_error *err)
{
    const struct esp_snapshot_manifest_record *manifest = assembly->manifest;
    uint64_t checksum = 0, size = 0;
    if (assembly->n_missing > 0)
        return esp_fail(err, ESP_EDATA, "%zu of %zu chunks are missing, chunk %zu first",
                        assembly->n_missing, manifest->n_chunks,
                        esp_assembly_first_missing(assembly));
    enum esp_status status =
        esp_file_checksum(assembly->fd, "the assembled snapshot", &checksum, &size, err);
    if (status != ESP_OK)
        return status;
    if (size != manifest->size || checksum != manifest->checksum)
        return esp_fail(err, ESP_EDATA,
                        "its chunks make %" PRIu64 " bytes with checksum %016" PRIx64
                        ", the manifest says %" PRIu64 " with %016" PRIx64,
                        size, checksum, manifest->size, manifest->checksum);
    if (fsync(assembly->fd) != 0)
        return esp_fail(err, ESP_EIO, "the assembled snapshot cannot be written: %s",
                        strerror(errno));
    return ESP_OK;
}

/* (1) for one chunk. */
static void check_chunk(const struct esp_assembly *assembly, size_t index, uint8_t *buffer)
{
    const struct esp_snapshot_manifest_record *manifest = assembly->manifest;
    uint64_t begin = index * assembly->chunk_bytes, left = manifest->size - begin;
    size_t want = (size_t)(left < assembly->chunk_bytes ? left : assembly->chunk_bytes), n = 0;
    if (!has_come(assembly, index))
        return;
    ESP_CHECK(1, read_at(assembly->fd, "", buffer, want, begin, &n, NULL) == ESP_OK && n == want);
    ESP_CHECK(1, esp_hash(esp_bytes(buffer, n)) == manifest->chunk_checksums[index]);
}

void esp_assembly_check(const struct esp_assembly *assembly)
{
    const struct esp_assembly_counts *counts = &assembly->counts;
    uint64_t n = assembly->manifest->n_chunks, size = assembly->manifest->size;
    size_t n_come = 0, sum = 0;
    struct stat info;
    uint8_t *buffer = malloc(ESP_CHUNK_MAX_BYTES);
    ESP_CHECK(0, buffer != NULL);
    for (size_t i = 0; i < n; i++) {
        n_come += has_come(assembly, i);
        check_chunk(assembly, i, buffer);
    }
    free(buffer);
    ESP_CHECK(2, assembly->n_missing == n - n_come);
    ESP_CHECK(3, (assembly->chunk_bytes != 0) == (n_come > 0));
    ESP_CHECK(3, n_come == 0 ||
                     ((n - 1) * assembly->chunk_bytes < size && n * assembly->chunk_bytes >= size));
    for (int i = 0; i < ESP_N_CHUNK_VERDICTS; i++)
        sum += counts->of[i];
    ESP_CHECK(4, counts->offered == sum && counts->of[ESP_CHUNK_TAKEN] == n_come);
    ESP_CHECK(5, fstat(assembly->fd, &info) == 0 && (uint64_t)info.st_size <= size);
}
