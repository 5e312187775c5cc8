/* partitioner_test.c - murmur2 against the vectors of Kafka's own UtilsTest.java. */
#include "log_helper.h"

struct row {
    const char *name, *key;
    int32_t hash; /* Utils.murmur2() */
};

static const struct row rows[] = {
    {"/partitioner/two bytes", "21", -973932308},
    {"/partitioner/three bytes", "abc", 479470107},
    {"/partitioner/six bytes", "foobar", -790332482},
    {"/partitioner/24 bytes", "a-little-bit-long-string", -985981536},
    {"/partitioner/26 bytes", "a-little-bit-longer-string", -1486304829},
    {"/partitioner/48 bytes", "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971},
};

static void test_row(const void *data)
{
    const struct row *row = data;
    uint32_t positive = (uint32_t)row->hash & UINT32_C(0x7fffffff);
    struct esp_bytes key = esp_bytes_of(row->key);
    g_assert_cmpuint(esp_log_partition_of(key, UINT32_C(0x7fffffff)), ==, positive);
    g_assert_cmpuint(esp_log_partition_of(key, 24), ==, positive % 24);
    g_assert_cmpuint(esp_log_partition_of(key, 1), ==, 0);
}

int main(int argc, char **argv)
{
    test_start(&argc, &argv);
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
        g_test_add_data_func(rows[i].name, &rows[i], test_row);
    return g_test_run();
}
