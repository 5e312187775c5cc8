/*
 * avro_path.c - parses paths, keeps the tree of what is wanted, looks paths up in a schema.
 */
#include "event/avro_path.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/settings.h"

/* Steps of one path; texts are in the arena that parsed them. */
struct path {
    struct esp_bytes steps[ESP_PATH_MAX_STEPS];
    size_t n_steps;
};

/* Reads ["..."] at *at, which is past the bracket; *at moves past the closing one. */
static bool parse_quoted(const char **at, char *text, size_t *size)
{
    const char *c = *at;
    if (*c++ != '"')
        return false;
    for (*size = 0; *c != '"'; c++) {
        if (*c == '\\')
            c++;
        if (*c == '\0')
            return false;
        text[(*size)++] = *c;
    }
    if (c[1] != ']')
        return false;
    *at = c + 2;
    return true;
}

/* One step at *at into text, which has room for all of the path. */
static bool parse_step(const char **at, bool is_first, char *text, size_t *size)
{
    if (**at == '[') {
        (*at)++;
        return parse_quoted(at, text, size);
    }
    if (!is_first && *(*at)++ != '.')
        return false;
    *size = strcspn(*at, ".[");
    memcpy(text, *at, *size);
    *at += *size;
    return *size > 0;
}

static enum esp_status parse_path(const char *text, struct esp_arena *arena, struct path *path,
                                  struct esp_error *err)
{
    path->n_steps = 0;
    size_t length = strlen(text);
    if (length == 0 || length > ESP_PATH_MAX_BYTES)
        return esp_fail(err, ESP_ECONFIG, "a path of %zu bytes; write field.field or map[\"key\"]",
                        length);
    for (const char *at = text; *at != '\0';) {
        char *step = esp_arena_alloc(arena, length, 1);
        if (step == NULL)
            return esp_fail(err, ESP_ENOMEM, "out of memory for a path");
        size_t size = 0;
        if (path->n_steps == ESP_PATH_MAX_STEPS)
            return esp_fail(err, ESP_ECONFIG, "path \"%s\" has more than %d steps", text,
                            ESP_PATH_MAX_STEPS);
        if (!parse_step(&at, path->n_steps == 0, step, &size))
            return esp_fail(err, ESP_ECONFIG,
                            "\"%s\" is not a path; write field.field or map[\"key\"]", text);
        path->steps[path->n_steps++] = esp_bytes(step, size);
    }
    return ESP_OK;
}

static struct esp_want *find_child(const struct esp_want *node, struct esp_bytes step)
{
    for (struct esp_want *child = node->children; child != NULL; child = child->next) {
        if (esp_bytes_equal(child->step, step))
            return child;
    }
    return NULL;
}

enum esp_status esp_want_add(struct esp_want *root, const char *text, struct esp_want_slot slot,
                             struct esp_arena *arena, struct esp_error *err)
{
    struct path path;
    enum esp_status status = parse_path(text, arena, &path, err);
    if (status != ESP_OK)
        return status;
    struct esp_want *node = root;
    for (size_t i = 0; i < path.n_steps; i++) {
        struct esp_want *child = find_child(node, path.steps[i]);
        if (child == NULL) {
            child = esp_arena_alloc(arena, 1, sizeof *child);
            if (child == NULL)
                return esp_fail(err, ESP_ENOMEM, "out of memory for a path");
            child->step = path.steps[i];
            child->next = node->children;
            node->children = child;
        }
        node = child;
    }
    struct esp_want_slot *slots = esp_arena_alloc(arena, node->n_slots + 1, sizeof *slots);
    if (slots == NULL)
        return esp_fail(err, ESP_ENOMEM, "out of memory for a path");
    if (node->n_slots > 0)
        memcpy(slots, node->slots, node->n_slots * sizeof *slots);
    slots[node->n_slots] = slot;
    node->slots = slots;
    node->n_slots++;
    return ESP_OK;
}

enum esp_time_unit esp_avro_time_unit(const struct esp_avro_type *type)
{
    static const struct {
        const char *logical;
        enum esp_time_unit unit;
    } rows[] = {
        {"timestamp-millis", ESP_UNIT_MS},       {"timestamp-micros", ESP_UNIT_US},
        {"timestamp-nanos", ESP_UNIT_NS},        {"local-timestamp-millis", ESP_UNIT_MS},
        {"local-timestamp-micros", ESP_UNIT_US}, {"local-timestamp-nanos", ESP_UNIT_NS},
    };
    if (type->kind != ESP_AVRO_LONG || type->logical == NULL)
        return ESP_UNIT_NONE;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (strcmp(type->logical, rows[i].logical) == 0)
            return rows[i].unit;
    }
    return ESP_UNIT_NONE;
}

