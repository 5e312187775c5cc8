/* id_index_test.c - the index of ids against a plain table. */
#include "join/id_index.h"

#include "testkit.h"

/* Is this very entry inside? */
static bool has(const struct esp_id_index *index, uint64_t hash, uint32_t ref, size_t *out_slot)
{
    size_t slot = esp_id_index_first(index, hash);
    while (slot != ESP_NO_SLOT && esp_id_index_ref(index, slot) != ref)
        slot = esp_id_index_next(index, slot);
    *out_slot = slot;
    return slot != ESP_NO_SLOT;
}

/* Hashes that crowd: few distinct halves, many of them at the upper end of the table. */
static uint64_t crowded(struct test_random *random)
{
    uint64_t half = test_random_below(random, 3) == 0 ? UINT32_MAX - test_random_below(random, 9)
                                                      : test_random_below(random, 40) << 26;
    return half << 32 | test_random_u64(random) >> 32;
}

static void test_random_steps(gconstpointer data)
{
    bool crowd = GPOINTER_TO_INT(data);
    enum { N = 3000 };
    uint64_t *hashes = g_new0(uint64_t, N);
    bool *inside = g_new0(bool, N);
    struct test_random random = {7};
    struct esp_id_index index = {0};
    size_t n = 0, slot;
    for (uint32_t i = 0; i < N; i++)
        hashes[i] = crowd ? crowded(&random) : test_random_u64(&random);
    for (size_t step = 0; step < 30000 && !g_test_failed(); step++) {
        /* Fills and empties in waves, so that the table grows and shrinks. */
        uint32_t i = (uint32_t)test_random_below(&random, N);
        bool fill = test_random_below(&random, 4) != 0;
        fill = step / 6000 % 2 == 0 ? fill : !fill;
        g_assert_cmpint(has(&index, hashes[i], i + 1, &slot), ==, inside[i]);
        if (fill == inside[i] || (crowd && fill && n > 900))
            continue;
        if (fill)
            g_assert_cmpint(esp_id_index_add(&index, hashes[i], i + 1, NULL), ==, ESP_OK);
        else
            esp_id_index_remove(&index, slot);
        inside[i] = fill;
        n = fill ? n + 1 : n - 1;
        g_assert_cmpuint(index.n_used, ==, n);
        if (step % 500 == 0)
            for (uint32_t k = 0; k < N; k++)
                g_assert_cmpint(has(&index, hashes[k], k + 1, &slot), ==, inside[k]);
    }
    esp_id_index_release(&index);
    g_free(hashes);
    g_free(inside);
}

/* Large enough to be mapped, to grow in place, and to move to a larger mapping. */
static void test_large(void)
{
    enum { N = 1500000 };
    struct test_random random = {3};
    struct esp_id_index index = {0};
    size_t slot;
    for (uint32_t i = 0; i < N; i++)
        (void)esp_id_index_add(&index, test_random_u64(&random), i + 1, NULL);
    g_assert_cmpuint(index.n_used, ==, N);
    double bytes = (double)esp_id_index_memory(&index) / N;
    if (bytes < 9.5 || bytes > 14.5)
        g_test_fail_printf("%g bytes an entry", bytes);
    random.state = 3;
    for (uint32_t i = 0; i < N && !g_test_failed(); i++)
        g_assert_true(has(&index, test_random_u64(&random), i + 1, &slot));
    random.state = 3;
    for (uint32_t i = 0; i < N && !g_test_failed(); i++) {
        g_assert_true(has(&index, test_random_u64(&random), i + 1, &slot));
        esp_id_index_remove(&index, slot);
    }
    g_assert_cmpuint(index.n_used, ==, 0);
    g_assert_cmpuint(esp_id_index_memory(&index), <, 100000); /* it shrank on the way */
    esp_id_index_release(&index);
}

static void test_collisions(void)
{
    struct esp_id_index index = {0};
    enum esp_status status = ESP_OK;
    uint32_t n = 0;
    while (status == ESP_OK && n < 100000)
        status = esp_id_index_add(&index, UINT64_MAX, ++n, NULL);
    g_assert_cmpint(status, ==, ESP_ENOMEM); /* and not for ever */
    g_assert_cmpuint(n, >, 500);
    g_assert_cmpuint(esp_id_index_memory(&index), <, 1 << 20);
    esp_id_index_release(&index);
}

int main(int argc, char **argv)
{
    test_start(&argc, &argv);
    g_test_add_data_func("/id_index/\"random hashes come and go\"", GINT_TO_POINTER(0),
                         test_random_steps);
    g_test_add_data_func("/id_index/\"hashes that collide come and go\"", GINT_TO_POINTER(1),
                         test_random_steps);
    g_test_add_func("/id_index/\"a large table grows in place and shrinks\"", test_large);
    g_test_add_func("/id_index/\"more equal hashes than it can hold are refused\"",
                    test_collisions);
    return g_test_run();
}
