/* config_place.c - see config_place.h, and config_place() in config.h. */
#include "cmd/config/config_place.h"

#include <stdio.h>
#include <string.h>

#include "cmd/config/config.h"
#include "cmd/config/registry_url.h"

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

static bool ends_with(const char *text, const char *ending)
{
    size_t n = strlen(text), n_ending = strlen(ending);
    return n >= n_ending && strcmp(text + n - n_ending, ending) == 0;
}

bool config_is_secret(const struct config *config, const struct esp_ini_entry *entry)
{
    char file_key[ESP_ERROR_TEXT_SIZE];
    snprintf(file_key, sizeof file_key, "%s_file", entry->key);
    if (esp_ini_find(&config->ini, entry->section, file_key) != NULL)
        return true;
    return !ends_with(entry->key, "_file") &&
           esp_log_is_secret(entry->key); /* a file's name is none */
}

/* An address may have a password wherever one stands, also one that is misspelt. */
const char *config_shown_value(const struct config *config, const struct esp_ini_entry *entry,
                               char *text, size_t size)
{
    if (config_is_secret(config, entry)) {
        snprintf(text, size, "***");
        return text;
    }
    bool is_address = strcmp(entry->section, "kafka") == 0 ||
                      strcmp(entry->section, "schema") == 0 || strstr(entry->value, "://") != NULL;
    if (is_address)
        return registry_url_mask(entry->value, text, size);
    snprintf(text, size, "%s", entry->value);
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
                 config_shown_value(config, entry, value, sizeof value));
    return text;
}
