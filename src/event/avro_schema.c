/*
 * avro_schema.c - parses a schema's JSON into a graph of types.
 *
 * Named types are found by full name in the order of their definitions, as the specification asks:
 * a name is defined before it is referred to. (Avro C's own parser is not used here: it drops
 * logical types, defaults and aliases, loses memory on what it refuses, and takes a name without
 * namespace for one of the namespace around it. It is the tests' oracle.)
 */
#include "event/avro_schema.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/buf.h"

struct parser {
    struct esp_schema *schema;
    struct esp_avro_type **named; /* n_named, owned: record, enum and fixed types so far */
    size_t n_named, named_capacity;
    unsigned depth;
    struct esp_error *err;
};

static const char *const kind_names[ESP_N_AVRO_KINDS] = {
    [ESP_AVRO_NULL] = "null",   [ESP_AVRO_BOOLEAN] = "boolean", [ESP_AVRO_INT] = "int",
    [ESP_AVRO_LONG] = "long",   [ESP_AVRO_FLOAT] = "float",     [ESP_AVRO_DOUBLE] = "double",
    [ESP_AVRO_BYTES] = "bytes", [ESP_AVRO_STRING] = "string",   [ESP_AVRO_RECORD] = "record",
    [ESP_AVRO_ENUM] = "enum",   [ESP_AVRO_ARRAY] = "array",     [ESP_AVRO_MAP] = "map",
    [ESP_AVRO_UNION] = "union", [ESP_AVRO_FIXED] = "fixed",
};

const char *esp_avro_kind_name(enum esp_avro_kind kind)
{
    return (unsigned)kind < ESP_N_AVRO_KINDS ? kind_names[kind] : "unknown";
}

const char *esp_avro_short_name(const char *full_name)
{
    const char *dot = strrchr(full_name, '.');
    return dot == NULL ? full_name : dot + 1;
}

static enum esp_status no_memory(struct parser *parser)
{
    return esp_fail(parser->err, ESP_ENOMEM, "out of memory for a schema");
}

#define REFUSE(parser, ...) esp_fail((parser)->err, ESP_ESCHEMA, __VA_ARGS__)

static bool is_name_start(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_';
}

static bool is_name(const char *name, size_t size)
{
    if (size == 0 || !is_name_start(name[0]))
        return false;
    for (size_t i = 1; i < size; i++) {
        if (!is_name_start(name[i]) && !(name[i] >= '0' && name[i] <= '9'))
            return false;
    }
    return true;
}

/* Names joined by dots. */
static bool is_full_name(const char *name)
{
    for (;;) {
        size_t size = strcspn(name, ".");
        if (!is_name(name, size))
            return false;
        if (name[size] == '\0')
            return true;
        name += size + 1;
    }
}

/* The namespace that encloses a definition; size 0: none. */
struct space {
    const char *text;
    size_t size;
};

static struct space space_of(const char *full_name)
{
    const char *dot = strrchr(full_name, '.');
    return (struct space){full_name, dot == NULL ? 0 : (size_t)(dot - full_name)};
}

/* Completes a name that may lack its namespace. */
static enum esp_status complete_name(struct parser *parser, const char *name, struct space space,
                                     const char **out)
{
    if (!is_full_name(name))
        return REFUSE(parser, "\"%.100s\" is no name (letters, digits and _)", name);
    if (strchr(name, '.') != NULL)
        space.size = 0;
    size_t prefix = space.size == 0 ? 0 : space.size + 1, size = strlen(name);
    char *full = esp_arena_alloc(&parser->schema->arena, prefix + size + 1, 1);
    if (full == NULL)
        return no_memory(parser);
    if (prefix > 0) {
        memcpy(full, space.text, space.size);
        full[space.size] = '.';
    }
    memcpy(full + prefix, name, size);
    *out = full;
    return ESP_OK;
}

