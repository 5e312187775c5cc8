/*
 * schema_inline.c - see schema_inline.h.
 *
 * DESIGN  First every definition in the referenced schemas is kept under its full name, with its
 * namespace written out, so that it means the same wherever it is put. Then the schema is copied
 * from left to right, as a parser would read it; a name that is not defined so far, and is kept, is
 * replaced by its definition, which is copied in the same way.
 *
 * Source: Avro 1.11 specification, "Names".
 */
#include "event/schema_inline.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "event/avro_schema.h"

struct inliner {
    json_t *kept;    /* full name -> definition of a referenced schema */
    json_t *defined; /* full name -> true: stands in the copy already */
    unsigned depth;
    unsigned n_inside; /* > 0: what is copied comes from a referenced schema */
    struct esp_error *err;
};

/* NULL, with the failure noted. */
__attribute__((format(printf, 2, 3))) static json_t *refuse(struct inliner *inliner,
                                                            const char *format, ...)
{
    char text[ESP_ERROR_TEXT_SIZE];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    esp_fail(inliner->err, ESP_ESCHEMA, "%s", text);
    return NULL;
}

static json_t *no_memory(struct inliner *inliner)
{
    esp_fail(inliner->err, ESP_ENOMEM, "out of memory for a schema");
    return NULL;
}

enum { NAME_SIZE = 512 };

struct full_name {
    char text[NAME_SIZE];
    size_t space_size; /* of its namespace, without the dot; 0: none */
};

/* False: longer than any name should be. */
static bool complete(const char *name, const char *space, struct full_name *out)
{
    bool is_full = strchr(name, '.') != NULL || space[0] == '\0';
    int n = is_full ? snprintf(out->text, NAME_SIZE, "%s", name)
                    : snprintf(out->text, NAME_SIZE, "%s.%s", space, name);
    const char *dot = n > 0 ? strrchr(out->text, '.') : NULL;
    out->space_size = dot == NULL ? 0 : (size_t)(dot - out->text);
    return n > 0 && n < NAME_SIZE;
}

static void space_of(const struct full_name *name, char space[NAME_SIZE])
{
    memcpy(space, name->text, name->space_size);
    space[name->space_size] = '\0';
}

static bool is_primitive(const char *name)
{
    for (int kind = ESP_AVRO_NULL; kind <= ESP_AVRO_STRING; kind++) {
        if (strcmp(name, esp_avro_kind_name((enum esp_avro_kind)kind)) == 0)
            return true;
    }
    return false;
}

static bool is_named_kind(const char *type)
{
    return strcmp(type, "record") == 0 || strcmp(type, "enum") == 0 || strcmp(type, "fixed") == 0;
}

/* The full name of a definition. False, with the failure noted: it has none. */
static bool name_definition(struct inliner *inliner, const json_t *type, const char *space,
                            struct full_name *out)
{
    const char *name = json_string_value(json_object_get(type, "name"));
    const char *own = json_string_value(json_object_get(type, "namespace"));
    if (name != NULL && complete(name, own != NULL ? own : space, out))
        return true;
    esp_fail(inliner->err, ESP_ESCHEMA, "a type without a proper name");
    return false;
}

/* ---- keeping the referenced definitions ------------------------------------------------------ */

static bool keep_all(struct inliner *inliner, const json_t *type, const char *space);

static bool keep_definition(struct inliner *inliner, const json_t *type, const char *space)
{
    struct full_name name;
    char own_space[NAME_SIZE];
    if (!name_definition(inliner, type, space, &name))
        return false;
    space_of(&name, own_space);
    json_t *copy = json_copy((json_t *)type);
    const char *short_name = name.text + name.space_size + (name.space_size > 0);
    if (copy == NULL || json_object_set_new(copy, "name", json_string(short_name)) != 0 ||
        json_object_set_new(copy, "namespace", json_string(own_space)) != 0) {
        json_decref(copy);
        no_memory(inliner);
        return false;
    }
    const json_t *twin = json_object_get(inliner->kept, name.text);
    if (twin != NULL && !json_equal(twin, copy)) {
        json_decref(copy);
        esp_fail(inliner->err, ESP_ESCHEMA, "type %.100s is defined twice, and not alike",
                 name.text);
        return false;
    }
    if (json_object_set_new(inliner->kept, name.text, copy) != 0) {
        no_memory(inliner);
        return false;
    }
    const json_t *fields = json_object_get(type, "fields"), *field;
    size_t i;
    json_array_foreach(fields, i, field)
    {
        if (!keep_all(inliner, json_object_get(field, "type"), own_space))
            return false;
    }
    return true;
}

