/* registry_cache.c - see registry_cache.h. */
#include "cmd/registry/registry_cache.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/atomic_file.h"
#include "core/hash.h"
#include "event/avro_schema.h"

enum { SUM_SIZE = 17 };

enum esp_status registry_cache_init(struct registry_cache *cache, const char *state_folder,
                                    const char *address, struct esp_error *err)
{
    *cache = (struct registry_cache){.state = strdup(state_folder)};
    if (cache->state == NULL || asprintf(&cache->folder, "%s/schemas/%016" PRIx64, state_folder,
                                         esp_hash(esp_bytes_of(address))) < 0) {
        cache->folder = NULL;
        registry_cache_release(cache);
        return esp_fail(err, ESP_ENOMEM, "out of memory for the schemas' folder");
    }
    return ESP_OK;
}

void registry_cache_release(struct registry_cache *cache)
{
    free(cache->folder);
    free(cache->state);
    *cache = (struct registry_cache){0};
}

/* FOLDER/ID.ENDING; NULL: out of memory. */
static char *path_of(const struct registry_cache *cache, uint32_t id, const char *ending)
{
    char *path = NULL;
    return asprintf(&path, "%s/%" PRIu32 ".%s", cache->folder, id, ending) < 0 ? NULL : path;
}

static void sum_of(const char *text, size_t size, char sum[SUM_SIZE + 1])
{
    snprintf(sum, SUM_SIZE + 1, "%016" PRIx64 "\n", esp_hash(esp_bytes(text, size)));
}

/*
 * Reads a file of at most max_size bytes and ends it with a NUL.
 * *out is NULL if there is no such file; a longer one is cut one byte past max_size.
 */
static enum esp_status read_file(const char *path, size_t max_size, char **out, size_t *out_size,
                                 struct esp_error *err)
{
    *out = NULL;
    *out_size = 0;
    FILE *file = fopen(path, "rb");
    if (file == NULL && errno == ENOENT)
        return ESP_OK;
    if (file == NULL)
        return esp_fail(err, ESP_EIO, "%s: %s", path, strerror(errno));
    char *text = malloc(max_size + 2);
    enum esp_status status = ESP_OK;
    if (text == NULL) {
        status = esp_fail(err, ESP_ENOMEM, "out of memory for %s", path);
    } else {
        *out_size = fread(text, 1, max_size + 1, file);
        text[*out_size] = '\0';
        if (ferror(file))
            status = esp_fail(err, ESP_EIO, "%s: %s", path, strerror(errno));
    }
    fclose(file);
    if (status == ESP_OK) {
        *out = text;
        text = NULL; /* moved to the caller */
    }
    free(text);
    return status;
}

enum esp_status registry_cache_read(const struct registry_cache *cache, uint32_t id, char **out,
                                    struct esp_error *err)
{
    char *path = path_of(cache, id, "avsc"), *sum_path = path_of(cache, id, "xxh3");
    char *text = NULL, *kept_sum = NULL, sum[SUM_SIZE + 1];
    size_t size = 0, sum_size = 0;
    *out = NULL;
    enum esp_status status = path == NULL || sum_path == NULL
                                 ? esp_fail(err, ESP_ENOMEM, "out of memory for a path")
                                 : read_file(path, ESP_SCHEMA_MAX_BYTES, &text, &size, err);
    if (status == ESP_OK && text != NULL)
        status = read_file(sum_path, SUM_SIZE, &kept_sum, &sum_size, err);
    if (status != ESP_OK || text == NULL)
        goto out;
    sum_of(text, size, sum);
    if (kept_sum == NULL || strcmp(kept_sum, sum) != 0) {
        status = esp_fail(err, ESP_EDATA, "%s: is damaged", path);
        goto out;
    }
    *out = text;
    text = NULL; /* moved to the caller */
out:
    free(kept_sum);
    free(text);
    free(sum_path);
    free(path);
    return status;
}

static enum esp_status make_folders(const struct registry_cache *cache, struct esp_error *err)
{
    char *schemas = NULL;
    if (asprintf(&schemas, "%s/schemas", cache->state) < 0)
        return esp_fail(err, ESP_ENOMEM, "out of memory for a path");
    enum esp_status status = esp_folder_make(cache->state, "[state] folder", err);
    if (status == ESP_OK)
        status = esp_folder_make(schemas, NULL, err);
    if (status == ESP_OK)
        status = esp_folder_make(cache->folder, NULL, err);
    free(schemas);
    return status;
}

enum esp_status registry_cache_write(const struct registry_cache *cache, uint32_t id,
                                     const char *json, struct esp_error *err)
{
    char *path = path_of(cache, id, "avsc"), *sum_path = path_of(cache, id, "xxh3");
    char sum[SUM_SIZE + 1];
    enum esp_status status = path == NULL || sum_path == NULL
                                 ? esp_fail(err, ESP_ENOMEM, "out of memory for a path")
                                 : make_folders(cache, err);
    sum_of(json, strlen(json), sum);
    if (status == ESP_OK) /* first, so that a schema never stands without its sum */
        status = esp_atomic_file_save(sum_path, sum, SUM_SIZE, err);
    if (status == ESP_OK)
        status = esp_atomic_file_save(path, json, strlen(json), err);
    free(sum_path);
    free(path);
    return status;
}
