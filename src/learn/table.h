/*
 * table.h - the dynamic embedding table: rows that come with their keys and go when memory is full.
 *
 * DESIGN  An index of open addressing (keys, row numbers), and rows that never move:
 *
 *     keys    u64 (capacity)                    0: empty; linear probing, at most 3/4 full
 *     row_of  u32 (capacity)                    the row of each slot
 *     rows    f32 (max_rows, stride)            D weights, then the optimizer's slots
 *     meta    struct esp_row_meta (max_rows)    16 bytes
 *
 * A training visit of a row of width 16 with 16 slots costs its two cache lines and one of meta.
 * Rows and meta are address space reserved for the whole budget; a page costs memory when its
 * first row is admitted. The index doubles. Rows 0 to F-1 are the features' default rows; they are
 * never evicted. Rows that were evicted are taken again, last out first in.
 */
#ifndef ESP_LEARN_TABLE_H
#define ESP_LEARN_TABLE_H

#include "core/archive.h"
#include "core/status.h"
#include "learn/admission.h"
#include "model/lookup.h"

struct esp_row_meta {
    int64_t trained_us; /* stream time of the last training */
    uint32_t place;     /* in the touched list, if the list says so too; free rows: the next one */
    uint32_t steps;     /* trainings so far */
};

struct esp_table_config {
    size_t width;       /* D */
    size_t n_slots;     /* floats of optimizer state a row */
    float slot_initial; /* their first value */
    float deviation;    /* of initial weights */
    uint64_t seed;      /* of this table's initial weights */
    uint32_t admit_after;
    uint64_t max_bytes;
    const uint64_t *default_keys; /* (F), borrowed for the call */
    size_t n_features;
};

struct esp_table {
    size_t width, n_slots, stride; /* floats */
    size_t n_features;
    float slot_initial, deviation;
    uint64_t seed;
    uint64_t *keys; /* (capacity) */
    uint32_t *row_of;
    size_t capacity; /* slots, a power of two */
    size_t n_used;   /* slots that hold a key */
    float *rows;     /* (max_rows, stride), mapped */
    struct esp_row_meta *meta;
    size_t max_rows;
    size_t n_begun;         /* rows that were ever in use: 0 .. n_begun-1 */
    uint32_t first_free;    /* of those: a chain through meta.place; ESP_NO_ROW: none */
    uint32_t *defaults;     /* (F) 0 .. F-1, for the view */
    uint64_t *default_keys; /* (F) */
    struct esp_admission admission;
    uint32_t *touched; /* rows that the batch under way trains, in order of first use */
    size_t n_touched, touched_capacity;
    uint64_t n_admitted, n_evicted; /* ever; default rows are not counted */
};

/* Rows that a budget can hold, default rows included; 0: not even one. */
size_t esp_table_max_rows(const struct esp_table_config *config);

/* Errors: ESP_ECONFIG (two features with one default key), ESP_ENOMEM. */
enum esp_status esp_table_init(struct esp_table *table, const struct esp_table_config *config,
                               struct esp_error *err);
void esp_table_release(struct esp_table *table);

/* For reading; valid until the next call that may admit. */
struct esp_table_view esp_table_view(const struct esp_table *table);

/*
 * Begins a training batch of at most n_pairs keys: empties the touched list, and if fewer than
 * n_pairs rows are left, evicts those whose last training is oldest, an eighth of all or as many
 * as are needed. Rows stay where they are until the next begin.
 * Errors: ESP_ENOMEM.
 */
enum esp_status esp_table_begin(struct esp_table *table, size_t n_pairs, struct esp_error *err);

/*
 * The row that a training example reads and trains for a key of a feature: its own, admitting it
 * if this sighting is the one; else the feature's default row. The row joins the touched list.
 *
 * known  the row if it was looked up since begin, else ESP_NO_ROW
 * sight  false: no sighting is counted (the key's second use in one example)
 * place  its place in the touched list
 * Errors: ESP_ENOMEM.
 */
enum esp_status esp_table_train(struct esp_table *table, uint64_t key, size_t feature,
                                uint32_t known, bool sight, uint32_t *out_row, uint32_t *out_place,
                                struct esp_error *err);

/* Rows in use, default rows included. */
size_t esp_table_n_rows(const struct esp_table *table);

/* Memory in use: index, rows, meta, admission counts. */
uint64_t esp_table_bytes(const struct esp_table *table);

/* The sum, over the rows, of the XXH3 of (key, row, last training, steps): equal for equal content,
 * wherever in the index a row stands. */
uint64_t esp_table_hash(const struct esp_table *table);

/* Writes or reads the table as it stands, between two batches; reading, into one that was made with
 * the same configuration, whose reserved memory the rows are read into. */
void esp_table_archive(struct esp_archive *archive, struct esp_table *table);

/*
 * Takes index and weights of another table of the same configuration, as a snapshot holds them. All
 * else is as if the rows were new, but that they were last trained at trained_us; rows in no slot
 * are free.
 * After a failure the table may only be released. Errors: ESP_EDATA (they are no table's that this
 * one could be), ESP_ENOMEM.
 */
enum esp_status esp_table_take(struct esp_table *table, const struct esp_table_view *view,
                               size_t n_rows, int64_t trained_us, struct esp_error *err);

/* Writes or reads what a table has beyond index and weights; reading, after esp_table_take(). */
void esp_table_rest_archive(struct esp_archive *archive, struct esp_table *table);

/* For those who fill a table: whether an index of such a table may have so many slots; replaces the
 * index by an empty one, which then has no default rows. Errors: ESP_ENOMEM. */
bool esp_table_may_have(const struct esp_table *table, uint64_t capacity);
enum esp_status esp_table_empty_index(struct esp_table *table, size_t capacity,
                                      struct esp_error *err);

/* Asserts the invariants of table.c by number. */
void esp_table_check(const struct esp_table *table);

#endif
