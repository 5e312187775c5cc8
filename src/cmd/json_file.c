/* json_file.c - see json_file.h. */
#include "cmd/json_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool write_file(const char *path, const json_t *root, bool durable)
{
    FILE *file = fopen(path, "w");
    if (file == NULL)
        return false;
    bool ok = json_dumpf(root, file, JSON_INDENT(2) | JSON_REAL_PRECISION(17)) == 0 &&
              fputc('\n', file) != EOF && fflush(file) == 0 &&
              (!durable || fsync(fileno(file)) == 0);
    return fclose(file) == 0 && ok;
}

enum esp_status json_file_write(const char *path, const json_t *root, bool durable,
                                const char *what, struct esp_error *err)
{
    char *temporary = NULL;
    if (asprintf(&temporary, "%s.tmp", path) < 0)
        return esp_fail(err, ESP_ENOMEM, "out of memory for %s", what);
    enum esp_status status = ESP_OK;
    if (!write_file(temporary, root, durable) || rename(temporary, path) != 0) {
        status = esp_fail(err, ESP_EIO, "%s: %s", what, strerror(errno));
        remove(temporary);
    }
    free(temporary);
    return status;
}
