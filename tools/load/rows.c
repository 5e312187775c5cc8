/* rows.c - see rows.h. */
#include "rows.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "core/buf.h"
#include "core/settings.h"
#include "csv.h"

enum { MAX_JSON_LINE = 1 << 24 };

struct load_rows {
    FILE *input;
    const char *name;
    enum load_format format;
    const struct load_columns *columns;
    uint64_t n_rows;
    struct esp_bytes *values; /* (columns) owned */

    struct csv_reader csv;
    size_t n_header; /* CSV: fields that every record must have */
    size_t *places;  /* CSV: (columns) which field; owned */

    char *line; /* JSON lines, owned */
    size_t line_capacity;
    uint64_t line_number;
    json_t *document;     /* JSON: what values point into; owned */
    struct esp_buf texts; /* JSON: texts of numbers */
};

static ptrdiff_t read_input(void *context, uint8_t *bytes, size_t capacity)
{
    FILE *input = context;
    size_t n = fread(bytes, 1, capacity, input);
    return n == 0 && ferror(input) ? -1 : (ptrdiff_t)n;
}

/* The header names no such column: says so, with the nearest that it does name. */
static enum esp_status fail_no_column(const struct load_rows *rows, const char *wanted,
                                      struct esp_error *err)
{
    size_t n = rows->csv.n_fields;
    char **known = calloc(n + 1, sizeof *known);
    size_t n_known = 0;
    while (known != NULL && n_known < n) {
        struct esp_bytes field = rows->csv.fields[n_known];
        known[n_known] = strndup((const char *)field.data, field.size);
        if (known[n_known] == NULL)
            break;
        n_known++;
    }
    const char *nearest = esp_nearest_word(wanted, (const char *const *)known, n_known);
    enum esp_status status =
        nearest == NULL ? esp_fail(err, ESP_ECONFIG, "%s has no column \"%s\"", rows->name, wanted)
                        : esp_fail(err, ESP_ECONFIG, "%s has no column \"%s\"; do you mean \"%s\"?",
                                   rows->name, wanted, nearest);
    while (n_known > 0)
        free(known[--n_known]);
    free(known);
    return status;
}

static enum esp_status read_header(struct load_rows *rows, struct esp_error *err)
{
    const char *reason = NULL;
    enum csv_result result = csv_reader_next(&rows->csv, &reason);
    if (result == CSV_FAILED)
        return esp_fail(err, ESP_EIO, "%s: %s", rows->name, strerror(errno));
    if (result != CSV_RECORD)
        return esp_fail(err, ESP_EDATA, "%s has no header line: %s", rows->name,
                        result == CSV_END ? "it is empty" : reason);
    rows->n_header = rows->csv.n_fields;
    for (size_t c = 0; c < rows->columns->n; c++) {
        struct esp_bytes wanted = esp_bytes_of(rows->columns->names[c]);
        size_t place = 0;
        while (place < rows->n_header && !esp_bytes_equal(rows->csv.fields[place], wanted))
            place++;
        if (place == rows->n_header)
            return fail_no_column(rows, rows->columns->names[c], err);
        rows->places[c] = place;
    }
    return ESP_OK;
}

enum esp_status load_rows_new(FILE *input, const char *name, enum load_format format,
                              char delimiter, const struct load_columns *columns,
                              struct load_rows **out, struct esp_error *err)
{
    struct load_rows *rows = calloc(1, sizeof *rows);
    if (rows == NULL)
        return esp_fail(err, ESP_ENOMEM, "out of memory for reading %s", name);
    rows->input = input;
    rows->name = name;
    rows->format = format;
    rows->columns = columns;
    rows->values = calloc(columns->n + 1, sizeof *rows->values);
    rows->places = calloc(columns->n + 1, sizeof *rows->places);
    esp_buf_init(&rows->texts, MAX_JSON_LINE);
    enum esp_status status = ESP_OK;
    if (rows->values == NULL || rows->places == NULL)
        status = esp_fail(err, ESP_ENOMEM, "out of memory for reading %s", name);
    if (status == ESP_OK && format == LOAD_CSV)
        status = csv_reader_init(&rows->csv, read_input, input, delimiter, err);
    if (status == ESP_OK && format == LOAD_CSV)
        status = read_header(rows, err);
    if (status == ESP_OK) {
        *out = rows;
        rows = NULL; /* moved to the caller */
    }
    load_rows_free(rows);
    return status;
}

void load_rows_free(struct load_rows *rows)
{
    if (rows == NULL)
        return;
    csv_reader_release(&rows->csv);
    json_decref(rows->document);
    esp_buf_release(&rows->texts);
    free(rows->line);
    free(rows->values);
    free(rows->places);
    free(rows);
}

