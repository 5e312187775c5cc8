/*
 * plan.h - a schema compiled into a flat program that runs over the bytes of a record.
 *
 * A plan checks what it passes: lengths, branches of unions, symbols of enums, booleans, ranges of
 * ints, sizes of blocks. What it is asked for goes into slots. Nested records are flattened into
 * their parent; a named type that is used more than once is a subroutine.
 *
 * INVARIANTS (esp_plan_check() asserts each by number)
 *  (1) Every jump, branch, body and call stays inside the program, and jumps go forward.
 *  (2) Every slot is below n_slots, every constant and table entry below its count.
 *  (3) The program and each of its bodies end with END.
 */
#ifndef ESP_EVENT_PLAN_H
#define ESP_EVENT_PLAN_H

#include "event/avro_path.h"
#include "event/avro_schema.h"
#include "event/event.h"

enum esp_plan_code {
    ESP_OP_END,      /* of the program, of a body, of a subroutine */
    ESP_OP_LONGS,    /* skip n longs */
    ESP_OP_INTS,     /* skip n ints */
    ESP_OP_BYTES,    /* skip n strings or bytes */
    ESP_OP_FIXED,    /* skip n bytes */
    ESP_OP_BOOLEANS, /* skip n booleans */
    ESP_OP_ENUM,     /* skip one enum of n symbols */
    ESP_OP_OPTION, /* union of null and another: null (branch n) jumps to `to`, the other goes on */
    ESP_OP_UNION,  /* n branches: jump to tables[to + branch] */
    ESP_OP_JUMP,   /* to `to` */
    ESP_OP_CALL,   /* the subroutine at `to` */
    ESP_OP_ARRAY,  /* blocks of items; the body follows, then `to`; kind 1: items are empty */
    ESP_OP_MAP,    /* blocks of pairs; as ARRAY */
    ESP_OP_MAP_READ,   /* as MAP; keys[n ...] up to its last have bodies of their own */
    ESP_OP_ARRAY_READ, /* as ARRAY; items into the scratch, the array into slot */
    /* Reads into a slot. */
    ESP_OP_READ_LONG,
    ESP_OP_READ_INT,
    ESP_OP_READ_BYTES, /* kind: enum esp_value_type */
    ESP_OP_READ_FIXED, /* n bytes */
    ESP_OP_READ_BOOLEAN,
    ESP_OP_READ_ENUM, /* of n symbols: constants[to + symbol] */
    ESP_OP_READ_FLOAT,
    ESP_OP_READ_DOUBLE,
    ESP_OP_READ_VARINT, /* the bytes of a long; n = 1: of an int */
    ESP_OP_LAST_READ = ESP_OP_READ_VARINT,
    /* Work on a slot, or on where we are. */
    ESP_OP_CONSTANT,  /* slot = constants[to] */
    ESP_OP_TO_FLOAT,  /* slot: an INT becomes a REAL, rounded to a float */
    ESP_OP_TO_DOUBLE, /* slot: an INT becomes a REAL */
    ESP_OP_TO_TIME,   /* slot: a number in kind (enum esp_time_unit) becomes an INT in us */
    ESP_OP_MARK,      /* remember where we are */
    ESP_OP_REWIND,    /* go back there: the same value is wanted again */
};

struct esp_plan_op {
    uint8_t code; /* enum esp_plan_code */
    uint8_t kind;
    uint16_t slot;
    uint32_t n;
    uint32_t to;
};

/* A wanted key of a MAP_READ. */
struct esp_plan_key {
    struct esp_bytes key; /* owned by whoever made the tree of wanted paths */
    uint32_t to;          /* its value's body */
    bool is_last;         /* of its map */
};

/* Immutable; texts in constants and keys belong to the schemas and paths that it was made from. */
struct esp_plan {
    struct esp_plan_op *ops;     /* n_ops; the one allocation that the rest is part of */
    uint32_t *tables;            /* n_tables */
    struct esp_plan_key *keys;   /* n_keys */
    struct esp_value *constants; /* n_constants */
    size_t n_ops, n_tables, n_keys, n_constants, n_slots;
    size_t n_bytes; /* of the one allocation */
};

enum {
    ESP_PLAN_MAX_OPS = 1 << 18,
    ESP_PLAN_MAX_DEPTH = 64, /* of arrays, maps and calls inside one another, in a record */
};

/* A value that esp_plan_run() may leave in a slot beside enum esp_value_type: a time that no
 * int64_t of microseconds holds. */
enum { ESP_VALUE_OUT_OF_RANGE = 0xfe };

struct esp_plan_request {
    const struct esp_schema *writer;
    const struct esp_schema *reader; /* NULL: the writer's own fields */
    const struct esp_want *want;     /* NULL: nothing is read */
    size_t n_slots;
    enum esp_time_unit time_unit; /* overrules logical types; NONE: it is theirs to tell */
    bool is_whole; /* goes to the record's end; else stops after the last value that is wanted */
    struct esp_arena *arena; /* owns texts of constants; lives as long as the plan */
};

/*
 * Compiles.
 *
 * out_found  may be NULL; (n_slots) true where some record may give a value or a default exists
 * Errors: ESP_ESCHEMA (the plan would be too large; the reader's root does not match the
 * writer's), ESP_ENOMEM.
 */
enum esp_status esp_plan_new(const struct esp_plan_request *request, struct esp_plan **out,
                             bool *out_found, struct esp_error *err);
void esp_plan_free(struct esp_plan *plan);

/* Asserts the invariants. */
void esp_plan_check(const struct esp_plan *plan);

/*
 * Runs over the record at the head of bytes.
 *
 * slots    (n_slots), all set: MISSING where nothing was found. May be NULL if n_slots is 0
 * scratch  for arrays; may be NULL if none is read
 * Returns how many bytes were passed; -1: malformed; -2: out of memory for an array.
 */
ptrdiff_t esp_plan_run(const struct esp_plan *plan, struct esp_bytes bytes, struct esp_value *slots,
                       struct esp_value_scratch *scratch);

/* Reads a varint that is all of bytes. False: it is none. */
bool esp_varint_get(struct esp_bytes bytes, int64_t *out);

#endif