static bool is_scalar(const struct esp_avro_type *type)
{
    return type->kind != ESP_AVRO_NULL && type->kind != ESP_AVRO_RECORD &&
           type->kind != ESP_AVRO_ARRAY && type->kind != ESP_AVRO_MAP &&
           type->kind != ESP_AVRO_UNION;
}

/* Items of one array may be of several types; those that do not fit are read as missing. */
static bool has_scalar(const struct esp_avro_type *type)
{
    for (size_t i = 0; i < type->n_branches; i++) {
        if (is_scalar(type->branches[i]))
            return true;
    }
    return is_scalar(type);
}

bool esp_want_fits(const struct esp_avro_type *type, enum esp_want_use use, enum esp_time_unit unit)
{
    enum esp_avro_kind kind = type->kind;
    bool is_whole = kind == ESP_AVRO_INT || kind == ESP_AVRO_LONG;
    bool is_number = is_whole || kind == ESP_AVRO_FLOAT || kind == ESP_AVRO_DOUBLE;
    switch (use) {
    case ESP_WANT_ID:
        return is_whole || kind == ESP_AVRO_STRING || kind == ESP_AVRO_BYTES ||
               kind == ESP_AVRO_FIXED;
    case ESP_WANT_TIME:
        return is_number && (unit != ESP_UNIT_NONE || esp_avro_time_unit(type) != ESP_UNIT_NONE);
    case ESP_WANT_NUMBER:
        return is_number;
    case ESP_WANT_KEY:
    case ESP_WANT_ITEM:
        return is_scalar(type);
    case ESP_WANT_FEATURE:
        return is_scalar(type) || (kind == ESP_AVRO_ARRAY && has_scalar(type->items));
    }
    return false;
}

/* What a walk along a path came to. */
struct found {
    const struct esp_avro_type *fits;  /* the first that fits, or the union around it */
    const struct esp_avro_type *other; /* the first type at the end of the path that does not */
    unsigned n_visits; /* bounded: a path through recursive unions has many ways to go */
};

enum { MAX_VISITS = 100000 };

static void walk(const struct esp_avro_type *type, const struct esp_avro_type *around,
                 const struct path *path, size_t at, enum esp_want_use use, enum esp_time_unit unit,
                 struct found *found)
{
    if (found->fits != NULL || ++found->n_visits > MAX_VISITS)
        return;
    if (type->kind == ESP_AVRO_UNION) {
        for (size_t i = 0; i < type->n_branches; i++)
            walk(type->branches[i], type, path, at, use, unit, found);
        return;
    }
    if (at == path->n_steps) {
        if (esp_want_fits(type, use, unit))
            found->fits = around != NULL ? around : type;
        else if (type->kind != ESP_AVRO_NULL && found->other == NULL)
            found->other = type;
        return;
    }
    struct esp_bytes step = path->steps[at];
    if (type->kind == ESP_AVRO_MAP)
        walk(type->items, NULL, path, at + 1, use, unit, found);
    if (type->kind == ESP_AVRO_RECORD) {
        const struct esp_avro_field *field =
            esp_avro_find_field(type, (const char *)step.data, step.size);
        if (field != NULL)
            walk(field->type, NULL, path, at + 1, use, unit, found);
    }
}

enum { NAMES_SIZE = 160 };

/* Every path of a schema, for the sake of a suggestion. */
struct catalogue {
    const char *paths[1024];
    size_t n;
    struct esp_arena *arena;
};

static void list_paths(struct catalogue *catalogue, const struct esp_avro_type *type,
                       const char *prefix, unsigned depth)
{
    for (size_t i = 0; i < type->n_branches; i++)
        list_paths(catalogue, type->branches[i], prefix, depth);
    for (size_t i = 0; i < type->n_fields; i++) {
        const char *name = type->fields[i].name;
        size_t size = strlen(prefix) + strlen(name) + 2;
        if (catalogue->n == sizeof catalogue->paths / sizeof catalogue->paths[0])
            return;
        char *path = esp_arena_alloc(catalogue->arena, size, 1);
        if (path == NULL)
            return;
        snprintf(path, size, "%s%s%s", prefix, prefix[0] != '\0' ? "." : "", name);
        catalogue->paths[catalogue->n++] = path;
        if (depth > 0)
            list_paths(catalogue, type->fields[i].type, path, depth - 1);
    }
}