static bool keep_parts(struct inliner *inliner, const json_t *type, const char *space)
{
    const json_t *branch;
    size_t i;
    json_array_foreach(type, i, branch)
    {
        if (!keep_all(inliner, branch, space))
            return false;
    }
    const char *kind = json_string_value(json_object_get(type, "type"));
    if (kind == NULL)
        return true;
    if (is_named_kind(kind))
        return keep_definition(inliner, type, space);
    if (strcmp(kind, "array") == 0)
        return keep_all(inliner, json_object_get(type, "items"), space);
    return strcmp(kind, "map") != 0 || keep_all(inliner, json_object_get(type, "values"), space);
}

/* Keeps every definition in a type. False: the failure is noted. */
static bool keep_all(struct inliner *inliner, const json_t *type, const char *space)
{
    if (inliner->depth == ESP_SCHEMA_MAX_DEPTH) {
        esp_fail(inliner->err, ESP_ESCHEMA, "types nested deeper than %d", ESP_SCHEMA_MAX_DEPTH);
        return false;
    }
    inliner->depth++;
    bool ok = keep_parts(inliner, type, space);
    inliner->depth--;
    return ok;
}

/* ---- copying --------------------------------------------------------------------------------- */

/* A new reference; NULL: the failure is noted. */
static json_t *copy_type(struct inliner *inliner, const json_t *type, const char *space);

/* A name that is defined already, as it can be written inside a namespace. */
static json_t *refer(struct inliner *inliner, const struct full_name *name, const char *space)
{
    if (name->space_size == 0 && space[0] != '\0')
        return refuse(inliner,
                      "type %.100s has no namespace and cannot be named from within %.100s",
                      name->text, space);
    json_t *text = json_string(name->text);
    return text != NULL ? text : no_memory(inliner);
}

static json_t *copy_name(struct inliner *inliner, const json_t *type, const char *space)
{
    struct full_name name;
    const char *text = json_string_value(type);
    if (is_primitive(text) || !complete(text, space, &name))
        return json_incref((json_t *)type);
    const json_t *definition = json_object_get(inliner->kept, name.text);
    if (definition == NULL || json_object_get(inliner->defined, name.text) != NULL)
        return json_incref((json_t *)type);
    inliner->n_inside++;
    json_t *copy = copy_type(inliner, definition, space);
    inliner->n_inside--;
    return copy;
}

/* An array of types, or of fields with a type each. */
static json_t *copy_list(struct inliner *inliner, const json_t *list, bool are_fields,
                         const char *space)
{
    json_t *copy = json_array();
    const json_t *item;
    size_t i;
    if (copy == NULL)
        return no_memory(inliner);
    json_array_foreach(list, i, item)
    {
        const json_t *type = are_fields ? json_object_get(item, "type") : item;
        json_t *part = type == NULL ? json_incref((json_t *)item) : copy_type(inliner, type, space);
        if (part != NULL && type != NULL && are_fields) {
            json_t *field = json_copy((json_t *)item);
            if (field == NULL || json_object_set_new(field, "type", part) != 0)
                part = no_memory(inliner);
            else
                part = field;
            if (part == NULL)
                json_decref(field);
        }
        if (part == NULL || json_array_append_new(copy, part) != 0) {
            json_decref(copy);
            return part == NULL ? NULL : no_memory(inliner);
        }
    }
    return copy;
}

/* The object with one member replaced. Takes the member over; NULL is passed on. */
static json_t *replace(struct inliner *inliner, const json_t *object, const char *key,
                       json_t *member)
{
    json_t *copy = member == NULL ? NULL : json_copy((json_t *)object);
    if (copy != NULL && json_object_set_new(copy, key, member) == 0)
        return copy;
    json_decref(copy);
    return member == NULL ? NULL : no_memory(inliner);
}

