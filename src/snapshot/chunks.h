/*
 * chunks.h - a file cut into chunks, and chunks put together to the file again.
 *
 * All chunks of a file but the last have one size, which is nobody's to say: whoever puts them
 * together derives it from what came and holds every chunk against it.
 */
#ifndef ESP_SNAPSHOT_CHUNKS_H
#define ESP_SNAPSHOT_CHUNKS_H

#include "core/hash.h"

#include "event/own_records.h"

/* ---- cutting --------------------------------------------------------------------------------- */

/* What we cut: a little below the limit, so that two records fit a consumer's fetch of 1 MiB, its
 * default, which else would carry one and throw half of the next away. */
enum { ESP_CHUNK_BYTES = 511 << 10 };

struct esp_cutter {
    int fd; /* owned; -1: none */
    uint64_t size, at;
    size_t chunk_bytes;
    int32_t index, count;      /* of the next chunk; of all */
    uint8_t *buffer;           /* chunk_bytes, owned */
    struct esp_hasher *hasher; /* owned: of all that was read */
};

/* One piece. Fields as in the record; data is borrowed until the next call. */
struct esp_chunk {
    int32_t index, count;
    int64_t offset;
    uint64_t checksum;
    struct esp_bytes data;
};

/*
 * Opens a file to cut.
 *
 * chunk_bytes  1 to ESP_CHUNK_MAX_BYTES
 * Errors: ESP_EIO, ESP_EDATA (an empty file, or one of too many chunks), ESP_ENOMEM.
 */
enum esp_status esp_cutter_open(struct esp_cutter *cutter, const char *path, size_t chunk_bytes,
                                struct esp_error *err);

/*
 * The next chunk. Call while cutter->index < cutter->count.
 * Errors: ESP_EIO, ESP_EDATA (the file has become shorter).
 */
enum esp_status esp_cutter_next(struct esp_cutter *cutter, struct esp_chunk *out,
                                struct esp_error *err);

/* esp_hash() of all chunks so far; of the file, once they are through. */
uint64_t esp_cutter_checksum(const struct esp_cutter *cutter);

/* { .fd = -1 } and half-open ones are fine. */
void esp_cutter_release(struct esp_cutter *cutter);

/* ---- assembly -------------------------------------------------------------------------------- */

enum esp_chunk_verdict {
    ESP_CHUNK_TAKEN,   /* written to its place */
    ESP_CHUNK_DOUBLE,  /* it is there already */
    ESP_CHUNK_FOREIGN, /* of another snapshot */
    ESP_CHUNK_WRONG,   /* says that it is of this one, and is not what the manifest tells of */
    ESP_N_CHUNK_VERDICTS
};

struct esp_assembly_counts {
    uint64_t offered, of[ESP_N_CHUNK_VERDICTS];
};

struct esp_assembly;

/*
 * Begins to put together what a manifest describes.
 *
 * manifest  borrowed until the assembly is freed
 * fd        an empty file open for reading and writing, borrowed
 * Errors: ESP_EDATA (no chunks of any one size can make this file), ESP_ENOMEM.
 */
enum esp_status esp_assembly_new(const struct esp_snapshot_manifest_record *manifest, int fd,
                                 struct esp_assembly **out, struct esp_error *err);

/* NULL is fine. */
void esp_assembly_free(struct esp_assembly *assembly);

/*
 * Looks at a chunk and writes it to its place if it is right. In any order, any number of times;
 * after a wrong one a right one may come.
 * Errors: ESP_EIO (the disk); the chunk may be offered again.
 */
enum esp_status esp_assembly_take(struct esp_assembly *assembly,
                                  const struct esp_snapshot_chunk_record *chunk,
                                  enum esp_chunk_verdict *out, struct esp_error *err);

/* Chunks that have not come. */
size_t esp_assembly_missing(const struct esp_assembly *assembly);

/* The first of them; n_chunks: none is missing. */
size_t esp_assembly_first_missing(const struct esp_assembly *assembly);

void esp_assembly_counts(const struct esp_assembly *assembly, struct esp_assembly_counts *out);

/*
 * Reads the whole file again, compares its checksum with the manifest's, and puts it on the disk.
 * Errors: ESP_EDATA (chunks are missing, or the bytes are others), ESP_EIO.
 */
enum esp_status esp_assembly_finish(struct esp_assembly *assembly, struct esp_error *err);

/* Asserts the invariants of chunks.c; reads every chunk that has come. */
void esp_assembly_check(const struct esp_assembly *assembly);

/* ---- checksums of files ---------------------------------------------------------------------- */

/*
 * esp_hash() of a file's bytes, read in pieces, and their number.
 * Errors: ESP_EIO, ESP_ENOMEM.
 */
enum esp_status esp_file_checksum(int fd, const char *path, uint64_t *out_checksum,
                                  uint64_t *out_size, struct esp_error *err);

#endif
