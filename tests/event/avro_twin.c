/* avro_twin.c - see avro_twin.h. */
#include "avro_twin.h"

#include <string.h>

struct cursor {
    struct esp_arena *arena;
    const uint8_t *at, *end;
};

static bool take_long(struct cursor *cursor, int64_t *out)
{
    uint64_t raw = 0;
    for (unsigned i = 0; i < 10; i++) {
        if (cursor->at == cursor->end)
            return false;
        uint8_t byte = *cursor->at++;
        if (i == 9 && byte > 1)
            return false;
        raw |= (uint64_t)(byte & 0x7f) << (7 * i);
        if ((byte & 0x80) == 0) {
            *out = (int64_t)(raw >> 1) ^ -(int64_t)(raw & 1);
            return true;
        }
    }
    return false;
}

static bool take_bytes(struct cursor *cursor, int64_t size, struct esp_bytes *out)
{
    if (size < 0 || size > cursor->end - cursor->at)
        return false;
    *out = esp_bytes(cursor->at, (size_t)size);
    cursor->at += size;
    return true;
}

static struct twin_value *decode(struct cursor *cursor, const struct esp_avro_type *type,
                                 unsigned depth);

static void add_part(struct cursor *cursor, struct twin_value *value, struct esp_bytes key,
                     struct twin_value *part)
{
    size_t n = value->n_parts;
    if ((n & (n - 1)) == 0) { /* room doubles at powers of two */
        struct twin_value **parts = esp_arena_alloc(cursor->arena, 2 * n + 1, sizeof *parts);
        struct esp_bytes *keys = esp_arena_alloc(cursor->arena, 2 * n + 1, sizeof *keys);
        for (size_t i = 0; i < n; i++) {
            parts[i] = value->parts[i];
            keys[i] = value->keys[i];
        }
        value->parts = parts;
        value->keys = keys;
    }
    value->keys[n] = key;
    value->parts[n] = part;
    value->n_parts++;
}

static bool decode_blocks(struct cursor *cursor, struct twin_value *value, unsigned depth)
{
    const struct esp_avro_type *type = value->type;
    for (;;) {
        int64_t count, size = 0;
        if (!take_long(cursor, &count))
            return false;
        if (count == 0)
            return true;
        if (count < 0 && (!take_long(cursor, &size) || size < 0))
            return false;
        if (count == INT64_MIN)
            return false;
        const uint8_t *begin = cursor->at;
        int64_t n = count < 0 ? -count : count;
        if (type->items->is_empty && n > ESP_MAX_ARRAY_ITEMS)
            n = ESP_MAX_ARRAY_ITEMS;
        for (int64_t i = 0; i < n; i++) {
            int64_t key_size = 0;
            struct esp_bytes key = {NULL, 0};
            if (type->kind == ESP_AVRO_MAP &&
                (!take_long(cursor, &key_size) || !take_bytes(cursor, key_size, &key)))
                return false;
            struct twin_value *part = decode(cursor, type->items, depth + 1);
            if (part == NULL)
                return false;
            add_part(cursor, value, key, part);
        }
        if (count < 0 && cursor->at - begin != size)
            return false;
    }
}

static bool decode_fields(struct cursor *cursor, struct twin_value *value, unsigned depth)
{
    for (size_t i = 0; i < value->type->n_fields; i++) {
        struct twin_value *part = decode(cursor, value->type->fields[i].type, depth + 1);
        if (part == NULL)
            return false;
        add_part(cursor, value, esp_bytes_of(value->type->fields[i].name), part);
    }
    return true;
}

static bool decode_real(struct cursor *cursor, struct twin_value *value)
{
    struct esp_bytes bytes;
    float f32;
    bool is_float = value->type->kind == ESP_AVRO_FLOAT;
    if (!take_bytes(cursor, is_float ? 4 : 8, &bytes))
        return false;
    memcpy(is_float ? (void *)&f32 : (void *)&value->f, bytes.data, bytes.size);
    if (is_float)
        value->f = (double)f32;
    return true;
}

