/* calendar_test.c - the calendar against a sorted list. */
#include "join/calendar.h"

#include <inttypes.h>

#include "testkit.h"

enum { MAX_ENTRIES = 3000 };

/* Keys of the references: reference r is keys[r - 1]. */
struct world {
    char keys[MAX_ENTRIES][24];
    struct esp_calendar calendar;
    struct esp_calendar_entry model[MAX_ENTRIES]; /* what is inside, unsorted */
    size_t n;
};

static struct esp_bytes key_of(const void *context, uint32_t ref)
{
    const struct world *world = context;
    return esp_bytes_of(world->keys[ref - 1]);
}

static int by_reference(const void *context, uint32_t a, uint32_t b)
{
    (void)context;
    return (a > b) - (a < b);
}

static size_t earliest(const struct world *world)
{
    size_t best = 0;
    for (size_t i = 1; i < world->n; i++) {
        const struct esp_calendar_entry *a = &world->model[i], *b = &world->model[best];
        int order = (a->time_us > b->time_us) - (a->time_us < b->time_us);
        if (order == 0)
            order = strcmp(world->keys[a->ref - 1], world->keys[b->ref - 1]);
        if (order < 0 || (order == 0 && a->ref < b->ref))
            best = i;
    }
    return best;
}

/* Takes out what lies below the limit, up to n_most, and holds each against the list. */
static void take(struct world *world, int64_t limit_us, size_t n_most)
{
    for (size_t i = 0; i < n_most && !g_test_failed(); i++) {
        struct esp_calendar_entry entry = {0};
        bool found, want = false;
        size_t best = 0;
        if (world->n > 0) {
            best = earliest(world);
            want = world->model[best].time_us < limit_us;
        }
        g_assert_cmpint(esp_calendar_peek(&world->calendar, limit_us, &entry, &found, NULL), ==,
                        ESP_OK);
        g_assert_cmpint(found, ==, want);
        if (!found)
            break;
        g_assert_cmpint(entry.time_us, ==, world->model[best].time_us);
        g_assert_cmpuint(entry.ref, ==, world->model[best].ref);
        esp_calendar_pop(&world->calendar);
        world->model[best] = world->model[--world->n];
        g_assert_cmpuint(world->calendar.n, ==, world->n);
    }
}

static void count_one(void *context, int64_t time_us, uint32_t ref)
{
    (void)time_us;
    *(uint64_t *)context += ref;
}

static void test_random(gconstpointer data)
{
    int64_t spread_us = GPOINTER_TO_INT(data);
    struct world *world = g_new0(struct world, 1);
    for (uint64_t seed = 1; seed <= 8 && !g_test_failed(); seed++) {
        struct test_random random = {seed};
        struct esp_calendar_order order = {key_of, by_reference, world};
        esp_calendar_init(&world->calendar, 4 + (unsigned)test_random_below(&random, 8), order);
        int64_t limit_us = -1000;
        for (uint32_t ref = 1; ref <= MAX_ENTRIES; ref++) {
            g_snprintf(world->keys[ref - 1], sizeof world->keys[0], "%.*s%" PRIu64,
                       (int)test_random_below(&random, 14), "samesamesamesame",
                       test_random_below(&random, 40));
            int64_t time_us = limit_us + (int64_t)test_random_below(&random, (uint64_t)spread_us);
            if (test_random_below(&random, 50) == 0)
                time_us += (int64_t)test_random_below(&random, 1000000);
            world->model[world->n++] = (struct esp_calendar_entry){time_us, ref};
            g_assert_cmpint(esp_calendar_add(&world->calendar, time_us, ref, NULL), ==, ESP_OK);
            if (test_random_below(&random, 40) == 0) {
                limit_us += (int64_t)test_random_below(&random, (uint64_t)spread_us / 2 + 2);
                take(world, limit_us, test_random_below(&random, 80));
            }
        }
        uint64_t sum = 0, want = 0;
        esp_calendar_each(&world->calendar, count_one, &sum);
        for (size_t i = 0; i < world->n; i++)
            want += world->model[i].ref;
        g_assert_cmpuint(sum, ==, want);
        take(world, INT64_MAX, MAX_ENTRIES);
        g_assert_cmpuint(world->n, ==, 0);
        esp_calendar_release(&world->calendar);
    }
    g_free(world);
}

static void test_sparse(void)
{
    struct world *world = g_new0(struct world, 1);
    struct esp_calendar_order order = {key_of, by_reference, world};
    esp_calendar_init(&world->calendar, 20, order);
    for (uint32_t ref = 1; ref <= MAX_ENTRIES; ref++) /* each in a bucket of its own, backwards */
        g_assert_cmpint(
            esp_calendar_add(&world->calendar, -(int64_t)ref * (INT64_C(1) << 40), ref, NULL), ==,
            ESP_OK);
    for (uint32_t ref = MAX_ENTRIES; ref > 0 && !g_test_failed(); ref--) {
        struct esp_calendar_entry entry;
        bool found;
        (void)esp_calendar_peek(&world->calendar, 0, &entry, &found, NULL);
        g_assert_true(found);
        g_assert_cmpuint(entry.ref, ==, ref);
        g_assert_cmpint(entry.time_us, ==, -(int64_t)ref * (INT64_C(1) << 40));
        esp_calendar_pop(&world->calendar);
    }
    esp_calendar_release(&world->calendar);
    g_free(world);
}

int main(int argc, char **argv)
{
    test_start(&argc, &argv);
    g_test_add_data_func("/calendar/\"few distinct times: keys decide\"", GINT_TO_POINTER(20),
                         test_random);
    g_test_add_data_func("/calendar/\"many distinct times\"", GINT_TO_POINTER(20000), test_random);
    g_test_add_func("/calendar/\"a bucket an entry, in falling order\"", test_sparse);
    return g_test_run();
}