static struct esp_avro_type *find_named(struct parser *parser, const char *name)
{
    for (size_t i = 0; i < parser->n_named; i++) {
        if (strcmp(parser->named[i]->name, name) == 0)
            return parser->named[i];
    }
    return NULL;
}

static enum esp_status new_type(struct parser *parser, enum esp_avro_kind kind,
                                struct esp_avro_type **out)
{
    struct esp_schema *schema = parser->schema;
    if (schema->n_types == ESP_SCHEMA_MAX_TYPES)
        return REFUSE(parser, "more than %d types", ESP_SCHEMA_MAX_TYPES);
    struct esp_avro_type *type = esp_arena_alloc(&schema->arena, 1, sizeof *type);
    if (type == NULL)
        return no_memory(parser);
    type->kind = kind;
    type->is_empty = kind == ESP_AVRO_NULL;
    type->index = (uint32_t)schema->n_types++;
    *out = type;
    return ESP_OK;
}

static enum esp_status parse_type(struct parser *parser, const json_t *json, struct space space,
                                  struct esp_avro_type **out);

/* A primitive's name, or a reference to a named type. */
static enum esp_status parse_name(struct parser *parser, const char *name, struct space space,
                                  struct esp_avro_type **out)
{
    for (int kind = ESP_AVRO_NULL; kind <= ESP_AVRO_STRING; kind++) {
        if (strcmp(name, kind_names[kind]) == 0)
            return new_type(parser, (enum esp_avro_kind)kind, out);
    }
    const char *full = NULL;
    enum esp_status status = complete_name(parser, name, space, &full);
    if (status != ESP_OK)
        return status;
    struct esp_avro_type *type = find_named(parser, full);
    if (type == NULL)
        return REFUSE(parser, "unknown type \"%.100s\"", name);
    type->n_uses++;
    *out = type;
    return ESP_OK;
}

/* An array of JSON strings; absent is empty. */
static enum esp_status parse_names(struct parser *parser, const json_t *json, const char *key,
                                   struct esp_avro_names *out)
{
    const json_t *array = json_object_get(json, key);
    if (array == NULL)
        return ESP_OK;
    size_t n = json_array_size(array);
    if (!json_is_array(array) || n > ESP_SCHEMA_MAX_TYPES)
        return REFUSE(parser, "\"%s\" is not an array of names", key);
    const char **names = esp_arena_alloc(&parser->schema->arena, n, sizeof *names);
    if (names == NULL)
        return no_memory(parser);
    for (size_t i = 0; i < n; i++) {
        names[i] = json_string_value(json_array_get(array, i));
        if (names[i] == NULL)
            return REFUSE(parser, "an item of \"%s\" is not a string", key);
    }
    *out = (struct esp_avro_names){names, n};
    return ESP_OK;
}

/* Aliases of a named type, in full: they are relative to its namespace. */
static enum esp_status parse_type_aliases(struct parser *parser, const json_t *json,
                                          struct esp_avro_type *type)
{
    enum esp_status status = parse_names(parser, json, "aliases", &type->aliases);
    for (size_t i = 0; status == ESP_OK && i < type->aliases.n; i++)
        status = complete_name(parser, type->aliases.names[i], space_of(type->name),
                               &type->aliases.names[i]);
    return status;
}

/* Name, namespace and aliases of a named type, which can be referred to from now on. */
static enum esp_status parse_named(struct parser *parser, const json_t *json, struct space space,
                                   struct esp_avro_type *type)
{
    const char *name = json_string_value(json_object_get(json, "name"));
    if (name == NULL)
        return REFUSE(parser, "%s without a name", kind_names[type->kind]);
    const char *own_space = json_string_value(json_object_get(json, "namespace"));
    if (own_space != NULL) {
        space = (struct space){own_space, strlen(own_space)};
        if (space.size > 0 && !is_full_name(own_space))
            return REFUSE(parser, "\"%.100s\" is no namespace", own_space);
    }
    enum esp_status status = complete_name(parser, name, space, &type->name);
    if (status != ESP_OK)
        return status;
    if (find_named(parser, type->name) != NULL)
        return REFUSE(parser, "type %.100s is defined twice", type->name);
    status = esp_array_grow((void **)&parser->named, &parser->named_capacity, parser->n_named + 1,
                            sizeof(struct esp_avro_type *), parser->err);
    if (status != ESP_OK)
        return status;
    type->n_uses = 1;
    parser->named[parser->n_named++] = type;
    return parse_type_aliases(parser, json, type);
}

