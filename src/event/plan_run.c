/*
 * plan_run.c - runs a plan over a record.
 *
 * DESIGN  One loop over the program; `at` stays in a register and NULL says that the record is
 * malformed. Arrays, maps and calls run their body by recursion, bounded by ESP_PLAN_MAX_DEPTH,
 * so that hostile data cannot use up the stack. Every item of an array or map takes at least a
 * byte, or is known to be empty, so that no count makes us loop longer than the record.
 */
#include <math.h>
#include <stdlib.h>

#include "core/buf.h"
#include "event/avro_bytes.h"
#include "event/plan.h"

/* In a slot until the run is over: an array that begins at scratch item u.i. */
enum { ARRAY_AT = 0xff };

struct run {
    const struct esp_plan *plan;
    const uint8_t *end;
    struct esp_value *slots;
    struct esp_value_scratch *scratch;
    const uint8_t *mark;
    unsigned depth;
    bool no_memory;
};

/* Number in a unit to microseconds, to the nearest, halves away from zero. */
static void to_time(struct esp_value *value, enum esp_time_unit unit)
{
    static const int64_t factors[] = {[ESP_UNIT_NONE] = 1,
                                      [ESP_UNIT_S] = 1000000,
                                      [ESP_UNIT_MS] = 1000,
                                      [ESP_UNIT_US] = 1,
                                      [ESP_UNIT_NS] = 1};
    struct esp_value out = {.type = ESP_VALUE_OUT_OF_RANGE};
    if (value->type == ESP_VALUE_INT && unit == ESP_UNIT_NS) {
        int64_t ns = value->u.i, half = ns < 0 ? -500 : 500;
        out = (struct esp_value){.type = ESP_VALUE_INT, .u.i = ns / 1000 + (ns % 1000) / half};
    } else if (value->type == ESP_VALUE_INT) {
        int64_t us;
        if (!__builtin_mul_overflow(value->u.i, factors[unit], &us))
            out = (struct esp_value){.type = ESP_VALUE_INT, .u.i = us};
    } else if (value->type == ESP_VALUE_REAL) {
        double us = unit == ESP_UNIT_NS ? value->u.f / 1000 : value->u.f * (double)factors[unit];
        if (fabs(us) < 0x1p62) /* false for NaN */
            out = (struct esp_value){.type = ESP_VALUE_INT, .u.i = llround(us)};
    }
    if (value->type != ESP_VALUE_MISSING)
        *value = out;
}

static const uint8_t *run_blocks(struct run *run, const struct esp_plan_op *op, const uint8_t *at);

static inline void put_int(struct esp_value *slot, enum esp_value_type type, int64_t value)
{
    *slot = (struct esp_value){.type = (uint8_t)type, .u.i = value};
}

static inline void put_real(struct esp_value *slot, double value)
{
    *slot = (struct esp_value){.type = ESP_VALUE_REAL, .u.f = value};
}

/* Reads what is bytes in the record and in the slot. */
static inline const uint8_t *read_bytes(struct esp_value *slot, const struct esp_plan_op *op,
                                        const uint8_t *at, const uint8_t *end)
{
    const uint8_t *begin = at;
    uint8_t type = ESP_VALUE_BYTES;
    int64_t value;
    if (op->code == ESP_OP_READ_BYTES) {
        type = op->kind;
        at = esp_avro_run(at, end, &begin);
    } else if (op->code == ESP_OP_READ_FIXED) {
        at = op->n > (size_t)(end - at) ? NULL : at + op->n;
    } else {
        at = op->n == 1 ? esp_avro_int(at, end, &value) : esp_avro_long(at, end, &value);
    }
    if (at != NULL)
        *slot = (struct esp_value){.type = type, .u.bytes = {begin, (size_t)(at - begin)}};
    return at;
}

static inline const uint8_t *read_real(struct esp_value *slot, bool is_float, const uint8_t *at,
                                       const uint8_t *end)
{
    float f32;
    double f64;
    size_t size = is_float ? sizeof f32 : sizeof f64;
    if (size > (size_t)(end - at))
        return NULL;
    if (is_float) {
        memcpy(&f32, at, sizeof f32);
        f64 = (double)f32;
    } else {
        memcpy(&f64, at, sizeof f64);
    }
    put_real(slot, f64);
    return at + size;
}

/* One op that reads a value into its slot. */
static inline const uint8_t *run_read(struct run *run, const struct esp_plan_op *op,
                                      const uint8_t *at)
{
    struct esp_value *slot = &run->slots[op->slot];
    const uint8_t *end = run->end;
    int64_t value = 0;
    uint32_t index = 0;
    switch ((enum esp_plan_code)op->code) {
    case ESP_OP_READ_LONG:
        at = esp_avro_long(at, end, &value);
        put_int(slot, ESP_VALUE_INT, value);
        return at;
    case ESP_OP_READ_INT:
        at = esp_avro_int(at, end, &value);
        put_int(slot, ESP_VALUE_INT, value);
        return at;
    case ESP_OP_READ_BOOLEAN:
        if (at == end || *at > 1)
            return NULL;
        put_int(slot, ESP_VALUE_BOOL, *at);
        return at + 1;
    case ESP_OP_READ_ENUM:
        at = esp_avro_index(at, end, op->n, &index);
        if (at != NULL)
            *slot = run->plan->constants[op->to + index];
        return at;
    case ESP_OP_READ_FLOAT:
    case ESP_OP_READ_DOUBLE:
        return read_real(slot, op->code == ESP_OP_READ_FLOAT, at, end);
    default:
        return read_bytes(slot, op, at, end);
    }
}

