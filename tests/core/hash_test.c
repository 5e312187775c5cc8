/* hash_test.c - values that keys on disk and on the wire depend on must never change. */
#include "core/hash.h"

#include "testkit.h"

/* XXH3_64bits of the reference implementation (python3 -c "import xxhash; ..."), seed 0 */
static void test_reference(void)
{
    g_assert_cmphex(esp_hash(esp_bytes_of("")), ==, UINT64_C(0x2d06800538d394c2));
    g_assert_cmphex(esp_hash(esp_bytes_of("a")), ==, UINT64_C(0xe6c632b61e964e1f));
    g_assert_cmphex(esp_hash(esp_bytes_of("impression")), ==, UINT64_C(0x5415bbf778502113));
    /* splitmix64 from state 0: its published first output */
    g_assert_cmphex(esp_mix64(0), ==, UINT64_C(0xe220a8397b1dcdaf));
}

static void test_domains(void)
{
    struct esp_bytes key = esp_bytes_of("id-1");
    uint64_t holdout = esp_hash_domain(ESP_DOMAIN_HOLDOUT, key, 7);
    g_assert_cmphex(holdout, ==, esp_hash_domain(ESP_DOMAIN_HOLDOUT, key, 7));
    g_assert_cmphex(holdout, !=, esp_hash_domain(ESP_DOMAIN_NEGATIVE, key, 7));
    g_assert_cmphex(holdout, !=, esp_hash_domain(ESP_DOMAIN_HOLDOUT, key, 8));
    g_assert_cmphex(holdout, !=, esp_hash_domain(ESP_DOMAIN_HOLDOUT, esp_bytes_of("id-2"), 7));
    g_assert_cmphex(holdout, ==, UINT64_C(0xf0b8bd7cd79a353a));
}

/* Two domains of the same keys: each uniform, and independent of the other. 100,000 keys, so a
 * count of those below 0.1 has a deviation of 95, of those below 0.1 in both one of 31. */
static void test_uniform(void)
{
    int n_holdout = 0, n_negative = 0, n_both = 0;
    for (uint64_t i = 0; i < 100000; i++) {
        struct esp_bytes key = esp_bytes(&i, sizeof i);
        double u = esp_unit_of_bits(esp_hash_domain(ESP_DOMAIN_HOLDOUT, key, 1));
        double v = esp_unit_of_bits(esp_hash_domain(ESP_DOMAIN_NEGATIVE, key, 1));
        n_holdout += u < 0.1;
        n_negative += v < 0.1;
        n_both += u < 0.1 && v < 0.1;
    }
    g_assert_cmpint(ABS(n_holdout - 10000), <, 4 * 95);
    g_assert_cmpint(ABS(n_negative - 10000), <, 4 * 95);
    g_assert_cmpint(ABS(n_both - 1000), <, 4 * 32);
}

static void test_unit(void)
{
    g_assert_cmpfloat(esp_unit_of_bits(0), ==, 0);
    g_assert_cmpfloat(esp_unit_of_bits(UINT64_C(1) << 63), ==, 0.5);
    g_assert_cmpfloat(esp_unit_of_bits(UINT64_MAX), <, 1);
}

int main(int argc, char **argv)
{
    test_start(&argc, &argv);
    g_test_add_func("/hash/values are those of the reference", test_reference);
    g_test_add_func("/hash/domain, seed and key each change the number", test_domains);
    g_test_add_func("/hash/domains are uniform and independent", test_uniform);
    g_test_add_func("/hash/a unit is in [0, 1)", test_unit);
    return g_test_run();
}
