/*
 * registry_cache.h - schemas that were fetched, kept in the state folder: what a schema id means
 * never changes, so a start without the registry is as good as one with it.
 *
 *     FOLDER/schemas/HASH/ID.avsc   the schema, self-contained JSON
 *     FOLDER/schemas/HASH/ID.xxh3   XXH3 of its bytes, 16 hex digits and a newline
 *
 * HASH is XXH3 of the registry's address, without credentials: two registries number their schemas
 * apart. Files are mode 0640, folders 0750; each is written beside its place and renamed, so that
 * several processes can share the folder.
 */
#ifndef ESP_CMD_REGISTRY_REGISTRY_CACHE_H
#define ESP_CMD_REGISTRY_REGISTRY_CACHE_H

#include <stdint.h>

#include "core/status.h"

/* { 0 } can be released. */
struct registry_cache {
    char *folder; /* FOLDER/schemas/HASH; owned */
    char *state;  /* FOLDER; owned */
};

/* Touches no file. Errors: ESP_ENOMEM. */
enum esp_status registry_cache_init(struct registry_cache *cache, const char *state_folder,
                                    const char *address, struct esp_error *err);
void registry_cache_release(struct registry_cache *cache);

/*
 * Reads a schema.
 *
 * out  NUL-terminated, free()d by the caller; NULL: it is not there
 * Errors: ESP_EDATA (the file is damaged: its line says so), ESP_EIO, ESP_ENOMEM. All mean that the
 * schema must be fetched.
 */
enum esp_status registry_cache_read(const struct registry_cache *cache, uint32_t id, char **out,
                                    struct esp_error *err);

/* Keeps a schema; makes the folders that are missing. Errors: ESP_EIO, ESP_ENOMEM. */
enum esp_status registry_cache_write(const struct registry_cache *cache, uint32_t id,
                                     const char *json, struct esp_error *err);

#endif
