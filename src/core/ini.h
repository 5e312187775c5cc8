/*
 * ini.h - reads the configuration's file format.
 *
 *     # a comment stands on a line of its own
 *     [section]            or  [section name with blanks]
 *     key = value ; and # are part of the value
 *         an indented line continues the value, joined by one blank
 *
 * Keys and section names are trimmed. Values keep inner blanks. Every entry knows its file and
 * line. All errors of a file are reported, not just the first.
 */
#ifndef ESP_CORE_INI_H
#define ESP_CORE_INI_H

#include <stddef.h>

#include "core/status.h"

struct esp_ini_entry {
    const char *section; /* "" before the first section; owned by the document */
    const char *key;
    const char *value;
    const char *file; /* as given to the reader */
    int line;         /* 1-based, of the key */
};

/* Owned by whoever called init. Entries stay in the order of the file. */
struct esp_ini {
    struct esp_ini_entry *entries;
    size_t n_entries;
    struct esp_ini_chunk *texts; /* what the entries point into */
};

/* One problem: a line for a person, "FILE:LINE: what; mend". */
typedef void esp_ini_report(void *context, const char *line);

enum { ESP_INI_MAX_BYTES = 1 << 20 };

void esp_ini_init(struct esp_ini *ini);
void esp_ini_release(struct esp_ini *ini);

/*
 * Appends the entries of a text of size bytes.
 *
 * file    its name in reports and entries, copied
 * report  called once a problem; may be NULL
 * The same key twice in one section is a problem that names both lines; sections may be reopened.
 * Errors: ESP_ECONFIG (at least one problem was reported; the good entries are kept), ESP_ENOMEM.
 */
enum esp_status esp_ini_parse(struct esp_ini *ini, const char *file, const char *text, size_t size,
                              esp_ini_report *report, void *context, struct esp_error *err);

/* The same from a file. Errors as above, and ESP_ECONFIG (cannot be read, or too large). */
enum esp_status esp_ini_read(struct esp_ini *ini, const char *file, esp_ini_report *report,
                             void *context, struct esp_error *err);

/* Sets or replaces one entry ("-o section.key=value" on a command line). Errors: ESP_ENOMEM. */
enum esp_status esp_ini_set(struct esp_ini *ini, const char *section, const char *key,
                            const char *value, const char *file, int line, struct esp_error *err);

/* The entry, or NULL. */
const struct esp_ini_entry *esp_ini_find(const struct esp_ini *ini, const char *section,
                                         const char *key);

#endif
