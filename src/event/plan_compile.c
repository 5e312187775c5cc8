/*
 * plan_compile.c - walks a writer's schema, beside it a reader's and the tree of what is wanted,
 * and emits a plan.
 *
 * DESIGN  The writer's schema alone decides how many bytes are passed; the reader's decides what
 * a value is called and what it becomes. Only what is wanted is resolved: a part of the reader's
 * schema that nobody reads need not match. A wanted value whose types do not match is missing.
 */
#include <stdlib.h>

#include "event/avro_resolve.h"
#include "event/plan_build.h"

/* What is wanted of a value: its type here, what the reader makes of it, and the node. */
struct spot {
    const struct esp_avro_type *writer;
    const struct esp_avro_type *reader; /* NULL: the writer's own */
    const struct esp_want *want;        /* NULL: nothing is wanted */
};

static void compile(struct esp_plan_builder *builder, struct spot spot);

static void skip(struct esp_plan_builder *builder, const struct esp_avro_type *type)
{
    compile(builder, (struct spot){.writer = type});
}

/* Notes where a plan that stops early may end: after the last effect, outside of any union or
 * loop. */
static void settle(struct esp_plan_builder *builder)
{
    if (builder->nest == 0 && builder->n_effects > builder->n_settled) {
        builder->n_settled = builder->n_effects;
        builder->last_effect = esp_plan_label(builder);
        builder->last_keys = builder->n_keys;
    }
}

static void compile_option(struct esp_plan_builder *builder, struct spot spot, size_t null_branch)
{
    uint32_t op = esp_plan_emit(
        builder, (struct esp_plan_op){.code = ESP_OP_OPTION, .n = (uint32_t)null_branch});
    esp_plan_label(builder);
    spot.writer = spot.writer->branches[1 - null_branch];
    compile(builder, spot);
    esp_plan_patch(builder, op);
}

static void compile_union(struct esp_plan_builder *builder, struct spot spot)
{
    const struct esp_avro_type *type = spot.writer;
    uint32_t n = (uint32_t)type->n_branches, first = esp_plan_add_table(builder, n);
    esp_plan_emit(builder, (struct esp_plan_op){.code = ESP_OP_UNION, .n = n, .to = first});
    uint32_t jump = 0; /* the last branch's jump; each holds the one before, 0 ends the chain */
    for (uint32_t i = 0; i < n; i++) {
        uint32_t here = esp_plan_label(builder);
        if (builder->status == ESP_OK)
            builder->tables[first + i] = here;
        spot.writer = type->branches[i];
        compile(builder, spot);
        if (i + 1 < n)
            jump = esp_plan_emit(builder, (struct esp_plan_op){.code = ESP_OP_JUMP, .to = jump});
    }
    while (jump != 0 && builder->status == ESP_OK) {
        uint32_t before = builder->ops[jump].to;
        esp_plan_patch(builder, jump);
        jump = before;
    }
    esp_plan_label(builder);
}

static void compile_branches(struct esp_plan_builder *builder, struct spot spot)
{
    const struct esp_avro_type *type = spot.writer;
    builder->nest++;
    if (type->n_branches == 2 && type->branches[0]->kind == ESP_AVRO_NULL)
        compile_option(builder, spot, 0);
    else if (type->n_branches == 2 && type->branches[1]->kind == ESP_AVRO_NULL)
        compile_option(builder, spot, 1);
    else
        compile_union(builder, spot);
    builder->nest--;
}

static void end_body(struct esp_plan_builder *builder)
{
    esp_plan_emit(builder, (struct esp_plan_op){.code = ESP_OP_END});
    esp_plan_label(builder);
}

/* Arrays and maps of which nothing is wanted. */
static void skip_items(struct esp_plan_builder *builder, const struct esp_avro_type *type)
{
    struct esp_plan_op op = {.code = type->kind == ESP_AVRO_ARRAY ? ESP_OP_ARRAY : ESP_OP_MAP,
                             .kind = type->items->is_empty};
    uint32_t loop = esp_plan_emit(builder, op);
    esp_plan_label(builder);
    skip(builder, type->items);
    end_body(builder);
    esp_plan_patch(builder, loop);
}

