/* config_run.c - the identity of what is learned, and of what a checkpoint holds. See config.h. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cmd/config/config.h"
#include "core/hash.h"

enum { MOST_TEXT_BYTES = 16 << 20 };

/* Changed where the meaning of an option, or how anything is computed, changes what is learned. */
static const char learning_version[] = "1";

struct option_name {
    const char *section, *key;
};

/* Sections that say what is learned, but for what only says where and how records are read; and
 * from other sections: which records are dead, where batches are cut, what snapshots round. */
static bool is_learned(const struct esp_setting *row)
{
    static const char *const sections[] = {"impressions", "clicks", "installs", "join",
                                           "time",        "sample", "features", "model *"};
    static const char *const others[] = {"schema",     "framing",  "skew",
                                         "idle_after", "idle_lag", "memory"};
    static const struct option_name single[] = {{"input", "max_record_bytes"},
                                                {"snapshot", "every"},
                                                {"snapshot", "rows"},
                                                {"snapshot", "resume"}};
    for (size_t i = 0; i < sizeof single / sizeof single[0]; i++)
        if (strcmp(row->section, single[i].section) == 0 && strcmp(row->key, single[i].key) == 0)
            return true;
    bool found = false;
    for (size_t i = 0; i < sizeof sections / sizeof sections[0]; i++)
        found |= strcmp(row->section, sections[i]) == 0;
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        found &= strcmp(row->key, others[i]) != 0;
    return found;
}

/* Options younger than runs whose snapshots are about: at their default they are left out, so that
 * these runs keep their names. */
static bool is_younger(const struct esp_setting *row)
{
    return strcmp(row->section, "snapshot") == 0 && strcmp(row->key, "resume") == 0;
}

static enum esp_status put(struct esp_buf *text, const char *part, struct esp_error *err)
{
    return esp_buf_append(text, part, strlen(part) + 1, err);
}

/* Section, key and value of an option, each ended by a NUL. */
static enum esp_status put_option(struct esp_buf *text, const struct esp_setting *row,
                                  const void *target, struct esp_error *err)
{
    size_t begin = text->size, value = 0;
    enum esp_status status = put(text, row->section, err);
    if (status == ESP_OK)
        status = put(text, row->key, err);
    value = text->size;
    if (status == ESP_OK)
        status = esp_setting_write(row, target, text, err);
    if (status == ESP_OK)
        status = put(text, "", err);
    if (status == ESP_OK && is_younger(row) &&
        strcmp((const char *)text->data + value, row->fallback) == 0)
        text->size = begin;
    return status;
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
        if (is_learned(row))
            status = put_option(&text, row, target, err);
    }
    if (status == ESP_OK)
        snprintf(out, CONFIG_RUN_SIZE, "%016" PRIx64, esp_hash(esp_buf_bytes(&text)));
    esp_buf_release(&text);
    return status;
}

/* ---- what a checkpoint holds ----------------------------------------------------------------- */

/* Beside what is learned: what is measured, what is written where. */
static bool is_in_state(const struct esp_setting *row)
{
    static const char *const sections[] = {"metrics", "drift", "snapshot", "output"};
    static const struct option_name others[] = {{"snapshot", "keep"}, {"output", "faults"}};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        if (strcmp(row->section, others[i].section) == 0 && strcmp(row->key, others[i].key) == 0)
            return false;
    for (size_t i = 0; i < sizeof sections / sizeof sections[0]; i++)
        if (strcmp(row->section, sections[i]) == 0)
            return true;
    return is_learned(row);
}

/* "[SECTION] KEY = VALUE\n" */
static enum esp_status put_line(struct esp_buf *text, const char *section,
                                const struct esp_setting *row, const void *target,
                                struct esp_error *err)
{
    char name[256];
    int n = snprintf(name, sizeof name, "[%s] %s = ", section, row->key);
    enum esp_status status =
        esp_buf_append(text, name, (size_t)n < sizeof name ? (size_t)n : sizeof name - 1, err);
    if (status == ESP_OK)
        status = esp_setting_write(row, target, text, err);
    return status == ESP_OK ? esp_buf_append(text, "\n", 1, err) : status;
}

static enum esp_status put_model(const struct config *config, size_t i, struct esp_buf *text,
                                 struct esp_error *err)
{
    char section[128];
    enum esp_status status = ESP_OK;
    snprintf(section, sizeof section, "model %s", config->models[i].name);
    for (size_t r = 0; status == ESP_OK && r < n_option_rows; r++)
        if (strcmp(option_table[r].section, "model *") == 0)
            status = put_line(text, section, &option_table[r], &config->model_options[i], err);
    return status;
}

enum esp_status config_state(const struct config *config, struct esp_buf *text,
                             struct esp_error *err)
{
    static const char version[] = "way of learning = ";
    enum esp_status status = esp_buf_append(text, version, sizeof version - 1, err);
    if (status == ESP_OK)
        status = esp_buf_append(text, learning_version, sizeof learning_version - 1, err);
    const char *log = config->options.files_root != NULL ? "\nlog = files\n" : "\nlog = kafka\n";
    if (status == ESP_OK)
        status = esp_buf_append(text, log, strlen(log), err);
    for (size_t r = 0; status == ESP_OK && r < n_option_rows; r++) {
        const struct esp_setting *row = &option_table[r];
        if (strcmp(row->section, "model *") != 0 && is_in_state(row))
            status = put_line(text, row->section, row, &config->options, err);
    }
    for (size_t i = 0; status == ESP_OK && i < config->n_models; i++)
        status = put_model(config, i, text, err);
    return status == ESP_OK ? esp_buf_append(text, "", 1, err) : status;
}
