/*
 * safetensors.h - the file format of snapshots: where tensors stand, and the header that says so.
 *
 * Source: the format's description in the safetensors project's README (version 0.4).
 *
 *     offset  size
 *     0       8     N, little-endian
 *     8       N     JSON: {"__metadata__": {text: text}, NAME: {"dtype", "shape", "data_offsets"}}
 *     8 + N   ...   the data section: every byte belongs to exactly one tensor, data_offsets count
 *                   from here
 *
 * Beyond that our files begin the data section and every tensor at a multiple of 64 bytes: the
 * header is padded with spaces, gaps between tensors are tensors of their own, pad.0, pad.1, ...
 */
#ifndef ESP_SNAPSHOT_SAFETENSORS_H
#define ESP_SNAPSHOT_SAFETENSORS_H

#include <stddef.h>
#include <stdint.h>

#include "core/buf.h"
#include "core/status.h"

enum esp_dtype { ESP_DTYPE_F32, ESP_DTYPE_BF16, ESP_DTYPE_U64, ESP_DTYPE_U32, ESP_DTYPE_U8 };

/* Bytes of one element. */
size_t esp_dtype_bytes(enum esp_dtype dtype);

/* "F32", "BF16", "U64", "U32", "U8" */
const char *esp_dtype_name(enum esp_dtype dtype);

enum {
    ESP_FILE_TENSOR_NAME_SIZE = 72,
    ESP_FILE_MAX_DIMS = 2,
    ESP_FILE_ALIGNMENT = 64,
    ESP_FILE_MAX_HEADER = 32 << 20, /* bytes of a header that is read */
    ESP_FILE_MAX_TENSORS = 4096,
};

struct esp_file_tensor {
    char name[ESP_FILE_TENSOR_NAME_SIZE];
    enum esp_dtype dtype;
    size_t n_dims;
    uint64_t shape[ESP_FILE_MAX_DIMS];
    uint64_t begin, end; /* in the data section, in bytes */
};

/* Tensors in the order of the file, pads included. { 0 } is empty. */
struct esp_file_layout {
    struct esp_file_tensor *tensors; /* owned */
    size_t n, capacity;
    size_t n_pads;
    uint64_t data_bytes; /* of the section */
};

void esp_file_layout_release(struct esp_file_layout *layout);

/*
 * Appends a tensor, after a pad where the alignment asks for one.
 *
 * n_dims  1 or 2
 * out     index of the tensor; may be NULL
 * Errors: ESP_EINVAL (a name too long), ESP_ELIMIT (its size overflows, or too many), ESP_ENOMEM.
 */
enum esp_status esp_file_layout_add(struct esp_file_layout *layout, const char *name,
                                    enum esp_dtype dtype, size_t n_dims, const uint64_t *shape,
                                    size_t *out, struct esp_error *err);

/* The tensor of a name, or NULL. */
const struct esp_file_tensor *esp_file_layout_find(const struct esp_file_layout *layout,
                                                   const char *name);

/*
 * Appends the file's head to a buffer: N and the header, padded.
 *
 * key, text  the one entry of __metadata__
 * Errors: ESP_ENOMEM, ESP_ELIMIT.
 */
enum esp_status esp_file_write_head(const struct esp_file_layout *layout, const char *key,
                                    const char *text, struct esp_buf *out, struct esp_error *err);

struct esp_file_head {
    struct esp_file_layout layout;
    char *text;           /* of the asked key of __metadata__, owned; NULL: there is none */
    uint64_t data_offset; /* where the data section begins in the file */
};

void esp_file_head_release(struct esp_file_head *head);

/*
 * Reads the head of a file whose size is known and checks all that the format promises: known
 * dtypes, shapes that give the offsets, no hole, no overlap, an end at the file's end. Pads count
 * as tensors. Unknown entries of __metadata__ are passed over.
 *
 * bytes      the file, or at least its first 8 + N bytes
 * file_size  of the whole file
 * Errors: ESP_EDATA (one line: what is wrong; the caller adds the path), ESP_ENOMEM.
 */
enum esp_status esp_file_read_head(struct esp_bytes bytes, uint64_t file_size, const char *key,
                                   struct esp_file_head *out, struct esp_error *err);

#endif
