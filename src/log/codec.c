/* codec.c - see codec.h. */
#include "log/codec.h"

#include <snappy-c.h>
#include <stdlib.h>
#include <zlib.h>

enum {
    RAW_WINDOW = -15, /* zlib: RFC 1951 without header, the largest window */
    LEVEL = 6,
    MEMORY_LEVEL = 8,
    FIRST_ROOM = 1 << 16,
    CRC_BYTES = 4,
};

static const char *const names[ESP_N_CODECS] = {"null", "deflate", "snappy"};

const char *esp_codec_name(enum esp_codec_id id)
{
    return names[id];
}

bool esp_codec_find(struct esp_bytes name, enum esp_codec_id *out, const char **why)
{
    for (int id = 0; id < ESP_N_CODECS; id++) {
        if (!esp_bytes_equal(name, esp_bytes_of(names[id])) &&
            !(id == ESP_CODEC_NULL && name.size == 0))
            continue;
        *out = (enum esp_codec_id)id;
        return true;
    }
    *why = "its codec is not one of null, deflate, snappy";
    return false;
}

void esp_codec_release(struct esp_codec *codec)
{
    if (codec->inflater != NULL)
        inflateEnd(codec->inflater);
    if (codec->deflater != NULL)
        deflateEnd(codec->deflater);
    free(codec->inflater);
    free(codec->deflater);
    *codec = (struct esp_codec){NULL, NULL};
}

/* A stream ready for a new block, made on first use. NULL: out of memory. */
static z_stream *ready_stream(struct z_stream_s **slot, bool inflating)
{
    if (*slot != NULL) {
        int result = inflating ? inflateReset(*slot) : deflateReset(*slot);
        return result == Z_OK ? *slot : NULL;
    }
    z_stream *stream = calloc(1, sizeof *stream);
    if (stream == NULL)
        return NULL;
    int result = inflating ? inflateInit2(stream, RAW_WINDOW)
                           : deflateInit2(stream, LEVEL, Z_DEFLATED, RAW_WINDOW, MEMORY_LEVEL,
                                          Z_DEFAULT_STRATEGY);
    if (result != Z_OK) {
        free(stream);
        return NULL;
    }
    *slot = stream;
    return stream;
}

static enum esp_status inflate_block(struct esp_codec *codec, struct esp_bytes stored,
                                     struct esp_buf *out, const char **why, struct esp_error *err)
{
    z_stream *stream = ready_stream(&codec->inflater, true);
    if (stream == NULL || stored.size > UINT32_MAX)
        return esp_fail(err, ESP_ENOMEM, "out of memory for inflating a block");
    stream->next_in = (Bytef *)(uintptr_t)stored.data;
    stream->avail_in = (uInt)stored.size;
    for (;;) {
        size_t room = out->capacity - out->size;
        if (room == 0 && out->capacity == out->cap) {
            *why = "a block decodes to more than the limit";
            return ESP_EDATA;
        }
        if (room == 0) {
            size_t left = out->cap - out->size;
            size_t more = out->capacity < FIRST_ROOM ? FIRST_ROOM : out->capacity;
            enum esp_status status = esp_buf_reserve(out, more < left ? more : left, err);
            if (status != ESP_OK)
                return status;
            room = out->capacity - out->size;
        }
        stream->next_out = out->data + out->size;
        stream->avail_out = (uInt)(room < UINT32_MAX ? room : UINT32_MAX);
        uInt offered = stream->avail_out;
        int result = inflate(stream, Z_NO_FLUSH);
        out->size += offered - stream->avail_out;
        if (result == Z_STREAM_END && stream->avail_in == 0)
            return ESP_OK;
        if (result == Z_MEM_ERROR)
            return esp_fail(err, ESP_ENOMEM, "out of memory for inflating a block");
        if (result != Z_OK || (stream->avail_in == 0 && stream->avail_out > 0)) {
            *why = "a block is not valid deflate data";
            return ESP_EDATA;
        }
    }
}

