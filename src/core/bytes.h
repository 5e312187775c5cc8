/* bytes.h - a borrowed run of bytes, and the comparisons that the whole pipeline agrees on. */
#ifndef ESP_CORE_BYTES_H
#define ESP_CORE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Borrowed; data may be NULL if size is 0. Not NUL-terminated. */
struct esp_bytes {
    const uint8_t *data;
    size_t size;
};

static inline struct esp_bytes esp_bytes(const void *data, size_t size)
{
    return (struct esp_bytes){data, size};
}

static inline struct esp_bytes esp_bytes_of(const char *text)
{
    return esp_bytes(text, strlen(text));
}

static inline bool esp_bytes_equal(struct esp_bytes a, struct esp_bytes b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

/* Order by unsigned bytes, a prefix first: <0, 0, >0. It is the order of ids in label order. */
static inline int esp_bytes_compare(struct esp_bytes a, struct esp_bytes b)
{
    size_t n = a.size < b.size ? a.size : b.size;
    int order = n == 0 ? 0 : memcmp(a.data, b.data, n);
    return order != 0 ? order : (a.size > b.size) - (a.size < b.size);
}

#endif
