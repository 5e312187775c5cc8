/*
 * avro_canonical.c - Parsing Canonical Form and its CRC-64-AVRO, and types in words.
 *
 * Source: Avro 1.11 specification, "Parsing Canonical Form for Schemas" and "Schema Fingerprints".
 */
#include <stdio.h>
#include <stdlib.h>

#include "core/buf.h"
#include "event/avro_schema.h"

struct form {
    struct esp_buf text;
    bool *defined;          /* by the type's index: its definition is written already */
    enum esp_status status; /* the first failure */
    struct esp_error *err;
};

static void put(struct form *form, const char *text)
{
    if (form->status == ESP_OK)
        form->status = esp_buf_append(&form->text, text, strlen(text), form->err);
}

/* Names and symbols are letters, digits, _ and dots: nothing to escape. */
static void put_quoted(struct form *form, const char *text)
{
    put(form, "\"");
    put(form, text);
    put(form, "\"");
}

static void put_type(struct form *form, const struct esp_avro_type *type);

static void put_named(struct form *form, const struct esp_avro_type *type)
{
    if (form->defined[type->index]) {
        put_quoted(form, type->name);
        return;
    }
    form->defined[type->index] = true;
    put(form, "{\"name\":");
    put_quoted(form, type->name);
    put(form, ",\"type\":");
    put_quoted(form, esp_avro_kind_name(type->kind));
    if (type->kind == ESP_AVRO_FIXED) {
        char size[32];
        snprintf(size, sizeof size, ",\"size\":%zu}", type->size);
        put(form, size);
        return;
    }
    put(form, type->kind == ESP_AVRO_ENUM ? ",\"symbols\":[" : ",\"fields\":[");
    for (size_t i = 0; i < type->symbols.n; i++) {
        put(form, i > 0 ? "," : "");
        put_quoted(form, type->symbols.names[i]);
    }
    for (size_t i = 0; i < type->n_fields; i++) {
        put(form, i > 0 ? ",{\"name\":" : "{\"name\":");
        put_quoted(form, type->fields[i].name);
        put(form, ",\"type\":");
        put_type(form, type->fields[i].type);
        put(form, "}");
    }
    put(form, "]}");
}

/* Recurses as deep as the schema nests, which its parser bounds: a reference is written as a name.
 */
static void put_type(struct form *form, const struct esp_avro_type *type)
{
    if (form->status != ESP_OK)
        return;
    if (type->name != NULL) {
        put_named(form, type);
    } else if (type->kind == ESP_AVRO_UNION) {
        for (size_t i = 0; i < type->n_branches; i++) {
            put(form, i > 0 ? "," : "[");
            put_type(form, type->branches[i]);
        }
        put(form, "]");
    } else if (type->items != NULL) {
        put(form, type->kind == ESP_AVRO_ARRAY ? "{\"type\":\"array\",\"items\":"
                                               : "{\"type\":\"map\",\"values\":");
        put_type(form, type->items);
        put(form, "}");
    } else {
        put_quoted(form, esp_avro_kind_name(type->kind));
    }
}

static uint64_t crc_64_avro(const uint8_t *data, size_t size)
{
    const uint64_t empty = UINT64_C(0xc15d213aa4d7a795);
    uint64_t crc = empty;
    for (size_t i = 0; i < size; i++) {
        crc ^= data[i];
        for (int bit = 0; bit < 8; bit++)
            crc = (crc >> 1) ^ (empty & (0 - (crc & 1)));
    }
    return crc;
}

enum esp_status esp_schema_canonical(const struct esp_schema *schema, char **out_text,
                                     uint64_t *out_fingerprint, struct esp_error *err)
{
    struct form form = {.defined = calloc(schema->n_types, sizeof(bool)), .err = err};
    if (form.defined == NULL)
        return esp_fail(err, ESP_ENOMEM, "out of memory for a schema's canonical form");
    /* Names become full ones: longer than the text, but not without bound. */
    esp_buf_init(&form.text, (size_t)16 * ESP_SCHEMA_MAX_BYTES);
    put_type(&form, schema->root);
    if (form.status == ESP_OK) {
        *out_fingerprint = crc_64_avro(form.text.data, form.text.size);
        form.status = esp_buf_append(&form.text, "", 1, err);
    }
    if (form.status == ESP_OK && out_text != NULL) {
        *out_text = (char *)form.text.data;
        form.text.data = NULL; /* moved to the caller */
    }
    esp_buf_release(&form.text);
    free(form.defined);
    return form.status;
}

/* A line that is cut at its capacity. */
struct line {
    char *text; /* NUL-terminated */
    size_t size, capacity;
};

static void add(struct line *line, const char *text)
{
    size_t room = line->capacity - 1 - line->size, n = strlen(text);
    if (n > room)
        n = room;
    memcpy(line->text + line->size, text, n);
    line->size += n;
    line->text[line->size] = '\0';
}

static void describe(struct line *line, const struct esp_avro_type *type, unsigned depth)
{
    char size[32];
    add(line, esp_avro_kind_name(type->kind));
    if (type->kind == ESP_AVRO_FIXED) {
        snprintf(size, sizeof size, "(%zu)", type->size);
        add(line, size);
    } else if (type->name != NULL) {
        add(line, " ");
        add(line, esp_avro_short_name(type->name));
    }
    if (type->logical != NULL) {
        add(line, " (");
        add(line, type->logical);
        add(line, ")");
    }
    if (depth == 0)
        return;
    for (size_t i = 0; i < type->n_branches; i++) {
        add(line, i == 0 ? " of " : i + 1 < type->n_branches ? ", " : " and ");
        describe(line, type->branches[i], depth - 1);
    }
    if (type->items != NULL) {
        add(line, " of ");
        describe(line, type->items, depth - 1);
    }
}

void esp_avro_describe(const struct esp_avro_type *type, char *text, size_t capacity)
{
    if (capacity == 0)
        return;
    text[0] = '\0';
    struct line line = {text, 0, capacity};
    describe(&line, type, 4);
}
