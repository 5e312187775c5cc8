/*
 * table_archive.c - a table in a checkpoint, and beside a snapshot.
 *
 * A checkpoint holds all of a table. A snapshot holds index and weights as tensors; what the table
 * needs beyond these to go on is its rest:
 *
 *     esp_table_archive()          esp_table_rest_archive()
 *     mark, dimensions             mark, dimensions
 *     capacity, keys, row_of
 *     n_begun, rows                n_begun, the slots of each row
 *     meta, chain of free rows, counters, admission counts
 *
 * The index goes as it stands, row numbers of empty slots included, and so do free rows: a snapshot
 * holds them too, and has the same bytes whether the learner was restored or not.
 *
 * What is read may be anything, so all that table.c takes for granted is checked before the table
 * is used; the contents of weights and slots are not.
 */
#include "learn/table.h"

enum {
    SLOT_BYTES = sizeof(uint64_t) + sizeof(uint32_t),
    WORD_BITS = 64,
    FREE_STEPS = UINT32_MAX, /* of free rows: see eviction.c */
};

static void dimensions_archive(struct esp_archive *archive, const struct esp_table *table)
{
    esp_archive_same(archive, table->width, "the width of an embedding row");
    esp_archive_same(archive, table->n_slots, "the optimizer's numbers of an embedding row");
    esp_archive_same(archive, table->n_features, "the number of features");
    esp_archive_same(archive, table->max_rows, "the number of rows that table_memory holds");
}

static void index_archive(struct esp_archive *archive, struct esp_table *table)
{
    size_t capacity = table->capacity;
    esp_archive_count(archive, &capacity, SLOT_BYTES);
    if (!esp_archive_check(archive, esp_table_may_have(table, capacity),
                           "the size of an embedding index"))
        return;
    struct esp_error err = {0};
    if (esp_archive_reads(archive) && esp_table_empty_index(table, capacity, &err) != ESP_OK)
        esp_archive_fail(archive, err.status, "%s", err.text);
    if (!esp_archive_is_ok(archive))
        return;
    esp_archive_bytes(archive, table->keys, capacity * sizeof(*table->keys));
    esp_archive_bytes(archive, table->row_of, capacity * sizeof(*table->row_of));
}

/* The number of rows, each of row_bytes in the archive. False: it failed. */
static bool n_begun_archive(struct esp_archive *archive, struct esp_table *table, size_t row_bytes)
{
    size_t n = table->n_begun;
    esp_archive_count(archive, &n, row_bytes);
    if (!esp_archive_check(archive, n >= table->n_features && n <= table->max_rows,
                           "the number of embedding rows"))
        return false;
    table->n_begun = n;
    return true;
}

/* What both kinds have at their end. */
static void end_archive(struct esp_archive *archive, struct esp_table *table)
{
    esp_archive_bytes(archive, table->meta, table->n_begun * sizeof(*table->meta));
    esp_archive_u32(archive, &table->first_free);
    esp_archive_u64(archive, &table->n_admitted);
    esp_archive_u64(archive, &table->n_evicted);
    esp_admission_archive(archive, &table->admission);
}

/* ---- what was read --------------------------------------------------------------------------- */

/* Sets a row's bit; false if it was set. */
static bool take_row(uint64_t *taken, uint32_t row)
{
    uint64_t bit = UINT64_C(1) << (row % WORD_BITS);
    bool was_free = (taken[row / WORD_BITS] & bit) == 0;
    taken[row / WORD_BITS] |= bit;
    return was_free;
}

/* Every free row is in the chain, once. */
static bool chain_is_sound(const struct esp_table *table, size_t n_free)
{
    uint32_t row = table->first_free;
    for (size_t n = 0; n < n_free; n++) {
        if (row >= table->n_begun || table->meta[row].steps != FREE_STEPS)
            return false;
        row = table->meta[row].place;
    }
    return row == ESP_NO_ROW;
}

static bool defaults_are_sound(const struct esp_table *table)
{
    struct esp_table_view view = esp_table_view(table);
    for (size_t f = 0; f < table->n_features; f++)
        if (esp_table_find(&view, table->default_keys[f]) != f)
            return false;
    return true;
}

/* What breaks invariants (1) to (5), or NULL; counts n_used. taken has a bit a row, all 0. */
static const char *find_fault(struct esp_table *table, uint64_t *taken)
{
    size_t n_free = 0;
    table->n_used = 0;
    for (size_t row = 0; row < table->n_begun; row++)
        if (table->meta[row].steps == FREE_STEPS)
            n_free += take_row(taken, (uint32_t)row);
    for (size_t i = 0; i < table->capacity; i++)
        table->n_used += table->keys[i] != 0;
    if (table->n_used > table->capacity / 4 * 3)
        return "the number of keys";
    if (table->n_used + n_free != table->n_begun)
        return "the number of free embedding rows";
    struct esp_table_view view = esp_table_view(table);
    for (size_t i = 0; i < table->capacity; i++) {
        if (table->keys[i] == 0)
            continue;
        if (table->row_of[i] >= table->n_begun || !take_row(taken, table->row_of[i]))
            return "the row of a key";
        if (esp_table_slot(&view, table->keys[i]) != i)
            return "the slot of a key";
    }
    if (!chain_is_sound(table, n_free))
        return "the chain of free embedding rows";
    return defaults_are_sound(table) ? NULL : "the default row of a feature";
}