static void skip_record(struct esp_plan_builder *builder, const struct esp_avro_type *type)
{
    if (type->n_uses > 1) { /* once for all, and the end of a recursion */
        builder->called[type->index] = type;
        esp_plan_emit(builder, (struct esp_plan_op){.code = ESP_OP_CALL, .to = type->index});
        return;
    }
    for (size_t i = 0; i < type->n_fields; i++)
        skip(builder, type->fields[i].type);
}

static void skip_value(struct esp_plan_builder *builder, const struct esp_avro_type *type)
{
    static const struct esp_plan_op ops[ESP_N_AVRO_KINDS] = {
        [ESP_AVRO_BOOLEAN] = {.code = ESP_OP_BOOLEANS, .n = 1},
        [ESP_AVRO_INT] = {.code = ESP_OP_INTS, .n = 1},
        [ESP_AVRO_LONG] = {.code = ESP_OP_LONGS, .n = 1},
        [ESP_AVRO_FLOAT] = {.code = ESP_OP_FIXED, .n = sizeof(float)},
        [ESP_AVRO_DOUBLE] = {.code = ESP_OP_FIXED, .n = sizeof(double)},
        [ESP_AVRO_BYTES] = {.code = ESP_OP_BYTES, .n = 1},
        [ESP_AVRO_STRING] = {.code = ESP_OP_BYTES, .n = 1},
        [ESP_AVRO_FIXED] = {.code = ESP_OP_FIXED},
        [ESP_AVRO_ENUM] = {.code = ESP_OP_ENUM},
    };
    struct esp_plan_op op = ops[type->kind];
    if (type->is_empty)
        return;
    if (type->kind == ESP_AVRO_ARRAY || type->kind == ESP_AVRO_MAP) {
        skip_items(builder, type);
    } else if (type->kind == ESP_AVRO_RECORD) {
        skip_record(builder, type);
    } else {
        if (type->kind == ESP_AVRO_FIXED)
            op.n = (uint32_t)type->size;
        else if (type->kind == ESP_AVRO_ENUM)
            op.n = (uint32_t)type->symbols.n;
        esp_plan_emit(builder, op);
    }
}

/* A constant for each of the writer's symbols: it, the reader's default, or missing. */
static uint32_t add_symbols(struct esp_plan_builder *builder, const struct esp_avro_type *writer,
                            const struct esp_avro_type *reader)
{
    uint32_t first = (uint32_t)builder->n_constants;
    for (size_t i = 0; i < writer->symbols.n; i++) {
        const char *symbol = writer->symbols.names[i], *known = reader->symbol_fallback;
        for (size_t j = 0; j < reader->symbols.n; j++) {
            if (strcmp(reader->symbols.names[j], symbol) == 0)
                known = symbol;
        }
        struct esp_value value = {.type = ESP_VALUE_MISSING};
        if (known != NULL)
            value = (struct esp_value){.type = ESP_VALUE_TEXT, .u.bytes = esp_bytes_of(known)};
        esp_plan_add_constant(builder, value);
    }
    return first;
}

