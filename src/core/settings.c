/*
 * settings.c - fills structs from a configuration by a table, see settings.h.
 *
 * What a text of each type means is in setting_value.c, the manual in settings_manual.c.
 */
#include "core/settings.h"

#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

#include "core/complaint.h"
#include "core/setting_value.h"

enum { MAX_WORDS = 256 };

struct arena_piece {
    struct arena_piece *next;
    alignas(max_align_t) char bytes[];
};

struct esp_settings_arena {
    struct arena_piece *pieces;
};

struct esp_settings_arena *esp_settings_arena_new(void)
{
    return calloc(1, sizeof(struct esp_settings_arena));
}

void esp_settings_arena_free(struct esp_settings_arena *arena)
{
    if (arena == NULL)
        return;
    for (struct arena_piece *piece = arena->pieces, *next; piece != NULL; piece = next) {
        next = piece->next;
        free(piece);
    }
    free(arena);
}

void *esp_settings_arena_take(struct esp_settings_arena *arena, size_t n_bytes)
{
    struct arena_piece *piece =
        n_bytes > SIZE_MAX - sizeof *piece ? NULL : calloc(1, sizeof *piece + n_bytes);
    if (piece == NULL)
        return NULL;
    piece->next = arena->pieces;
    arena->pieces = piece;
    return piece->bytes;
}

/* What one call of apply or check_sections carries along. */
struct job {
    const struct esp_setting *table;
    size_t n_rows;
    const struct esp_ini *ini;
    struct esp_complaints complaints;
};

/* Says where a value that is missing belongs: its section, if the file has one, else the file. */
static void complain_missing(struct job *job, const struct esp_setting *row,
                             const char *ini_section)
{
    const struct esp_ini_section *section = esp_ini_find_section(job->ini, ini_section);
    bool empty = job->ini->n_sections == 0;
    if (section != NULL)
        esp_complain(&job->complaints, section->file, section->line,
                     "[%s] %s: missing; add a line %s = ...", ini_section, row->key, row->key);
    else
        esp_complain(&job->complaints, empty ? "configuration" : job->ini->sections[0].file, 0,
                     "[%s] %s: missing; add a section [%s] with a line %s = ...", ini_section,
                     row->key, ini_section, row->key);
}

/* The row's value from the entry, else its default. Errors: ESP_ENOMEM. */
static enum esp_status apply_row(struct job *job, const struct esp_setting *row,
                                 const char *ini_section, void *target,
                                 struct esp_settings_arena *arena)
{
    struct esp_error problem = {0};
    const struct esp_ini_entry *entry = esp_ini_find(job->ini, ini_section, row->key);
    enum esp_status status = ESP_OK;
    if (entry != NULL)
        status = esp_setting_store(row, entry->value, target, arena, &problem);
    else if (row->required)
        complain_missing(job, row, ini_section);
    else if (row->fallback != NULL)
        status = esp_setting_store(row, row->fallback, target, arena, &problem);
    else if (row->type == ESP_SETTING_TEXT)
        *(const char **)(void *)((char *)target + row->offset) = NULL;
    else if (row->type == ESP_SETTING_LIST)
        *(struct esp_setting_list *)(void *)((char *)target + row->offset) =
            (struct esp_setting_list){NULL, 0};
    if (status == ESP_ENOMEM)
        return esp_fail(job->complaints.err, ESP_ENOMEM, "out of memory for the configuration");
    if (status != ESP_OK)
        esp_complain(&job->complaints, entry == NULL ? "built-in default" : entry->file,
                     entry == NULL ? 0 : entry->line, "[%s] %s = %.80s: %s", ini_section, row->key,
                     entry == NULL ? row->fallback : entry->value, problem.text);
    return ESP_OK;
}

static const struct esp_setting *find_row(const struct job *job, const char *section,
                                          const char *key)
{
    for (size_t i = 0; i < job->n_rows; i++) {
        if (strcmp(job->table[i].section, section) == 0 && strcmp(job->table[i].key, key) == 0)
            return &job->table[i];
    }
    return NULL;
}

/* Reports the entry's key as unknown, with the nearest key of its section, or all of a few. */
static void complain_unknown_key(struct job *job, const struct esp_ini_entry *entry,
                                 const char *section)
{
    const char *keys[MAX_WORDS];
    size_t n_keys = 0;
    for (size_t i = 0; i < job->n_rows && n_keys < MAX_WORDS; i++) {
        if (strcmp(job->table[i].section, section) == 0)
            keys[n_keys++] = job->table[i].key;
    }
    const char *nearest = esp_nearest_word(entry->key, keys, n_keys);
    if (nearest != NULL)
        esp_complain(&job->complaints, entry->file, entry->line,
                     "[%s] %s: unknown key; did you mean %s?", entry->section, entry->key, nearest);
    else
        esp_complain(&job->complaints, entry->file, entry->line,
                     "[%s] %s: unknown key; remove it, or see the manual for this section's keys",
                     entry->section, entry->key);
}