static enum esp_status parse_field(struct parser *parser, const json_t *json,
                                   const struct esp_avro_type *record, struct esp_avro_field *field)
{
    const char *name = json_string_value(json_object_get(json, "name"));
    if (name == NULL || !is_name(name, strlen(name)))
        return REFUSE(parser, "a field of %.100s has no proper name", record->name);
    if (esp_avro_find_field(record, name, strlen(name)) != NULL)
        return REFUSE(parser, "%.100s has two fields \"%.100s\"", record->name, name);
    const json_t *type = json_object_get(json, "type");
    if (type == NULL)
        return REFUSE(parser, "field \"%.100s\" of %.100s has no type", name, record->name);
    field->name = name;
    field->fallback = json_object_get(json, "default");
    enum esp_status status = parse_names(parser, json, "aliases", &field->aliases);
    if (status == ESP_OK)
        status = parse_type(parser, type, space_of(record->name), &field->type);
    return status;
}

static enum esp_status parse_record(struct parser *parser, const json_t *json,
                                    struct esp_avro_type *type)
{
    const json_t *fields = json_object_get(json, "fields");
    size_t n = json_array_size(fields);
    if (!json_is_array(fields) || n > ESP_SCHEMA_MAX_TYPES)
        return REFUSE(parser, "record %.100s without a proper array of fields", type->name);
    type->fields = esp_arena_alloc(&parser->schema->arena, n, sizeof *type->fields);
    if (type->fields == NULL)
        return no_memory(parser);
    enum esp_status status = ESP_OK;
    bool is_empty = true;
    for (size_t i = 0; status == ESP_OK && i < n; i++) {
        status = parse_field(parser, json_array_get(fields, i), type, &type->fields[i]);
        if (status == ESP_OK)
            is_empty = is_empty && type->fields[i].type->is_empty;
        type->n_fields = i + 1;
    }
    /* Only now: inside its own fields a record counts as not empty, for it would have no end. */
    type->is_empty = is_empty;
    return status;
}

static enum esp_status parse_enum(struct parser *parser, const json_t *json,
                                  struct esp_avro_type *type)
{
    enum esp_status status = parse_names(parser, json, "symbols", &type->symbols);
    if (status != ESP_OK)
        return status;
    if (type->symbols.n == 0)
        return REFUSE(parser, "enum %.100s without symbols", type->name);
    for (size_t i = 0; i < type->symbols.n; i++) {
        const char *symbol = type->symbols.names[i];
        if (!is_name(symbol, strlen(symbol)))
            return REFUSE(parser, "\"%.100s\" is no symbol of an enum", symbol);
        for (size_t j = 0; j < i; j++) {
            if (strcmp(type->symbols.names[j], symbol) == 0)
                return REFUSE(parser, "enum %.100s has \"%.100s\" twice", type->name, symbol);
        }
    }
    type->symbol_fallback = json_string_value(json_object_get(json, "default"));
    return ESP_OK;
}

static enum esp_status parse_fixed(struct parser *parser, const json_t *json,
                                   struct esp_avro_type *type)
{
    const json_t *size = json_object_get(json, "size");
    if (!json_is_integer(size) || json_integer_value(size) < 0 ||
        json_integer_value(size) > INT32_MAX)
        return REFUSE(parser, "fixed %.100s without a proper size", type->name);
    type->size = (size_t)json_integer_value(size);
    type->is_empty = type->size == 0;
    return ESP_OK;
}

