/* buf.c - see buf.h. */
#include "core/buf.h"

#include <stdlib.h>

enum { FIRST_CAPACITY = 64 };

void esp_buf_init(struct esp_buf *buf, size_t cap)
{
    *buf = (struct esp_buf){.cap = cap};
}

void esp_buf_release(struct esp_buf *buf)
{
    free(buf->data);
    esp_buf_init(buf, buf->cap);
}

enum esp_status esp_buf_reserve(struct esp_buf *buf, size_t n, struct esp_error *err)
{
    if (n <= buf->capacity - buf->size)
        return ESP_OK;
    if (n > buf->cap - buf->size)
        return esp_fail(err, ESP_ELIMIT, "a buffer of %zu bytes would pass its cap of %zu bytes",
                        buf->size, buf->cap);
    size_t wanted = buf->size + n;
    size_t capacity = buf->capacity < FIRST_CAPACITY ? FIRST_CAPACITY : buf->capacity;
    while (capacity < wanted)
        capacity = capacity > SIZE_MAX / 2 ? wanted : capacity * 2;
    if (capacity > buf->cap)
        capacity = buf->cap;
    uint8_t *data = realloc(buf->data, capacity);
    if (data == NULL)
        return esp_fail(err, ESP_ENOMEM, "out of memory for a buffer of %zu bytes", capacity);
    buf->data = data;
    buf->capacity = capacity;
    return ESP_OK;
}

enum esp_status esp_buf_append(struct esp_buf *buf, const void *data, size_t n,
                               struct esp_error *err)
{
    enum esp_status status = esp_buf_reserve(buf, n, err);
    if (status != ESP_OK || n == 0)
        return status;
    memcpy(buf->data + buf->size, data, n);
    buf->size += n;
    return ESP_OK;
}

enum esp_status esp_array_grow(void **array, size_t *capacity, size_t n_wanted, size_t item_size,
                               struct esp_error *err)
{
    if (n_wanted <= *capacity)
        return ESP_OK;
    size_t n = *capacity < 16 ? 16 : *capacity;
    while (n < n_wanted)
        n = n > SIZE_MAX / 2 ? n_wanted : n * 2;
    void *grown = n > SIZE_MAX / item_size ? NULL : realloc(*array, n * item_size);
    if (grown == NULL)
        return esp_fail(err, ESP_ENOMEM, "out of memory for %zu items of %zu bytes", n, item_size);
    *array = grown;
    *capacity = n;
    return ESP_OK;
}
