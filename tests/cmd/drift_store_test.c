/* drift_store_test.c - of each key the newest record, however many there are. */
#include "cmd/drift/drift_store.h"
#include "core/timespan.h"
#include "testkit.h"

enum { N_WINDOWS = 3000, N_AGES = 3 };

static struct esp_drift_record record_of(int64_t window, int32_t age, int64_t examples)
{
    return (struct esp_drift_record){.run = esp_bytes_of("0123456789abcdef"),
                                     .model = esp_bytes_of(window % 2 ? "odd" : "even"),
                                     .setup = esp_bytes_of(""),
                                     .window_start_us = window * ESP_HOUR,
                                     .window_end_us = (window + 1) * ESP_HOUR,
                                     .age = age,
                                     .examples = examples};
}

static bool is_even(const void *context, const struct esp_drift_record *record)
{
    (void)context;
    return esp_bytes_equal(record->model, esp_bytes_of("even"));
}

static bool is_any(const void *context, const struct esp_drift_record *record)
{
    (void)context, (void)record;
    return true;
}

static void put(struct drift_store *store, int64_t window, int32_t age, int64_t examples)
{
    struct esp_drift_record record = record_of(window, age, examples);
    g_assert_cmpint(drift_store_put(store, &record, NULL), ==, ESP_OK);
}

static void remove_key(struct drift_store *store, int64_t window, int32_t age)
{
    char key[ESP_DRIFT_KEY_SIZE];
    struct esp_drift_record record = record_of(window, age, 0);
    drift_store_remove(store, esp_bytes_of(esp_drift_key(&record, key)));
}

static void test_newest(void)
{
    struct drift_store store = {0};
    for (int round = 1; round <= 2; round++) {
        for (int64_t window = 0; window < N_WINDOWS; window++) {
            for (int32_t age = 0; age < N_AGES; age++)
                put(&store, window, age, round);
        }
    }
    g_assert_cmpuint(store.n, ==, N_WINDOWS * N_AGES);
    g_assert_cmpuint(store.n_replaced, ==, N_WINDOWS * N_AGES);
    g_assert_cmpuint(store.n_texts, ==, 4); /* the run, two models, no set-up */
    g_assert_cmpuint(drift_store_keep(&store, is_even, NULL), ==, N_WINDOWS / 2 * N_AGES);
    for (size_t i = 0; i < store.n; i++) {
        g_assert_cmpint(store.records[i].examples, ==, 2);
        g_assert_cmpint(store.records[i].window_start_us, ==, (int64_t)(i / N_AGES) * 2 * ESP_HOUR);
    }
    drift_store_release(&store);
}

static void test_tombstones(void)
{
    struct drift_store store = {0};
    remove_key(&store, 0, 0); /* of nothing */
    put(&store, 0, 0, 1);
    put(&store, 0, 1, 1);
    remove_key(&store, 0, 0);
    remove_key(&store, 5, 5);
    put(&store, 1, 0, 1);
    remove_key(&store, 1, 0);
    put(&store, 1, 0, 7); /* back again, and nothing was replaced */
    g_assert_cmpuint(store.n_replaced, ==, 0);
    g_assert_cmpuint(drift_store_keep(&store, is_any, NULL), ==, 2);
    g_assert_cmpint(store.records[0].age, ==, 1);
    g_assert_cmpint(store.records[1].examples, ==, 7);
    drift_store_release(&store);
}

int main(int argc, char **argv)
{
    test_start(&argc, &argv);
    g_test_add_func("/drift_store/the newest of each key is kept", test_newest);
    g_test_add_func("/drift_store/a tombstone takes a key away, until it comes again",
                    test_tombstones);
    return g_test_run();
}
