/*
 * table.c - the dynamic embedding table. See table.h; eviction is in eviction.c, saving in
 * table_archive.c.
 *
 * INVARIANTS (esp_table_check() asserts each by number)
 *  (1) The capacity is a power of two, and at most 3/4 of the slots are used.
 *  (2) Every key in a slot is found by its search, and its row is below n_begun.
 *  (3) No two slots have the same row.
 *  (4) Every row below n_begun is in a slot or in the chain of free rows, never in both.
 *  (5) Row f is feature f's default row.
 *  (6) n_begun <= max_rows, and the memory in use is within the budget that max_rows came from.
 */
#include "learn/table.h"

#include <sys/mman.h>

#include "core/check.h"
#include "core/hash.h"

#include "learn/eviction.h"
#include "model/network.h"

enum {
    FIRST_CAPACITY = 1024,
    HUGE_PAGE = 1 << 21,
    SLOT_BYTES = sizeof(uint64_t) + sizeof(uint32_t),
    ADMISSION_SHARE = 16, /* of the budget, for counts */
};

static size_t stride_of(size_t width, size_t n_slots)
{
    return (width + n_slots + 3) / 4 * 4; /* rows begin at multiples of 16 bytes */
}

static uint64_t admission_budget(const struct esp_table_config *config)
{
    return config->admit_after > 1 ? config->max_bytes / ADMISSION_SHARE : 0;
}

size_t esp_table_max_rows(const struct esp_table_config *config)
{
    uint64_t budget = config->max_bytes - admission_budget(config);
    uint64_t row_bytes =
        stride_of(config->width, config->n_slots) * sizeof(float) + sizeof(struct esp_row_meta);
    uint64_t best = 0;
    /* while the index doubles, the old one and the new one are both there: 3/2 of the new one */
    for (uint64_t capacity = FIRST_CAPACITY; capacity <= UINT64_C(1) << 32; capacity *= 2) {
        uint64_t index_bytes = capacity / 2 * 3 * SLOT_BYTES;
        if (index_bytes >= budget)
            break;
        uint64_t n = (budget - index_bytes) / row_bytes;
        n = n < capacity / 4 * 3 ? n : capacity / 4 * 3;
        best = n > best ? n : best;
    }
    return best < ESP_NO_ROW ? (size_t)best : ESP_NO_ROW - 1;
}

