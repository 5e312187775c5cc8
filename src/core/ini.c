/*
 * ini.c - reads the configuration's file format, see ini.h.
 *
 * A text is copied once and cut up in place: an entry's key and value are the file's own bytes,
 * ended by NULs. The lines of a continued value are moved together over the line breaks and
 * blanks between them, which are never shorter than the one blank that replaces them. So memory is
 * bounded by the text's size and ESP_INI_MAX_ENTRIES, whatever the text.
 */
#include "core/ini.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/buf.h"
#include "core/complaint.h"

enum { SHOWN_CHARS = 40 /* of a text that is no good */ };

/* One piece of memory that entries point into. */
struct esp_ini_chunk {
    struct esp_ini_chunk *next;
    char text[];
};

/* What parsing one text carries from line to line. */
struct parser {
    struct esp_ini *ini;
    const char *file;    /* owned by the document */
    const char *section; /* NULL: after a header that was no good; its keys are skipped */
    int line;            /* 1-based */
    char *value_end;     /* where a continuation is appended; NULL: none may follow */
    bool skips;          /* continuations belong to an entry that was not kept */
    struct esp_complaints complaints;
};

void esp_ini_init(struct esp_ini *ini)
{
    *ini = (struct esp_ini){0};
}

void esp_ini_release(struct esp_ini *ini)
{
    for (struct esp_ini_chunk *chunk = ini->texts, *next; chunk != NULL; chunk = next) {
        next = chunk->next;
        free(chunk);
    }
    free(ini->entries);
    free(ini->sections);
    esp_ini_init(ini);
}

/* n bytes owned by the document; NULL, and err filled: out of memory. */
static char *chunk_new(struct esp_ini *ini, size_t n, struct esp_error *err)
{
    struct esp_ini_chunk *chunk = n > SIZE_MAX - sizeof *chunk ? NULL : malloc(sizeof *chunk + n);
    if (chunk == NULL) {
        esp_fail(err, ESP_ENOMEM, "out of memory for a configuration of %zu bytes", n);
        return NULL;
    }
    chunk->next = ini->texts;
    ini->texts = chunk;
    return chunk->text;
}

