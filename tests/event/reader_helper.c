/* reader_helper.c - changes a writer's schema at random into one that reads what it wrote. */
#include "avro_helper.h"

#include <stdlib.h>

struct changer {
    struct test_random *random;
    bool with_names;
    unsigned n_added;
};

static bool chance(struct changer *changer, unsigned percent)
{
    return test_random_below(changer->random, 100) < percent;
}

/* What a primitive's name may become; NULL: it stays. */
static const char *promotion(struct changer *changer, const char *name)
{
    static const char *const rows[][2] = {
        {"int", "long"},    {"int", "float"},    {"int", "double"},   {"long", "float"},
        {"long", "double"}, {"float", "double"}, {"string", "bytes"}, {"bytes", "string"},
    };
    size_t n = changer->with_names ? G_N_ELEMENTS(rows) : G_N_ELEMENTS(rows) - 2;
    size_t which = (size_t)test_random_below(changer->random, n);
    return strcmp(rows[which][0], name) == 0 ? rows[which][1] : NULL;
}

static json_t *change(struct changer *changer, json_t *type, bool in_union);

static json_t *change_name(struct changer *changer, json_t *type, bool in_union)
{
    const char *promoted = promotion(changer, json_string_value(type));
    if (in_union && !changer->with_names) /* Avro C takes the first match, not the best one */
        promoted = NULL;
    return promoted != NULL && chance(changer, 60) ? json_string(promoted) : json_incref(type);
}

/* A branch more, or one less; or only one of them alone. */
static json_t *change_union(struct changer *changer, json_t *type)
{
    json_t *out = json_array(), *branch;
    size_t i;
    json_array_foreach(type, i, branch)
    {
        json_t *changed = change(changer, branch, true);
        /* Two branches must not become the same: names alone can. */
        size_t j;
        json_t *other;
        bool is_twice = false;
        json_array_foreach(out, j, other) is_twice =
            is_twice || (json_is_string(other) && json_equal(other, changed));
        json_array_foreach(type, j, other) is_twice =
            is_twice || (j > i && json_is_string(other) && json_equal(other, changed));
        json_array_append(out, is_twice ? branch : changed);
        json_decref(changed);
    }
    for (i = json_array_size(out); changer->with_names && i > 1;
         i--) { /* a branch that leaves must not be a definition */
        if (json_is_string(json_array_get(out, i - 1)) && chance(changer, 10))
            json_array_remove(out, i - 1);
    }
    return out;
}

