/* plan_build.c - the growing program, the finished one in a single allocation, its invariants. */
#include "event/plan_build.h"

#include <stdlib.h>

#include "core/buf.h"
#include "core/check.h"

/* Makes room for n more items; false once the builder has failed. */
static bool grow(struct esp_plan_builder *builder, void **array, size_t *capacity, size_t n_now,
                 size_t n, size_t item_size)
{
    if (builder->status != ESP_OK)
        return false;
    if (n > ESP_PLAN_MAX_OPS || n_now > ESP_PLAN_MAX_OPS - n)
        builder->status =
            esp_fail(builder->err, ESP_ESCHEMA, "a plan of more than %d steps: schema too large",
                     ESP_PLAN_MAX_OPS);
    else
        builder->status = esp_array_grow(array, capacity, n_now + n, item_size, builder->err);
    return builder->status == ESP_OK;
}

static bool merges(const struct esp_plan_op *last, const struct esp_plan_op *op)
{
    return last->code == op->code && op->code >= ESP_OP_LONGS && op->code <= ESP_OP_BOOLEANS &&
           last->n <= UINT32_MAX - op->n;
}

uint32_t esp_plan_emit(struct esp_plan_builder *builder, struct esp_plan_op op)
{
    if (builder->status != ESP_OK)
        return 0;
    if (builder->n_ops > builder->barrier && merges(&builder->ops[builder->n_ops - 1], &op)) {
        builder->ops[builder->n_ops - 1].n += op.n;
        return (uint32_t)builder->n_ops - 1;
    }
    if (!grow(builder, (void **)&builder->ops, &builder->op_capacity, builder->n_ops, 1, sizeof op))
        return 0;
    builder->ops[builder->n_ops] = op;
    return (uint32_t)builder->n_ops++;
}

uint32_t esp_plan_label(struct esp_plan_builder *builder)
{
    builder->barrier = builder->n_ops;
    return (uint32_t)builder->n_ops;
}

void esp_plan_patch(struct esp_plan_builder *builder, uint32_t index)
{
    uint32_t here = esp_plan_label(builder);
    if (builder->status == ESP_OK)
        builder->ops[index].to = here;
}

uint32_t esp_plan_add_table(struct esp_plan_builder *builder, size_t n)
{
    if (!grow(builder, (void **)&builder->tables, &builder->table_capacity, builder->n_tables, n,
              sizeof *builder->tables))
        return 0;
    uint32_t first = (uint32_t)builder->n_tables;
    for (size_t i = 0; i < n; i++)
        builder->tables[builder->n_tables++] = 0;
    return first;
}

uint32_t esp_plan_add_key(struct esp_plan_builder *builder, struct esp_bytes key)
{
    if (!grow(builder, (void **)&builder->keys, &builder->key_capacity, builder->n_keys, 1,
              sizeof *builder->keys))
        return 0;
    builder->keys[builder->n_keys] = (struct esp_plan_key){.key = key};
    return (uint32_t)builder->n_keys++;
}

uint32_t esp_plan_add_constant(struct esp_plan_builder *builder, struct esp_value value)
{
    if (!grow(builder, (void **)&builder->constants, &builder->constant_capacity,
              builder->n_constants, 1, sizeof value))
        return 0;
    builder->constants[builder->n_constants] = value;
    return (uint32_t)builder->n_constants++;
}

void esp_plan_found(struct esp_plan_builder *builder, uint16_t slot)
{
    builder->n_effects++;
    if (builder->found != NULL)
        builder->found[slot] = true;
}

/* Sizes of the parts of a packed plan, in the order in which they lie. */
static size_t align_up(size_t size)
{
    return (size + 15) / 16 * 16;
}

