/* mapping.c - see mapping.h. */
#include "mapping.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

/* The words of the types, and the Avro type and logical type that each makes. */
static const struct {
    const char *word, *avro, *logical;
} types[LOAD_N_TYPES] = {
    [LOAD_TYPE_NONE] = {"", "string", NULL},
    [LOAD_TYPE_STRING] = {"string", "string", NULL},
    [LOAD_TYPE_INT] = {"int", "int", NULL},
    [LOAD_TYPE_LONG] = {"long", "long", NULL},
    [LOAD_TYPE_FLOAT] = {"float", "float", NULL},
    [LOAD_TYPE_DOUBLE] = {"double", "double", NULL},
    [LOAD_TYPE_BOOLEAN] = {"boolean", "boolean", NULL},
    [LOAD_TYPE_MILLIS] = {"timestamp-millis", "long", "timestamp-millis"},
    [LOAD_TYPE_MICROS] = {"timestamp-micros", "long", "timestamp-micros"},
    [LOAD_TYPE_EPOCH_S] = {"epoch-s", "long", "timestamp-millis"},
    [LOAD_TYPE_EPOCH_MS] = {"epoch-ms", "long", "timestamp-millis"},
    [LOAD_TYPE_EPOCH_US] = {"epoch-us", "long", "timestamp-micros"},
};

/* Cuts the type off the end of a source, if one stands there after the last colon. */
static enum load_type cut_type(const char *source, size_t *size)
{
    const char *colon = memrchr(source, ':', *size);
    if (colon == NULL)
        return LOAD_TYPE_NONE;
    struct esp_bytes word = esp_bytes(colon + 1, *size - (size_t)(colon + 1 - source));
    for (enum load_type type = LOAD_TYPE_STRING; type < LOAD_N_TYPES; type++) {
        if (esp_bytes_equal(word, esp_bytes_of(types[type].word))) {
            *size = (size_t)(colon - source);
            return type;
        }
    }
    return LOAD_TYPE_NONE;
}

enum esp_status load_mappings_add(struct load_mappings *mappings, const char *text,
                                  struct load_columns *columns, struct esp_error *err)
{
    const char *equals = strchr(text, '=');
    if (equals == NULL || equals == text || equals[1] == '\0')
        return esp_fail(err, ESP_ECONFIG,
                        "--map %s: give FIELD=COLUMN, FIELD=COLUMN:TYPE or FIELD=TEXT{COLUMN}",
                        text);
    size_t size = strlen(equals + 1);
    struct load_mapping mapping = {.type = cut_type(equals + 1, &size)};
    enum esp_status status = esp_array_grow((void **)&mappings->items, &mappings->capacity,
                                            mappings->n + 1, sizeof *mappings->items, err);
    if (status != ESP_OK)
        return status;
    mapping.field = strndup(text, (size_t)(equals - text));
    if (mapping.field == NULL)
        return esp_fail(err, ESP_ENOMEM, "out of memory for --map");
    for (size_t i = 0; i < mappings->n && status == ESP_OK; i++)
        if (strcmp(mappings->items[i].field, mapping.field) == 0)
            status = esp_fail(err, ESP_ECONFIG, "--map %s: \"%s\" is mapped twice; keep one", text,
                              mapping.field);
    if (status == ESP_OK)
        status = load_template_parse(&mapping.source, equals + 1, size, columns, err);
    if (status != ESP_OK) {
        free(mapping.field);
        load_template_release(&mapping.source);
        return status;
    }
    mappings->items[mappings->n++] = mapping;
    return ESP_OK;
}

void load_mappings_release(struct load_mappings *mappings)
{
    for (size_t i = 0; i < mappings->n; i++) {
        free(mappings->items[i].field);
        load_template_release(&mappings->items[i].source);
    }
    free(mappings->items);
    *mappings = (struct load_mappings){0};
}

/* {"type": "record", "name": name, "fields": []} */
static json_t *new_record(const char *name, size_t size)
{
    return json_pack("{s:s, s:s%, s:[]}", "type", "record", "name", name, size, "fields");
}

static json_t *find_field(const json_t *record, const char *name, size_t size)
{
    size_t i;
    json_t *field;
    json_array_foreach(json_object_get(record, "fields"), i, field)
    {
        const json_t *its = json_object_get(field, "name");
        if (json_string_length(its) == size && memcmp(json_string_value(its), name, size) == 0)
            return field;
    }
    return NULL;
}

/* The record of a field, made if there is no such field; NULL: it is a value, or no memory. The
 * record's name is made from its whole path, for names are unique in a schema. */
static json_t *enter_record(json_t *record, const char *path, const char *name, size_t size)
{
    json_t *field = find_field(record, name, size);
    if (field == NULL) {
        char *full = strndup(path, (size_t)(name + size - path));
        for (char *dot = full; dot != NULL && (dot = strchr(dot, '.')) != NULL;)
            *dot = '_';
        json_t *inner = full == NULL ? NULL : new_record(full, strlen(full));
        field = json_pack("{s:s%, s:o}", "name", name, size, "type", inner);
        free(full);
        if (json_array_append_new(json_object_get(record, "fields"), field) != 0)
            return NULL;
    }
    json_t *type = json_object_get(field, "type");
    return json_is_array(json_object_get(type, "fields")) ? type : NULL;
}

static bool add_leaf(json_t *record, const char *name, enum load_type type)
{
    json_t *avro = types[type].logical == NULL ? json_string(types[type].avro)
                                               : json_pack("{s:s, s:s}", "type", types[type].avro,
                                                           "logicalType", types[type].logical);
    json_t *field = json_pack("{s:s, s:o}", "name", name, "type", avro);
    return json_array_append_new(json_object_get(record, "fields"), field) == 0;
}

/* Adds a mapping's field below the root. False: the path runs through a value. */
static bool add_field(json_t *root, const struct load_mapping *mapping)
{
    const char *name = mapping->field;
    json_t *record = root;
    size_t size;
    while (record != NULL && name[size = strcspn(name, ".")] == '.') {
        record = enter_record(record, mapping->field, name, size);
        name += size + 1;
    }
    return record != NULL && find_field(record, name, size) == NULL &&
           add_leaf(record, name, mapping->type);
}

enum esp_status load_mappings_schema(const struct load_mappings *mappings, const char *name,
                                     char **out, struct esp_error *err)
{
    enum esp_status status = ESP_OK;
    json_t *root = new_record(name, strlen(name));
    if (root == NULL)
        return esp_fail(err, ESP_ENOMEM, "out of memory for a schema");
    for (size_t i = 0; i < mappings->n && status == ESP_OK; i++)
        if (!add_field(root, &mappings->items[i]))
            status = esp_fail(err, ESP_ECONFIG,
                              "--map %s: a part of the path is a value already, or this is a "
                              "record already",
                              mappings->items[i].field);
    if (status == ESP_OK) {
        *out = json_dumps(root, JSON_COMPACT);
        if (*out == NULL)
            status = esp_fail(err, ESP_ENOMEM, "out of memory for a schema");
    }
    json_decref(root);
    return status;
}
