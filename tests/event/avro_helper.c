/* avro_helper.c - see avro_helper.h. */
#include "avro_helper.h"

#include <stdlib.h>

#include "event/encode.h"

static const char *const map_keys[] = {"a", "b", "c.d"};

struct maker {
    struct test_random *random;
    enum schema_scope scope;
    GString *json;
    unsigned n_names;
    GPtrArray *done; /* names that can be referred to anywhere from now on */
    GPtrArray *open; /* names of the records that are being written */
};

static bool chance(struct test_random *random, unsigned percent)
{
    return test_random_below(random, 100) < percent;
}

static void make_type(struct maker *maker, unsigned depth, bool in_union);

static void make_primitive(struct maker *maker)
{
    static const char *const names[] = {"null",  "boolean", "int",   "long",
                                        "float", "double",  "bytes", "string"};
    g_string_append_printf(maker->json, "\"%s\"",
                           names[test_random_below(maker->random, G_N_ELEMENTS(names))]);
}

static char *make_name(struct maker *maker, const char *prefix)
{
    return g_strdup_printf("%s%u", prefix, maker->n_names++);
}

static void make_record(struct maker *maker, unsigned depth)
{
    char *name = make_name(maker, "R");
    unsigned n =
        (unsigned)test_random_below(maker->random, 6) + (depth == 0 || maker->scope != SCOPE_ALL);
    g_string_append_printf(maker->json, "{\"type\":\"record\",\"name\":\"%s\",\"fields\":[", name);
    g_ptr_array_add(maker->open, name);
    for (unsigned i = 0; i < n; i++) {
        g_string_append_printf(maker->json, "%s{\"name\":\"f%u\",\"type\":", i > 0 ? "," : "", i);
        make_type(maker, depth + 1, false);
        g_string_append(maker->json, "}");
    }
    g_string_append(maker->json, "]}");
    g_ptr_array_remove_index(maker->open, maker->open->len - 1);
    g_ptr_array_add(maker->done, name);
}

static void make_enum_or_fixed(struct maker *maker)
{
    unsigned n = (unsigned)test_random_below(maker->random, 5);
    if (chance(maker->random, 50)) {
        char *name = make_name(maker, "E");
        g_string_append_printf(maker->json,
                               "{\"type\":\"enum\",\"name\":\"%s\",\"symbols\":[\"S0\"", name);
        for (unsigned i = 1; i <= n; i++)
            g_string_append_printf(maker->json, ",\"S%u\"", i);
        g_string_append(maker->json, "]}");
        g_ptr_array_add(maker->done, name);
    } else {
        char *name = make_name(maker, "F");
        g_string_append_printf(maker->json, "{\"type\":\"fixed\",\"name\":\"%s\",\"size\":%u}",
                               name, n + 1);
        g_ptr_array_add(maker->done, name);
    }
}

/* Distinct branches: null, some of these in their order, a named type of its own. */
static void make_union(struct maker *maker, unsigned depth)
{
    static const char *const names[] = {"\"boolean\"", "\"int\"",    "\"long\"", "\"float\"",
                                        "\"double\"",  "\"string\"", "\"bytes\""};
    bool null_first = chance(maker->random, 60);
    g_string_append(maker->json, null_first ? "[\"null\"" : "[");
    bool is_empty = !null_first;
    if (chance(maker->random, 50)) {
        g_string_append(maker->json, is_empty ? "" : ",");
        if (chance(maker->random, 30)) {
            g_string_append(maker->json, "{\"type\":\"array\",\"items\":");
            make_type(maker, depth + 1, false);
            g_string_append(maker->json, "}");
        } else {
            make_record(maker, depth + 1);
        }
        is_empty = false;
    }
    unsigned percent = chance(maker->random, 50) ? 15 : 50;
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        if (chance(maker->random, percent) || (is_empty && i + 1 == G_N_ELEMENTS(names))) {
            g_string_append_printf(maker->json, "%s%s", is_empty ? "" : ",", names[i]);
            is_empty = false;
        }
    }
    g_string_append(maker->json, !null_first && chance(maker->random, 50) ? ",\"null\"]" : "]");
}

/* A record inside itself, behind something that can be empty. */
static void make_recursion(struct maker *maker)
{
    static const char *const forms[] = {"[\"null\",\"%s\"]",
                                        "{\"type\":\"array\",\"items\":\"%s\"}",
                                        "{\"type\":\"map\",\"values\":\"%s\"}"};
    size_t which = (size_t)test_random_below(maker->random, maker->open->len);
    char **parts =
        g_strsplit(forms[test_random_below(maker->random, G_N_ELEMENTS(forms))], "%s", 2);
    g_string_append_printf(maker->json, "%s%s%s", parts[0],
                           (const char *)g_ptr_array_index(maker->open, which), parts[1]);
    g_strfreev(parts);
}

