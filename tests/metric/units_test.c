/* units_test.c - resampling units, the Poisson counts of replicates, quantiles. */
#include "metric/units.h"

#include <math.h>
#include <string.h>

#include "testkit.h"

enum { N = 500 };

static void test_grouping(void)
{
    const uint64_t keys[] = {7, UINT64_MAX, 7, 0, 9, 0, 7};
    const uint32_t want[] = {1, 3, 1, 0, 2, 0, 1};
    const uint64_t want_keys[] = {0, 7, 9, UINT64_MAX};
    struct esp_units units;
    g_assert_cmpint(esp_units_init(&units, keys, G_N_ELEMENTS(keys), NULL), ==, ESP_OK);
    g_assert_cmpuint(units.n_examples, ==, 7);
    g_assert_cmpuint(units.n_units, ==, 4);
    if (g_test_failed())
        return;
    g_assert_cmpmem(units.unit_of, sizeof want, want, sizeof want);
    g_assert_cmpmem(units.keys, sizeof want_keys, want_keys, sizeof want_keys);
    esp_units_release(&units);
    esp_units_release(&units); /* twice is fine */
}

static void test_no_examples(void)
{
    struct esp_units units;
    g_assert_cmpint(esp_units_init(&units, NULL, 0, NULL), ==, ESP_OK);
    g_assert_cmpuint(units.n_units, ==, 0);
    g_assert_cmpint(esp_units_draw(&units, NULL, NULL), ==, ESP_OK);
    esp_units_release(&units);
}

/* Every byte of the matrix is the count of its key and replicate, alone or with a pool. */
static void test_matrix(void)
{
    struct test_random random = {21};
    uint64_t keys[N];
    struct esp_units alone, together;
    struct esp_pool *pool = NULL;
    for (size_t i = 0; i < N; i++)
        keys[i] = test_random_below(&random, N / 2);
    g_assert_cmpint(esp_pool_new(3, &pool, NULL), ==, ESP_OK);
    esp_units_init(&alone, keys, N, NULL);
    esp_units_init(&together, keys, N, NULL);
    g_assert_cmpint(esp_units_draw(&alone, NULL, NULL), ==, ESP_OK);
    g_assert_cmpint(esp_units_draw(&together, pool, NULL), ==, ESP_OK);
    g_assert_cmpmem(alone.counts, alone.n_units * ESP_REPLICATES, together.counts,
                    together.n_units * ESP_REPLICATES);
    for (size_t block = 0; block < ESP_N_REPLICATE_BLOCKS; block++) {
        for (size_t u = 0; u < alone.n_units; u++) {
            uint8_t counts[ESP_REPLICATE_BLOCK];
            esp_poisson_counts(alone.keys[u], block, counts);
            g_assert_cmpmem(counts, sizeof counts,
                            alone.counts + (block * alone.n_units + u) * sizeof counts,
                            sizeof counts);
        }
    }
    const uint8_t *kept = alone.counts;
    g_assert_cmpint(esp_units_draw(&alone, NULL, NULL), ==, ESP_OK);
    g_assert_true(kept == alone.counts); /* made once */
    esp_units_release(&alone);
    esp_units_release(&together);
    esp_pool_free(pool);
}

/* The counts of two keys, as they must stay: intervals of old records are compared with new ones.
 */
static void test_fixed(void)
{
    const uint8_t of_1[] = {0, 1, 0, 1, 0, 1, 2, 2, 3, 1, 0, 0, 1, 0, 1, 1};
    const uint8_t of_2[] = {0, 0, 0, 0, 2, 1, 2, 0, 2, 1, 1, 0, 0, 0, 1, 1};
    uint8_t counts[ESP_REPLICATE_BLOCK];
    esp_poisson_counts(1, 0, counts);
    g_assert_cmpmem(counts, sizeof counts, of_1, sizeof of_1);
    esp_poisson_counts(UINT64_C(0xfedcba9876543210), 24, counts);
    g_assert_cmpmem(counts, sizeof counts, of_2, sizeof of_2);
}

/*
 * Of 5,000 keys x 400 replicates: frequencies are Poisson(1)'s within five deviations, and neither
 * neighbouring replicates nor neighbouring keys go together (a correlation's deviation is 0.0007).
 */
static void test_distribution(void)
{
    enum { N_KEYS = 5000, N_ALL = N_KEYS * ESP_REPLICATES };
    static uint8_t all[N_KEYS][ESP_REPLICATES];
    double frequency[9] = {0}, expected = N_ALL * exp(-1), replicates = 0, keys = 0;
    for (size_t key = 0; key < N_KEYS; key++)
        for (size_t block = 0; block < ESP_N_REPLICATE_BLOCKS; block++)
            esp_poisson_counts(key, block, all[key] + block * ESP_REPLICATE_BLOCK);
    for (size_t key = 0; key < N_KEYS; key++) {
        for (size_t r = 0; r < ESP_REPLICATES; r++) {
            g_assert_cmpuint(all[key][r], <=, 8);
            if (g_test_failed())
                return;
            frequency[all[key][r]]++;
            replicates += r == 0 ? 0 : (all[key][r] - 1.0) * (all[key][r - 1] - 1.0);
            keys += key == 0 ? 0 : (all[key][r] - 1.0) * (all[key - 1][r] - 1.0);
        }
    }
    for (int count = 0; count <= 8; count++) {
        /* 8 stands for 8 and more; probabilities are multiples of 2^-16 */
        double rounding = (double)N_ALL / 65536;
        assert_close(frequency[count], expected, 0, 5 * sqrt(expected) + rounding);
        expected /= count + 1;
    }
    assert_close(replicates / N_ALL, 0, 0, 0.0036);
    assert_close(keys / N_ALL, 0, 0, 0.0036);
}

static void test_quantile(void)
{
    double four[] = {4, 1, 3, 2}, one[] = {5};
    double many[ESP_REPLICATES];
    for (size_t i = 0; i < ESP_REPLICATES; i++)
        many[i] = (double)(ESP_REPLICATES - i);
    assert_close(esp_quantile(four, 4, 0.5), 2.5, 1e-15, 0);   /* place 2.5 */
    assert_close(esp_quantile(four, 4, 0.25), 1.25, 1e-15, 0); /* place 1.25 */
    assert_close(esp_quantile(four, 4, 0.025), 1, 0, 0);       /* place 0.125: the smallest */
    assert_close(esp_quantile(four, 4, 0.975), 4, 0, 0);
    assert_close(esp_quantile(one, 1, 0.975), 5, 0, 0);
    assert_close(esp_quantile(many, ESP_REPLICATES, 0.025), 10.025, 1e-14, 0);
    assert_close(esp_quantile(many, ESP_REPLICATES, 0.975), 390.975, 1e-14, 0);
}

int main(int argc, char **argv)
{
    test_start(&argc, &argv);
    g_test_add_func("/units/examples of a key are one unit, by ascending key", test_grouping);
    g_test_add_func("/units/a window may be empty", test_no_examples);
    g_test_add_func("/units/counts depend on key and replicate alone", test_matrix);
    g_test_add_func("/units/counts stay what they were", test_fixed);
    g_test_add_func("/units/counts are Poisson and independent", test_distribution);
    g_test_add_func("/units/quantiles, worked by hand", test_quantile);
    return g_test_run();
}
