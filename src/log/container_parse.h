/* container_parse.h - the parts of a container file as pure functions of bytes. */
#ifndef ESP_LOG_CONTAINER_PARSE_H
#define ESP_LOG_CONTAINER_PARSE_H

#include "log/container.h"

enum esp_parse {
    ESP_PARSE_OK,
    ESP_PARSE_SHORT, /* valid so far, but the bytes end */
    ESP_PARSE_BAD,
};

/* A header; everything is borrowed from the bytes. */
struct esp_container_header {
    struct esp_bytes schema, codec; /* codec: empty if there is none */
    const uint8_t *sync;            /* ESP_SYNC_BYTES */
    size_t n_bytes;                 /* of the whole header */
};

/* An Avro long: zigzag varint of at most 10 bytes. *at moves behind it. */
enum esp_parse esp_parse_long(struct esp_bytes bytes, size_t *at, int64_t *out);

enum esp_parse esp_parse_header(struct esp_bytes bytes, struct esp_container_header *out,
                                const char **why);

/* The two numbers of a block, both within their limits. */
enum esp_parse esp_parse_block_head(struct esp_bytes bytes, int64_t *n_records, size_t *n_bytes,
                                    size_t *head_bytes, const char **why);

#endif
