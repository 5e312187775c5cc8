/*
 * plan_default.c - a reader's default as constants of a plan.
 *
 * Source: Avro 1.11 specification, "Complex Types": the table of field default values. A default
 * that its type cannot have is taken for no default.
 */
#include "core/varint.h"
#include "event/plan_build.h"

#include <stdlib.h>

static bool json_fits(const struct esp_avro_type *type, const json_t *json)
{
    switch (type->kind) {
    case ESP_AVRO_NULL:
        return json_is_null(json);
    case ESP_AVRO_BOOLEAN:
        return json_is_boolean(json);
    case ESP_AVRO_INT:
        return json_is_integer(json) && json_integer_value(json) >= INT32_MIN &&
               json_integer_value(json) <= INT32_MAX;
    case ESP_AVRO_LONG:
        return json_is_integer(json);
    case ESP_AVRO_FLOAT:
    case ESP_AVRO_DOUBLE:
        return json_is_number(json);
    case ESP_AVRO_ARRAY:
        return json_is_array(json);
    case ESP_AVRO_RECORD:
    case ESP_AVRO_MAP:
        return json_is_object(json);
    case ESP_AVRO_UNION:
        return false;
    default:
        return json_is_string(json);
    }
}

/* A default of a union is of its first branch; later editions allow any, the first that fits. */
static const struct esp_avro_type *branch_of(const struct esp_avro_type *type, const json_t *json)
{
    for (size_t i = 0; i < type->n_branches; i++) {
        if (json_fits(type->branches[i], json))
            return type->branches[i];
    }
    return json_fits(type, json) ? type : NULL;
}

/* Bytes of a bytes or fixed default: each code point of the text below 256 is a byte. */
static bool latin_bytes(struct esp_arena *arena, const json_t *json, struct esp_bytes *out)
{
    const unsigned char *text = (const unsigned char *)json_string_value(json);
    size_t size = json_string_length(json), n = 0;
    uint8_t *bytes = esp_arena_alloc(arena, size, 1);
    if (bytes == NULL)
        return false;
    for (size_t i = 0; i < size; i++) {
        if (text[i] >= 0x80) { /* jansson's text is valid UTF-8: U+0080..U+00FF are C2 xx, C3 xx */
            if (text[i] > 0xc3)
                return false;
            bytes[n++] = (uint8_t)((text[i] & 0x03) << 6 | (text[i + 1] & 0x3f));
            i++;
        } else {
            bytes[n++] = text[i];
        }
    }
    *out = esp_bytes(bytes, n);
    return true;
}

/* A scalar as a value. False: not possible. */
static bool to_value(struct esp_arena *arena, const struct esp_avro_type *type, const json_t *json,
                     struct esp_value *out)
{
    *out = (struct esp_value){.type = ESP_VALUE_MISSING};
    switch (type->kind) {
    case ESP_AVRO_BOOLEAN:
        *out = (struct esp_value){.type = ESP_VALUE_BOOL, .u.i = json_is_true(json)};
        return true;
    case ESP_AVRO_INT:
    case ESP_AVRO_LONG:
        *out = (struct esp_value){.type = ESP_VALUE_INT, .u.i = json_integer_value(json)};
        return true;
    case ESP_AVRO_FLOAT:
        *out = (struct esp_value){.type = ESP_VALUE_REAL,
                                  .u.f = (double)(float)json_number_value(json)};
        return true;
    case ESP_AVRO_DOUBLE:
        *out = (struct esp_value){.type = ESP_VALUE_REAL, .u.f = json_number_value(json)};
        return true;
    case ESP_AVRO_STRING:
    case ESP_AVRO_ENUM:
        *out = (struct esp_value){.type = ESP_VALUE_TEXT,
                                  .u.bytes =
                                      esp_bytes(json_string_value(json), json_string_length(json))};
        return true;
    case ESP_AVRO_BYTES:
    case ESP_AVRO_FIXED:
        out->type = ESP_VALUE_BYTES;
        return latin_bytes(arena, json, &out->u.bytes) &&
               (type->kind == ESP_AVRO_BYTES || out->u.bytes.size == type->size);
    default:
        return type->kind == ESP_AVRO_NULL;
    }
}