static enum esp_status unsnap_block(struct esp_bytes stored, struct esp_buf *out, const char **why,
                                    struct esp_error *err)
{
    size_t n = 0;
    *why = "a block is not valid snappy data";
    if (stored.size < CRC_BYTES)
        return ESP_EDATA;
    const char *packed = (const char *)stored.data;
    size_t n_packed = stored.size - CRC_BYTES;
    if (snappy_uncompressed_length(packed, n_packed, &n) != SNAPPY_OK)
        return ESP_EDATA;
    if (n > out->cap) {
        *why = "a block decodes to more than the limit";
        return ESP_EDATA;
    }
    enum esp_status status = esp_buf_reserve(out, n > 0 ? n : 1, err);
    if (status != ESP_OK)
        return status;
    if (snappy_uncompress(packed, n_packed, (char *)out->data, &n) != SNAPPY_OK)
        return ESP_EDATA;
    const uint8_t *c = stored.data + n_packed;
    uint32_t want = (uint32_t)c[0] << 24 | (uint32_t)c[1] << 16 | (uint32_t)c[2] << 8 | c[3];
    if (crc32(0, out->data, (uInt)n) != want) {
        *why = "a block fails its checksum";
        return ESP_EDATA;
    }
    out->size = n;
    return ESP_OK;
}

enum esp_status esp_codec_decode(struct esp_codec *codec, enum esp_codec_id id,
                                 struct esp_bytes stored, struct esp_buf *out, const char **why,
                                 struct esp_error *err)
{
    esp_buf_clear(out);
    return id == ESP_CODEC_DEFLATE ? inflate_block(codec, stored, out, why, err)
                                   : unsnap_block(stored, out, why, err);
}

static enum esp_status deflate_block(struct esp_codec *codec, struct esp_bytes plain,
                                     struct esp_buf *out, struct esp_error *err)
{
    z_stream *stream = ready_stream(&codec->deflater, false);
    if (stream == NULL || plain.size > UINT32_MAX / 2)
        return esp_fail(err, ESP_ENOMEM, "out of memory for deflating a block");
    size_t bound = deflateBound(stream, plain.size);
    enum esp_status status = esp_buf_reserve(out, bound, err);
    if (status != ESP_OK)
        return status;
    stream->next_in = (Bytef *)(uintptr_t)plain.data;
    stream->avail_in = (uInt)plain.size;
    stream->next_out = out->data;
    stream->avail_out = (uInt)bound;
    if (deflate(stream, Z_FINISH) != Z_STREAM_END)
        return esp_fail(err, ESP_EBUG, "deflate did not fit its own bound");
    out->size = bound - stream->avail_out;
    return ESP_OK;
}

static enum esp_status snap_block(struct esp_bytes plain, struct esp_buf *out,
                                  struct esp_error *err)
{
    size_t n = snappy_max_compressed_length(plain.size);
    enum esp_status status = esp_buf_reserve(out, n + CRC_BYTES, err);
    if (status != ESP_OK)
        return status;
    if (snappy_compress((const char *)plain.data, plain.size, (char *)out->data, &n) != SNAPPY_OK)
        return esp_fail(err, ESP_EBUG, "snappy did not fit its own bound");
    uint32_t crc = (uint32_t)crc32(0, plain.data, (uInt)plain.size);
    const uint8_t tail[CRC_BYTES] = {(uint8_t)(crc >> 24), (uint8_t)(crc >> 16),
                                     (uint8_t)(crc >> 8), (uint8_t)crc};
    out->size = n;
    return esp_buf_append(out, tail, sizeof tail, err);
}

enum esp_status esp_codec_encode(struct esp_codec *codec, enum esp_codec_id id,
                                 struct esp_bytes plain, struct esp_buf *out, struct esp_error *err)
{
    esp_buf_clear(out);
    return id == ESP_CODEC_DEFLATE ? deflate_block(codec, plain, out, err)
                                   : snap_block(plain, out, err);
}