/* Checks a table that was filled. Errors: ESP_EDATA, ESP_ENOMEM. */
static enum esp_status check_filled(struct esp_table *table, struct esp_error *err)
{
    uint64_t *taken = calloc(table->n_begun / WORD_BITS + 1, sizeof(*taken));
    if (!taken)
        return esp_fail(err, ESP_ENOMEM, "out of memory for a bit for each of %zu embedding rows",
                        table->n_begun);
    const char *fault = find_fault(table, taken);
    free(taken);
    return fault ? esp_fail(err, ESP_EDATA, "%s is not possible", fault) : ESP_OK;
}

static void check_read(struct esp_archive *archive, struct esp_table *table)
{
    struct esp_error err = {0};
    if (!esp_archive_reads(archive) || !esp_archive_is_ok(archive))
        return;
    table->n_touched = 0;
    if (check_filled(table, &err) != ESP_OK)
        esp_archive_fail(archive, err.status, "%s", err.text);
}

/* ---- the table ------------------------------------------------------------------------------- */

void esp_table_archive(struct esp_archive *archive, struct esp_table *table)
{
    size_t row_bytes = table->stride * sizeof(*table->rows);
    esp_archive_mark(archive, "embedding table", 1);
    dimensions_archive(archive, table);
    index_archive(archive, table);
    if (!n_begun_archive(archive, table, row_bytes + sizeof(*table->meta)))
        return;
    esp_archive_bytes(archive, table->rows, table->n_begun * row_bytes);
    end_archive(archive, table);
    check_read(archive, table);
}

void esp_table_rest_archive(struct esp_archive *archive, struct esp_table *table)
{
    size_t slot_bytes = table->n_slots * sizeof(*table->rows), n_rows = table->n_begun;
    esp_archive_mark(archive, "embedding table's rest", 1);
    dimensions_archive(archive, table);
    if (!n_begun_archive(archive, table, slot_bytes + sizeof(*table->meta)) ||
        !esp_archive_check(archive, table->n_begun == n_rows, "the number of embedding rows"))
        return;
    for (size_t row = 0; row < n_rows && slot_bytes > 0; row++)
        esp_archive_bytes(archive, table->rows + row * table->stride + table->width, slot_bytes);
    end_archive(archive, table);
    check_read(archive, table);
}

/* ---- from a snapshot ------------------------------------------------------------------------- */

static void fill_rows(struct esp_table *table, const struct esp_table_view *view)
{
    for (size_t row = 0; row < table->n_begun; row++) {
        float *w = table->rows + row * table->stride;
        memcpy(w, view->rows + row * view->stride, table->width * sizeof(*w));
        for (size_t d = table->width; d < table->stride; d++)
            w[d] = d < table->width + table->n_slots ? table->slot_initial : 0;
    }
}

/* Rows of keys begin anew; the others become the chain of free rows, lowest first. */
static void fill_meta(struct esp_table *table, int64_t trained_us)
{
    for (size_t row = 0; row < table->n_begun; row++)
        table->meta[row] = (struct esp_row_meta){.trained_us = trained_us, .steps = FREE_STEPS};
    for (size_t i = 0; i < table->capacity; i++)
        if (table->keys[i] != 0 && table->row_of[i] < table->n_begun)
            table->meta[table->row_of[i]].steps = 0;
    table->first_free = ESP_NO_ROW;
    for (size_t row = table->n_begun; row-- > 0;) {
        if (table->meta[row].steps != FREE_STEPS)
            continue;
        table->meta[row].place = table->first_free;
        table->first_free = (uint32_t)row;
    }
}

enum esp_status esp_table_take(struct esp_table *table, const struct esp_table_view *view,
                               size_t n_rows, int64_t trained_us, struct esp_error *err)
{
    size_t capacity = view->mask + 1;
    if (!esp_table_may_have(table, capacity) || n_rows < table->n_features ||
        n_rows > table->max_rows)
        return esp_fail(err, ESP_EDATA,
                        "%zu embedding rows in an index of %zu slots: table_memory holds %zu",
                        n_rows, capacity, table->max_rows);
    enum esp_status status = esp_table_empty_index(table, capacity, err);
    if (status != ESP_OK)
        return status;
    memcpy(table->keys, view->keys, capacity * sizeof(*table->keys));
    memcpy(table->row_of, view->row_of, capacity * sizeof(*table->row_of));
    table->n_begun = n_rows;
    table->n_touched = 0;
    fill_rows(table, view);
    fill_meta(table, trained_us);
    return check_filled(table, err);
}