static enum load_rows_result next_csv(struct load_rows *rows, struct load_row *out,
                                      struct esp_error *err)
{
    const char *reason = NULL;
    enum csv_result result = csv_reader_next(&rows->csv, &reason);
    if (result == CSV_END)
        return LOAD_END;
    if (result == CSV_FAILED) {
        esp_fail(err, ESP_EIO, "%s: %s", rows->name, strerror(errno));
        return LOAD_FAILED;
    }
    *out = (struct load_row){rows->n_rows++, rows->csv.first_line, rows->values};
    if (result == CSV_BAD) {
        esp_fail(err, ESP_EDATA, "%s", reason);
        return LOAD_BAD_ROW;
    }
    if (rows->csv.n_fields != rows->n_header) {
        esp_fail(err, ESP_EDATA, "%zu fields, but the header has %zu", rows->csv.n_fields,
                 rows->n_header);
        return LOAD_BAD_ROW;
    }
    for (size_t c = 0; c < rows->columns->n; c++)
        rows->values[c] = rows->csv.fields[rows->places[c]];
    return LOAD_ROW;
}

/* The value at a path of members; a member whose own name has the dots goes first. */
static const json_t *find_member(const json_t *object, const char *path)
{
    const json_t *member = json_object_get(object, path);
    const char *dot = path;
    while (member == NULL && (dot = strchr(dot, '.')) != NULL) {
        char head[256];
        size_t n = (size_t)(dot - path);
        if (n < sizeof head) {
            memcpy(head, path, n);
            head[n] = '\0';
            member = find_member(json_object_get(object, head), dot + 1);
        }
        dot++;
    }
    return member;
}

/* The text of a scalar. False: it is none. */
static bool text_of(struct load_rows *rows, const json_t *value, struct esp_bytes *out)
{
    char text[40];
    int n = 0;
    *out = esp_bytes(NULL, 0);
    if (value == NULL || json_is_null(value))
        return true;
    if (json_is_string(value)) {
        *out = esp_bytes(json_string_value(value), json_string_length(value));
        return true;
    }
    if (json_is_boolean(value))
        n = snprintf(text, sizeof text, "%s", json_is_true(value) ? "true" : "false");
    else if (json_is_integer(value))
        n = snprintf(text, sizeof text, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    else if (json_is_real(value))
        n = snprintf(text, sizeof text, "%.17g", json_real_value(value));
    else
        return false;
    /* Room for all columns was made before: the buffer does not move under the values. */
    uint8_t *at = rows->texts.data + rows->texts.size;
    memcpy(at, text, (size_t)n);
    rows->texts.size += (size_t)n;
    *out = esp_bytes(at, (size_t)n);
    return true;
}

static enum load_rows_result take_members(struct load_rows *rows, struct esp_error *err)
{
    enum { LONGEST_NUMBER = 40 };
    esp_buf_clear(&rows->texts);
    if (esp_buf_reserve(&rows->texts, rows->columns->n * LONGEST_NUMBER + 1, err) != ESP_OK)
        return LOAD_FAILED;
    for (size_t c = 0; c < rows->columns->n; c++) {
        const json_t *value = find_member(rows->document, rows->columns->names[c]);
        if (!text_of(rows, value, &rows->values[c])) {
            esp_fail(err, ESP_EDATA, "\"%s\" is a list or an object, not a value",
                     rows->columns->names[c]);
            return LOAD_BAD_ROW;
        }
    }
    return LOAD_ROW;
}

static enum load_rows_result next_json(struct load_rows *rows, struct load_row *out,
                                       struct esp_error *err)
{
    ssize_t n;
    do {
        errno = 0;
        n = getline(&rows->line, &rows->line_capacity, rows->input);
        rows->line_number++;
    } while (n > 0 && strspn(rows->line, " \t\r\n") == (size_t)n);
    if (n < 0 && (ferror(rows->input) || errno == ENOMEM)) {
        esp_fail(err, ESP_EIO, "%s: %s", rows->name, strerror(errno));
        return LOAD_FAILED;
    }
    if (n < 0)
        return LOAD_END;
    *out = (struct load_row){rows->n_rows++, rows->line_number, rows->values};
    json_error_t error;
    json_decref(rows->document);
    rows->document = json_loadb(rows->line, (size_t)n, JSON_REJECT_DUPLICATES, &error);
    if (!json_is_object(rows->document)) {
        esp_fail(err, ESP_EDATA, "no JSON object: %s",
                 rows->document == NULL ? error.text : "it is another value");
        return LOAD_BAD_ROW;
    }
    return take_members(rows, err);
}

enum load_rows_result load_rows_next(struct load_rows *rows, struct load_row *out,
                                     struct esp_error *err)
{
    return rows->format == LOAD_CSV ? next_csv(rows, out, err) : next_json(rows, out, err);
}
