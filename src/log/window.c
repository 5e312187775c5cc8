/* window.c - see window.h. */
#include "log/window.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void esp_window_release(struct esp_window *window)
{
    free(window->data);
    *window = (struct esp_window){.fd = -1};
}

void esp_window_reset(struct esp_window *window, int fd, uint64_t limit)
{
    window->fd = fd;
    window->limit = limit;
    window->start = 0;
    window->n = 0;
}

/* Moves what is held from `at` on to the front; what is not held is forgotten. */
static void slide(struct esp_window *window, uint64_t at)
{
    if (at >= window->start && at - window->start < window->n) {
        size_t passed = (size_t)(at - window->start);
        window->n -= passed;
        memmove(window->data, window->data + passed, window->n);
    } else {
        window->n = 0;
    }
    window->start = at;
}

static enum esp_status make_room(struct esp_window *window, size_t wanted, struct esp_error *err)
{
    if (wanted <= window->capacity)
        return ESP_OK;
    uint8_t *data = realloc(window->data, wanted);
    if (data == NULL)
        return esp_fail(err, ESP_ENOMEM, "out of memory for reading %zu bytes", wanted);
    window->data = data;
    window->capacity = wanted;
    return ESP_OK;
}

static enum esp_status fill(struct esp_window *window, size_t target, struct esp_error *err)
{
    while (window->n < target) {
        uint64_t at = window->start + window->n;
        ssize_t got = pread(window->fd, window->data + window->n, target - window->n, (off_t)at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return esp_fail(err, ESP_EIO, "cannot be read: %s", strerror(errno));
        if (got == 0) {
            window->limit = at;
            return ESP_OK;
        }
        window->n += (size_t)got;
    }
    return ESP_OK;
}

enum esp_status esp_window_view(struct esp_window *window, uint64_t at, size_t wanted,
                                struct esp_bytes *out, struct esp_error *err)
{
    *out = esp_bytes(NULL, 0);
    if (at >= window->limit)
        return ESP_OK;
    uint64_t left = window->limit - at;
    if (wanted > left)
        wanted = (size_t)left;
    bool held = at >= window->start && at - window->start <= window->n &&
                window->n - (size_t)(at - window->start) >= wanted;
    if (!held) {
        slide(window, at);
        size_t target = wanted < window->min_bytes ? window->min_bytes : wanted;
        if (target > left)
            target = (size_t)left;
        enum esp_status status = make_room(window, target, err);
        if (status == ESP_OK)
            status = fill(window, target, err);
        if (status != ESP_OK)
            return status;
    }
    size_t passed = (size_t)(at - window->start);
    *out = esp_bytes(window->data + passed, window->n - passed);
    return ESP_OK;
}
