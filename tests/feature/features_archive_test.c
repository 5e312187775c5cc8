/*
 * features_archive_test.c - running statistics and batches of rows, written down and read back: the
 * rows after it are the same to the bit, and what is no such state is refused.
 */
#include "core/archive.h"
#include "feature/features.h"
#include "feature_values.h"
#include "testkit.h"

enum { N_FEATURES = 6, N_VALUES = 3, N_ROWS = 3000, ARCHIVE_BYTES = 1 << 22 };

static const struct esp_feature_config LIST[N_FEATURES] = {
    {.name = "site", .kind = ESP_FEATURE_CATEGORICAL, .value = 0},
    {.name = "price", .kind = ESP_FEATURE_NUMERIC, .value = 1},
    {.name = "price", .kind = ESP_FEATURE_NUMERIC, .value = 1, .scale = ESP_SCALE_LOG},
    {.name = "age",
     .kind = ESP_FEATURE_NUMERIC,
     .value = 2,
     .form = ESP_FORM_BUCKETS,
     .n_buckets = 4},
    {.name = "age",
     .kind = ESP_FEATURE_NUMERIC,
     .value = 2,
     .scale = ESP_SCALE_LOG,
     .form = ESP_FORM_BUCKETS,
     .n_buckets = 20},
    {.name = "site x age", .kind = ESP_FEATURE_CROSS, .cross_a = 0, .cross_b = 3},
};

static struct esp_features *features_new(size_t n)
{
    struct esp_feature_config list[N_FEATURES];
    struct esp_features *features = NULL;
    memcpy(list, LIST, sizeof list);
    list[2].name = "price, log";
    list[4].name = "age, log";
    g_assert_cmpint(esp_features_new(list, n, &features, NULL), ==, ESP_OK);
    return features;
}

static enum esp_status to_buf(void *context, const void *bytes, size_t n, struct esp_error *err)
{
    return esp_buf_append(context, bytes, n, err);
}

static void write_features(struct esp_features *features, struct esp_buf *out)
{
    struct esp_archive archive;
    esp_buf_init(out, ARCHIVE_BYTES);
    esp_archive_write_to(&archive, to_buf, out);
    esp_features_archive(&archive, features);
    g_assert_cmpint(esp_archive_end(&archive, NULL), ==, ESP_OK);
}

static enum esp_status read_features(struct esp_features *features, struct esp_bytes bytes,
                                     struct esp_error *err)
{
    struct esp_archive archive;
    esp_archive_read_from(&archive, bytes);
    esp_features_archive(&archive, features);
    return esp_archive_end(&archive, err);
}

/* Row i: a site, a price that drifts, an age that is sometimes missing. */
static void add_row(struct esp_features *features, size_t i, struct esp_feature_batch *batch)
{
    static const char *const sites[] = {"a", "b", "c"};
    struct test_random random = {.state = i};
    struct esp_value values[N_VALUES] = {
        text_value(sites[test_random_below(&random, 3)]),
        real_value(test_random_unit(&random) * (double)(1 + i / 500)),
        i % 7 == 0 ? missing_value() : int_value((int64_t)test_random_below(&random, 1000)),
    };
    g_assert_cmpint(esp_features_add_row(features, values, true, batch, NULL), ==, ESP_OK);
}

static void same_batch(const struct esp_feature_batch *a, const struct esp_feature_batch *b)
{
    size_t n = a->n_rows * a->n_features;
    g_assert_cmpuint(a->n_rows, ==, b->n_rows);
    if (g_test_failed() || n == 0)
        return;
    g_assert_cmpmem(a->begin, (n + 1) * sizeof *a->begin, b->begin, (n + 1) * sizeof *b->begin);
    g_assert_cmpmem(a->keys, a->begin[n] * sizeof *a->keys, b->keys, b->begin[n] * sizeof *b->keys);
    g_assert_cmpmem(a->coefficients, a->begin[n] * sizeof *a->coefficients, b->coefficients,
                    b->begin[n] * sizeof *b->coefficients);
}