enum esp_status esp_plan_pack(const struct esp_plan_builder *builder, struct esp_plan **out,
                              struct esp_error *err)
{
    /* Counts are below ESP_PLAN_MAX_OPS, so that no product overflows. */
    size_t head = align_up(sizeof(struct esp_plan));
    size_t ops = align_up(builder->n_ops * sizeof *builder->ops);
    size_t tables = align_up(builder->n_tables * sizeof *builder->tables);
    size_t keys = align_up(builder->n_keys * sizeof *builder->keys);
    size_t constants = builder->n_constants * sizeof *builder->constants;
    size_t n_bytes = head + ops + tables + keys + constants;
    unsigned char *block = calloc(1, n_bytes);
    if (block == NULL)
        return esp_fail(err, ESP_ENOMEM, "out of memory for a plan of %zu steps", builder->n_ops);
    struct esp_plan *plan = (struct esp_plan *)(void *)block;
    *plan = (struct esp_plan){
        .ops = (void *)(block + head),
        .tables = (void *)(block + head + ops),
        .keys = (void *)(block + head + ops + tables),
        .constants = (void *)(block + head + ops + tables + keys),
        .n_ops = builder->n_ops,
        .n_tables = builder->n_tables,
        .n_keys = builder->n_keys,
        .n_constants = builder->n_constants,
        .n_slots = builder->request->n_slots,
        .n_bytes = n_bytes,
    };
    memcpy(plan->ops, builder->ops, builder->n_ops * sizeof *plan->ops);
    if (plan->n_tables > 0)
        memcpy(plan->tables, builder->tables, plan->n_tables * sizeof *plan->tables);
    if (plan->n_keys > 0)
        memcpy(plan->keys, builder->keys, plan->n_keys * sizeof *plan->keys);
    if (plan->n_constants > 0)
        memcpy(plan->constants, builder->constants, plan->n_constants * sizeof *plan->constants);
    *out = plan;
    return ESP_OK;
}

void esp_plan_free(struct esp_plan *plan)
{
    free(plan);
}

static bool has_body(const struct esp_plan_op *op)
{
    return op->code >= ESP_OP_ARRAY && op->code <= ESP_OP_ARRAY_READ;
}

static bool has_slot(const struct esp_plan_op *op)
{
    return op->code >= ESP_OP_ARRAY_READ && op->code <= ESP_OP_TO_TIME;
}

void esp_plan_check(const struct esp_plan *plan)
{
    ESP_CHECK(3, plan->n_ops > 0 && plan->ops[plan->n_ops - 1].code == ESP_OP_END);
    for (size_t i = 0; i < plan->n_ops; i++) {
        const struct esp_plan_op *op = &plan->ops[i];
        bool jumps = op->code == ESP_OP_OPTION || op->code == ESP_OP_JUMP || has_body(op);
        ESP_CHECK(1, op->code <= ESP_OP_REWIND);
        ESP_CHECK(1, !jumps || (op->to > i && op->to < plan->n_ops));
        ESP_CHECK(1, op->code != ESP_OP_CALL || (op->to > 0 && op->to < plan->n_ops));
        ESP_CHECK(3, op->code != ESP_OP_CALL || plan->ops[op->to - 1].code == ESP_OP_END);
        ESP_CHECK(3, !has_body(op) || plan->ops[op->to - 1].code == ESP_OP_END);
        if (op->code == ESP_OP_UNION) {
            ESP_CHECK(2, op->to + (size_t)op->n <= plan->n_tables);
            for (uint32_t j = 0; j < op->n; j++)
                ESP_CHECK(1,
                          plan->tables[op->to + j] > i && plan->tables[op->to + j] < plan->n_ops);
        }
        if (op->code == ESP_OP_READ_ENUM)
            ESP_CHECK(2, op->to + (size_t)op->n <= plan->n_constants);
        if (op->code == ESP_OP_CONSTANT)
            ESP_CHECK(2, op->to < plan->n_constants);
        /* Items of an array are read with a slot of their own, 0. */
        if (has_slot(op))
            ESP_CHECK(2, op->slot < plan->n_slots);
        if (op->code == ESP_OP_MAP_READ)
            ESP_CHECK(2, op->n < plan->n_keys);
    }
    for (size_t i = 0; i < plan->n_keys; i++)
        ESP_CHECK(1, plan->keys[i].to > 0 && plan->keys[i].to < plan->n_ops);
    ESP_CHECK(2, plan->n_keys == 0 || plan->keys[plan->n_keys - 1].is_last);
}
