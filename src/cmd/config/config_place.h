/* config_place.h - where an entry of the configuration stands, and its value as it may be shown. */
#ifndef ESP_CMD_CONFIG_CONFIG_PLACE_H
#define ESP_CMD_CONFIG_CONFIG_PLACE_H

#include <stdbool.h>
#include <stddef.h>

#include "core/ini.h"

/* "FILE:LINE", or "-o"; free()d by the caller. NULL: out of memory. */
char *config_source_of(const struct esp_ini_entry *entry);

struct config;

/* True for what is shown nowhere: a password, a key, whatever came from a file of its own. */
bool config_is_secret(const struct config *config, const struct esp_ini_entry *entry);

/* Writes the value, with *** in the place of a secret or of an address's credentials. Returns text.
 */
const char *config_shown_value(const struct config *config, const struct esp_ini_entry *entry,
                               char *text, size_t size);

#endif