static struct twin_value *decode(struct cursor *cursor, const struct esp_avro_type *type,
                                 unsigned depth)
{
    int64_t n = 0;
    bool ok = depth < 1000;
    if (ok && type->kind == ESP_AVRO_UNION) {
        ok = take_long(cursor, &n) && n >= 0 && n < (int64_t)type->n_branches;
        return ok ? decode(cursor, type->branches[n], depth + 1) : NULL;
    }
    struct twin_value *value = esp_arena_alloc(cursor->arena, 1, sizeof *value);
    struct esp_bytes bytes;
    value->type = type;
    switch (type->kind) {
    case ESP_AVRO_BOOLEAN:
        ok = ok && take_bytes(cursor, 1, &bytes) && bytes.data[0] <= 1;
        value->i = ok && bytes.data[0];
        break;
    case ESP_AVRO_INT:
        ok = ok && take_long(cursor, &value->i) && value->i == (int32_t)value->i;
        break;
    case ESP_AVRO_LONG:
        ok = ok && take_long(cursor, &value->i);
        break;
    case ESP_AVRO_FLOAT:
    case ESP_AVRO_DOUBLE:
        ok = ok && decode_real(cursor, value);
        break;
    case ESP_AVRO_BYTES:
    case ESP_AVRO_STRING:
        ok = ok && take_long(cursor, &n) && take_bytes(cursor, n, &value->bytes);
        break;
    case ESP_AVRO_FIXED:
        ok = ok && take_bytes(cursor, (int64_t)type->size, &value->bytes);
        break;
    case ESP_AVRO_ENUM:
        ok = ok && take_long(cursor, &n) && n >= 0 && n < (int64_t)type->symbols.n;
        if (ok)
            value->bytes = esp_bytes_of(type->symbols.names[n]);
        break;
    case ESP_AVRO_RECORD:
        ok = ok && decode_fields(cursor, value, depth);
        break;
    case ESP_AVRO_ARRAY:
    case ESP_AVRO_MAP:
        ok = ok && decode_blocks(cursor, value, depth);
        break;
    default:
        break;
    }
    return ok ? value : NULL;
}

struct twin_value *twin_decode(struct esp_arena *arena, const struct esp_avro_type *type,
                               struct esp_bytes bytes, size_t *out_size)
{
    struct cursor cursor = {arena, bytes.data, bytes.data + bytes.size};
    struct twin_value *value = decode(&cursor, type, 0);
    if (value != NULL)
        *out_size = (size_t)(cursor.at - bytes.data);
    return value;
}

static const char *last_name(const char *name)
{
    const char *dot = strrchr(name, '.');
    return dot != NULL ? dot + 1 : name;
}

static bool matches(const struct esp_avro_type *w, const struct esp_avro_type *r)
{
    static const char promotions[][2] = {
        {ESP_AVRO_INT, ESP_AVRO_LONG},     {ESP_AVRO_INT, ESP_AVRO_FLOAT},
        {ESP_AVRO_INT, ESP_AVRO_DOUBLE},   {ESP_AVRO_LONG, ESP_AVRO_FLOAT},
        {ESP_AVRO_LONG, ESP_AVRO_DOUBLE},  {ESP_AVRO_FLOAT, ESP_AVRO_DOUBLE},
        {ESP_AVRO_STRING, ESP_AVRO_BYTES}, {ESP_AVRO_BYTES, ESP_AVRO_STRING},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(promotions); i++) {
        if ((int)w->kind == promotions[i][0] && (int)r->kind == promotions[i][1])
            return true;
    }
    if (w->kind != r->kind)
        return false;
    bool same = w->name == NULL || strcmp(last_name(w->name), last_name(r->name)) == 0;
    for (size_t i = 0; i < r->aliases.n; i++)
        same = same || strcmp(w->name, r->aliases.names[i]) == 0;
    return same && w->size == r->size;
}

