/*
 * table_archive_test.c - a table with free rows, written down and read back; each way in which what
 * was written could be no table is refused by name.
 */
#include "core/archive.h"
#include "core/buf.h"
#include "core/hash.h"
#include "learn/eviction.h"
#include "testkit.h"

enum { F = 2, WIDTH = 3, SLOTS = 2, BATCH = 40, ARCHIVE_BYTES = 1 << 22 };

static const uint64_t DEFAULTS[F] = {11, 12};

static void table_new(struct esp_table *table, uint32_t admit_after)
{
    struct esp_table_config config = {.width = WIDTH,
                                      .n_slots = SLOTS,
                                      .slot_initial = 0.1F,
                                      .deviation = 0.1F,
                                      .seed = 3,
                                      .admit_after = admit_after,
                                      .max_bytes = 24000,
                                      .default_keys = DEFAULTS,
                                      .n_features = F};
    g_assert_cmpint(esp_table_init(table, &config, NULL), ==, ESP_OK);
}

/* Batches of fresh keys, until rows were evicted and some of them taken again. */
static void learn(struct esp_table *table, uint64_t first, size_t n_batches)
{
    for (size_t b = 0; b < n_batches; b++) {
        g_assert_cmpint(esp_table_begin(table, BATCH, NULL), ==, ESP_OK);
        for (uint64_t i = 0; i < BATCH; i++) {
            uint32_t row, place;
            uint64_t key = esp_mix64(first + b * BATCH / 2 + i) | 1;
            g_assert_cmpint(
                esp_table_train(table, key, i % F, ESP_NO_ROW, true, &row, &place, NULL), ==,
                ESP_OK);
            table->meta[row].trained_us = (int64_t)b;
            table->meta[row].steps++;
            table->rows[row * table->stride + WIDTH] += 1;
        }
    }
}

static enum esp_status to_buf(void *context, const void *bytes, size_t n, struct esp_error *err)
{
    return esp_buf_append(context, bytes, n, err);
}

static void write_table(struct esp_table *table, struct esp_buf *out)
{
    struct esp_archive archive;
    esp_buf_init(out, ARCHIVE_BYTES);
    esp_archive_write_to(&archive, to_buf, out);
    esp_table_archive(&archive, table);
    g_assert_cmpint(esp_archive_end(&archive, NULL), ==, ESP_OK);
}

static enum esp_status read_table(struct esp_table *table, struct esp_bytes bytes,
                                  struct esp_error *err)
{
    struct esp_archive archive;
    esp_archive_read_from(&archive, bytes);
    esp_table_archive(&archive, table);
    return esp_archive_end(&archive, err);
}

static void test_round_trip(void)
{
    struct esp_table from, to;
    struct esp_buf buf, again;
    table_new(&from, 2);
    learn(&from, 100, 30);
    esp_table_evict(&from, 3);
    write_table(&from, &buf);
    table_new(&to, 2);
    g_assert_cmpint(read_table(&to, esp_buf_bytes(&buf), NULL), ==, ESP_OK);
    esp_table_check(&to);
    write_table(&to, &again);
    g_assert_cmpmem(again.data, again.size, buf.data, buf.size);
    g_assert_cmpuint(from.n_evicted, >, 0);
    g_assert_cmpuint(from.first_free, !=, ESP_NO_ROW);
    esp_buf_release(&again);
    learn(&from, 700, 20); /* both on: the same rows go and come */
    learn(&to, 700, 20);
    esp_buf_release(&buf);
    write_table(&from, &buf);
    write_table(&to, &again);
    g_assert_cmpmem(again.data, again.size, buf.data, buf.size);
    esp_buf_release(&again);
    esp_buf_release(&buf);
    esp_table_release(&from);
    esp_table_release(&to);
}