static enum esp_status map_rows(struct esp_table *table, struct esp_error *err)
{
    size_t row_bytes = table->max_rows * table->stride * sizeof(float);
    size_t meta_bytes = table->max_rows * sizeof(struct esp_row_meta);
    void *rows = mmap(NULL, row_bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (rows == MAP_FAILED)
        return esp_fail(err, ESP_ENOMEM, "out of memory for %zu bytes of embedding rows",
                        row_bytes);
    table->rows = rows;
    void *meta = mmap(NULL, meta_bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (meta == MAP_FAILED)
        return esp_fail(err, ESP_ENOMEM, "out of memory for %zu bytes for embedding rows",
                        meta_bytes);
    table->meta = meta;
    /* Only advice: a random visit then misses the TLB far less often. */
    madvise(rows, row_bytes, MADV_HUGEPAGE);
    madvise(meta, meta_bytes, MADV_HUGEPAGE);
    return ESP_OK;
}

/* Zeroed memory, in huge pages where it is large: a random look-up then rarely misses the TLB. The
 * arrays of an index are powers of two. NULL: there is none. To be freed by free(). */
static void *new_array(size_t bytes)
{
    if (bytes < HUGE_PAGE)
        return calloc(1, bytes);
    void *memory = aligned_alloc(HUGE_PAGE, bytes);
    if (!memory)
        return NULL;
    madvise(memory, bytes, MADV_HUGEPAGE);
    memset(memory, 0, bytes);
    return memory;
}

static enum esp_status new_index(size_t capacity, uint64_t **out_keys, uint32_t **out_row_of,
                                 struct esp_error *err)
{
    uint64_t *keys = new_array(capacity * sizeof(*keys));
    uint32_t *row_of = new_array(capacity * sizeof(*row_of));
    if (!keys || !row_of) {
        free(keys);
        free(row_of);
        return esp_fail(err, ESP_ENOMEM, "out of memory for an embedding index of %zu slots",
                        capacity);
    }
    *out_keys = keys;
    *out_row_of = row_of;
    return ESP_OK;
}

/* Takes over an index in place of the table's. */
static void set_index(struct esp_table *table, size_t capacity, uint64_t *keys, uint32_t *row_of)
{
    free(table->keys);
    free(table->row_of);
    table->keys = keys;
    table->row_of = row_of;
    table->capacity = capacity;
}

/* Replaces the index by one of the given capacity with the same entries. */
static enum esp_status resize_index(struct esp_table *table, size_t capacity, struct esp_error *err)
{
    uint64_t *keys;
    uint32_t *row_of;
    enum esp_status status = new_index(capacity, &keys, &row_of, err);
    if (status != ESP_OK)
        return status;
    for (size_t i = 0; i < table->capacity; i++) {
        if (table->keys[i] == 0)
            continue;
        size_t slot = (size_t)table->keys[i] & (capacity - 1);
        while (keys[slot] != 0)
            slot = (slot + 1) & (capacity - 1);
        keys[slot] = table->keys[i];
        row_of[slot] = table->row_of[i];
    }
    set_index(table, capacity, keys, row_of);
    return ESP_OK;
}

bool esp_table_may_have(const struct esp_table *table, uint64_t capacity)
{
    /* it doubled when its half was full, and there were rows left then */
    return (capacity & (capacity - 1)) == 0 && capacity >= FIRST_CAPACITY &&
           (capacity == FIRST_CAPACITY || capacity / 8 * 3 < table->max_rows);
}

enum esp_status esp_table_empty_index(struct esp_table *table, size_t capacity,
                                      struct esp_error *err)
{
    uint64_t *keys;
    uint32_t *row_of;
    enum esp_status status = new_index(capacity, &keys, &row_of, err);
    if (status != ESP_OK)
        return status;
    set_index(table, capacity, keys, row_of);
    table->n_used = 0;
    return ESP_OK;
}

/* A row for a key that has none; there is room. The first weights depend on the key alone. */
static enum esp_status add_row(struct esp_table *table, uint64_t key, uint32_t *out,
                               struct esp_error *err)
{
    if (table->n_used + 1 > table->capacity / 4 * 3) {
        enum esp_status status = resize_index(table, table->capacity * 2, err);
        if (status != ESP_OK)
            return status;
    }
    uint32_t row = table->first_free;
    if (row != ESP_NO_ROW)
        table->first_free = table->meta[row].place;
    else
        row = (uint32_t)table->n_begun++;
    table->meta[row] = (struct esp_row_meta){.trained_us = INT64_MIN};
    float *w = table->rows + (size_t)row * table->stride;
    uint64_t base = esp_hash_domain(ESP_DOMAIN_INIT, esp_bytes(&key, sizeof(key)), table->seed);
    for (size_t d = 0; d < table->width; d++)
        w[d] = table->deviation * esp_normal_of_bits(esp_mix64(base + d));
    for (size_t d = table->width; d < table->stride; d++)
        w[d] = d < table->width + table->n_slots ? table->slot_initial : 0;
    struct esp_table_view view = esp_table_view(table);
    size_t slot = esp_table_slot(&view, key);
    table->keys[slot] = key;
    table->row_of[slot] = row;
    table->n_used++;
    *out = row;
    return ESP_OK;
}

static enum esp_status add_defaults(struct esp_table *table, const uint64_t *keys,
                                    struct esp_error *err)
{
    for (size_t f = 0; f < table->n_features; f++) {
        struct esp_table_view view = esp_table_view(table);
        if (esp_table_find(&view, keys[f]) != ESP_NO_ROW)
            return esp_fail(err, ESP_ECONFIG, "two features have the same default key; rename one");
        enum esp_status status = add_row(table, keys[f], &table->defaults[f], err);
        if (status != ESP_OK)
            return status;
    }
    return ESP_OK;
}

enum esp_status esp_table_init(struct esp_table *table, const struct esp_table_config *config,
                               struct esp_error *err)
{
    *table = (struct esp_table){
        .width = config->width,
        .n_slots = config->n_slots,
        .stride = stride_of(config->width, config->n_slots),
        .n_features = config->n_features,
        .slot_initial = config->slot_initial,
        .deviation = config->deviation,
        .seed = config->seed,
        .max_rows = esp_table_max_rows(config),
        .first_free = ESP_NO_ROW,
    };
    if (table->max_rows < config->n_features)
        return esp_fail(err, ESP_ECONFIG,
                        "%llu bytes hold %zu embedding rows; %zu features need more",
                        (unsigned long long)config->max_bytes, table->max_rows, config->n_features);
    enum esp_status status = map_rows(table, err);
    if (status == ESP_OK)
        status = esp_admission_init(&table->admission, config->admit_after,
                                    admission_budget(config), err);
    if (status == ESP_OK)
        status = resize_index(table, FIRST_CAPACITY, err);
    if (status != ESP_OK)
        return status;
    table->defaults = calloc(config->n_features, sizeof(*table->defaults));
    table->default_keys = calloc(config->n_features, sizeof(*table->default_keys));
    if (!table->defaults || !table->default_keys)
        return esp_fail(err, ESP_ENOMEM, "out of memory for default rows");
    memcpy(table->default_keys, config->default_keys,
           config->n_features * sizeof(*table->default_keys));
    return add_defaults(table, config->default_keys, err);
}

void esp_table_release(struct esp_table *table)
{
    free(table->keys);
    free(table->row_of);
    free(table->defaults);
    free(table->default_keys);
    free(table->touched);
    if (table->rows)
        munmap(table->rows, table->max_rows * table->stride * sizeof(float));
    if (table->meta)
        munmap(table->meta, table->max_rows * sizeof(struct esp_row_meta));
    esp_admission_release(&table->admission);
    *table = (struct esp_table){.first_free = ESP_NO_ROW};
}

struct esp_table_view esp_table_view(const struct esp_table *table)
{
    return (struct esp_table_view){.keys = table->keys,
                                   .row_of = table->row_of,
                                   .mask = table->capacity - 1,
                                   .rows = table->rows,
                                   .stride = table->stride,
                                   .defaults = table->defaults};
}

enum esp_status esp_table_begin(struct esp_table *table, size_t n_pairs, struct esp_error *err)
{
    table->n_touched = 0;
    /* a batch of n_pairs touches at most as many rows, and each default row */
    size_t n_wanted = n_pairs + table->n_features;
    void *touched = table->touched;
    enum esp_status status =
        esp_array_grow(&touched, &table->touched_capacity, n_wanted, sizeof(*table->touched), err);
    table->touched = touched;
    if (status != ESP_OK)
        return status;
    size_t n_left = table->max_rows - table->n_used;
    if (n_left < n_pairs) {
        size_t n_evicted = n_pairs - n_left;
        n_evicted = n_evicted > table->n_used / 8 ? n_evicted : table->n_used / 8;
        esp_table_evict(table, n_evicted);
    }
    return ESP_OK;
}

enum esp_status esp_table_train(struct esp_table *table, uint64_t key, size_t feature,
                                uint32_t known, bool sight, uint32_t *out_row, uint32_t *out_place,
                                struct esp_error *err)
{
    uint32_t row = known;
    if (row == ESP_NO_ROW) {
        struct esp_table_view view = esp_table_view(table);
        row = esp_table_find(&view, key);
    }
    if (row == ESP_NO_ROW && sight && table->n_used < table->max_rows &&
        esp_admission_sight(&table->admission, key)) {
        enum esp_status status = add_row(table, key, &row, err);
        if (status != ESP_OK)
            return status;
        table->n_admitted++;
    }
    if (row == ESP_NO_ROW)
        row = table->defaults[feature];
    /* A sparse set (Briggs and Torczon, 1993): nothing needs clearing between batches. */
    uint32_t place = table->meta[row].place;
    if (place >= table->n_touched || table->touched[place] != row) {
        place = (uint32_t)table->n_touched;
        table->touched[table->n_touched++] = row;
        table->meta[row].place = place;
    }
    *out_row = row;
    *out_place = place;
    return ESP_OK;
}

size_t esp_table_n_rows(const struct esp_table *table)
{
    return table->n_used;
}

uint64_t esp_table_bytes(const struct esp_table *table)
{
    return (uint64_t)table->capacity * SLOT_BYTES +
           (uint64_t)table->n_begun *
               (table->stride * sizeof(float) + sizeof(struct esp_row_meta)) +
           esp_admission_bytes(&table->admission);
}

/* A sum does not care where in the index a row stands, and needs no memory to sort them. */
uint64_t esp_table_hash(const struct esp_table *table)
{
    uint64_t hash = esp_mix64(table->n_used);
    for (size_t i = 0; i < table->capacity; i++) {
        if (table->keys[i] == 0)
            continue;
        size_t row = table->row_of[i];
        const struct esp_row_meta *meta = &table->meta[row];
        uint64_t parts[4] = {
            table->keys[i], (uint64_t)meta->trained_us, meta->steps,
            esp_hash(esp_bytes(table->rows + row * table->stride, table->stride * sizeof(float)))};
        hash += esp_hash(esp_bytes(parts, sizeof(parts)));
    }
    return hash;
}

void esp_table_check(const struct esp_table *table)
{
    struct esp_table_view view = esp_table_view(table);
    uint8_t *seen = calloc(table->n_begun + 1, 1);
    ESP_CHECK(0, seen != NULL);
    ESP_CHECK(1, (table->capacity & (table->capacity - 1)) == 0 && table->capacity > 0);
    ESP_CHECK(1, table->n_used <= table->capacity / 4 * 3);
    size_t n_used = 0, n_free = 0;
    for (size_t i = 0; i < table->capacity; i++) {
        if (table->keys[i] == 0)
            continue;
        n_used++;
        uint32_t row = table->row_of[i];
        ESP_CHECK(2, esp_table_slot(&view, table->keys[i]) == i && row < table->n_begun);
        ESP_CHECK(3, seen[row] == 0);
        seen[row] = 1;
    }
    for (uint32_t row = table->first_free; row != ESP_NO_ROW; row = table->meta[row].place) {
        ESP_CHECK(4, row < table->n_begun && seen[row] == 0);
        seen[row] = 1;
        n_free++;
    }
    ESP_CHECK(4, n_used == table->n_used && n_used + n_free == table->n_begun);
    for (size_t f = 0; f < table->n_features; f++)
        ESP_CHECK(5, table->defaults[f] == f && seen[f] == 1);
    ESP_CHECK(6, table->n_begun <= table->max_rows);
    free(seen);
}