/* Reads a scalar's value, as the reader's type. */
static void read_value(struct esp_plan_builder *builder, struct spot spot, uint16_t slot)
{
    const struct esp_avro_type *writer = spot.writer;
    const struct esp_avro_type *target = spot.reader != NULL ? spot.reader : writer;
    struct esp_plan_op op = {.slot = slot};
    switch (writer->kind) {
    case ESP_AVRO_BOOLEAN:
        op.code = ESP_OP_READ_BOOLEAN;
        break;
    case ESP_AVRO_INT:
        op.code = ESP_OP_READ_INT;
        break;
    case ESP_AVRO_LONG:
        op.code = ESP_OP_READ_LONG;
        break;
    case ESP_AVRO_FLOAT:
        op.code = ESP_OP_READ_FLOAT;
        break;
    case ESP_AVRO_DOUBLE:
        op.code = ESP_OP_READ_DOUBLE;
        break;
    case ESP_AVRO_ENUM:
        op.code = ESP_OP_READ_ENUM;
        op.n = (uint32_t)writer->symbols.n;
        op.to = add_symbols(builder, writer, target);
        break;
    case ESP_AVRO_FIXED:
        op.code = ESP_OP_READ_FIXED;
        op.n = (uint32_t)writer->size;
        break;
    default:
        op.code = ESP_OP_READ_BYTES;
        op.kind = target->kind == ESP_AVRO_STRING ? ESP_VALUE_TEXT : ESP_VALUE_BYTES;
    }
    esp_plan_emit(builder, op);
    bool is_whole = writer->kind == ESP_AVRO_INT || writer->kind == ESP_AVRO_LONG;
    if (is_whole && (target->kind == ESP_AVRO_FLOAT || target->kind == ESP_AVRO_DOUBLE))
        esp_plan_emit(builder, (struct esp_plan_op){.code = target->kind == ESP_AVRO_FLOAT
                                                                ? ESP_OP_TO_FLOAT
                                                                : ESP_OP_TO_DOUBLE,
                                                    .slot = slot});
}

/* Reads a scalar's bytes as they stand in the record; an enum's as its symbol's. */
static void read_raw(struct esp_plan_builder *builder, struct spot spot, uint16_t slot)
{
    struct esp_plan_op op = {.code = ESP_OP_READ_FIXED, .slot = slot};
    switch (spot.writer->kind) {
    case ESP_AVRO_INT:
    case ESP_AVRO_LONG:
        op.code = ESP_OP_READ_VARINT;
        op.n = spot.writer->kind == ESP_AVRO_INT;
        break;
    case ESP_AVRO_BOOLEAN:
        op.n = 1;
        break;
    case ESP_AVRO_FLOAT:
        op.n = sizeof(float);
        break;
    case ESP_AVRO_DOUBLE:
        op.n = sizeof(double);
        break;
    default:
        read_value(builder, spot, slot);
        return;
    }
    esp_plan_emit(builder, op);
}

static void read_array(struct esp_plan_builder *builder, struct spot spot, uint16_t slot)
{
    struct esp_want_slot item_slot = {.slot = 0, .use = ESP_WANT_ITEM};
    const struct esp_want item = {.slots = &item_slot, .n_slots = 1};
    bool *found = builder->found;
    struct esp_plan_op op = {
        .code = ESP_OP_ARRAY_READ, .kind = spot.writer->items->is_empty, .slot = slot};
    uint32_t loop = esp_plan_emit(builder, op);
    esp_plan_label(builder);
    builder->nest++;
    builder->found = NULL; /* the item's slot is not one of ours */
    compile(builder, (struct spot){.writer = spot.writer->items,
                                   .reader = spot.reader != NULL ? spot.reader->items : NULL,
                                   .want = &item});
    builder->found = found;
    builder->nest--;
    end_body(builder);
    esp_plan_patch(builder, loop);
}

/* The unit of a time: configured, else the writer's, who knows what it wrote, else the reader's. */
static enum esp_time_unit unit_of(const struct esp_plan_builder *builder, struct spot spot)
{
    enum esp_time_unit unit = builder->request->time_unit;
    if (unit == ESP_UNIT_NONE)
        unit = esp_avro_time_unit(spot.writer);
    if (unit == ESP_UNIT_NONE && spot.reader != NULL)
        unit = esp_avro_time_unit(spot.reader);
    return unit;
}

static void read_slot(struct esp_plan_builder *builder, struct spot spot, struct esp_want_slot slot)
{
    if (slot.use == ESP_WANT_ID || slot.use == ESP_WANT_KEY)
        read_raw(builder, spot, slot.slot);
    else if (spot.writer->kind == ESP_AVRO_ARRAY)
        read_array(builder, spot, slot.slot);
    else
        read_value(builder, spot, slot.slot);
    if (slot.use == ESP_WANT_TIME)
        esp_plan_emit(builder, (struct esp_plan_op){.code = ESP_OP_TO_TIME,
                                                    .kind = (uint8_t)unit_of(builder, spot),
                                                    .slot = slot.slot});
    esp_plan_found(builder, slot.slot);
}