/* An index of more slots than a new table's. */
static void test_grown(void)
{
    struct esp_table_config config = {.width = 1,
                                      .deviation = 0.1F,
                                      .admit_after = 1,
                                      .max_bytes = 4 << 20,
                                      .default_keys = DEFAULTS,
                                      .n_features = F};
    struct esp_table from, to;
    struct esp_buf buf;
    g_assert_cmpint(esp_table_init(&from, &config, NULL), ==, ESP_OK);
    g_assert_cmpint(esp_table_init(&to, &config, NULL), ==, ESP_OK);
    learn(&from, 1, 500);
    write_table(&from, &buf);
    g_assert_cmpuint(from.capacity, >, to.capacity);
    g_assert_cmpint(read_table(&to, esp_buf_bytes(&buf), NULL), ==, ESP_OK);
    g_assert_cmpuint(esp_table_hash(&from), ==, esp_table_hash(&to));
    g_assert_cmpuint(to.capacity, ==, from.capacity);
    esp_table_check(&to);
    esp_buf_release(&buf);
    esp_table_release(&from);
    esp_table_release(&to);
}

/* ---- what could be no table ------------------------------------------------------------------ */

/* The n-th used slot. */
static size_t used_slot(const struct esp_table *table, size_t n)
{
    size_t i = 0;
    while (table->keys[i] == 0 || n-- > 0)
        i++;
    return i;
}

static void row_beyond(struct esp_table *table)
{
    table->row_of[used_slot(table, 5)] = (uint32_t)table->n_begun;
}
static void row_twice(struct esp_table *table)
{
    table->row_of[used_slot(table, 5)] = table->row_of[used_slot(table, 6)];
}
static void row_free(struct esp_table *table)
{
    table->row_of[used_slot(table, 5)] = table->first_free;
}
static void key_twice(struct esp_table *table)
{
    table->keys[used_slot(table, 5)] = table->keys[used_slot(table, 20)];
}
static void key_astray(struct esp_table *table)
{
    table->keys[used_slot(table, 5)] += 512;
}
static void key_gone(struct esp_table *table)
{
    table->keys[used_slot(table, 5)] = 0;
}
static void all_keys(struct esp_table *table)
{
    for (size_t i = 0; i < table->capacity; i++)
        table->keys[i] |= 1;
}
static void chain_round(struct esp_table *table)
{
    table->meta[table->first_free].place = table->first_free;
}
static void chain_beyond(struct esp_table *table)
{
    table->meta[table->first_free].place = (uint32_t)table->n_begun;
}
static void chain_short(struct esp_table *table)
{
    table->first_free = table->meta[table->first_free].place;
}
static void chain_into_use(struct esp_table *table)
{
    table->first_free = table->row_of[used_slot(table, 5)];
}
static void free_in_use(struct esp_table *table)
{
    table->meta[table->row_of[used_slot(table, 5)]].steps = UINT32_MAX;
}
static void default_moved(struct esp_table *table)
{
    struct esp_table_view view = esp_table_view(table);
    size_t a = esp_table_slot(&view, DEFAULTS[0]), b = esp_table_slot(&view, DEFAULTS[1]);
    table->row_of[a] = 1;
    table->row_of[b] = 0;
}
static void rows_beyond(struct esp_table *table)
{
    table->n_begun = table->max_rows + 1;
}
static void rows_missing(struct esp_table *table)
{
    table->n_begun = F - 1;
}

static const struct damage_case {
    const char *name;
    void (*damage)(struct esp_table *table);
    const char *want;
} DAMAGES[] = {
    {"a row that was never begun", row_beyond, "the row of a key"},
    {"two keys with one row", row_twice, "the row of a key"},
    {"a key with a free row", row_free, "the row of a key"},
    {"a key twice", key_twice, "the slot of a key"},
    {"a key where no search finds it", key_astray, "the slot of a key"},
    {"a row without a key", key_gone, "the number of free embedding rows"},
    {"an index that is full", all_keys, "the number of keys"},
    {"a chain of free rows that goes round", chain_round, "the chain of free embedding rows"},
    {"a chain that leaves the rows", chain_beyond, "the chain of free embedding rows"},
    {"a chain that misses a row", chain_short, "the chain of free embedding rows"},
    {"a chain into rows in use", chain_into_use, "the chain of free embedding rows"},
    {"a free row that is in use", free_in_use, "the number of free embedding rows"},
    {"default rows of other features", default_moved, "the default row of a feature"},
    {"more rows than the budget has", rows_beyond, "the number of embedding rows"},
    {"fewer rows than features", rows_missing, "the number of embedding rows"},
};