static void make_type(struct maker *maker, unsigned depth, bool in_union)
{
    unsigned roll = (unsigned)test_random_below(maker->random, 100);
    bool refers = maker->scope != SCOPE_AVRO_C_RESOLVES;
    if (depth > 4 || roll < 40) {
        make_primitive(maker);
    } else if (roll < 50) {
        make_enum_or_fixed(maker);
    } else if (roll < 56 && maker->done->len > 0 && refers) {
        size_t which = (size_t)test_random_below(maker->random, maker->done->len);
        g_string_append_printf(maker->json, "\"%s\"",
                               (const char *)g_ptr_array_index(maker->done, which));
    } else if (roll < 60 && maker->open->len > 0 && refers) {
        make_recursion(maker);
    } else if (roll < 70) {
        make_record(maker, depth);
    } else if (roll < 78) {
        g_string_append(maker->json, "{\"type\":\"array\",\"items\":");
        make_type(maker, depth + 1, false);
        g_string_append(maker->json, "}");
    } else if (roll < 86) {
        g_string_append(maker->json, "{\"type\":\"map\",\"values\":");
        make_type(maker, depth + 1, false);
        g_string_append(maker->json, "}");
    } else if (!in_union) {
        make_union(maker, depth);
    } else {
        make_primitive(maker);
    }
}

char *random_schema(struct test_random *random, enum schema_scope scope)
{
    struct maker maker = {.random = random,
                          .scope = scope,
                          .json = g_string_new(NULL),
                          .done = g_ptr_array_new_with_free_func(g_free),
                          .open = g_ptr_array_new()};
    make_record(&maker, 0);
    g_ptr_array_free(maker.open, TRUE);
    g_ptr_array_free(maker.done, TRUE);
    return g_string_free(maker.json, FALSE);
}

/* A varint, sometimes longer than it need be. */
static void put_long(struct test_random *random, int64_t value, struct esp_buf *buf)
{
    g_assert_cmpint(esp_put_long(buf, value, NULL), ==, ESP_OK);
    uint8_t *last = &buf->data[buf->size - 1], zero = 0;
    if (chance(random, 3) && value >= 0 && value < 1000000) {
        *last |= 0x80;
        esp_buf_append(buf, &zero, 1, NULL);
    }
}

static int64_t random_long(struct test_random *random, bool is_int)
{
    uint64_t bits = test_random_u64(random) >> test_random_below(random, 64);
    int64_t value = (int64_t)(bits >> 1) ^ -(int64_t)(bits & 1);
    return is_int ? (int32_t)value : value;
}

static void put_random_bytes(struct test_random *random, size_t n, struct esp_buf *buf)
{
    for (; n > 0; n--) {
        uint8_t byte = (uint8_t)test_random_u64(random);
        esp_buf_append(buf, &byte, 1, NULL);
    }
}

static void put_value(struct test_random *random, const struct esp_avro_type *type, unsigned depth,
                      bool distinct, struct esp_buf *buf);

/* One item; of a map with its key before it. */
static void put_item(struct test_random *random, const struct esp_avro_type *type, size_t i,
                     unsigned depth, bool distinct, struct esp_buf *buf)
{
    if (type->kind == ESP_AVRO_MAP) {
        size_t which = distinct ? i : (size_t)test_random_below(random, G_N_ELEMENTS(map_keys));
        esp_put_bytes(buf, esp_bytes_of(which < 3 ? map_keys[which] : "longer key"), NULL);
    }
    put_value(random, type->items, depth + 1, distinct, buf);
}

static void put_blocks(struct test_random *random, const struct esp_avro_type *type, unsigned depth,
                       bool distinct, struct esp_buf *buf)
{
    size_t n = depth > 5 ? 0 : (size_t)test_random_below(random, 5);
    for (size_t i = 0; i < n;) {
        size_t in_block = 1 + (size_t)test_random_below(random, n - i);
        struct esp_buf block;
        esp_buf_init(&block, 1 << 24);
        for (size_t j = 0; j < in_block; j++)
            put_item(random, type, i + j, depth, distinct, &block);
        if (chance(random, 30)) {
            esp_put_long(buf, -(int64_t)in_block, NULL);
            esp_put_long(buf, (int64_t)block.size, NULL);
        } else {
            put_long(random, (int64_t)in_block, buf);
        }
        esp_put_raw(buf, esp_buf_bytes(&block), NULL);
        esp_buf_release(&block);
        i += in_block;
    }
    put_long(random, 0, buf);
}