/* One op that works on what a slot holds already, or on where we are. */
static const uint8_t *run_other(struct run *run, const struct esp_plan_op *op, const uint8_t *at)
{
    struct esp_value *slot = &run->slots[op->slot];
    switch ((enum esp_plan_code)op->code) {
    case ESP_OP_CONSTANT:
        *slot = run->plan->constants[op->to];
        return at;
    case ESP_OP_TO_FLOAT:
        put_real(slot, (double)(float)slot->u.i);
        return at;
    case ESP_OP_TO_DOUBLE:
        put_real(slot, (double)slot->u.i);
        return at;
    case ESP_OP_TO_TIME:
        to_time(slot, (enum esp_time_unit)op->kind);
        return at;
    case ESP_OP_MARK:
        run->mark = at;
        return at;
    case ESP_OP_REWIND:
        return run->mark;
    default:
        return NULL;
    }
}

/* Runs from op to its END. Returns where the record goes on, or NULL. */
static const uint8_t *run_ops(struct run *run, const struct esp_plan_op *op, const uint8_t *at)
{
    const struct esp_plan_op *ops = run->plan->ops;
    const uint8_t *end = run->end;
    uint32_t index = 0;
    while (at != NULL) {
        switch ((enum esp_plan_code)op->code) {
        case ESP_OP_END:
            return at;
        case ESP_OP_LONGS:
            at = esp_avro_skip_longs(at, end, op->n);
            break;
        case ESP_OP_INTS:
            at = esp_avro_skip_ints(at, end, op->n);
            break;
        case ESP_OP_BYTES:
            at = esp_avro_skip_runs(at, end, op->n);
            break;
        case ESP_OP_FIXED:
            at = op->n > (size_t)(end - at) ? NULL : at + op->n;
            break;
        case ESP_OP_BOOLEANS:
            at = esp_avro_skip_booleans(at, end, op->n);
            break;
        case ESP_OP_ENUM:
            at = esp_avro_index(at, end, op->n, &index);
            break;
        case ESP_OP_OPTION:
            at = esp_avro_index(at, end, 2, &index);
            if (at == NULL)
                return NULL;
            op = index == op->n ? ops + op->to : op + 1;
            continue;
        case ESP_OP_UNION:
            at = esp_avro_index(at, end, op->n, &index);
            if (at == NULL)
                return NULL;
            op = ops + run->plan->tables[op->to + index];
            continue;
        case ESP_OP_JUMP:
            op = ops + op->to;
            continue;
        case ESP_OP_CALL:
            if (run->depth == ESP_PLAN_MAX_DEPTH)
                return NULL;
            run->depth++;
            at = run_ops(run, ops + op->to, at);
            run->depth--;
            break;
        case ESP_OP_ARRAY:
        case ESP_OP_MAP:
        case ESP_OP_MAP_READ:
        case ESP_OP_ARRAY_READ:
            at = run_blocks(run, op, at);
            op = ops + op->to;
            continue;
        default:
            at = op->code <= ESP_OP_LAST_READ ? run_read(run, op, at) : run_other(run, op, at);
        }
        op++;
    }
    return NULL;
}

/* A body that is one run of equal fields: n records of it are one longer run. */
static bool run_simple(const struct esp_plan_op *body, uint64_t n, const uint8_t *end,
                       const uint8_t **at)
{
    uint64_t total;
    if (body[1].code != ESP_OP_END || __builtin_mul_overflow(n, body->n, &total))
        return false;
    if (body->code == ESP_OP_LONGS)
        *at = esp_avro_skip_longs(*at, end, total);
    else if (body->code == ESP_OP_INTS)
        *at = esp_avro_skip_ints(*at, end, total);
    else if (body->code == ESP_OP_BYTES)
        *at = esp_avro_skip_runs(*at, end, total);
    else if (body->code == ESP_OP_FIXED)
        *at = total > (uint64_t)(end - *at) ? NULL : *at + total;
    else
        return false;
    return true;
}

/* Reads one item into the array that began at scratch item `first`; past the cap it is dropped. */
static const uint8_t *run_item(struct run *run, const struct esp_plan_op *body, size_t first,
                               const uint8_t *at)
{
    struct esp_value dropped = {0}, *slots = run->slots, *item = &dropped;
    struct esp_value_scratch *scratch = run->scratch;
    if (scratch->n - first < ESP_MAX_ARRAY_ITEMS) {
        if (esp_array_grow((void **)&scratch->items, &scratch->capacity, scratch->n + 1,
                           sizeof *scratch->items, NULL) != ESP_OK) {
            run->no_memory = true;
            return NULL;
        }
        item = &scratch->items[scratch->n++];
        *item = dropped;
    }
    run->slots = item;
    at = run_ops(run, body, at);
    run->slots = slots;
    return at;
}