/* Written as it is: the writer is asked not to look. */
static void write_damaged(struct esp_table *table, struct esp_buf *out)
{
    size_t n_begun = table->n_begun;
    if (n_begun >= F && n_begun <= table->max_rows) {
        write_table(table, out);
        return;
    }
    table->n_begun = F;
    write_table(table, out);
    uint64_t n = n_begun; /* stands behind mark, four sizes and the index */
    memcpy(out->data + 12 + 4 * 8 + 8 + table->capacity * 12, &n, sizeof n);
    table->n_begun = n_begun;
}

static void test_damage(const void *data)
{
    const struct damage_case *row = data;
    struct esp_table from, to;
    struct esp_buf buf;
    struct esp_error err = {0};
    table_new(&from, 1);
    learn(&from, 100, 30);
    esp_table_evict(&from, 7);
    g_assert_cmpuint(from.first_free, !=, ESP_NO_ROW);
    row->damage(&from);
    write_damaged(&from, &buf);
    /* bytes enough for any number of rows */
    g_assert_cmpint(esp_buf_reserve(&buf, 1 << 16, NULL), ==, ESP_OK);
    memset(buf.data + buf.size, 0, 1 << 16);
    buf.size += row->damage == rows_beyond ? 1 << 16 : 0;
    table_new(&to, 1);
    g_assert_cmpint(read_table(&to, esp_buf_bytes(&buf), &err), ==, ESP_EDATA);
    char *want = g_strdup_printf("%s is not possible", row->want);
    g_assert_cmpstr(err.text, ==, want);
    g_free(want);
    esp_buf_release(&buf);
    esp_table_release(&from);
    esp_table_release(&to);
}

/* A capacity that the budget does not allow, or that is no power of two. */
static void test_capacity(void)
{
    static const uint64_t SIZES[] = {0, 512, 1000, 1025, 2048, 4096};
    struct esp_table from;
    struct esp_buf buf;
    table_new(&from, 1);
    write_table(&from, &buf);
    g_assert_cmpint(esp_buf_reserve(&buf, 1 << 17, NULL), ==, ESP_OK);
    memset(buf.data + buf.size, 0, 1 << 17);
    buf.size += 1 << 17;
    for (size_t i = 0; i < G_N_ELEMENTS(SIZES); i++) {
        struct esp_table to;
        struct esp_error err = {0};
        table_new(&to, 1);
        memcpy(buf.data + 12 + 4 * 8, &SIZES[i], sizeof SIZES[i]);
        g_assert_cmpint(read_table(&to, esp_buf_bytes(&buf), &err), ==, ESP_EDATA);
        g_assert_cmpstr(err.text, ==, "the size of an embedding index is not possible");
        esp_table_release(&to);
    }
    esp_buf_release(&buf);
    esp_table_release(&from);
}

int main(int argc, char **argv)
{
    test_start(&argc, &argv);
    g_test_add_func("/table/one with free rows reads back, and goes on alike", test_round_trip);
    g_test_add_func("/table/one that has grown reads back", test_grown);
    for (size_t i = 0; i < G_N_ELEMENTS(DAMAGES); i++) {
        char *path = g_strdup_printf("/table/refused/%s", DAMAGES[i].name);
        g_test_add_data_func(path, &DAMAGES[i], test_damage);
        g_free(path);
    }
    g_test_add_func("/table/refused/sizes of an index that cannot be", test_capacity);
    return g_test_run();
}