/* A default as a value. Only what reader_helper.c makes. */
static struct twin_value *of_json(struct esp_arena *arena, const struct esp_avro_type *type,
                                  const json_t *json)
{
    if (type->kind == ESP_AVRO_UNION)
        return of_json(arena, type->branches[0], json);
    struct cursor cursor = {.arena = arena};
    struct twin_value *value = esp_arena_alloc(arena, 1, sizeof *value);
    value->type = type;
    value->i = json_is_true(json) ? 1 : json_integer_value(json);
    value->f =
        type->kind == ESP_AVRO_FLOAT ? (float)json_number_value(json) : json_number_value(json);
    value->bytes = esp_bytes(json_string_value(json), json_string_length(json));
    if (type->kind == ESP_AVRO_BYTES || type->kind == ESP_AVRO_FIXED) {
        gchar *text = g_malloc0(value->bytes.size + 1);
        size_t n = 0;
        for (size_t i = 0; i < value->bytes.size; i++) {
            uint8_t byte = value->bytes.data[i];
            if (byte >= 0xc0)
                text[n++] = (gchar)((byte & 3) << 6 | (value->bytes.data[++i] & 0x3f));
            else
                text[n++] = (gchar)byte;
        }
        value->bytes = esp_bytes(esp_arena_text(arena, text, n), n);
        g_free(text);
    }
    for (size_t i = 0; i < json_array_size(json); i++)
        add_part(&cursor, value, esp_bytes_of(""),
                 of_json(arena, type->items, json_array_get(json, i)));
    for (size_t i = 0; i < type->n_fields; i++) {
        const json_t *part = json_object_get(json, type->fields[i].name);
        add_part(
            &cursor, value, esp_bytes_of(type->fields[i].name),
            of_json(arena, type->fields[i].type, part != NULL ? part : type->fields[i].fallback));
    }
    const char *key;
    json_t *item;
    if (type->kind == ESP_AVRO_MAP) {
        json_object_foreach((json_t *)(uintptr_t)json, key, item)
            add_part(&cursor, value, esp_bytes_of(key), of_json(arena, type->items, item));
    }
    return value;
}

static struct twin_value *part_named(const struct twin_value *value, const char *name)
{
    struct twin_value *found = NULL;
    for (size_t i = 0; i < value->n_parts; i++) {
        if (esp_bytes_equal(value->keys[i], esp_bytes_of(name)))
            found = value->parts[i];
    }
    return found;
}

static void resolve_fields(struct cursor *cursor, const struct twin_value *value,
                           struct twin_value *out)
{
    for (size_t i = 0; i < out->type->n_fields; i++) {
        const struct esp_avro_field *field = &out->type->fields[i];
        struct twin_value *part = part_named(value, field->name);
        for (size_t j = 0; part == NULL && j < field->aliases.n; j++)
            part = part_named(value, field->aliases.names[j]);
        if (part != NULL)
            part = twin_resolve(cursor->arena, part, field->type);
        else if (field->fallback != NULL)
            part = of_json(cursor->arena, field->type, field->fallback);
        add_part(cursor, out, esp_bytes_of(field->name), part);
    }
}

static struct twin_value *resolve_symbol(struct twin_value *out)
{
    const struct esp_avro_type *type = out->type;
    for (size_t i = 0; i < type->symbols.n; i++) {
        if (esp_bytes_equal(out->bytes, esp_bytes_of(type->symbols.names[i])))
            return out;
    }
    if (type->symbol_fallback == NULL)
        return NULL;
    out->bytes = esp_bytes_of(type->symbol_fallback);
    return out;
}