/* "it has a, b, c and more": whole names, as many as there is room for. */
static const char *list_names(const struct catalogue *catalogue, char text[NAMES_SIZE])
{
    static const char more[] = " and more";
    size_t size = 0, i = 0;
    for (; i < catalogue->n; i++) {
        const char *comma = i == 0 ? "it has " : ", ";
        size_t length = strlen(comma) + strlen(catalogue->paths[i]);
        if (size + length + sizeof more > NAMES_SIZE)
            break;
        size +=
            (size_t)snprintf(text + size, NAMES_SIZE - size, "%s%s", comma, catalogue->paths[i]);
    }
    if (i == 0)
        snprintf(text, NAMES_SIZE, "it has %s", catalogue->n == 0 ? "none" : "others");
    else if (i < catalogue->n)
        snprintf(text + size, NAMES_SIZE - size, "%s", more);
    return text;
}

static enum esp_status no_such_field(const struct esp_schema *schema, const char *path,
                                     const char *what, struct esp_error *err)
{
    struct esp_arena arena = {0};
    struct catalogue catalogue = {.arena = &arena};
    char names[NAMES_SIZE];
    list_paths(&catalogue, schema->root, "", 3);
    const char *nearest = esp_nearest_word(path, catalogue.paths, catalogue.n);
    const char *name = schema->root->name != NULL ? esp_avro_short_name(schema->root->name)
                                                  : esp_avro_kind_name(schema->root->kind);
    if (nearest != NULL)
        esp_fail(err, ESP_ESCHEMA, "%s: no field \"%s\" in schema %s; did you mean %s?", what, path,
                 name, nearest);
    else
        esp_fail(err, ESP_ESCHEMA, "%s: no field \"%s\" in schema %s; %s", what, path, name,
                 list_names(&catalogue, names));
    esp_arena_release(&arena);
    return ESP_ESCHEMA;
}

static enum esp_status does_not_fit(const struct esp_avro_type *type, const char *path,
                                    enum esp_want_use use, const char *what, struct esp_error *err)
{
    static const char *const wanted[] = {
        [ESP_WANT_ID] = "an id is a string, bytes, fixed, int or long",
        [ESP_WANT_TIME] = "a time is a number with a unit",
        [ESP_WANT_NUMBER] = "a weight is an int, long, float or double",
        [ESP_WANT_KEY] = "a holdout key is a scalar",
        [ESP_WANT_FEATURE] = "a feature is a scalar or an array of scalars",
        [ESP_WANT_ITEM] = "an item is a scalar",
    };
    char words[128];
    esp_avro_describe(type, words, sizeof words);
    if (use == ESP_WANT_TIME && esp_want_fits(type, ESP_WANT_NUMBER, ESP_UNIT_NONE))
        return esp_fail(err, ESP_ESCHEMA,
                        "%s: \"%s\" is a %s without a unit; set time_unit to s, ms, us or ns", what,
                        path, words);
    const char *mend = wanted[use];
    if (use == ESP_WANT_TIME && type->kind == ESP_AVRO_STRING)
        mend = "times in text are not supported: give a number with a unit";
    else if (type->kind == ESP_AVRO_RECORD || type->kind == ESP_AVRO_MAP)
        mend = "name one of its fields or keys: path.field, path[\"key\"]";
    return esp_fail(err, ESP_ESCHEMA, "%s: \"%s\" is a %s; %s", what, path, words, mend);
}

enum esp_status esp_path_check(const struct esp_schema *schema, const char *text,
                               enum esp_want_use use, enum esp_time_unit unit, const char *what,
                               const struct esp_avro_type **out_type, struct esp_error *err)
{
    struct esp_arena arena = {0};
    struct path path;
    struct found found = {0};
    struct esp_error inner = {0};
    enum esp_status status = parse_path(text, &arena, &path, &inner);
    if (status != ESP_OK)
        esp_fail(err, status, "%s: %s", what, inner.text);
    else
        walk(schema->root, NULL, &path, 0, use, unit, &found);
    esp_arena_release(&arena);
    if (status != ESP_OK)
        return status;
    if (found.fits == NULL)
        return found.other != NULL ? does_not_fit(found.other, text, use, what, err)
                                   : no_such_field(schema, text, what, err);
    if (out_type != NULL)
        *out_type = found.fits;
    return ESP_OK;
}