static bool same_branch(const struct esp_avro_type *a, const struct esp_avro_type *b)
{
    return a->kind == b->kind && (a->name == NULL || strcmp(a->name, b->name) == 0);
}

static enum esp_status parse_union(struct parser *parser, const json_t *json, struct space space,
                                   struct esp_avro_type *type)
{
    size_t n = json_array_size(json);
    if (n == 0 || n > ESP_SCHEMA_MAX_TYPES)
        return REFUSE(parser, "a union of %zu types", n);
    type->branches = esp_arena_alloc(&parser->schema->arena, n, sizeof(struct esp_avro_type *));
    if (type->branches == NULL)
        return no_memory(parser);
    for (size_t i = 0; i < n; i++) {
        struct esp_avro_type *branch = NULL;
        enum esp_status status = parse_type(parser, json_array_get(json, i), space, &branch);
        if (status != ESP_OK)
            return status;
        if (branch->kind == ESP_AVRO_UNION)
            return REFUSE(parser, "a union directly inside a union");
        for (size_t j = 0; j < i; j++) {
            if (same_branch(type->branches[j], branch))
                return REFUSE(parser, "a union that has %s twice", kind_names[branch->kind]);
        }
        type->branches[type->n_branches++] = branch;
    }
    return ESP_OK;
}

/* A type that has parts: the kind is known, the rest is in the JSON object. */
static enum esp_status parse_complex(struct parser *parser, const json_t *json,
                                     enum esp_avro_kind kind, struct space space,
                                     struct esp_avro_type **out)
{
    struct esp_avro_type *type = NULL;
    enum esp_status status = new_type(parser, kind, &type);
    if (status != ESP_OK)
        return status;
    *out = type;
    if (kind == ESP_AVRO_UNION)
        return parse_union(parser, json, space, type);
    if (kind == ESP_AVRO_ARRAY || kind == ESP_AVRO_MAP) {
        const char *key = kind == ESP_AVRO_ARRAY ? "items" : "values";
        const json_t *items = json_object_get(json, key);
        if (items == NULL)
            return REFUSE(parser, "%s without \"%s\"", kind_names[kind], key);
        return parse_type(parser, items, space, &type->items);
    }
    status = parse_named(parser, json, space, type);
    if (status != ESP_OK)
        return status;
    return kind == ESP_AVRO_RECORD ? parse_record(parser, json, type)
           : kind == ESP_AVRO_ENUM ? parse_enum(parser, json, type)
                                   : parse_fixed(parser, json, type);
}

static enum esp_status parse_object(struct parser *parser, const json_t *json, struct space space,
                                    struct esp_avro_type **out)
{
    static const enum esp_avro_kind complex[] = {ESP_AVRO_RECORD, ESP_AVRO_ENUM, ESP_AVRO_ARRAY,
                                                 ESP_AVRO_MAP, ESP_AVRO_FIXED};
    const char *name = json_string_value(json_object_get(json, "type"));
    if (name == NULL)
        return REFUSE(parser, "a type object without \"type\"");
    for (size_t i = 0; i < sizeof complex / sizeof complex[0]; i++) {
        if (strcmp(name, kind_names[complex[i]]) == 0)
            return parse_complex(parser, json, complex[i], space, out);
    }
    return parse_name(parser, name, space, out);
}