/* Reads a value into every slot that wants it and that it fits; false: into none. */
static bool read_slots(struct esp_plan_builder *builder, struct spot spot)
{
    const struct esp_avro_type *target = spot.reader != NULL ? spot.reader : spot.writer;
    const struct esp_want_slot *last = NULL;
    for (size_t i = 0; i < spot.want->n_slots; i++) {
        const struct esp_want_slot *slot = &spot.want->slots[i];
        if (!esp_want_fits(target, (enum esp_want_use)slot->use, unit_of(builder, spot)))
            continue;
        if (last != NULL) { /* the same value once more: read it, go back, read it again */
            esp_plan_emit(builder, (struct esp_plan_op){.code = ESP_OP_MARK});
            read_slot(builder, spot, *last);
            esp_plan_emit(builder, (struct esp_plan_op){.code = ESP_OP_REWIND});
        }
        last = slot;
    }
    if (last != NULL)
        read_slot(builder, spot, *last);
    return last != NULL;
}

static void forget_slots(struct esp_plan_builder *builder, const struct esp_want *want,
                         uint32_t missing)
{
    for (size_t i = 0; i < want->n_slots; i++)
        esp_plan_emit(builder, (struct esp_plan_op){.code = ESP_OP_CONSTANT,
                                                    .slot = want->slots[i].slot,
                                                    .to = missing});
    for (const struct esp_want *child = want->children; child != NULL; child = child->next)
        forget_slots(builder, child, missing);
}

/* A map: every wanted key has a body. A key that comes twice counts as it stands last. */
static void read_map(struct esp_plan_builder *builder, struct spot spot)
{
    const struct esp_want *child = spot.want->children;
    uint32_t missing =
        esp_plan_add_constant(builder, (struct esp_value){.type = ESP_VALUE_MISSING});
    uint32_t key = (uint32_t)builder->n_keys;
    for (; child != NULL; child = child->next)
        esp_plan_add_key(builder, child->step);
    if (builder->status != ESP_OK)
        return;
    builder->keys[builder->n_keys - 1].is_last = true;
    builder->nest++;
    uint32_t loop = esp_plan_emit(builder, (struct esp_plan_op){.code = ESP_OP_MAP_READ, .n = key});
    esp_plan_label(builder);
    skip(builder, spot.writer->items);
    end_body(builder);
    for (child = spot.want->children; child != NULL; child = child->next, key++) {
        builder->keys[key].to = esp_plan_label(builder);
        forget_slots(builder, child, missing);
        compile(builder, (struct spot){.writer = spot.writer->items,
                                       .reader = spot.reader != NULL ? spot.reader->items : NULL,
                                       .want = child});
        end_body(builder);
    }
    builder->nest--;
    esp_plan_patch(builder, loop);
}

/* What is wanted of a writer's field, and as what. */
static struct spot spot_of_field(const struct spot *record, const struct esp_avro_field *field)
{
    struct spot spot = {.writer = field->type};
    for (const struct esp_want *child = record->want->children; child != NULL;
         child = child->next) {
        const char *step = (const char *)child->step.data;
        const struct esp_avro_type *named =
            record->reader != NULL ? record->reader : record->writer;
        const struct esp_avro_field *wanted = esp_avro_find_field(named, step, child->step.size);
        if (wanted == NULL)
            continue;
        if (record->reader != NULL &&
            esp_avro_writer_field(record->writer, record->reader, wanted) != field)
            continue;
        if (record->reader == NULL && wanted != field)
            continue;
        spot.reader = record->reader != NULL ? wanted->type : NULL;
        spot.want = child;
        break;
    }
    return spot;
}