enum esp_status esp_settings_apply(const struct esp_setting *table, size_t n_rows,
                                   const char *section, const struct esp_ini *ini,
                                   const char *ini_section, void *target,
                                   struct esp_settings_arena *arena, esp_ini_report *report,
                                   void *context, struct esp_error *err)
{
    struct job job = {table, n_rows, ini, {report, context, err, false}};
    for (size_t i = 0; i < n_rows; i++) {
        if (strcmp(table[i].section, section) != 0)
            continue;
        enum esp_status status = apply_row(&job, &table[i], ini_section, target, arena);
        if (status != ESP_OK)
            return status;
    }
    for (size_t i = 0; i < ini->n_entries; i++) {
        const struct esp_ini_entry *entry = &ini->entries[i];
        if (strcmp(entry->section, ini_section) == 0 && find_row(&job, section, entry->key) == NULL)
            complain_unknown_key(&job, entry, section);
    }
    return job.complaints.any ? ESP_ECONFIG : ESP_OK;
}

/* Length of what comes before " *" in "model *"; 0 for a section that is not repeated. */
static size_t repeated_length(const char *section)
{
    size_t size = strlen(section);
    return size > 2 && strcmp(section + size - 2, " *") == 0 ? size - 2 : 0;
}

/* True if a section of a file is described by the row's section. */
static bool describes(const char *row_section, const char *name)
{
    size_t n = repeated_length(row_section);
    if (n == 0)
        return strcmp(row_section, name) == 0;
    return strncmp(row_section, name, n) == 0 && (name[n] == '\0' || name[n] == ' ');
}

static bool section_is_known(const struct job *job, const char *const *passthrough,
                             const char *name)
{
    for (size_t i = 0; i < job->n_rows; i++) {
        if (describes(job->table[i].section, name))
            return true;
    }
    for (; passthrough != NULL && *passthrough != NULL; passthrough++) {
        if (strcmp(*passthrough, name) == 0)
            return true;
    }
    return false;
}

/* Reports a section as unknown; of "[modle fast]" the first word is what is compared. */
static void complain_unknown_section(struct job *job, const struct esp_ini_section *section,
                                     const char *const *passthrough)
{
    char first[64], bases[MAX_WORDS][32];
    const char *words[MAX_WORDS];
    size_t n_words = 0;
    for (size_t i = 0; i < job->n_rows && n_words < MAX_WORDS; i++) {
        const char *name = job->table[i].section;
        size_t n = repeated_length(name);
        if (i > 0 && strcmp(job->table[i - 1].section, name) == 0)
            continue;
        snprintf(bases[n_words], sizeof bases[0], "%.*s", (int)(n == 0 ? strlen(name) : n), name);
        words[n_words] = bases[n_words];
        n_words++;
    }
    for (; passthrough != NULL && *passthrough != NULL && n_words < MAX_WORDS; passthrough++)
        words[n_words++] = *passthrough;
    size_t n_first = strcspn(section->name, " \t");
    snprintf(first, sizeof first, "%.*s", n_first > 63 ? 63 : (int)n_first, section->name);
    const char *nearest = esp_nearest_word(first, words, n_words);
    if (nearest != NULL)
        esp_complain(&job->complaints, section->file, section->line,
                     "[%s]: unknown section; did you mean [%s%s]?", section->name, nearest,
                     section->name + n_first);
    else
        esp_complain(&job->complaints, section->file, section->line,
                     "[%s]: unknown section; remove it, or see the manual for the sections",
                     section->name);
}

enum esp_status esp_settings_check_sections(const struct esp_setting *table, size_t n_rows,
                                            const struct esp_ini *ini,
                                            const char *const *passthrough, esp_ini_report *report,
                                            void *context, struct esp_error *err)
{
    struct job job = {table, n_rows, ini, {report, context, err, false}};
    for (size_t i = 0; i < ini->n_sections; i++) {
        const struct esp_ini_section *section = &ini->sections[i];
        if (section->name[0] == '\0')
            esp_complain(&job.complaints, section->file, section->line,
                         "a key before the first section; write a [section] above it");
        else if (!section_is_known(&job, passthrough, section->name))
            complain_unknown_section(&job, section, passthrough);
    }
    return job.complaints.any ? ESP_ECONFIG : ESP_OK;
}