/* The bytes that a number would have in a record, as ids and holdout keys need them. */
static bool to_raw(struct esp_arena *arena, const struct esp_avro_type *type,
                   struct esp_value *value)
{
    uint8_t bytes[10];
    size_t n = 1;
    float f32 = (float)value->u.f;
    if (value->type == ESP_VALUE_INT) {
        n = esp_varint_put(value->u.i, bytes);
    } else if (value->type == ESP_VALUE_BOOL) {
        bytes[0] = (uint8_t)value->u.i;
    } else if (value->type == ESP_VALUE_REAL) {
        n = type->kind == ESP_AVRO_FLOAT ? sizeof f32 : sizeof value->u.f;
        memcpy(bytes, type->kind == ESP_AVRO_FLOAT ? (void *)&f32 : (void *)&value->u.f, n);
    } else {
        return true; /* bytes already, or missing */
    }
    uint8_t *copy = esp_arena_alloc(arena, n, 1);
    if (copy == NULL)
        return false;
    memcpy(copy, bytes, n);
    *value = (struct esp_value){.type = ESP_VALUE_BYTES, .u.bytes = esp_bytes(copy, n)};
    return true;
}

static bool to_array(struct esp_arena *arena, const struct esp_avro_type *type, const json_t *json,
                     struct esp_value *out)
{
    size_t n = json_array_size(json);
    if (n > ESP_MAX_ARRAY_ITEMS)
        n = ESP_MAX_ARRAY_ITEMS;
    struct esp_value *items = esp_arena_alloc(arena, n, sizeof *items);
    if (items == NULL)
        return false;
    for (size_t i = 0; i < n; i++) {
        const json_t *item = json_array_get(json, i);
        const struct esp_avro_type *of = branch_of(type->items, item);
        if (of == NULL || (esp_want_fits(of, ESP_WANT_ITEM, ESP_UNIT_NONE) &&
                           !to_value(arena, of, item, &items[i])))
            return false;
    }
    *out = (struct esp_value){.type = ESP_VALUE_ARRAY, .n_items = (uint32_t)n, .u.items = items};
    return true;
}

static void put_constant(struct esp_plan_builder *builder, const struct esp_avro_type *type,
                         const json_t *json, struct esp_want_slot slot)
{
    struct esp_arena *arena = builder->request->arena;
    enum esp_time_unit unit = builder->request->time_unit;
    if (unit == ESP_UNIT_NONE)
        unit = esp_avro_time_unit(type);
    struct esp_value value;
    bool is_array = slot.use == ESP_WANT_FEATURE && type->kind == ESP_AVRO_ARRAY;
    if (type->kind != ESP_AVRO_NULL && !esp_want_fits(type, (enum esp_want_use)slot.use, unit))
        return;
    if (!(is_array ? to_array(arena, type, json, &value) : to_value(arena, type, json, &value)))
        return;
    if ((slot.use == ESP_WANT_ID || slot.use == ESP_WANT_KEY) && !to_raw(arena, type, &value))
        return;
    uint32_t constant = esp_plan_add_constant(builder, value);
    esp_plan_emit(builder,
                  (struct esp_plan_op){.code = ESP_OP_CONSTANT, .slot = slot.slot, .to = constant});
    if (slot.use == ESP_WANT_TIME && value.type != ESP_VALUE_MISSING)
        esp_plan_emit(
            builder,
            (struct esp_plan_op){.code = ESP_OP_TO_TIME, .slot = slot.slot, .kind = (uint8_t)unit});
    esp_plan_found(builder, slot.slot);
}

void esp_plan_default(struct esp_plan_builder *builder, const struct esp_avro_type *type,
                      const json_t *json, const struct esp_want *want)
{
    type = json == NULL ? NULL : branch_of(type, json);
    if (type == NULL)
        return;
    for (size_t i = 0; i < want->n_slots; i++)
        put_constant(builder, type, json, want->slots[i]);
    for (const struct esp_want *child = want->children; child != NULL; child = child->next) {
        const char *step = (const char *)child->step.data;
        if (type->kind == ESP_AVRO_MAP)
            esp_plan_default(builder, type->items, json_object_getn(json, step, child->step.size),
                             child);
        if (type->kind != ESP_AVRO_RECORD)
            continue;
        const struct esp_avro_field *field = esp_avro_find_field(type, step, child->step.size);
        if (field == NULL)
            continue;
        const json_t *part = json_object_get(json, field->name);
        esp_plan_default(builder, field->type, part != NULL ? part : field->fallback, child);
    }
}
