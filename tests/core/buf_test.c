/* buf_test.c - buffers and arrays grow, up to their caps and no further. */
#include "core/buf.h"

#include "testkit.h"

static void test_append(void)
{
    struct esp_buf buf;
    esp_buf_init(&buf, 1000);
    g_assert_true(buf.size == 0 && buf.data == NULL);
    for (int i = 0; i < 100; i++)
        g_assert_cmpint(esp_buf_append(&buf, "0123456789", 10, NULL), ==, ESP_OK);
    g_assert_cmpuint(buf.size, ==, 1000);
    g_assert_true(memcmp(buf.data + 990, "0123456789", 10) == 0);
    g_assert_cmpint(esp_buf_append(&buf, "", 0, NULL), ==, ESP_OK);
    g_assert_cmpint(esp_buf_append(&buf, "x", 1, NULL), ==, ESP_ELIMIT);
    g_assert_cmpint(esp_buf_reserve(&buf, SIZE_MAX, NULL), ==, ESP_ELIMIT);
    g_assert_cmpuint(buf.size, ==, 1000);
    g_assert_cmpuint(buf.capacity, <=, 1000);
    esp_buf_clear(&buf);
    g_assert_cmpint(esp_buf_append(&buf, "x", 1, NULL), ==, ESP_OK);
    g_assert_true(esp_bytes_equal(esp_buf_bytes(&buf), esp_bytes_of("x")));
    esp_buf_release(&buf);
    g_assert_true(buf.data == NULL && buf.cap == 1000);
}

static void test_array(void)
{
    void *array = NULL;
    size_t capacity = 0;
    g_assert_cmpint(esp_array_grow(&array, &capacity, 1, 8, NULL), ==, ESP_OK);
    g_assert_cmpuint(capacity, ==, 16);
    g_assert_cmpint(esp_array_grow(&array, &capacity, 17, 8, NULL), ==, ESP_OK);
    g_assert_cmpuint(capacity, ==, 32);
    void *before = array;
    g_assert_cmpint(esp_array_grow(&array, &capacity, 32, 8, NULL), ==, ESP_OK);
    g_assert_cmpint(esp_array_grow(&array, &capacity, SIZE_MAX / 4, 8, NULL), ==, ESP_ENOMEM);
    g_assert_true(array == before && capacity == 32);
    free(array);
}

static const struct {
    const char *a, *b;
    int order;
} orders[] = {
    {"", "", 0}, {"", "a", -1}, {"a", "ab", -1}, {"b", "ab", 1}, {"a", "\xc3", -1}, {"ab", "ab", 0},
};

static void test_order(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(orders); i++) {
        struct esp_bytes a = esp_bytes_of(orders[i].a), b = esp_bytes_of(orders[i].b);
        int got = esp_bytes_compare(a, b), back = esp_bytes_compare(b, a);
        g_assert_cmpint((got > 0) - (got < 0), ==, orders[i].order);
        g_assert_cmpint((back > 0) - (back < 0), ==, -orders[i].order);
        g_assert_cmpint(esp_bytes_equal(a, b), ==, orders[i].order == 0);
    }
    g_assert_true(esp_bytes_equal(esp_bytes(NULL, 0), esp_bytes_of("")));
}

int main(int argc, char **argv)
{
    test_start(&argc, &argv);
    g_test_add_func("/buf/a buffer grows to its cap", test_append);
    g_test_add_func("/buf/an array grows by doubling, or is left alone", test_array);
    g_test_add_func("/buf/bytes are ordered unsigned, a prefix first", test_order);
    return g_test_run();
}