/* Stops before the warm-up, inside a generation of quantiles, at its end, and later. */
static void later_rows_are_the_same(void)
{
    static const size_t STOPS[] = {0, 1, 31, 300, 511, 512, 700, 2500};
    struct esp_features *whole = features_new(N_FEATURES), *stopped = features_new(N_FEATURES);
    struct esp_feature_batch want, got;
    size_t next = 0;
    esp_feature_batch_init(&want, N_FEATURES);
    esp_feature_batch_init(&got, N_FEATURES);
    for (size_t i = 0; i < N_ROWS; i++) {
        if (next < G_N_ELEMENTS(STOPS) && i == STOPS[next]) {
            struct esp_buf buf, again;
            write_features(stopped, &buf);
            esp_features_free(stopped);
            stopped = features_new(N_FEATURES);
            g_assert_cmpint(read_features(stopped, esp_buf_bytes(&buf), NULL), ==, ESP_OK);
            write_features(stopped, &again);
            g_assert_cmpmem(again.data, again.size, buf.data, buf.size);
            esp_buf_release(&buf);
            esp_buf_release(&again);
            next++;
        }
        add_row(whole, i, &want);
        add_row(stopped, i, &got);
    }
    same_batch(&got, &want);
    g_assert_cmpuint(next, ==, G_N_ELEMENTS(STOPS));
    g_assert_cmpuint(esp_features_hash(whole), ==, esp_features_hash(stopped));
    esp_feature_batch_release(&want);
    esp_feature_batch_release(&got);
    esp_features_free(whole);
    esp_features_free(stopped);
}

static struct esp_features *learned(struct esp_buf *out)
{
    struct esp_features *features = features_new(N_FEATURES);
    struct esp_feature_batch batch;
    esp_feature_batch_init(&batch, N_FEATURES);
    for (size_t i = 0; i < 900; i++)
        add_row(features, i, &batch);
    esp_feature_batch_release(&batch);
    write_features(features, out);
    return features;
}

static void a_damaged_state_is_refused(void)
{
    struct esp_buf buf;
    struct esp_features *from = learned(&buf), *to = features_new(N_FEATURES);
    uint64_t before = esp_features_hash(to);
    struct test_random random = {.state = 4};
    for (size_t n = 0; n < buf.size; n += n < 64 ? 1 : 13) {
        uint8_t *copy = g_memdup2(buf.data, n);
        g_assert_cmpint(read_features(to, esp_bytes(copy, n), NULL), ==, ESP_EDATA);
        g_free(copy);
    }
    g_assert_cmpuint(esp_features_hash(to), ==, before);
    for (size_t i = 0; i < 3000; i++) {
        struct esp_feature_batch batch;
        size_t place = test_random_below(&random, buf.size);
        uint8_t mask = (uint8_t)(1 << test_random_below(&random, 8));
        buf.data[place] ^= mask;
        esp_feature_batch_init(&batch, N_FEATURES);
        if (read_features(to, esp_buf_bytes(&buf), NULL) == ESP_OK)
            for (size_t row = 0; row < 8; row++)
                add_row(to, row, &batch);
        esp_feature_batch_release(&batch);
        buf.data[place] ^= mask;
    }
    esp_features_free(from);
    esp_features_free(to);
    esp_buf_release(&buf);
}

static void another_list_is_refused(void)
{
    struct esp_buf buf;
    struct esp_error err = {0};
    struct esp_features *from = learned(&buf), *to = features_new(4);
    g_assert_cmpint(read_features(to, esp_buf_bytes(&buf), &err), ==, ESP_EDATA);
    g_assert_true(g_str_has_prefix(err.text, "the size of the feature statistics is "));
    esp_features_free(from);
    esp_features_free(to);
    esp_buf_release(&buf);
}

/* ---- batches --------------------------------------------------------------------------------- */

static void write_batch(struct esp_feature_batch *batch, struct esp_buf *out)
{
    struct esp_archive archive;
    esp_buf_init(out, ARCHIVE_BYTES);
    esp_archive_write_to(&archive, to_buf, out);
    esp_feature_batch_archive(&archive, batch);
    g_assert_cmpint(esp_archive_end(&archive, NULL), ==, ESP_OK);
}

