/* settings_manual.c - the options as Markdown, from the table that also parses them. */
#include <string.h>

#include "core/setting_value.h"
#include "core/settings.h"

static void write_heading(const char *section, FILE *out)
{
    size_t size = strlen(section);
    if (size > 2 && strcmp(section + size - 2, " *") == 0) {
        int n = (int)size - 2;
        fprintf(out,
                "## [%.*s NAME]\n\nMay stand several times, each with a name of its own. "
                "`[%.*s]` without a name is the one named `main`.\n\n",
                n, section, n, section);
    } else {
        fprintf(out, "## [%s]\n\n", section);
    }
}

/* "span from 1s to 30d, default `1h`" */
static void write_kind(const struct esp_setting *row, FILE *out)
{
    char text[ESP_SETTING_WORD_SIZE];
    if (row->type == ESP_SETTING_CHOICE)
        fputs(esp_setting_choices(row, "`", text), out);
    else
        fputs(esp_setting_type_word(row->type), out);
    esp_setting_range(row, text);
    fprintf(out, "%s%s", text[0] == '\0' ? "" : " ", text);
    if (row->required)
        fputs(", required", out);
    else if (row->fallback == NULL || row->fallback[0] == '\0')
        fputs(", no default", out);
    else
        fprintf(out, ", default `%s`", row->fallback);
}

void esp_settings_write_manual(const struct esp_setting *table, size_t n_rows, FILE *out)
{
    for (size_t i = 0; i < n_rows; i++) {
        const struct esp_setting *row = &table[i];
        if (i == 0 || strcmp(row->section, table[i - 1].section) != 0) {
            if (i > 0)
                fputc('\n', out);
            write_heading(row->section, out);
        }
        fprintf(out, "- `%s`: ", row->key);
        write_kind(row, out);
        fprintf(out, ". %s\n", row->doc);
    }
}
