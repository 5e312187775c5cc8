/*
 * window.h - a sliding view of a file that is read forwards, in large pieces.
 *
 * Reads with pread() rather than a mapping: a file that another process cuts short then ends
 * early, where a mapping would end the program with SIGBUS.
 *
 *      file  |-----------[ data ............ data+n )---------------| limit
 *                        start
 *
 * INVARIANTS
 *  (1) data[0 .. n) are the file's bytes from start on.
 *  (2) start + n <= limit.
 */
#ifndef ESP_LOG_WINDOW_H
#define ESP_LOG_WINDOW_H

#include "core/bytes.h"
#include "core/status.h"

struct esp_window {
    int fd;           /* borrowed */
    uint64_t start;   /* file offset of data[0] */
    uint64_t limit;   /* bytes of the file that may be read */
    uint8_t *data;    /* owned */
    size_t n;         /* bytes held */
    size_t capacity;  /* bytes allocated */
    size_t min_bytes; /* asked of the kernel at a time, at least */
};

void esp_window_release(struct esp_window *window);

/* Begins with a file of limit bytes; keeps the memory. */
void esp_window_reset(struct esp_window *window, int fd, uint64_t limit);

/*
 * A view of the bytes at file offset `at`: all of `wanted` if the file has them, else what there
 * is up to limit. Borrowed until the next call. May hold more than was wanted.
 *
 * A file that turns out shorter than its limit lowers the limit.
 * Errors: ESP_EIO (text without the file's name: the caller adds it), ESP_ENOMEM.
 */
enum esp_status esp_window_view(struct esp_window *window, uint64_t at, size_t wanted,
                                struct esp_bytes *out, struct esp_error *err);

#endif
