/* json_file.c - see json_file.h. */
#include "cmd/run/json_file.h"

#include "core/atomic_file.h"

/* What cannot be written leaves its mark in the stream, which closing the file sees. */
static enum esp_status put(struct esp_atomic_file *file, const json_t *root, struct esp_error *err)
{
    FILE *stream = esp_atomic_file_stream(file, err);
    if (stream == NULL)
        return ESP_ENOMEM;
    if (json_dumpf(root, stream, JSON_INDENT(2) | JSON_REAL_PRECISION(17)) != 0 && !ferror(stream))
        return esp_fail(err, ESP_ENOMEM, "out of memory for %s", file->path);
    fputc('\n', stream);
    return ESP_OK;
}

enum esp_status json_file_write(const char *path, const json_t *root, const char *option,
                                struct esp_error *err)
{
    struct esp_atomic_file file;
    struct esp_error why = {.status = ESP_OK};
    enum esp_status status = esp_atomic_file_open(&file, path, &why);
    if (status == ESP_OK)
        status = put(&file, root, &why);
    status = esp_atomic_file_close(&file, status, &why);
    if (status == ESP_OK)
        return ESP_OK;
    return esp_fail(err, status, "%s%s%s", option == NULL ? "" : option, option == NULL ? "" : " ",
                    why.text);
}