static enum esp_status parse_type(struct parser *parser, const json_t *json, struct space space,
                                  struct esp_avro_type **out)
{
    if (parser->depth == ESP_SCHEMA_MAX_DEPTH)
        return REFUSE(parser, "types nested deeper than %d", ESP_SCHEMA_MAX_DEPTH);
    parser->depth++;
    enum esp_status status;
    if (json_is_string(json)) {
        status = parse_name(parser, json_string_value(json), space, out);
    } else if (json_is_array(json)) {
        status = parse_complex(parser, json, ESP_AVRO_UNION, space, out);
    } else if (json_is_object(json)) {
        status = parse_object(parser, json, space, out);
        /* A reference in an object cannot annotate the type that it refers to. */
        if (status == ESP_OK && (*out)->n_uses <= 1)
            (*out)->logical = json_string_value(json_object_get(json, "logicalType"));
    } else {
        status = REFUSE(parser, "a type that is no name, no object and no array");
    }
    parser->depth--;
    return status;
}

static enum esp_status parse_document(struct esp_schema *schema, size_t size, struct esp_error *err)
{
    json_error_t at;
    /* \u0000 is usual in the default of a decimal. */
    schema->document = json_loadb(schema->json, size, JSON_DECODE_ANY | JSON_ALLOW_NUL, &at);
    if (schema->document == NULL)
        return esp_fail(err, ESP_ESCHEMA, "not JSON: line %d: %s", at.line, at.text);
    struct parser parser = {.schema = schema, .err = err};
    enum esp_status status =
        parse_type(&parser, schema->document, (struct space){"", 0}, &schema->root);
    free(parser.named);
    if (status == ESP_OK)
        status = esp_schema_canonical(schema, NULL, &schema->fingerprint, err);
    return status;
}

enum esp_status esp_schema_parse(const char *json, size_t size, struct esp_schema **out,
                                 struct esp_error *err)
{
    if (size > ESP_SCHEMA_MAX_BYTES)
        return esp_fail(err, ESP_ESCHEMA, "a schema of %zu bytes; at most %d are read", size,
                        ESP_SCHEMA_MAX_BYTES);
    struct esp_schema *schema = calloc(1, sizeof *schema);
    if (schema == NULL)
        return esp_fail(err, ESP_ENOMEM, "out of memory for a schema");
    enum esp_status status;
    schema->json = esp_arena_text(&schema->arena, json, size);
    if (schema->json == NULL)
        status = esp_fail(err, ESP_ENOMEM, "out of memory for a schema");
    else
        status = parse_document(schema, size, err);
    if (status == ESP_OK) {
        *out = schema;
        schema = NULL; /* moved to the caller */
    }
    esp_schema_free(schema);
    return status;
}

enum esp_status esp_schema_read(const char *path, struct esp_schema **out, struct esp_error *err)
{
    enum esp_status status = ESP_OK;
    char *text = NULL;
    size_t size = 0;
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        status = esp_fail(err, ESP_ESCHEMA, "%s: %s", path, strerror(errno));
        goto out;
    }
    text = malloc(ESP_SCHEMA_MAX_BYTES + 1);
    if (text == NULL) {
        status = esp_fail(err, ESP_ENOMEM, "out of memory for schema %s", path);
        goto out;
    }
    size = fread(text, 1, ESP_SCHEMA_MAX_BYTES + 1, file);
    if (ferror(file)) {
        status = esp_fail(err, ESP_ESCHEMA, "%s: %s", path, strerror(errno));
        goto out;
    }
    struct esp_error inner = {0};
    status = esp_schema_parse(text, size, out, &inner);
    if (status != ESP_OK)
        esp_fail(err, status, "%s: %s", path, inner.text);
out:
    free(text);
    if (file != NULL)
        fclose(file);
    return status;
}

void esp_schema_free(struct esp_schema *schema)
{
    if (schema == NULL)
        return;
    json_decref(schema->document);
    esp_arena_release(&schema->arena);
    free(schema);
}

const struct esp_avro_field *esp_avro_find_field(const struct esp_avro_type *record,
                                                 const char *name, size_t size)
{
    for (size_t i = 0; i < record->n_fields; i++) {
        const struct esp_avro_field *field = &record->fields[i];
        if (strlen(field->name) == size && memcmp(field->name, name, size) == 0)
            return field;
    }
    return NULL;
}
