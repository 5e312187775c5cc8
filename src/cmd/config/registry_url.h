/*
 * registry_url.h - the address of a Schema Registry, and how it is shown.
 *
 * Whatever is printed goes through here: a password in an address is never shown.
 */
#ifndef ESP_CMD_CONFIG_REGISTRY_URL_H
#define ESP_CMD_CONFIG_REGISTRY_URL_H

#include <stddef.h>

#include "core/status.h"

/* { 0 } can be released. */
struct registry_url {
    char *base;            /* http:// or https://, without credentials and a / at its end; owned */
    char *user, *password; /* what stood in the address, decoded; NULL: nothing; owned */
};

/*
 * Takes an address apart.
 * Errors: ESP_ECONFIG (what is wrong with it and the mend; the text is not repeated), ESP_ENOMEM.
 */
enum esp_status registry_url_parse(const char *text, struct registry_url *out,
                                   struct esp_error *err);
void registry_url_release(struct registry_url *url);

/* Writes an address, well-formed or not, with *** in the place of its credentials. Returns out. */
const char *registry_url_mask(const char *text, char *out, size_t size);

#endif
