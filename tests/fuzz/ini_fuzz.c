/*
 * ini_fuzz.c - any bytes as a configuration: the reader and the settings survive them, and say
 * nothing that would break a terminal or a log.
 */
#include <stdint.h>
#include <string.h>

#include "core/check.h"
#include "core/ini.h"
#include "core/settings.h"

struct target {
    const char *text;
    struct esp_setting_list list;
    bool flag;
    int64_t number, span, time;
    double real;
    uint64_t size;
    int choice;
};

#define AT(field) offsetof(struct target, field)

static const struct esp_setting table[] = {
    {"s", "text", ESP_SETTING_TEXT, AT(text), "x", 0, 0, NULL, false, ""},
    {"s", "list", ESP_SETTING_LIST, AT(list), "a, b", 0, 0, NULL, false, ""},
    {"s", "flag", ESP_SETTING_BOOL, AT(flag), "off", 0, 0, NULL, false, ""},
    {"s", "number", ESP_SETTING_INT, AT(number), "1", -5, 5, NULL, false, ""},
    {"s", "span", ESP_SETTING_SPAN, AT(span), "1h", 0, 1e15, NULL, false, ""},
    {"s", "time", ESP_SETTING_TIME, AT(time), NULL, 0, 0, NULL, true, ""},
    {"s", "real", ESP_SETTING_REAL, AT(real), "0.5", 0, 1, NULL, false, ""},
    {"s", "size", ESP_SETTING_SIZE, AT(size), "1MiB", 0, 1e12, NULL, false, ""},
    {"s", "choice", ESP_SETTING_CHOICE, AT(choice), "a", 0, 0, "a|b|c", false, ""},
    {"model *", "text", ESP_SETTING_TEXT, AT(text), NULL, 0, 0, NULL, false, ""},
};

enum { N_ROWS = sizeof table / sizeof table[0] };

/* (1) a report is one printable line that begins with the file's name */
static void check_report(void *context, const char *line)
{
    size_t *n_reports = context;
    ++*n_reports;
    ESP_CHECK(1, strncmp(line, "f:", 2) == 0 && strlen(line) < 1024);
    for (const char *c = line; *c != '\0'; c++)
        ESP_CHECK(1, (unsigned char)*c >= 0x20 && *c != 0x7f);
}

/* (2) entries are trimmed, complete, in order of lines, unique; (3) their sections are there */
static void check_entries(const struct esp_ini *ini)
{
    ESP_CHECK(2, ini->n_entries <= ESP_INI_MAX_ENTRIES);
    for (size_t i = 0; i < ini->n_entries; i++) {
        const struct esp_ini_entry *entry = &ini->entries[i];
        size_t n = strlen(entry->key);
        ESP_CHECK(2, n > 0 && strchr(" \t", entry->key[0]) == NULL &&
                         strchr(" \t", entry->key[n - 1]) == NULL);
        ESP_CHECK(2, entry->value[0] == '\0' || strchr(" \t", entry->value[0]) == NULL);
        ESP_CHECK(2, entry->line > (i == 0 ? 0 : entry[-1].line));
        ESP_CHECK(2, esp_ini_find(ini, entry->section, entry->key) == entry);
        ESP_CHECK(3, esp_ini_find_section(ini, entry->section) != NULL);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const passthrough[] = {"kafka", NULL};
    struct esp_ini ini;
    struct esp_error err = {0};
    struct target target = {0};
    size_t n_reports = 0;
    esp_ini_init(&ini);
    enum esp_status status =
        esp_ini_parse(&ini, "f", (const char *)data, size, check_report, &n_reports, &err);
    /* (4) a failure is reported, a report is a failure */
    ESP_CHECK(4, (status == ESP_ECONFIG) == (n_reports > 0) && err.status == status);
    check_entries(&ini);
    struct esp_settings_arena *arena = esp_settings_arena_new();
    esp_settings_check_sections(table, N_ROWS, &ini, passthrough, check_report, &n_reports, &err);
    for (size_t i = 0; i < ini.n_sections; i++) {
        const char *name = ini.sections[i].name;
        const char *section = strcmp(name, "s") == 0 ? "s" : "model *";
        esp_settings_apply(table, N_ROWS, section, &ini, name, &target, arena, check_report,
                           &n_reports, &err);
    }
    esp_settings_arena_free(arena);
    esp_ini_release(&ini);
    return 0;
}
