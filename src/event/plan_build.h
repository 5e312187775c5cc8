/*
 * plan_build.h - a plan under construction: the program grows op by op.
 *
 * The first failure is noted in the builder; what follows it does nothing, so that the compiler
 * needs to look only once.
 */
#ifndef ESP_EVENT_PLAN_BUILD_H
#define ESP_EVENT_PLAN_BUILD_H

#include "event/plan.h"

struct esp_plan_builder {
    const struct esp_plan_request *request;
    struct esp_plan_op *ops;
    uint32_t *tables;
    struct esp_plan_key *keys;
    struct esp_value *constants;
    size_t n_ops, n_tables, n_keys, n_constants;
    size_t op_capacity, table_capacity, key_capacity, constant_capacity;
    size_t barrier;     /* ops below this are not merged with what comes: something jumps here */
    unsigned nest;      /* unions, arrays and maps around what is being compiled */
    size_t n_effects;   /* ops so far that put something into a slot */
    size_t n_settled;   /* of these, the ones that last_effect knows of */
    size_t last_effect; /* where a plan that is not whole may end */
    size_t last_keys;   /* n_keys there */
    const struct esp_avro_type **called; /* by type index: records that are called */
    bool *found;                         /* by slot; may be NULL */
    enum esp_status status;
    struct esp_error *err;
};

/* Appends an op; equal runs are merged. Returns its index. */
uint32_t esp_plan_emit(struct esp_plan_builder *builder, struct esp_plan_op op);

/* Says that something jumps to what comes next. Returns where that is. */
uint32_t esp_plan_label(struct esp_plan_builder *builder);

/* Points op `index` at what comes next. */
void esp_plan_patch(struct esp_plan_builder *builder, uint32_t index);

/* Appends n table entries, one key, one constant. Each returns the first one's index. */
uint32_t esp_plan_add_table(struct esp_plan_builder *builder, size_t n);
uint32_t esp_plan_add_key(struct esp_plan_builder *builder, struct esp_bytes key);
uint32_t esp_plan_add_constant(struct esp_plan_builder *builder, struct esp_value value);

/* Notes that a value was found for a slot. */
void esp_plan_found(struct esp_plan_builder *builder, uint16_t slot);

/* Compiles a reader's default for whatever is wanted at and below a node. */
void esp_plan_default(struct esp_plan_builder *builder, const struct esp_avro_type *type,
                      const json_t *json, const struct esp_want *want);

/* Packs what was built into one allocation. */
enum esp_status esp_plan_pack(const struct esp_plan_builder *builder, struct esp_plan **out,
                              struct esp_error *err);

#endif
