/*
 * buf.h - a growable byte buffer with a cap.
 *
 * Empty: data may be NULL, size 0. Full: size == cap, and whatever would pass it fails with
 * ESP_ELIMIT and leaves the buffer as it was.
 */
#ifndef ESP_CORE_BUF_H
#define ESP_CORE_BUF_H

#include "core/bytes.h"
#include "core/status.h"

struct esp_buf {
    uint8_t *data;   /* owned */
    size_t size;     /* bytes in use */
    size_t capacity; /* bytes allocated */
    size_t cap;      /* bytes that it may ever hold */
};

/* Embeds an empty buffer that may grow to cap bytes. Allocates nothing. */
void esp_buf_init(struct esp_buf *buf, size_t cap);

/* Frees the memory; the buffer is empty and may be used again. */
void esp_buf_release(struct esp_buf *buf);

/* Makes room for n more bytes beyond size. Errors: ESP_ELIMIT (cap), ESP_ENOMEM. */
enum esp_status esp_buf_reserve(struct esp_buf *buf, size_t n, struct esp_error *err);

/* Appends a copy of n bytes (data must not point into buf). Errors as esp_buf_reserve(). */
enum esp_status esp_buf_append(struct esp_buf *buf, const void *data, size_t n,
                               struct esp_error *err);

/* Empties the buffer and keeps its memory. */
static inline void esp_buf_clear(struct esp_buf *buf)
{
    buf->size = 0;
}

static inline struct esp_bytes esp_buf_bytes(const struct esp_buf *buf)
{
    return esp_bytes(buf->data, buf->size);
}

/*
 * Grows an array of items of item_size bytes to hold at least n_wanted of them, by doubling.
 *
 * array, capacity  the array and the number of items it has room for; both updated on success
 * Errors: ESP_ENOMEM (also if the product overflows); the array is untouched then.
 */
enum esp_status esp_array_grow(void **array, size_t *capacity, size_t n_wanted, size_t item_size,
                               struct esp_error *err);

#endif
