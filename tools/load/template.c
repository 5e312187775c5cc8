/* template.c - see template.h. */
#include "template.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_WIDTH = 32 };

struct load_part {
    enum { PART_TEXT, PART_COLUMN, PART_ROW } type;
    char *text;    /* TEXT: owned */
    size_t size;   /* TEXT */
    size_t column; /* COLUMN */
    size_t width;  /* COLUMN, ROW: padded with zeros to so many digits; 0: as it is */
};

static enum esp_status add_part(struct load_template *tmpl, struct load_part part,
                                struct esp_error *err)
{
    enum esp_status status = esp_array_grow((void **)&tmpl->parts, &tmpl->capacity, tmpl->n + 1,
                                            sizeof *tmpl->parts, err);
    if (status == ESP_OK)
        tmpl->parts[tmpl->n++] = part;
    return status;
}

static enum esp_status add_text(struct load_template *tmpl, const char *text, size_t size,
                                struct esp_error *err)
{
    struct load_part part = {.type = PART_TEXT, .text = strndup(text, size), .size = size};
    if (part.text == NULL)
        return esp_fail(err, ESP_ENOMEM, "out of memory for a mapping");
    enum esp_status status = add_part(tmpl, part, err);
    if (status != ESP_OK)
        free(part.text);
    return status;
}

/* Reads ":0Nd" at the end of what stands between braces. False: what follows a colon is none. */
static bool parse_width(const char *text, size_t *size, size_t *out_width)
{
    const char *colon = memchr(text, ':', *size);
    *out_width = 0;
    if (colon == NULL)
        return true;
    const char *end = text + *size;
    size_t width = 0;
    const char *at = colon + 1;
    if (at >= end || *at != '0')
        return false;
    for (at++; at < end && *at >= '0' && *at <= '9' && width <= MAX_WIDTH; at++)
        width = width * 10 + (size_t)(*at - '0');
    if (at != end - 1 || *at != 'd' || width == 0 || width > MAX_WIDTH)
        return false;
    *size = (size_t)(colon - text);
    *out_width = width;
    return true;
}

/* What stands between two braces: a column or the row's number. */
static enum esp_status add_value(struct load_template *tmpl, const char *text, size_t size,
                                 struct load_columns *columns, struct esp_error *err)
{
    struct load_part part = {.type = PART_ROW};
    size_t name_size = size;
    if (!parse_width(text, &name_size, &part.width) || name_size == 0)
        return esp_fail(err, ESP_ECONFIG,
                        "{%.*s} is no column with or without a width; write {column} or "
                        "{column:06d}",
                        (int)size, text);
    if (!esp_bytes_equal(esp_bytes(text, name_size), esp_bytes_of("row"))) {
        part.type = PART_COLUMN;
        enum esp_status status = load_columns_add(columns, text, name_size, &part.column, err);
        if (status != ESP_OK)
            return status;
    }
    return add_part(tmpl, part, err);
}

enum esp_status load_template_parse(struct load_template *tmpl, const char *text, size_t size,
                                    struct load_columns *columns, struct esp_error *err)
{
    if (memchr(text, '{', size) == NULL && memchr(text, '}', size) == NULL) {
        struct load_part part = {.type = PART_COLUMN};
        enum esp_status status = load_columns_add(columns, text, size, &part.column, err);
        return status == ESP_OK ? add_part(tmpl, part, err) : status;
    }
    const char *end = text + size;
    enum esp_status status = ESP_OK;
    while (text < end && status == ESP_OK) {
        const char *stop = text;
        while (stop < end && *stop != '{' && *stop != '}')
            stop++;
        if (stop > text) {
            status = add_text(tmpl, text, (size_t)(stop - text), err);
            text = stop;
        } else if (text + 1 < end && text[1] == text[0]) { /* a doubled brace */
            status = add_text(tmpl, text, 1, err);
            text += 2;
        } else {
            const char *close = *text == '{' ? memchr(text, '}', (size_t)(end - text)) : NULL;
            if (close == NULL)
                return esp_fail(err, ESP_ECONFIG,
                                "a brace has no partner in \"%.*s\"; a brace itself is written "
                                "twice",
                                (int)size, end - size);
            status = add_value(tmpl, text + 1, (size_t)(close - text - 1), columns, err);
            text = close + 1;
        }
    }
    return status;
}

void load_template_release(struct load_template *tmpl)
{
    for (size_t i = 0; i < tmpl->n; i++)
        free(tmpl->parts[i].text);
    free(tmpl->parts);
    *tmpl = (struct load_template){0};
}

static enum esp_status append_padded(struct esp_buf *buf, struct esp_bytes value, size_t width,
                                     struct esp_error *err)
{
    static const char zeros[MAX_WIDTH + 1] = "00000000000000000000000000000000";
    size_t n_zeros = value.size < width ? width - value.size : 0;
    enum esp_status status = esp_buf_append(buf, zeros, n_zeros, err);
    return status == ESP_OK ? esp_buf_append(buf, value.data, value.size, err) : status;
}

enum esp_status load_template_fill(const struct load_template *tmpl, const struct load_row *row,
                                   struct esp_buf *scratch, struct esp_bytes *out,
                                   struct esp_error *err)
{
    *out = esp_bytes(NULL, 0);
    if (tmpl->n == 1 && tmpl->parts[0].type == PART_COLUMN && tmpl->parts[0].width == 0) {
        *out = row->values[tmpl->parts[0].column];
        return ESP_OK;
    }
    esp_buf_clear(scratch);
    enum esp_status status = ESP_OK;
    for (size_t i = 0; i < tmpl->n && status == ESP_OK; i++) {
        const struct load_part *part = &tmpl->parts[i];
        char number[24];
        struct esp_bytes value = esp_bytes(part->text, part->size);
        if (part->type == PART_ROW)
            value =
                esp_bytes(number, (size_t)snprintf(number, sizeof number, "%" PRIu64, row->number));
        else if (part->type == PART_COLUMN)
            value = row->values[part->column];
        if (value.size == 0)
            return ESP_OK;
        status = append_padded(scratch, value, part->width, err);
    }
    if (status == ESP_OK)
        *out = esp_buf_bytes(scratch);
    return status;
}
