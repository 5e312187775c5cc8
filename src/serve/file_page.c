/* file_page.c - see file_page.h. */
#include "serve/file_page.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { READ_BYTES = 64 << 10 };

/* Up to the end, wherever that is by then. */
static enum esp_status read_all(int fd, struct esp_buf *out, struct esp_error *err)
{
    for (;;) {
        enum esp_status status = esp_buf_reserve(out, 1, err);
        if (status != ESP_OK)
            return status;
        /* As much as there is room for, so that the cap may be reached to the byte. */
        size_t room = out->cap - out->size < READ_BYTES ? out->cap - out->size : READ_BYTES;
        if ((status = esp_buf_reserve(out, room, err)) != ESP_OK)
            return status;
        ssize_t n = read(fd, out->data + out->size, room);
        if (n < 0)
            return esp_fail(err, ESP_EIO, "the page's file cannot be read: %s", strerror(errno));
        if (n == 0)
            return ESP_OK;
        out->size += (size_t)n;
    }
}

enum esp_status esp_file_page(void *context, struct esp_buf *out, unsigned *code,
                              struct esp_error *err)
{
    /* O_NONBLOCK: a pipe of that name must not hold up the server. */
    int fd = open(context, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 && errno == ENOENT) {
        static const char line[] = "this page has not been written yet\n";
        *code = 404;
        return esp_buf_append(out, line, strlen(line), err);
    }
    if (fd < 0)
        return esp_fail(err, ESP_EIO, "the page's file cannot be read: %s", strerror(errno));
    struct stat file;
    enum esp_status status = fstat(fd, &file) == 0 && S_ISREG(file.st_mode)
                                 ? read_all(fd, out, err)
                                 : esp_fail(err, ESP_EIO, "the page's file is no regular file");
    close(fd);
    return status;
}
