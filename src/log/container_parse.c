/* container_parse.c - see container_parse.h. */
#include "log/container_parse.h"

static const uint8_t magic[4] = {'O', 'b', 'j', 1};

enum esp_parse esp_parse_long(struct esp_bytes bytes, size_t *at, int64_t *out)
{
    uint64_t bits = 0;
    size_t i = *at;
    for (unsigned shift = 0; shift < 70; shift += 7) {
        if (i >= bytes.size)
            return ESP_PARSE_SHORT;
        uint8_t byte = bytes.data[i++];
        if (shift == 63 && byte > 1)
            return ESP_PARSE_BAD;
        bits |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *at = i;
            *out = (int64_t)(bits >> 1) ^ -(int64_t)(bits & 1);
            return ESP_PARSE_OK;
        }
    }
    return ESP_PARSE_BAD;
}

/* A length and as many bytes. */
static enum esp_parse parse_text(struct esp_bytes bytes, size_t *at, struct esp_bytes *out)
{
    int64_t n = 0;
    enum esp_parse parse = esp_parse_long(bytes, at, &n);
    if (parse != ESP_PARSE_OK)
        return parse;
    if (n < 0 || n > ESP_METADATA_MAX_BYTES)
        return ESP_PARSE_BAD;
    if ((uint64_t)n > bytes.size - *at)
        return ESP_PARSE_SHORT;
    *out = esp_bytes(bytes.data + *at, (size_t)n);
    *at += (size_t)n;
    return ESP_PARSE_OK;
}

static enum esp_parse parse_pair(struct esp_bytes bytes, size_t *at,
                                 struct esp_container_header *out)
{
    struct esp_bytes key, value;
    enum esp_parse parse = parse_text(bytes, at, &key);
    if (parse == ESP_PARSE_OK)
        parse = parse_text(bytes, at, &value);
    if (parse != ESP_PARSE_OK)
        return parse;
    if (esp_bytes_equal(key, esp_bytes_of("avro.schema")))
        out->schema = value;
    else if (esp_bytes_equal(key, esp_bytes_of("avro.codec")))
        out->codec = value;
    return ESP_PARSE_OK;
}

/* Runs of pairs, each with its count (if negative, its size follows), ended by a count of 0. */
static enum esp_parse parse_metadata(struct esp_bytes bytes, size_t *at,
                                     struct esp_container_header *out)
{
    for (;;) {
        int64_t n_pairs = 0, n_bytes = 0;
        enum esp_parse parse = esp_parse_long(bytes, at, &n_pairs);
        if (parse != ESP_PARSE_OK || n_pairs == 0)
            return parse;
        if (n_pairs < 0) {
            if (n_pairs == INT64_MIN)
                return ESP_PARSE_BAD;
            n_pairs = -n_pairs;
            parse = esp_parse_long(bytes, at, &n_bytes);
        }
        /* A pair takes two bytes at least, so this ends with the bytes whatever n_pairs says. */
        for (int64_t i = 0; parse == ESP_PARSE_OK && i < n_pairs; i++)
            parse = parse_pair(bytes, at, out);
        if (parse != ESP_PARSE_OK)
            return parse;
    }
}

enum esp_parse esp_parse_header(struct esp_bytes bytes, struct esp_container_header *out,
                                const char **why)
{
    *out = (struct esp_container_header){.schema = {NULL, 0}};
    size_t at = sizeof magic < bytes.size ? sizeof magic : bytes.size;
    *why = "the file is not an Avro container";
    if (at > 0 && memcmp(bytes.data, magic, at) != 0)
        return ESP_PARSE_BAD;
    if (at < sizeof magic)
        return ESP_PARSE_SHORT;
    *why = "the file's header is malformed";
    enum esp_parse parse = parse_metadata(bytes, &at, out);
    if (parse != ESP_PARSE_OK)
        return parse;
    if (bytes.size - at < ESP_SYNC_BYTES)
        return ESP_PARSE_SHORT;
    *why = "the file's header has no schema";
    if (out->schema.size == 0)
        return ESP_PARSE_BAD;
    out->sync = bytes.data + at;
    out->n_bytes = at + ESP_SYNC_BYTES;
    return ESP_PARSE_OK;
}

enum esp_parse esp_parse_block_head(struct esp_bytes bytes, int64_t *n_records, size_t *n_bytes,
                                    size_t *head_bytes, const char **why)
{
    int64_t count = 0, size = 0;
    size_t at = 0;
    *why = "a block's head is malformed";
    enum esp_parse parse = esp_parse_long(bytes, &at, &count);
    if (parse == ESP_PARSE_OK && (count < 0 || count > ESP_BLOCK_MAX_RECORDS))
        return ESP_PARSE_BAD;
    if (parse == ESP_PARSE_OK)
        parse = esp_parse_long(bytes, &at, &size);
    if (parse != ESP_PARSE_OK)
        return parse;
    if (size < 0 || size > ESP_BLOCK_MAX_BYTES)
        return ESP_PARSE_BAD;
    *n_records = count;
    *n_bytes = (size_t)size;
    *head_bytes = at;
    return ESP_PARSE_OK;
}