static json_t *random_default(struct changer *changer, const char **out_type)
{
    static const struct {
        const char *type, *value;
    } rows[] = {
        {"\"string\"", "\"d\\u00e9faut\""},
        {"\"bytes\"", "\"\\u0000\\u00ff\\u007f\\u0080\""},
        {"\"int\"", "-7"},
        {"\"long\"", "8589934592"},
        {"\"float\"", "0.1"},
        {"\"double\"", "3"},
        {"\"boolean\"", "true"},
        {"[\"null\",\"int\"]", "null"},
        {"[\"int\",\"null\"]", "5"},
        {"{\"type\":\"array\",\"items\":\"int\"}", "[1,2,3]"},
        {"{\"type\":\"array\",\"items\":[\"null\",\"string\"]}", "[]"},
        {"{\"type\":\"map\",\"values\":\"long\"}", "{\"a\":1,\"c.d\":-1}"},
        {"{\"type\":\"enum\",\"name\":\"Added%u\",\"symbols\":[\"X\",\"Y\"]}", "\"Y\""},
        {"{\"type\":\"fixed\",\"name\":\"Added%u\",\"size\":2}", "\"\\u00fe\\u0001\""},
        {"{\"type\":\"record\",\"name\":\"Added%u\",\"fields\":[{\"name\":\"p\",\"type\":\"int\"},"
         "{\"name\":\"q\",\"type\":\"string\",\"default\":\"own\"}]}",
         "{\"p\":4}"},
    };
    size_t which = (size_t)test_random_below(changer->random, G_N_ELEMENTS(rows));
    *out_type = rows[which].type;
    return json_loads(rows[which].value, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
}

static void add_field(struct changer *changer, json_t *fields)
{
    const char *type_text;
    json_t *fallback = random_default(changer, &type_text);
    char *number = g_strdup_printf("%u", changer->n_added++);
    char **parts = g_strsplit(type_text, "%u", 2);
    char *text = g_strjoinv(number, parts);
    char *name = g_strdup_printf("added%s", number);
    json_t *field = json_object();
    json_object_set_new(field, "name", json_string(name));
    json_object_set_new(field, "type", json_loads(text, JSON_DECODE_ANY, NULL));
    json_object_set_new(field, "default", fallback);
    size_t at = (size_t)test_random_below(changer->random, json_array_size(fields) + 1);
    json_array_insert_new(fields, at, field);
    g_free(name);
    g_free(text);
    g_strfreev(parts);
    g_free(number);
}

/* Renames a field or type of the reader; the old name becomes an alias. */
static void rename_with_alias(struct changer *changer, json_t *named)
{
    json_t *aliases = json_array();
    json_array_append(aliases, json_object_get(named, "name"));
    json_object_set_new(named, "aliases", aliases);
    char *name = g_strdup_printf("renamed%u", changer->n_added++);
    json_object_set_new(named, "name", json_string(name));
    g_free(name);
}

static json_t *change_record(struct changer *changer, json_t *type)
{
    json_t *out = json_copy(type), *fields = json_array(), *field;
    size_t i;
    json_array_foreach(json_object_get(type, "fields"), i, field)
    {
        json_t *copy = json_copy(field), *old = json_object_get(field, "type");
        json_object_set_new(copy, "type", change(changer, old, false));
        if (changer->with_names && chance(changer, 10))
            rename_with_alias(changer, copy);
        /* Definitions stay in their order, so that references find them; primitives move. */
        bool is_simple = json_is_string(json_object_get(copy, "type")) && json_is_string(old);
        if (is_simple && chance(changer, 10)) {
            json_decref(copy); /* dropped */
        } else if (is_simple && json_string_value(old)[0] >= 'a' && chance(changer, 30)) {
            json_array_insert_new(fields, 0, copy);
        } else {
            json_array_append_new(fields, copy);
        }
    }
    if (changer->with_names && chance(changer, 30))
        add_field(changer, fields);
    json_object_set_new(out, "fields", fields);
    return out;
}

static json_t *change_enum(struct changer *changer, json_t *type)
{
    json_t *out = json_copy(type), *symbols = json_copy(json_object_get(type, "symbols"));
    if (changer->with_names && json_array_size(symbols) > 1 && chance(changer, 50)) {
        json_array_remove(symbols, 1);
        if (chance(changer, 50))
            json_object_set(out, "default", json_array_get(symbols, 0));
    }
    json_object_set_new(out, "symbols", symbols);
    return out;
}

static json_t *change_object(struct changer *changer, json_t *type)
{
    const char *name = json_string_value(json_object_get(type, "type"));
    if (strcmp(name, "record") == 0)
        return change_record(changer, type);
    if (strcmp(name, "enum") == 0)
        return change_enum(changer, type);
    const char *key = strcmp(name, "array") == 0 ? "items" : "values";
    json_t *out = json_copy(type), *items = json_object_get(type, key);
    if (items != NULL)
        json_object_set_new(out, key, change(changer, items, false));
    return out;
}

static json_t *change(struct changer *changer, json_t *type, bool in_union)
{
    json_t *out = json_is_array(type)    ? change_union(changer, type)
                  : json_is_object(type) ? change_object(changer, type)
                                         : change_name(changer, type, in_union);
    bool is_null = json_is_string(out) && strcmp(json_string_value(out), "null") == 0;
    if (in_union || json_is_array(out) || is_null || !chance(changer, 10))
        return out;
    json_t *wrapped = json_array();
    json_array_append_new(wrapped, json_string("null"));
    json_array_append_new(wrapped, out);
    return wrapped;
}

char *random_reader(struct test_random *random, const char *json, bool with_names)
{
    struct changer changer = {.random = random, .with_names = with_names};
    json_t *writer = json_loads(json, JSON_DECODE_ANY, NULL);
    json_t *reader = change(&changer, writer, true);
    char *text = json_dumps(reader, JSON_COMPACT);
    char *copy = g_strdup(text);
    free(text);
    json_decref(reader);
    json_decref(writer);
    return copy;
}