static json_t *copy_definition(struct inliner *inliner, const json_t *type, const char *space)
{
    struct full_name name;
    char own_space[NAME_SIZE];
    if (!name_definition(inliner, type, space, &name))
        return NULL;
    if (inliner->n_inside > 0 && json_object_get(inliner->defined, name.text) != NULL)
        return refer(inliner, &name, space);
    if (inliner->n_inside == 0 && json_object_get(inliner->kept, name.text) != NULL)
        return refuse(inliner, "type %.100s is defined here and in a reference", name.text);
    if (json_object_set_new(inliner->defined, name.text, json_true()) != 0)
        return no_memory(inliner);
    const json_t *fields = json_object_get(type, "fields");
    if (!json_is_array(fields))
        return json_incref((json_t *)type);
    space_of(&name, own_space);
    return replace(inliner, type, "fields", copy_list(inliner, fields, true, own_space));
}

static json_t *copy_object(struct inliner *inliner, const json_t *type, const char *space)
{
    const json_t *kind = json_object_get(type, "type");
    const char *word = json_string_value(kind);
    if (word == NULL)
        return json_incref((json_t *)type);
    if (is_named_kind(word))
        return copy_definition(inliner, type, space);
    const char *key = strcmp(word, "array") == 0 ? "items"
                      : strcmp(word, "map") == 0 ? "values"
                                                 : NULL;
    const json_t *part = key == NULL ? NULL : json_object_get(type, key);
    if (part != NULL)
        return replace(inliner, type, key, copy_type(inliner, part, space));
    if (key != NULL || is_primitive(word))
        return json_incref((json_t *)type);
    /* {"type": "a.Name"}: a definition cannot stand inside such an object, only in its place. */
    json_t *named = copy_name(inliner, kind, space);
    if (named == kind) {
        json_decref(named);
        return json_incref((json_t *)type);
    }
    return named;
}

static json_t *copy_type(struct inliner *inliner, const json_t *type, const char *space)
{
    if (inliner->depth == ESP_SCHEMA_MAX_DEPTH)
        return refuse(inliner, "types nested deeper than %d", ESP_SCHEMA_MAX_DEPTH);
    inliner->depth++;
    json_t *copy = json_is_string(type)   ? copy_name(inliner, type, space)
                   : json_is_array(type)  ? copy_list(inliner, type, false, space)
                   : json_is_object(type) ? copy_object(inliner, type, space)
                                          : json_incref((json_t *)type);
    inliner->depth--;
    return copy;
}

/* ---- the whole ------------------------------------------------------------------------------- */

/* NULL: the failure is noted. */
static json_t *parse(const char *text, struct esp_error *err)
{
    json_error_t at;
    size_t size = strlen(text);
    if (size > ESP_SCHEMA_MAX_BYTES) {
        esp_fail(err, ESP_ESCHEMA, "a schema of %zu bytes; at most %d are read", size,
                 ESP_SCHEMA_MAX_BYTES);
        return NULL;
    }
    json_t *document = json_loadb(text, size, JSON_DECODE_ANY | JSON_ALLOW_NUL, &at);
    if (document == NULL)
        esp_fail(err, ESP_ESCHEMA, "not JSON: line %d: %s", at.line, at.text);
    return document;
}

enum esp_status esp_schema_inline(const char *text, const char *const *referenced,
                                  size_t n_referenced, char **out, struct esp_error *err)
{
    struct esp_error inner = {0};
    struct inliner inliner = {.kept = json_object(), .defined = json_object(), .err = &inner};
    json_t *document = NULL, *copy = NULL;
    char *whole = NULL;
    if (inliner.kept == NULL || inliner.defined == NULL)
        no_memory(&inliner);
    for (size_t i = 0; inner.status == ESP_OK && i < n_referenced; i++) {
        json_t *other = parse(referenced[i], &inner);
        if (other != NULL)
            keep_all(&inliner, other, "");
        json_decref(other);
    }
    if (inner.status == ESP_OK)
        document = parse(text, &inner);
    if (document != NULL)
        copy = copy_type(&inliner, document, "");
    if (copy != NULL)
        whole = json_dumps(copy, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(17));
    if (copy != NULL && whole == NULL)
        no_memory(&inliner);
    if (whole != NULL && strlen(whole) > ESP_SCHEMA_MAX_BYTES)
        refuse(&inliner, "a schema of over %d bytes with its references", ESP_SCHEMA_MAX_BYTES);
    if (inner.status == ESP_OK) {
        *out = whole;
        whole = NULL; /* moved to the caller */
    }
    free(whole);
    json_decref(copy);
    json_decref(document);
    json_decref(inliner.kept);
    json_decref(inliner.defined);
    return inner.status == ESP_OK ? ESP_OK : esp_fail(err, inner.status, "%s", inner.text);
}