struct twin_value *twin_resolve(struct esp_arena *arena, const struct twin_value *value,
                                const struct esp_avro_type *reader)
{
    if (reader->kind == ESP_AVRO_UNION) {
        for (size_t i = 0; i < reader->n_branches; i++) {
            bool is_same = value->type->kind == reader->branches[i]->kind;
            if (is_same && matches(value->type, reader->branches[i]))
                return twin_resolve(arena, value, reader->branches[i]);
        }
        for (size_t i = 0; i < reader->n_branches; i++) {
            if (matches(value->type, reader->branches[i]))
                return twin_resolve(arena, value, reader->branches[i]);
        }
        return NULL;
    }
    if (!matches(value->type, reader))
        return NULL;
    struct cursor cursor = {.arena = arena};
    struct twin_value *out = esp_arena_alloc(arena, 1, sizeof *out);
    *out = *value;
    out->type = reader;
    bool was_whole = value->type->kind == ESP_AVRO_INT || value->type->kind == ESP_AVRO_LONG;
    if (was_whole && reader->kind == ESP_AVRO_FLOAT)
        out->f = (float)value->i;
    else if (was_whole)
        out->f = (double)value->i;
    if (reader->kind == ESP_AVRO_ENUM)
        return resolve_symbol(out);
    out->parts = NULL;
    out->keys = NULL;
    out->n_parts = 0;
    if (reader->kind == ESP_AVRO_RECORD)
        resolve_fields(&cursor, value, out);
    else
        for (size_t i = 0; i < value->n_parts; i++)
            add_part(&cursor, out, value->keys[i],
                     twin_resolve(arena, value->parts[i], reader->items));
    return out;
}

const struct twin_value *twin_lookup(const struct twin_value *root, const struct test_path *path)
{
    const struct twin_value *value = root;
    for (size_t i = 0; value != NULL && i < path->n_steps; i++) {
        bool has_names = value->type->kind == ESP_AVRO_RECORD || value->type->kind == ESP_AVRO_MAP;
        value = has_names ? part_named(value, path->steps[i]) : NULL;
    }
    return value;
}

static bool is_item(const struct esp_value *value, const struct twin_value *twin)
{
    enum esp_avro_kind kind = twin == NULL ? ESP_AVRO_NULL : twin->type->kind;
    switch (kind) {
    case ESP_AVRO_BOOLEAN:
        return value->type == ESP_VALUE_BOOL && value->u.i == twin->i;
    case ESP_AVRO_INT:
    case ESP_AVRO_LONG:
        return value->type == ESP_VALUE_INT && value->u.i == twin->i;
    case ESP_AVRO_FLOAT:
    case ESP_AVRO_DOUBLE:
        return value->type == ESP_VALUE_REAL && memcmp(&value->u.f, &twin->f, sizeof(double)) == 0;
    case ESP_AVRO_STRING:
    case ESP_AVRO_ENUM:
        return value->type == ESP_VALUE_TEXT && esp_bytes_equal(value->u.bytes, twin->bytes);
    case ESP_AVRO_BYTES:
    case ESP_AVRO_FIXED:
        return value->type == ESP_VALUE_BYTES && esp_bytes_equal(value->u.bytes, twin->bytes);
    default:
        return value->type == ESP_VALUE_MISSING;
    }
}

/* An array of which no item can be a scalar is no feature. */
static bool is_feature(const struct esp_avro_type *type)
{
    return esp_want_fits(type, ESP_WANT_FEATURE, ESP_UNIT_NONE);
}

void assert_is_twin(const struct esp_value *value, const struct twin_value *twin,
                    const char *context)
{
    bool same = true;
    if (twin != NULL && twin->type->kind == ESP_AVRO_ARRAY && is_feature(twin->type)) {
        size_t n = twin->n_parts < ESP_MAX_ARRAY_ITEMS ? twin->n_parts : ESP_MAX_ARRAY_ITEMS;
        same = value->type == ESP_VALUE_ARRAY && value->n_items == n;
        for (size_t i = 0; same && i < n; i++)
            same = is_item(&value->u.items[i], twin->parts[i]);
    } else {
        same = is_item(value, twin);
    }
    if (!same)
        g_test_fail_printf("%s: a value of type %d where the twin has %s", context, value->type,
                           twin == NULL ? "nothing" : esp_avro_kind_name(twin->type->kind));
}