static enum esp_status read_batch(struct esp_feature_batch *batch, struct esp_bytes bytes)
{
    struct esp_archive archive;
    esp_archive_read_from(&archive, bytes);
    esp_feature_batch_archive(&archive, batch);
    return esp_archive_end(&archive, NULL);
}

static void a_batch_is_the_same(void)
{
    static const size_t SIZES[] = {0, 1, 64, 65, 300};
    for (size_t s = 0; s < G_N_ELEMENTS(SIZES); s++) {
        struct esp_features *features = features_new(N_FEATURES);
        struct esp_feature_batch from, to;
        struct esp_buf buf;
        esp_feature_batch_init(&from, N_FEATURES);
        esp_feature_batch_init(&to, N_FEATURES);
        for (size_t i = 0; i < SIZES[s]; i++)
            add_row(features, i, &from);
        write_batch(&from, &buf);
        g_assert_cmpint(read_batch(&to, esp_buf_bytes(&buf)), ==, ESP_OK);
        same_batch(&to, &from);
        add_row(features, SIZES[s], &from); /* there is room for more */
        g_assert_cmpint(esp_feature_batch_copy_row(&to, &from, SIZES[s], NULL), ==, ESP_OK);
        same_batch(&to, &from);
        esp_feature_batch_release(&from);
        esp_feature_batch_release(&to);
        esp_features_free(features);
        esp_buf_release(&buf);
    }
}

static const struct batch_case {
    const char *name;
    uint32_t begin[3]; /* of a row of 3 features, the first 0 left out */
    uint64_t keys[3];
} BATCHES[] = {
    {"pairs that run backwards", {2, 1, 3}, {1, 2, 3}},
    {"pairs beyond the last", {1, 2, 4}, {1, 2, 3}},
    {"pairs that no feature has", {1, 2, 2}, {1, 2, 3}},
    {"a key that is 0", {1, 2, 3}, {1, 0, 3}},
};

static void a_batch_is_refused(const void *data)
{
    const struct batch_case *row = data;
    struct esp_buf buf;
    struct esp_feature_batch batch;
    uint64_t n_rows = 1, n_pairs = 3;
    float coefficients[3] = {1, 1, 1};
    esp_buf_init(&buf, 1000);
    g_assert_cmpint(esp_buf_append(&buf, &n_rows, sizeof n_rows, NULL), ==, ESP_OK);
    g_assert_cmpint(esp_buf_append(&buf, &n_pairs, sizeof n_pairs, NULL), ==, ESP_OK);
    g_assert_cmpint(esp_buf_append(&buf, row->begin, 3 * sizeof *row->begin, NULL), ==, ESP_OK);
    g_assert_cmpint(esp_buf_append(&buf, row->keys, sizeof row->keys, NULL), ==, ESP_OK);
    g_assert_cmpint(esp_buf_append(&buf, coefficients, sizeof coefficients, NULL), ==, ESP_OK);
    esp_feature_batch_init(&batch, 3);
    g_assert_cmpint(read_batch(&batch, esp_buf_bytes(&buf)), ==, ESP_EDATA);
    g_assert_cmpuint(batch.n_rows, ==, 0);
    esp_feature_batch_release(&batch);
    esp_buf_release(&buf);
}

int main(int argc, char **argv)
{
    test_start(&argc, &argv);
    g_test_add_func("/statistics/later rows are the same to the bit", later_rows_are_the_same);
    g_test_add_func("/statistics/a damaged state is refused or harmless",
                    a_damaged_state_is_refused);
    g_test_add_func("/statistics/those of another list are refused", another_list_is_refused);
    g_test_add_func("/batch/rows are the same", a_batch_is_the_same);
    for (size_t i = 0; i < G_N_ELEMENTS(BATCHES); i++) {
        char *path = g_strdup_printf("/batch/refused/%s", BATCHES[i].name);
        g_test_add_data_func(path, &BATCHES[i], a_batch_is_refused);
        g_free(path);
    }
    return g_test_run();
}
