/* partition_rewinds_test.c - points to read again from: which is found, and how many are kept. */
#include "join/partition_rewinds.h"

#include "join_helper.h"

enum { SHIFT = 4, WIDTH = 1 << SHIFT };
static const struct esp_rewind start = {ESP_OFFSET_EARLIEST, ESP_TIME_NONE};

/* The largest time rises by one a record; a point is noted where it enters a bucket. */
static void rise(struct esp_rewinds *rewinds, int64_t from, int64_t to, int64_t needed_us)
{
    for (int64_t i = from; i < to; i++) {
        struct esp_rewind here = {i, i == 0 ? ESP_TIME_NONE : i - 1};
        if (i >= rewinds->next_us)
            esp_rewinds_note(rewinds, here, i, needed_us);
    }
}

static void test_found(void)
{
    struct esp_rewinds rewinds;
    esp_rewinds_init(&rewinds, SHIFT, start);
    g_assert_cmpint(esp_rewinds_find(&rewinds, -1000)->offset, ==, ESP_OFFSET_EARLIEST);
    rise(&rewinds, 0, 10 * WIDTH, ESP_TIME_NONE);
    /* Before anything: the first record. Its largest time is none. */
    g_assert_cmpint(esp_rewinds_find(&rewinds, -1000)->offset, ==, 0);
    g_assert_cmpint(esp_rewinds_find(&rewinds, WIDTH - 1)->offset, ==, 0);
    /* Record WIDTH is a point: all before it have times up to WIDTH - 1. */
    g_assert_cmpint(esp_rewinds_find(&rewinds, WIDTH)->offset, ==, WIDTH);
    g_assert_cmpint(esp_rewinds_find(&rewinds, WIDTH)->largest_us, ==, WIDTH - 1);
    g_assert_cmpint(esp_rewinds_find(&rewinds, 2 * WIDTH - 1)->offset, ==, WIDTH);
    g_assert_cmpint(esp_rewinds_find(&rewinds, 1000 * WIDTH)->offset, ==, 9 * WIDTH);
}

static void test_begun(void)
{
    struct esp_rewinds rewinds;
    esp_rewinds_init(&rewinds, SHIFT, (struct esp_rewind){70, 33});
    g_assert_null(esp_rewinds_find(&rewinds, 33));
    g_assert_cmpint(esp_rewinds_find(&rewinds, 34)->offset, ==, 70);
    /* The bucket of 33 ends at 48. */
    g_assert_cmpint(rewinds.next_us, ==, 48);
}

static void test_unneeded(void)
{
    struct esp_rewinds rewinds;
    esp_rewinds_init(&rewinds, SHIFT, start);
    for (int64_t i = 0; i < 1000; i++) {
        int64_t needed_us = (i - 10) * WIDTH;
        rise(&rewinds, i * WIDTH, (i + 1) * WIDTH, needed_us);
        const struct esp_rewind *found = esp_rewinds_find(&rewinds, needed_us);
        g_assert_true(found != NULL && found->largest_us < needed_us);
        g_assert_cmpuint(rewinds.n, <=, 13);
        /* The latest that there is of those kept: less than a bucket below. */
        g_assert_true(i <= 10 || found->largest_us >= needed_us - WIDTH);
    }
}

static void test_too_many(void)
{
    struct esp_rewinds rewinds;
    esp_rewinds_init(&rewinds, SHIFT, start);
    rise(&rewinds, 0, 100000 * WIDTH, ESP_TIME_NONE);
    g_assert_cmpuint(rewinds.n, <=, ESP_MAX_REWINDS);
    g_assert_cmpuint(rewinds.n, >=, ESP_MAX_REWINDS / 2);
    for (int64_t before_us = 1; before_us < 100000 * WIDTH; before_us += 12345) {
        const struct esp_rewind *found = esp_rewinds_find(&rewinds, before_us);
        g_assert_true(found->largest_us == ESP_TIME_NONE || found->largest_us < before_us);
        g_assert_true(found->offset == ESP_OFFSET_EARLIEST || found->offset <= before_us);
    }
    g_assert_cmpint(esp_rewinds_find(&rewinds, 0)->largest_us, ==, ESP_TIME_NONE);
}

int main(int argc, char **argv)
{
    test_start(&argc, &argv);
    g_test_add_func("/rewinds/\"the last point below the time is found\"", test_found);
    g_test_add_func("/rewinds/\"there is none before where it was read from\"", test_begun);
    g_test_add_func("/rewinds/\"points that nobody can ask for go\"", test_unneeded);
    g_test_add_func("/rewinds/\"too many become fewer, and stay right\"", test_too_many);
    return g_test_run();
}