/* One pair of a map: the body of its key if that is wanted, else the one that skips. */
static const uint8_t *run_pair(struct run *run, const struct esp_plan_op *op, const uint8_t *at)
{
    const uint8_t *begin;
    at = esp_avro_run(at, run->end, &begin);
    if (at == NULL)
        return NULL;
    const struct esp_plan_op *body = op + 1;
    if (op->code == ESP_OP_MAP_READ) {
        const struct esp_plan_key *key = &run->plan->keys[op->n];
        for (;; key++) {
            if (esp_bytes_equal(key->key, esp_bytes(begin, (size_t)(at - begin)))) {
                body = run->plan->ops + key->to;
                break;
            }
            if (key->is_last)
                break;
        }
    }
    return run_ops(run, body, at);
}

/* The items of one block. count > 0. */
static const uint8_t *run_block(struct run *run, const struct esp_plan_op *op, uint64_t count,
                                size_t first, const uint8_t *at)
{
    bool is_empty = op->kind == 1;
    if (!is_empty && count > (uint64_t)(run->end - at))
        return NULL;
    switch ((enum esp_plan_code)op->code) {
    case ESP_OP_ARRAY:
        if (is_empty || run_simple(op + 1, count, run->end, &at))
            return at;
        for (; count > 0 && at != NULL; count--)
            at = run_ops(run, op + 1, at);
        return at;
    case ESP_OP_ARRAY_READ:
        if (is_empty && count > ESP_MAX_ARRAY_ITEMS)
            count = ESP_MAX_ARRAY_ITEMS;
        for (; count > 0 && at != NULL; count--)
            at = run_item(run, op + 1, first, at);
        return at;
    default:
        for (; count > 0 && at != NULL; count--)
            at = run_pair(run, op, at);
        return at;
    }
}

/* Blocks: a count and its items, until a count of 0; a negative count is followed by the block's
 * size in bytes, which must be true. */
static const uint8_t *run_blocks(struct run *run, const struct esp_plan_op *op, const uint8_t *at)
{
    size_t first = op->code == ESP_OP_ARRAY_READ ? run->scratch->n : 0;
    if (run->depth == ESP_PLAN_MAX_DEPTH)
        return NULL;
    run->depth++;
    while (at != NULL) {
        int64_t count, size = 0;
        at = esp_avro_small(at, run->end, &count);
        if (at == NULL || count == 0)
            break;
        if (count < 0)
            at = esp_avro_small(at, run->end, &size);
        if (at == NULL || size < 0 || size > run->end - at)
            return NULL;
        const uint8_t *block_end = count < 0 ? at + size : NULL;
        uint64_t n = count < 0 ? 0 - (uint64_t)count : (uint64_t)count;
        at = run_block(run, op, n, first, at);
        if (block_end != NULL && at != block_end)
            return NULL;
    }
    run->depth--;
    if (op->code == ESP_OP_ARRAY_READ && at != NULL)
        run->slots[op->slot] = (struct esp_value){.type = ARRAY_AT,
                                                  .n_items = (uint32_t)(run->scratch->n - first),
                                                  .u.i = (int64_t)first};
    return at;
}

ptrdiff_t esp_plan_run(const struct esp_plan *plan, struct esp_bytes bytes, struct esp_value *slots,
                       struct esp_value_scratch *scratch)
{
    static const uint8_t nothing[1];
    const uint8_t *begin = bytes.data != NULL ? bytes.data : nothing;
    struct run run = {.plan = plan, .end = begin + bytes.size, .slots = slots, .scratch = scratch};
    if (scratch != NULL)
        scratch->n = 0;
    for (size_t i = 0; i < plan->n_slots; i++)
        slots[i] = (struct esp_value){.type = ESP_VALUE_MISSING};
    const uint8_t *at = run_ops(&run, plan->ops, begin);
    if (at == NULL)
        return run.no_memory ? -2 : -1;
    /* The scratch does not move any more: arrays can point into it. */
    for (size_t i = 0; scratch != NULL && i < plan->n_slots; i++) {
        if (slots[i].type == ARRAY_AT) {
            slots[i].type = ESP_VALUE_ARRAY;
            slots[i].u.items = slots[i].n_items > 0 ? scratch->items + slots[i].u.i : NULL;
        }
    }
    return at - begin;
}

const uint8_t *esp_avro_long_slow(const uint8_t *at, const uint8_t *end, int64_t *out)
{
    uint64_t raw = 0;
    for (unsigned shift = 0; at < end && shift < 70; shift += 7) {
        uint8_t byte = *at++;
        if (shift == 63 && byte > 1)
            return NULL;
        raw |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *out = esp_avro_unzigzag(raw);
            return at;
        }
    }
    return NULL;
}

bool esp_varint_get(struct esp_bytes bytes, int64_t *out)
{
    const uint8_t *end = bytes.data + bytes.size;
    return bytes.size > 0 && esp_avro_long_slow(bytes.data, end, out) == end;
}
