/* live_set_test.c - what is live has limits. How records make it come and go is in
 * topic_source_test.c. */
#include "snapshot/live_set.h"

#include "testkit.h"

/* A live snapshot whose manifest is said to have so many bytes; nobody looks at them. */
static struct esp_live_snapshot live_of(int64_t number, size_t n_bytes)
{
    struct esp_live_snapshot live = {.offset = -1};
    live.manifest.id.number = number;
    live.manifest.manifest = esp_bytes("", n_bytes);
    return live;
}

static void test_bytes(void)
{
    struct esp_live_set set = {0};
    struct esp_error err = {0};
    const size_t half = ESP_LIVE_MAX_BYTES / 2;
    struct esp_live_snapshot one = live_of(1, half), two = live_of(2, half), three = live_of(3, 1);
    g_assert_cmpint(esp_live_set_put(&set, &one, &err), ==, ESP_OK);
    g_assert_cmpint(esp_live_set_put(&set, &two, &err), ==, ESP_OK);
    g_assert_cmpint(esp_live_set_put(&set, &three, &err), ==, ESP_ELIMIT);
    g_assert_cmpstr(err.text, ==, "manifests of live snapshots take over 268435456 bytes");
    g_assert_cmpuint(set.n, ==, 2);
    /* One that takes another's place counts once; what has gone counts no more. */
    one = live_of(1, half - 1);
    g_assert_cmpint(esp_live_set_put(&set, &one, NULL), ==, ESP_OK);
    g_assert_cmpint(esp_live_set_put(&set, &three, NULL), ==, ESP_OK);
    g_assert_true(esp_live_set_remove(&set, &(struct esp_snapshot_id){.number = 2}));
    g_assert_cmpuint(set.n_bytes, ==, half);
    esp_live_set_release(&set);
    g_assert_cmpuint(set.n_bytes, ==, 0);
}

int main(int argc, char **argv)
{
    test_start(&argc, &argv);
    g_test_add_func("/live set/manifests have a limit in bytes, all together", test_bytes);
    return g_test_run();
}