static void read_record(struct esp_plan_builder *builder, struct spot spot)
{
    const struct esp_want *child = spot.reader != NULL ? spot.want->children : NULL;
    for (; child != NULL; child = child->next) { /* fields that the writer lacks */
        const struct esp_avro_field *field =
            esp_avro_find_field(spot.reader, (const char *)child->step.data, child->step.size);
        if (field != NULL && esp_avro_writer_field(spot.writer, spot.reader, field) == NULL)
            esp_plan_default(builder, field->type, field->fallback, child);
    }
    for (size_t i = 0; i < spot.writer->n_fields; i++) {
        compile(builder, spot_of_field(&spot, &spot.writer->fields[i]));
        settle(builder);
    }
}

static void compile(struct esp_plan_builder *builder, struct spot spot)
{
    if (builder->status != ESP_OK)
        return;
    if (spot.writer->kind == ESP_AVRO_UNION) {
        compile_branches(builder, spot);
        return;
    }
    if (spot.want != NULL && spot.reader != NULL) {
        spot.reader = esp_avro_reader_type(spot.writer, spot.reader);
        if (spot.reader == NULL)
            spot.want = NULL; /* no match: missing */
    }
    bool has_children = spot.want != NULL && spot.want->children != NULL;
    if (spot.want != NULL && read_slots(builder, spot))
        return;
    if (has_children && spot.writer->kind == ESP_AVRO_RECORD)
        read_record(builder, spot);
    else if (has_children && spot.writer->kind == ESP_AVRO_MAP)
        read_map(builder, spot);
    else
        skip_value(builder, spot.writer);
}

/* Gives every called record its subroutine. Those may call others: the program grows meanwhile. */
static enum esp_status add_subroutines(struct esp_plan_builder *builder)
{
    size_t n_types = builder->request->writer->n_types;
    uint32_t *begins = calloc(n_types, sizeof *begins); /* by type index; 0: none yet */
    if (begins == NULL)
        return esp_fail(builder->err, ESP_ENOMEM, "out of memory for a plan");
    for (size_t i = 0; builder->status == ESP_OK && i < builder->n_ops; i++) {
        if (builder->ops[i].code != ESP_OP_CALL)
            continue;
        uint32_t index = builder->ops[i].to;
        if (begins[index] == 0) {
            const struct esp_avro_type *type = builder->called[index];
            begins[index] = esp_plan_label(builder);
            for (size_t j = 0; j < type->n_fields; j++)
                skip(builder, type->fields[j].type);
            end_body(builder);
        }
        if (builder->status == ESP_OK)
            builder->ops[i].to = begins[index];
    }
    free(begins);
    return builder->status;
}

static enum esp_status compile_all(struct esp_plan_builder *builder)
{
    const struct esp_plan_request *request = builder->request;
    struct spot root = {.writer = request->writer->root, .want = request->want};
    if (request->reader != NULL && request->want != NULL)
        root.reader = request->reader->root;
    compile(builder, root);
    settle(builder);
    if (!request->is_whole && builder->status == ESP_OK) {
        builder->n_ops = builder->last_effect;
        builder->n_keys = builder->last_keys;
    }
    end_body(builder);
    return builder->status == ESP_OK ? add_subroutines(builder) : builder->status;
}

enum esp_status esp_plan_new(const struct esp_plan_request *request, struct esp_plan **out,
                             bool *out_found, struct esp_error *err)
{
    struct esp_plan_builder builder = {.request = request, .found = out_found, .err = err};
    for (size_t i = 0; out_found != NULL && i < request->n_slots; i++)
        out_found[i] = false;
    builder.called = calloc(request->writer->n_types, sizeof *builder.called);
    enum esp_status status = ESP_OK;
    if (builder.called == NULL)
        status = esp_fail(err, ESP_ENOMEM, "out of memory for a plan");
    if (status == ESP_OK)
        status = compile_all(&builder);
    if (status == ESP_OK)
        status = esp_plan_pack(&builder, out, err);
    free(builder.called);
    free(builder.ops);
    free(builder.tables);
    free(builder.keys);
    free(builder.constants);
    return status;
}
