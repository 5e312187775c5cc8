/* table_test.c - the dynamic embedding table: admission, default rows, eviction, by hand and
 * against a naive twin. */
#include "learn/table.h"

#include "core/hash.h"
#include "learn/eviction.h"
#include "testkit.h"

enum { F = 2 };

static const uint64_t DEFAULT_KEYS[F] = {1000001, 1000002};

static void new_table(struct esp_table *table, uint32_t admit_after, uint64_t max_bytes)
{
    struct esp_table_config config = {.width = 4,
                                      .n_slots = 4,
                                      .slot_initial = 0.1F,
                                      .deviation = 0.5F,
                                      .seed = 9,
                                      .admit_after = admit_after,
                                      .max_bytes = max_bytes,
                                      .default_keys = DEFAULT_KEYS,
                                      .n_features = F};
    struct esp_error err = {0};
    g_assert_true(esp_table_init(table, &config, &err) == ESP_OK);
    g_assert_cmpstr(err.text, ==, "");
}

/* Sights a key of feature 0 once in a batch of its own, trained at time_us. Returns its row. */
static uint32_t sight(struct esp_table *table, uint64_t key, int64_t time_us)
{
    uint32_t row, place;
    g_assert_true(esp_table_begin(table, 1, NULL) == ESP_OK);
    g_assert_true(esp_table_train(table, key, 0, ESP_NO_ROW, true, &row, &place, NULL) == ESP_OK);
    g_assert_cmpuint(place, ==, 0);
    table->meta[row].trained_us = time_us;
    return row;
}

static bool has(const struct esp_table *table, uint64_t key)
{
    struct esp_table_view view = esp_table_view(table);
    return esp_table_find(&view, key) != ESP_NO_ROW;
}

static void test_admission(void)
{
    struct esp_table table;
    new_table(&table, 3, 1 << 20);
    g_assert_cmpuint(esp_table_n_rows(&table), ==, F);
    g_assert_cmpuint(sight(&table, 77, 1), ==, 0); /* feature 0's default row */
    g_assert_cmpuint(sight(&table, 77, 1), ==, 0);
    g_assert_cmpuint(sight(&table, 78, 1), ==, 0);
    g_assert_cmpuint(sight(&table, 77, 1), ==, F); /* the third sighting has a row */
    g_assert_cmpuint(sight(&table, 77, 1), ==, F);
    g_assert_cmpuint(table.n_admitted, ==, 1);
    g_assert_false(has(&table, 78));
    /* a key's second use in one example is not a sighting */
    uint32_t row, place;
    g_assert_true(esp_table_train(&table, 78, 1, ESP_NO_ROW, false, &row, &place, NULL) == ESP_OK);
    g_assert_cmpuint(row, ==, 1); /* feature 1's default row */
    sight(&table, 78, 1);
    g_assert_false(has(&table, 78));
    sight(&table, 78, 1);
    g_assert_true(has(&table, 78));
    esp_table_check(&table);
    esp_table_release(&table);
}

/* A bucket holds eight counts; the ninth key takes the place of the rarest. */
static void test_full_bucket(void)
{
    struct esp_admission admission;
    g_assert_true(esp_admission_init(&admission, 3, 64, NULL) == ESP_OK);
    g_assert_cmpuint(esp_admission_bytes(&admission), ==, 64);
    for (uint64_t k = 1; k <= 8; k++)
        g_assert_false(esp_admission_sight(&admission, k << 32));
    g_assert_false(esp_admission_sight(&admission, UINT64_C(1) << 32)); /* 1 was seen twice */
    g_assert_false(esp_admission_sight(&admission, UINT64_C(9) << 32)); /* pushes 2 out */
    g_assert_true(esp_admission_sight(&admission, UINT64_C(1) << 32));
    g_assert_false(esp_admission_sight(&admission, UINT64_C(2) << 32)); /* 1's place is free */
    g_assert_false(esp_admission_sight(&admission, UINT64_C(2) << 32));
    g_assert_true(esp_admission_sight(&admission, UINT64_C(2) << 32));
    esp_admission_release(&admission);
}

static void test_new_rows(void)
{
    struct esp_table a, b;
    new_table(&a, 1, 1 << 20);
    new_table(&b, 1, 1 << 20);
    sight(&b, 5, 1);
    uint32_t row_a = sight(&a, 6, 1), row_b = sight(&b, 6, 1);
    g_assert_cmpuint(row_a, !=, row_b);
    g_assert_cmpmem(a.rows + row_a * a.stride, 32, b.rows + row_b * b.stride, 32);
    for (size_t d = 4; d < 8; d++)
        g_assert_cmpfloat(a.rows[row_a * a.stride + d], ==, 0.1F);
    double squares = 0;
    for (uint64_t key = 100; key < 1100; key++) {
        uint32_t row = sight(&a, key, 1);
        for (size_t d = 0; d < 4; d++)
            squares += (double)a.rows[row * a.stride + d] * a.rows[row * a.stride + d];
    }
    assert_close(squares / 4000, 0.25, 0.1, 0); /* deviation 0.5 */
    esp_table_release(&a);
    esp_table_release(&b);
}

