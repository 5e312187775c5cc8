/*
 * settings.h - one table of options drives parsing, `check` and the manual.
 *
 * A table row names section and key, the type and where the value goes in a plain struct, its
 * default as text, its range, and its documentation. A section named "model *" describes
 * [model NAME]: each such section, and [model], is one instance of the struct.
 */
#ifndef ESP_CORE_SETTINGS_H
#define ESP_CORE_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "core/buf.h"
#include "core/ini.h"
#include "core/status.h"

enum esp_setting_type {
    ESP_SETTING_TEXT,   /* const char *; NULL where the default is NULL */
    ESP_SETTING_LIST,   /* struct esp_setting_list: comma-separated, trimmed, empty items refused */
    ESP_SETTING_BOOL,   /* bool: on/off, yes/no, true/false, 1/0 */
    ESP_SETTING_INT,    /* int64_t */
    ESP_SETTING_REAL,   /* double, finite */
    ESP_SETTING_SPAN,   /* int64_t, us: see esp_span_parse() */
    ESP_SETTING_TIME,   /* int64_t, us: see esp_time_parse() */
    ESP_SETTING_SIZE,   /* uint64_t, bytes: 4096, 512KiB, 2GiB, 1.5MB */
    ESP_SETTING_CHOICE, /* int: the index of the word in the row's choices */
};

struct esp_setting_list {
    const char **items; /* owned by the settings' arena */
    size_t n_items;
};

struct esp_setting {
    const char *section; /* "join"; "model *" for a repeated section */
    const char *key;
    enum esp_setting_type type;
    size_t offset;        /* of the field in the target struct */
    const char *fallback; /* default value as text; NULL: none */
    double low, high;     /* inclusive range for INT, REAL, SPAN (us), SIZE; low == high: any;
                             infinite (2^63 and more): open on that side */
    const char *choices;  /* "weight|offset", for CHOICE */
    bool required;        /* must be given */
    const char *doc;      /* one or more sentences for the manual */
};

/* Keeps the texts and lists that targets point to. */
struct esp_settings_arena;
struct esp_settings_arena *esp_settings_arena_new(void); /* NULL: out of memory */
void esp_settings_arena_free(struct esp_settings_arena *arena);

/* Rows of one section stand together; at most 256 rows a section. */

/*
 * Fills *target from the rows of `section` in the table and the entries of section
 * `ini_section` (for repeated sections the two differ: "model *" and "model fast").
 *
 * Of a key that is not given and has no default, a text becomes NULL and a list empty; fields of
 * other types keep what the caller put there.
 *
 * report  as in ini.h: one call a problem, "FILE:LINE: [section] key: what; mend". Wrong type, out
 *         of range, an unknown key with the nearest known one, a required key that is missing.
 * Errors: ESP_ECONFIG if anything was reported (fields without a problem are set), ESP_ENOMEM.
 */
enum esp_status esp_settings_apply(const struct esp_setting *table, size_t n_rows,
                                   const char *section, const struct esp_ini *ini,
                                   const char *ini_section, void *target,
                                   struct esp_settings_arena *arena, esp_ini_report *report,
                                   void *context, struct esp_error *err);

/*
 * Reports every section of ini that is neither in the table, nor an instance of a repeated one,
 * nor among `passthrough` (NULL-terminated names whose keys are not ours), with the nearest known.
 * Errors: ESP_ECONFIG if anything was reported.
 */
enum esp_status esp_settings_check_sections(const struct esp_setting *table, size_t n_rows,
                                            const struct esp_ini *ini,
                                            const char *const *passthrough, esp_ini_report *report,
                                            void *context, struct esp_error *err);

/*
 * Appends a row's value in a target as text: equal values give equal text, whatever was written.
 * Of a text or list that is not there nothing is appended. Errors: ESP_ENOMEM, ESP_ELIMIT.
 */
enum esp_status esp_setting_write(const struct esp_setting *row, const void *target,
                                  struct esp_buf *out, struct esp_error *err);

/* Writes the options as Markdown: a heading a section, an entry a key with type, default, range. */
void esp_settings_write_manual(const struct esp_setting *table, size_t n_rows, FILE *out);

/* The known word nearest to `word` by edit distance, or NULL if none is within a third of it. */
const char *esp_nearest_word(const char *word, const char *const *known, size_t n_known);

#endif