/* A copy of size bytes, ended by a NUL, owned by the document. */
static char *text_copy(struct esp_ini *ini, const char *text, size_t size, struct esp_error *err)
{
    char *copy = chunk_new(ini, size + 1, err);
    if (copy == NULL)
        return NULL;
    if (size > 0)
        memcpy(copy, text, size);
    copy[size] = '\0';
    return copy;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* Ends text after its last character that is not blank, and returns its first such one. */
static char *trim(char *text, char *end)
{
    while (end > text && is_blank(end[-1]))
        end--;
    *end = '\0';
    while (is_blank(*text))
        text++;
    return text;
}

/* Makes every run of blanks one blank. */
static void squeeze(char *text)
{
    char *to = text;
    for (const char *from = text; *from != '\0'; from++) {
        if (!is_blank(*from))
            *to++ = *from;
        else if (!is_blank(from[1]))
            *to++ = ' ';
    }
    *to = '\0';
}

const struct esp_ini_section *esp_ini_find_section(const struct esp_ini *ini, const char *name)
{
    for (size_t i = 0; i < ini->n_sections; i++) {
        if (strcmp(ini->sections[i].name, name) == 0)
            return &ini->sections[i];
    }
    return NULL;
}

static struct esp_ini_entry *find(const struct esp_ini *ini, const char *section, const char *key)
{
    for (size_t i = 0; i < ini->n_entries; i++) {
        struct esp_ini_entry *entry = &ini->entries[i];
        if (strcmp(entry->key, key) == 0 && strcmp(entry->section, section) == 0)
            return entry;
    }
    return NULL;
}

const struct esp_ini_entry *esp_ini_find(const struct esp_ini *ini, const char *section,
                                         const char *key)
{
    return find(ini, section, key);
}

/* Notes that a section stands in the document, if it is new. Errors: ESP_ECONFIG, ESP_ENOMEM. */
static enum esp_status open_section(struct esp_ini *ini, struct esp_ini_section section,
                                    struct esp_error *err)
{
    if (esp_ini_find_section(ini, section.name) != NULL)
        return ESP_OK;
    if (ini->n_sections == ESP_INI_MAX_ENTRIES)
        return esp_fail(err, ESP_ECONFIG, "more than %d sections", ESP_INI_MAX_ENTRIES);
    void *sections = ini->sections;
    enum esp_status status = esp_array_grow(&sections, &ini->section_capacity, ini->n_sections + 1,
                                            sizeof *ini->sections, err);
    ini->sections = sections;
    if (status == ESP_OK)
        ini->sections[ini->n_sections++] = section;
    return status;
}

/* Appends an entry, and opens its section. Errors: ESP_ECONFIG, ESP_ENOMEM. */
static enum esp_status add_entry(struct esp_ini *ini, struct esp_ini_entry entry,
                                 struct esp_error *err)
{
    if (ini->n_entries == ESP_INI_MAX_ENTRIES)
        return esp_fail(err, ESP_ECONFIG, "more than %d keys", ESP_INI_MAX_ENTRIES);
    void *entries = ini->entries;
    enum esp_status status =
        esp_array_grow(&entries, &ini->capacity, ini->n_entries + 1, sizeof *ini->entries, err);
    ini->entries = entries;
    if (status == ESP_OK)
        status =
            open_section(ini, (struct esp_ini_section){entry.section, entry.file, entry.line}, err);
    if (status == ESP_OK)
        ini->entries[ini->n_entries++] = entry;
    return status;
}

/* "[name]": text begins at '[', end is that of the line. */
static enum esp_status parse_section(struct parser *parser, char *text, char *end)
{
    char *name = trim(text + 1, end), *bracket = strchr(name, ']');
    parser->section = NULL;
    if (bracket == NULL) {
        esp_complain(&parser->complaints, parser->file, parser->line,
                     "[%.*s: a section's name ends in ]; write [join]", SHOWN_CHARS, name);
        return ESP_OK;
    }
    if (bracket[1] != '\0') {
        esp_complain(&parser->complaints, parser->file, parser->line,
                     "%.*s after a section's name; put it, comments too, on a line of its own",
                     SHOWN_CHARS, bracket + 1);
        return ESP_OK;
    }
    name = trim(name, bracket);
    squeeze(name);
    if (*name == '\0' || strchr(name, '[') != NULL) {
        esp_complain(&parser->complaints, parser->file, parser->line,
                     "[%.*s] is no name for a section; write [join]", SHOWN_CHARS, name);
        return ESP_OK;
    }
    parser->section = name;
    return open_section(parser->ini, (struct esp_ini_section){name, parser->file, parser->line},
                        parser->complaints.err);
}

/* "key = value" */
static enum esp_status parse_entry(struct parser *parser, char *text, char *end)
{
    char *equals = memchr(text, '=', (size_t)(end - text));
    if (equals == NULL || equals == text) {
        const char *line = trim(text, end);
        bool is_secret = strstr(line, "password") != NULL || strstr(line, "secret") != NULL;
        int n_shown = is_secret ? (int)strcspn(line, " \t:") : SHOWN_CHARS;
        esp_complain(&parser->complaints, parser->file, parser->line,
                     "%.*s: neither [section] nor key = value; a comment begins with #", n_shown,
                     line);
        parser->skips = true;
        return ESP_OK;
    }
    char *value = trim(equals + 1, end);
    const char *key = trim(text, equals);
    parser->skips = parser->section == NULL;
    parser->value_end = value + strlen(value);
    if (parser->skips)
        return ESP_OK;
    const struct esp_ini_entry *first = find(parser->ini, parser->section, key);
    if (first != NULL) {
        esp_complain(&parser->complaints, parser->file, parser->line,
                     "[%s] %s: stands already at %s:%d; remove one of the two", parser->section,
                     key, first->file, first->line);
        parser->skips = true;
        return ESP_OK;
    }
    return add_entry(
        parser->ini,
        (struct esp_ini_entry){parser->section, key, value, parser->file, parser->line},
        parser->complaints.err);
}

/* An indented line; text is its first character that is not blank. */
static void parse_continuation(struct parser *parser, char *text, char *end)
{
    if (parser->value_end == NULL) {
        if (!parser->skips)
            esp_complain(
                &parser->complaints, parser->file, parser->line,
                "an indented line continues the value above it, and there is none; begin the "
                "line with its key");
        return;
    }
    text = trim(text, end);
    char *to = parser->value_end;
    if (parser->skips)
        return;
    /* After an empty value there is nothing to part from: move to the value's own first byte. */
    if (to > parser->ini->entries[parser->ini->n_entries - 1].value)
        *to++ = ' ';
    size_t n = strlen(text);
    memmove(to, text, n + 1);
    parser->value_end = to + n;
}

/* True if the line has a character that no text has; reports it. */
static bool has_control(struct parser *parser, const char *text, const char *end)
{
    for (const char *c = text; c < end; c++) {
        if (((unsigned char)*c < 0x20 && *c != '\t') || *c == 0x7f) {
            esp_complain(&parser->complaints, parser->file, parser->line,
                         "control character 0x%02x in column %td; remove it",
                         (unsigned)(unsigned char)*c, c - text + 1);
            return true;
        }
    }
    return false;
}

/* One line without its line break; *end may be overwritten. */
static enum esp_status parse_line(struct parser *parser, char *text, char *end)
{
    char *first = text;
    while (first < end && is_blank(*first))
        first++;
    if (has_control(parser, text, end)) {
        parser->value_end = NULL;
        parser->skips = true;
        return ESP_OK;
    }
    if (first < end && *first == '#')
        return ESP_OK;
    if (first < end && first > text) {
        parse_continuation(parser, first, end);
        return ESP_OK;
    }
    parser->value_end = NULL;
    parser->skips = false;
    if (first == end)
        return ESP_OK;
    return *text == '[' ? parse_section(parser, text, end) : parse_entry(parser, text, end);
}

enum esp_status esp_ini_parse(struct esp_ini *ini, const char *file, const char *text, size_t size,
                              esp_ini_report *report, void *context, struct esp_error *err)
{
    struct parser parser = {.ini = ini, .complaints = {report, context, err, false}};
    parser.file = text_copy(ini, file, strlen(file), err);
    if (parser.file == NULL)
        return ESP_ENOMEM;
    if (size > ESP_INI_MAX_BYTES) {
        esp_complain(&parser.complaints, parser.file, parser.line,
                     "larger than %d bytes; this is hardly a configuration", ESP_INI_MAX_BYTES);
        return ESP_ECONFIG;
    }
    if (size >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
        text += 3;
        size -= 3;
    }
    char *copy = text_copy(ini, text, size, err);
    if (copy == NULL)
        return ESP_ENOMEM;
    parser.section = "";
    enum esp_status status = ESP_OK;
    for (char *line = copy, *end = copy + size; status == ESP_OK && line < end;) {
        char *newline = memchr(line, '\n', (size_t)(end - line));
        char *line_end = newline == NULL ? end : newline;
        char *next = newline == NULL ? end : newline + 1;
        if (line_end > line && line_end[-1] == '\r')
            line_end--;
        parser.line++;
        status = parse_line(&parser, line, line_end);
        line = next;
    }
    if (status == ESP_ECONFIG) /* a limit, which err names but no report has said */
        esp_complain(&parser.complaints, parser.file, parser.line,
                     "more than %d keys or sections; split the configuration", ESP_INI_MAX_ENTRIES);
    if (status != ESP_OK)
        return status;
    return parser.complaints.any ? ESP_ECONFIG : ESP_OK;
}

/* Reads a stream to its end, but no more than a byte over the limit. Errors: ESP_ENOMEM, or
 * ESP_EIO with errno set. */
static enum esp_status read_all(FILE *stream, struct esp_buf *buf, struct esp_error *err)
{
    enum esp_status status = esp_buf_reserve(buf, ESP_INI_MAX_BYTES + 1, err);
    if (status != ESP_OK)
        return status;
    buf->size = fread(buf->data, 1, ESP_INI_MAX_BYTES + 1, stream);
    return ferror(stream) ? ESP_EIO : ESP_OK;
}

enum esp_status esp_ini_read(struct esp_ini *ini, const char *file, esp_ini_report *report,
                             void *context, struct esp_error *err)
{
    struct esp_complaints complaints = {report, context, err, false};
    struct esp_buf buf;
    esp_buf_init(&buf, ESP_INI_MAX_BYTES + 1);
    FILE *stream = fopen(file, "rbe");
    enum esp_status status = stream == NULL ? ESP_EIO : read_all(stream, &buf, err);
    if (status == ESP_EIO) {
        esp_complain(&complaints, file, 0, "cannot be read: %s; --config FILE names another",
                     strerror(errno));
        status = ESP_ECONFIG;
    } else if (status == ESP_OK) {
        status = esp_ini_parse(ini, file, (const char *)buf.data, buf.size, report, context, err);
    }
    if (stream != NULL)
        fclose(stream);
    esp_buf_release(&buf);
    return status;
}

enum esp_status esp_ini_set(struct esp_ini *ini, const char *section, const char *key,
                            const char *value, const char *file, int line, struct esp_error *err)
{
    char *value_copy = text_copy(ini, value, strlen(value), err);
    char *file_copy = value_copy == NULL ? NULL : text_copy(ini, file, strlen(file), err);
    if (file_copy == NULL)
        return ESP_ENOMEM;
    struct esp_ini_entry *entry = find(ini, section, key);
    if (entry != NULL) {
        entry->value = value_copy;
        entry->file = file_copy;
        entry->line = line;
        return ESP_OK;
    }
    char *section_copy = text_copy(ini, section, strlen(section), err);
    char *key_copy = section_copy == NULL ? NULL : text_copy(ini, key, strlen(key), err);
    if (key_copy == NULL)
        return ESP_ENOMEM;
    return add_entry(
        ini, (struct esp_ini_entry){section_copy, key_copy, value_copy, file_copy, line}, err);
}
