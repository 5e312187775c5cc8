/*
 * ini.h - reads the configuration's file format.
 *
 *     # a comment stands on a line of its own
 *     [section]            or  [section name with blanks]
 *     key = value ; and # are part of the value
 *         an indented line continues the value, joined by one blank
 *
 * Keys and section names are trimmed, and blanks inside a section's name become one. Values keep
 * inner blanks. An indented comment is a comment too, also between the lines of a value; an empty
 * line ends the value. Lines end in LF or CRLF; a UTF-8 byte order mark is skipped; control
 * characters other than tabs are refused. Every entry knows its file and line. All errors of a
 * file are reported, not just the first.
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

/* A section that stands in the file, with or without entries. */
struct esp_ini_section {
    const char *name;
    const char *file;
    int line; /* where it first opens */
};

/* Owned by whoever called init. Entries and sections stay in the order of the file. */
struct esp_ini {
    struct esp_ini_entry *entries;
    size_t n_entries, capacity;
    struct esp_ini_section *sections; /* each name once; "" only if it has entries */
    size_t n_sections, section_capacity;
    struct esp_ini_chunk *texts; /* what the entries and sections point into */
};

/* One problem: a line for a person, "FILE:LINE: what; mend". */
typedef void esp_ini_report(void *context, const char *line);

enum {
    ESP_INI_MAX_BYTES = 1 << 20, /* of one text */
    ESP_INI_MAX_ENTRIES = 4096,  /* of a document; sections the same */
};

void esp_ini_init(struct esp_ini *ini);
void esp_ini_release(struct esp_ini *ini);

/*
 * Appends the entries of a text of size bytes.
 *
 * file    its name in reports and entries, copied
 * report  called once a problem; may be NULL
 * The same key twice in one section is a problem that names both lines; sections may be reopened.
 * Errors: ESP_ECONFIG (at least one problem was reported; the good entries are kept; of a key that
 * stands twice, the first), ESP_ENOMEM.
 */
enum esp_status esp_ini_parse(struct esp_ini *ini, const char *file, const char *text, size_t size,
                              esp_ini_report *report, void *context, struct esp_error *err);

/* The same from a file. Errors as above, and ESP_ECONFIG (cannot be read, or too large). */
enum esp_status esp_ini_read(struct esp_ini *ini, const char *file, esp_ini_report *report,
                             void *context, struct esp_error *err);

/*
 * Sets or replaces one entry ("-o section.key=value" on a command line), and opens its section.
 *
 * line  0 if file has no lines; reports then leave it out
 * Errors: ESP_ECONFIG (ESP_INI_MAX_ENTRIES), ESP_ENOMEM; the document is as before then.
 */
enum esp_status esp_ini_set(struct esp_ini *ini, const char *section, const char *key,
                            const char *value, const char *file, int line, struct esp_error *err);

/* The entry, or NULL. */
const struct esp_ini_entry *esp_ini_find(const struct esp_ini *ini, const char *section,
                                         const char *key);

/* The section, or NULL if it was never opened: "[installs]" without a key counts. */
const struct esp_ini_section *esp_ini_find_section(const struct esp_ini *ini, const char *name);

#endif
