/* config_run.c - the identity of what is learned. See config.h. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cmd/config.h"
#include "core/hash.h"

enum { MOST_TEXT_BYTES = 16 << 20 };

/* Changed where the meaning of an option, or how anything is computed, changes what is learned. */
static const char learning_version[] = "1";

/* Sections that say what is learned, and of these what only says where and how records are read.
 * Of [snapshot], `every` cuts batches. */
static bool is_learned(const struct esp_setting *row)
{
    static const char *const sections[] = {"impressions", "clicks", "installs", "join",
                                           "time",        "sample", "features", "model *"};
    static const char *const others[] = {"schema", "framing", "skew", "idle_after", "idle_lag"};
    if (strcmp(row->section, "snapshot") == 0)
        return strcmp(row->key, "every") == 0;
    bool found = false;
    for (size_t i = 0; i < sizeof sections / sizeof sections[0]; i++)
        found |= strcmp(row->section, sections[i]) == 0;
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        found &= strcmp(row->key, others[i]) != 0;
    return found;
}

static enum esp_status put(struct esp_buf *text, const char *part, struct esp_error *err)
{
    return esp_buf_append(text, part, strlen(part) + 1, err);
}

enum esp_status config_run(const struct config *config, size_t i, char out[CONFIG_RUN_SIZE],
                           struct esp_error *err)
{
    struct esp_buf text;
    esp_buf_init(&text, MOST_TEXT_BYTES);
    enum esp_status status = put(&text, learning_version, err);
    for (size_t r = 0; status == ESP_OK && r < n_option_rows; r++) {
        const struct esp_setting *row = &option_table[r];
        const void *target = strcmp(row->section, "model *") == 0
                                 ? (const void *)&config->model_options[i]
                                 : &config->options;
        if (!is_learned(row))
            continue;
        if ((status = put(&text, row->section, err)) == ESP_OK &&
            (status = put(&text, row->key, err)) == ESP_OK &&
            (status = esp_setting_write(row, target, &text, err)) == ESP_OK)
            status = put(&text, "", err);
    }
    if (status == ESP_OK)
        snprintf(out, CONFIG_RUN_SIZE, "%016" PRIx64, esp_hash(esp_buf_bytes(&text)));
    esp_buf_release(&text);
    return status;
}