/* Ten keys trained at times 10, 9, .. 1; four go: those of times 1 to 4, keys 110 to 107. */
static void test_eviction(void)
{
    struct esp_table table;
    new_table(&table, 1, 1 << 20);
    for (uint64_t k = 1; k <= 10; k++)
        sight(&table, 100 + k, (int64_t)(11 - k));
    esp_table_evict(&table, 4);
    for (uint64_t k = 1; k <= 10; k++)
        g_assert_true(has(&table, 100 + k) == (k <= 6));
    g_assert_cmpuint(esp_table_n_rows(&table), ==, F + 6);
    g_assert_cmpuint(table.n_evicted, ==, 4);
    esp_table_check(&table);
    /* of equal times the smaller row numbers go: keys 105 and 106 are older, then 101 before 102 */
    sight(&table, 101, 8);
    sight(&table, 102, 8);
    sight(&table, 103, 8);
    esp_table_evict(&table, 5); /* times 5, 6, 7 and two of the 8s */
    g_assert_false(has(&table, 101));
    g_assert_false(has(&table, 102));
    g_assert_true(has(&table, 103));
    /* an evicted row is taken again, once there is a new key */
    size_t n_begun = table.n_begun;
    sight(&table, 101, 20);
    g_assert_cmpuint(table.n_begun, ==, n_begun);
    /* default rows stay, whatever is asked */
    esp_table_evict(&table, 1000);
    g_assert_cmpuint(esp_table_n_rows(&table), ==, F);
    esp_table_check(&table);
    esp_table_release(&table);
}

static void test_negative_times(void)
{
    struct esp_table table;
    new_table(&table, 1, 1 << 20);
    sight(&table, 101, -5);
    sight(&table, 102, 5);
    sight(&table, 103, INT64_MIN + 1);
    sight(&table, 104, INT64_MAX);
    esp_table_evict(&table, 2);
    g_assert_true(has(&table, 102) && has(&table, 104));
    g_assert_cmpuint(esp_table_n_rows(&table), ==, F + 2);
    esp_table_release(&table);
}

static void test_touched(void)
{
    struct esp_table table;
    uint32_t row, place;
    new_table(&table, 1, 1 << 20);
    static const uint64_t KEYS[] = {7, 8, 7, 9, 8, 7};
    static const uint32_t PLACES[] = {0, 1, 0, 2, 1, 0};
    for (size_t batch = 0; batch < 2; batch++) {
        g_assert_true(esp_table_begin(&table, 6, NULL) == ESP_OK);
        for (size_t i = 0; i < 6; i++) {
            esp_table_train(&table, KEYS[i], 0, ESP_NO_ROW, true, &row, &place, NULL);
            g_assert_cmpuint(place, ==, PLACES[i]);
        }
        g_assert_cmpuint(table.n_touched, ==, 3);
    }
    esp_table_release(&table);
}

/* A small budget under a skewed stream, against a list of (key, time). */
static void test_twin(void)
{
    enum { N_KEYS = 3000 };
    static int64_t trained[N_KEYS]; /* -1: no row */
    struct esp_table table;
    struct test_random random = {4};
    new_table(&table, 1, 64 << 10);
    g_assert_cmpuint(table.max_rows, <, N_KEYS / 2);
    for (size_t k = 0; k < N_KEYS; k++)
        trained[k] = -1;
    for (int64_t now = 0; now < 8000 && !g_test_failed(); now++) {
        size_t k = test_random_below(&random, test_random_below(&random, 4) == 0 ? N_KEYS : 300);
        size_t n_rows = F, n_evicted = 0;
        for (size_t i = 0; i < N_KEYS; i++)
            n_rows += trained[i] >= 0;
        if (n_rows == table.max_rows)
            n_evicted = n_rows / 8;
        for (; n_evicted > 0; n_evicted--) {
            size_t oldest = N_KEYS;
            for (size_t i = 0; i < N_KEYS; i++)
                if (trained[i] >= 0 && (oldest == N_KEYS || trained[i] < trained[oldest]))
                    oldest = i;
            trained[oldest] = -1;
        }
        sight(&table, esp_mix64(k) | 1, now);
        trained[k] = now;
        g_assert_true(esp_table_bytes(&table) <= 64 << 10);
    }
    esp_table_check(&table);
    for (size_t k = 0; k < N_KEYS; k++)
        g_assert_true(has(&table, esp_mix64(k) | 1) == (trained[k] >= 0));
    g_assert_cmpuint(table.n_evicted, >, 1000);
    esp_table_release(&table);
}

static void test_no_room(void)
{
    struct esp_table table;
    new_table(&table, 1, 64 << 10);
    uint32_t row, place;
    g_assert_true(esp_table_begin(&table, table.max_rows, NULL) == ESP_OK);
    for (uint64_t k = 1; k <= table.max_rows + 5; k++) {
        g_assert_true(esp_table_train(&table, k << 8, 1, ESP_NO_ROW, true, &row, &place, NULL) ==
                      ESP_OK);
        g_assert_true((row == 1) == (k > table.max_rows - F)); /* the rest reads the default row */
    }
    esp_table_check(&table);
    esp_table_release(&table);
}

int main(int argc, char **argv)
{
    test_start(&argc, &argv);
    g_test_add_func("/table/admission/the n-th sighting has a row", test_admission);
    g_test_add_func("/table/admission/rare keys push out rare keys", test_full_bucket);
    g_test_add_func("/table/rows/a new row depends on seed and key alone", test_new_rows);
    g_test_add_func("/table/rows/a row has one place in a batch", test_touched);
    g_test_add_func("/table/eviction/the oldest go, default rows never", test_eviction);
    g_test_add_func("/table/eviction/times before 1970 are older", test_negative_times);
    g_test_add_func("/table/eviction/agrees with a naive twin", test_twin);
    g_test_add_func("/table/eviction/without room a key reads the default row", test_no_room);
    return g_test_run();
}