static void put_value(struct test_random *random, const struct esp_avro_type *type, unsigned depth,
                      bool distinct, struct esp_buf *buf)
{
    size_t branch = 0, n = 0;
    switch (type->kind) {
    case ESP_AVRO_BOOLEAN:
        esp_put_bool(buf, chance(random, 50), NULL);
        return;
    case ESP_AVRO_INT:
    case ESP_AVRO_LONG:
        put_long(random, random_long(random, type->kind == ESP_AVRO_INT), buf);
        return;
    case ESP_AVRO_FLOAT:
        esp_put_float(buf, (float)random_long(random, true) / 8, NULL);
        return;
    case ESP_AVRO_DOUBLE:
        esp_put_double(buf, (double)random_long(random, false) / 8, NULL);
        return;
    case ESP_AVRO_BYTES:
    case ESP_AVRO_STRING:
        n = (size_t)test_random_below(random, chance(random, 5) ? 200 : 12);
        put_long(random, (int64_t)n, buf);
        put_random_bytes(random, n, buf);
        return;
    case ESP_AVRO_FIXED:
        put_random_bytes(random, type->size, buf);
        return;
    case ESP_AVRO_ENUM:
        put_long(random, (int64_t)test_random_below(random, type->symbols.n), buf);
        return;
    case ESP_AVRO_RECORD:
        for (size_t i = 0; i < type->n_fields; i++)
            put_value(random, type->fields[i].type, depth + 1, distinct, buf);
        return;
    case ESP_AVRO_UNION:
        branch = (size_t)test_random_below(random, type->n_branches);
        for (size_t i = 0; depth > 8 && i < type->n_branches; i++)
            branch = type->branches[i]->kind == ESP_AVRO_NULL ? i : branch;
        put_long(random, (int64_t)branch, buf);
        put_value(random, type->branches[branch], depth + 1, distinct, buf);
        return;
    case ESP_AVRO_ARRAY:
    case ESP_AVRO_MAP:
        put_blocks(random, type, depth, distinct, buf);
        return;
    default:
        return;
    }
}

void random_record(struct test_random *random, const struct esp_avro_type *type, bool distinct,
                   struct esp_buf *buf)
{
    put_value(random, type, 0, distinct, buf);
}

static void add_path(struct test_paths *out, const struct test_path *path)
{
    if (out->n == MAX_PATHS)
        return;
    GString *text = g_string_new(NULL);
    for (size_t i = 0; i < path->n_steps; i++) {
        if (strchr(path->steps[i], '.') != NULL)
            g_string_append_printf(text, "[\"%s\"]", path->steps[i]);
        else
            g_string_append_printf(text, "%s%s", i > 0 ? "." : "", path->steps[i]);
    }
    for (size_t i = 0; i < out->n; i++) {
        if (strcmp(out->paths[i].text, text->str) == 0) {
            g_string_free(text, TRUE);
            return;
        }
    }
    out->paths[out->n] = *path;
    out->paths[out->n++].text = g_string_free(text, FALSE);
}

static void walk(const struct esp_avro_type *type, struct test_path *path, struct test_paths *out)
{
    for (size_t i = 0; i < type->n_branches; i++)
        walk(type->branches[i], path, out);
    if (path->n_steps > 0 && esp_want_fits(type, ESP_WANT_FEATURE, ESP_UNIT_NONE))
        add_path(out, path);
    if (path->n_steps == PATH_STEPS)
        return;
    path->n_steps++;
    for (size_t i = 0; i < type->n_fields; i++) {
        path->steps[path->n_steps - 1] = type->fields[i].name;
        walk(type->fields[i].type, path, out);
    }
    for (size_t i = 0; type->kind == ESP_AVRO_MAP && i < G_N_ELEMENTS(map_keys); i++) {
        path->steps[path->n_steps - 1] = map_keys[i];
        walk(type->items, path, out);
    }
    path->n_steps--;
}

void list_paths(const struct esp_schema *schema, struct test_paths *out)
{
    struct test_path path = {.n_steps = 0};
    out->n = 0;
    walk(schema->root, &path, out);
}

void release_paths(struct test_paths *paths)
{
    for (size_t i = 0; i < paths->n; i++)
        g_free(paths->paths[i].text);
    paths->n = 0;
}

void test_plan_init(struct test_plan *plan, const struct esp_schema *writer,
                    const struct esp_schema *reader, const struct test_paths *paths)
{
    *plan = (struct test_plan){0};
    struct esp_error err = {0};
    for (size_t i = 0; i < paths->n; i++) {
        struct esp_want_slot slot = {(uint16_t)i, ESP_WANT_FEATURE};
        if (esp_want_add(&plan->root, paths->paths[i].text, slot, &plan->arena, &err) != ESP_OK)
            g_error("%s", err.text);
    }
    struct esp_plan_request request = {.writer = writer,
                                       .reader = reader,
                                       .want = &plan->root,
                                       .n_slots = paths->n,
                                       .is_whole = true,
                                       .arena = &plan->arena};
    if (esp_plan_new(&request, &plan->plan, NULL, &err) != ESP_OK)
        g_error("%s", err.text);
    esp_plan_check(plan->plan);
}

void test_plan_release(struct test_plan *plan)
{
    esp_plan_free(plan->plan);
    esp_arena_release(&plan->arena);
    esp_value_scratch_release(&plan->scratch);
}

struct esp_schema *parse_schema(const char *json)
{
    struct esp_schema *schema = NULL;
    struct esp_error err = {0};
    if (esp_schema_parse(json, strlen(json), &schema, &err) != ESP_OK)
        g_error("%s: %s", err.text, json);
    return schema;
}
