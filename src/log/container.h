/*
 * container.h - the structure of an Avro object container file: header, blocks, sync markers.
 * (Avro 1.11 specification, "Object Container Files".)
 *
 *      header  "Obj" 0x01 | metadata: map of bytes | sync marker, 16 bytes
 *      block   n_records: long | n_bytes: long | n_bytes of data | the same sync marker
 *
 * Blocks are passed on stored as they are: neither decoded nor delimited. A block is believed if
 * its two numbers are sane and the marker stands where they say. Where not, the file is searched
 * for the next marker and goes on behind it.
 *
 * Offsets of records follow from the structure alone (the sum of the believed blocks' n_records),
 * whether or not the blocks' content can be used, so that a reader that passes over blocks unread
 * and one that reads them agree.
 */
#ifndef ESP_LOG_CONTAINER_H
#define ESP_LOG_CONTAINER_H

#include "core/buf.h"
#include "log/codec.h"
#include "log/window.h"

enum {
    ESP_SYNC_BYTES = 16,
    ESP_BLOCK_MAX_BYTES = 64 << 20,    /* stored and decoded */
    ESP_BLOCK_MAX_RECORDS = 64 << 20,  /* a record has a byte at least */
    ESP_METADATA_MAX_BYTES = 16 << 20, /* the whole header */
};

/*
 * What comes next in a file:
 *
 *      HEADER --header read--> BLOCKS --damage--> SEARCHING --marker found--> BLOCKS
 *         '----no header--> FOREIGN (for good)
 */
enum esp_container_state {
    ESP_CONTAINER_HEADER,
    ESP_CONTAINER_BLOCKS,
    ESP_CONTAINER_SEARCHING,
    ESP_CONTAINER_FOREIGN,
};

/* One file that is being read. */
struct esp_container {
    struct esp_window window;
    uint64_t at;           /* file offset of what comes next */
    int64_t next_offset;   /* of the first record of the next block */
    struct esp_buf schema; /* JSON text, owned */
    enum esp_codec_id codec;
    uint8_t sync[ESP_SYNC_BYTES];
    enum esp_container_state state;
    uint64_t seek_to; /* where to go on behind the header; 0: there */
};

enum esp_container_step {
    ESP_STEP_BLOCK,   /* a block */
    ESP_STEP_DAMAGE,  /* something was passed over: why and n_skipped tell; call again */
    ESP_STEP_END,     /* nothing is left */
    ESP_STEP_PARTIAL, /* the file ends in the middle of something, and may still grow */
};

struct esp_container_block {
    int64_t first_offset;    /* of its first record */
    int64_t n_records;       /* 0 .. ESP_BLOCK_MAX_RECORDS */
    struct esp_bytes stored; /* borrowed until the next call; empty if it was passed over */
    size_t n_stored;         /* its size, also if it was passed over */
    const char *why;         /* DAMAGE: what is wrong, "the file ..." */
    uint64_t n_skipped;      /* DAMAGE: bytes that were passed over in this step */
};

void esp_container_init(struct esp_container *container);
void esp_container_release(struct esp_container *container);

/* Begins with a file of `limit` bytes whose first record has this offset. Keeps memory; the header
 * is read by the first esp_container_next(). fd is borrowed. */
void esp_container_start(struct esp_container *container, int fd, uint64_t limit,
                         int64_t first_offset);

/*
 * Goes on at a place where a block began when the file was read before, in place of the first one,
 * which next_offset is then the offset of. Right after esp_container_start(). That a marker stands
 * before it is checked with the header: else esp_container_next() fails once with ESP_EDATA.
 */
static inline void esp_container_seek(struct esp_container *container, uint64_t at)
{
    container->seek_to = at;
}

/* The file has grown. */
static inline void esp_container_grow(struct esp_container *container, uint64_t limit)
{
    container->window.limit = limit;
}

/*
 * One step on.
 *
 * may_grow  an unfinished end is ESP_STEP_PARTIAL, not damage; nothing of it is consumed
 * skip_to   blocks that end at or below this offset are returned without their bytes, which then
 *           are not read from the disk either
 * A file without a valid header is one DAMAGE of its whole size, then END.
 * Errors: ESP_EIO, ESP_ENOMEM, ESP_EDATA (only after esp_container_seek(): it is another file).
 */
enum esp_status esp_container_next(struct esp_container *container, bool may_grow, int64_t skip_to,
                                   enum esp_container_step *out_step,
                                   struct esp_container_block *block, struct esp_error *err);

/* Appends a header with this schema and codec. Errors: ESP_ENOMEM, ESP_ELIMIT. */
enum esp_status esp_container_put_header(struct esp_buf *buf, struct esp_bytes schema,
                                         enum esp_codec_id codec,
                                         const uint8_t sync[ESP_SYNC_BYTES], struct esp_error *err);

enum { ESP_BLOCK_HEAD_MAX = 20 }; /* two longs */

/* Writes a block's two numbers; returns how many bytes they take. */
size_t esp_container_put_block_head(uint8_t head[ESP_BLOCK_HEAD_MAX], int64_t n_records,
                                    size_t n_bytes);

#endif
