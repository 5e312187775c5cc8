/* config_place.c - see config_place.h, and config_place() in config.h. */
#include "cmd/config_place.h"

#include <stdio.h>
#include <string.h>

#include "cmd/config.h"
#include "cmd/registry_url.h"

static int print_source(const struct esp_ini_entry *entry, char *text, size_t size)
{
    return entry->line > 0 ? snprintf(text, size, "%s:%d", entry->file, entry->line)
                           : snprintf(text, size, "%s", entry->file);
}

char *config_source_of(const struct esp_ini_entry *entry)
{
    char text[ESP_ERROR_TEXT_SIZE];
    print_source(entry, text, sizeof text);
    return strdup(text);
}

const char *config_shown_value(const struct esp_ini_entry *entry, char *text, size_t size)
{
    bool is_secret = strstr(entry->key, "password") != NULL || strstr(entry->key, "secret") != NULL;
    bool is_address = strcmp(entry->section, "schema") == 0 && strcmp(entry->key, "registry") == 0;
    if (is_address)
        return registry_url_mask(entry->value, text, size);
    snprintf(text, size, "%s", is_secret && entry->value[0] != '@' ? "***" : entry->value);
    return text;
}

const char *config_place(const struct config *config, const char *section, const char *key,
                         char *text, size_t size)
{
    char value[512];
    const struct esp_ini_entry *entry = esp_ini_find(&config->ini, section, key);
    if (entry == NULL) {
        snprintf(text, size, "%s: [%s] %s", config->path, section, key);
        return text;
    }
    int n = print_source(entry, text, size);
    if (n >= 0 && (size_t)n < size)
        snprintf(text + n, size - (size_t)n, ": [%s] %s = %s", section, key,
                 config_shown_value(entry, value, sizeof value));
    return text;
}
