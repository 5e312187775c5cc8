/*
 * ladder_test.c - which ages a window measures and which snapshots that takes, beside a twin that
 * goes through the windows one by one.
 */
#include "drift/ladder.h"

#include <string.h>

#include "testkit.h"

/* ---- validation ---- */

struct bad_row {
    const char *name;
    struct esp_ladder ladder;
    const char *line;
};

static const struct bad_row bad_rows[] = {
    {"a window of no length", {.n_ages = 1, .sparse = 1}, "window: choose a span above 0"},
    {"a window that ends before it starts",
     {.window_us = -1, .n_ages = 1, .sparse = 1},
     "window: choose a span above 0"},
    {"no ages", {.window_us = 1, .sparse = 1}, "0 ages; give 1 to 16"},
    {"17 ages", {.window_us = 1, .n_ages = 17, .sparse = 1}, "17 ages; give 1 to 16"},
    {"ages without 0",
     {.window_us = 1, .n_ages = 2, .ages = {1, 2}, .sparse = 1},
     "the first must be 0, which others are compared to"},
    {"an age twice",
     {.window_us = 1, .n_ages = 3, .ages = {0, 4, 4}, .sparse = 1},
     "4 does not ascend"},
    {"ages that descend",
     {.window_us = 1, .n_ages = 3, .ages = {0, 4, 2}, .sparse = 1},
     "2 does not ascend"},
    {"an age beyond all use",
     {.window_us = 1, .n_ages = 2, .ages = {0, ESP_MAX_AGE + 1}, .sparse = 1},
     "100001 windows; at most 100000"},
    {"every 0th window",
     {.window_us = 1, .n_ages = 1, .sparse = 0},
     "sparse: choose 1 for every window"},
};

static void is_refused(gconstpointer data)
{
    const struct bad_row *row = data;
    struct esp_error err = {0};
    g_assert_cmpint(esp_ladder_validate(&row->ladder, &err), ==, ESP_ECONFIG);
    g_assert_cmpstr(err.text, ==, row->line);
}

static void sixteen_ages_are_accepted(void)
{
    struct esp_ladder ladder = {.window_us = 1, .n_ages = ESP_MAX_AGES, .sparse = 1};
    for (uint32_t i = 0; i < ESP_MAX_AGES; i++)
        ladder.ages[i] = i == ESP_MAX_AGES - 1 ? ESP_MAX_AGE : i;
    g_assert_cmpint(esp_ladder_validate(&ladder, NULL), ==, ESP_OK);
}

/* ---- windows ---- */

static void a_window_holds_its_start_and_not_its_end(void)
{
    const struct esp_ladder ladder = {.window_us = 10, .n_ages = 1, .sparse = 1};
    const int64_t rows[][2] = {{0, 0},    {9, 0},    {10, 1},   {-1, -1},
                               {-10, -1}, {-11, -2}, {-20, -2}, {1234567, 123456}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        g_assert_cmpint(esp_ladder_window(&ladder, rows[i][0]), ==, rows[i][1]);
}

static struct esp_ladder draw_ladder(struct test_random *random)
{
    struct esp_ladder ladder = {
        .window_us = 1 + (int64_t)test_random_below(random, 12),
        .n_ages = 1 + test_random_below(random, 5),
        .sparse_from = 1 + (uint32_t)test_random_below(random, 8),
        .sparse = 1 + (uint32_t)test_random_below(random, 5),
    };
    for (size_t a = 1; a < ladder.n_ages; a++)
        ladder.ages[a] = ladder.ages[a - 1] + 1 + (uint32_t)test_random_below(random, 5);
    return ladder;
}

/* By the words: ages from sparse_from up, at windows whose number sparse divides. */
static bool twin_measures(const struct esp_ladder *ladder, int64_t window, size_t a)
{
    if (ladder->ages[a] < ladder->sparse_from)
        return true;
    int64_t multiple = 0, distance = window < 0 ? -window : window;
    while (multiple < distance)
        multiple += ladder->sparse;
    return multiple == distance;
}

/* Beyond `last` no window can have a boundary in the spans that are tried. */
static bool twin_needs(const struct esp_ladder *ladder, int64_t first, int64_t last,
                       int64_t from_us, int64_t to_us)
{
    for (int64_t window = first; window <= last; window++)
        for (size_t a = 0; a < ladder->n_ages; a++) {
            int64_t boundary_us = (window - ladder->ages[a]) * ladder->window_us;
            if (twin_measures(ladder, window, a) && boundary_us >= from_us && boundary_us < to_us)
                return true;
        }
    return false;
}

static void ages_are_measured_at_the_windows_that_the_twin_names(void)
{
    struct test_random random = {11};
    size_t n_sparse = 0;
    for (int round = 0; round < 500; round++) {
        struct esp_ladder ladder = draw_ladder(&random);
        g_assert_cmpint(esp_ladder_validate(&ladder, NULL), ==, ESP_OK);
        for (int64_t window = -20; window <= 20; window++)
            for (size_t a = 0; a < ladder.n_ages; a++) {
                bool measures = esp_ladder_measures(&ladder, window, a);
                n_sparse += !measures;
                if (measures != twin_measures(&ladder, window, a))
                    g_test_fail_printf("round %d, window %d, age %zu", round, (int)window, a);
            }
    }
    g_assert_cmpuint(n_sparse, >, 1000);
}

static void a_snapshot_is_needed_as_long_as_the_twin_says(void)
{
    struct test_random random = {12};
    size_t n_needed = 0, n_not = 0;
    for (int round = 0; round < 10000; round++) {
        struct esp_ladder ladder = draw_ladder(&random);
        int64_t first = (int64_t)test_random_below(&random, 60) - 30;
        int64_t from = (int64_t)test_random_below(&random, 600) - 300;
        int64_t to = from + (int64_t)test_random_below(&random, 40);
        bool needs = esp_ladder_needs(&ladder, first, from, to);
        n_needed += needs;
        n_not += !needs;
        if (needs != twin_needs(&ladder, first, 700, from, to))
            g_test_fail_printf("round %d: windows from %d on, boundaries from %d to %d", round,
                               (int)first, (int)from, (int)to);
        if (g_test_failed())
            return;
    }
    g_assert_cmpuint(n_needed, >, 1000);
    g_assert_cmpuint(n_not, >, 1000);
}

/* Before the first label every window may come; no multiple of it may overflow. */
static void everything_is_needed_before_the_first_window_is_known(void)
{
    struct test_random random = {13};
    for (int round = 0; round < 1000; round++) {
        struct esp_ladder ladder = draw_ladder(&random);
        int64_t from = (int64_t)test_random_below(&random, 600) - 300;
        g_assert_true(esp_ladder_needs(&ladder, INT64_MIN, from, from + ladder.window_us));
    }
}

int main(int argc, char **argv)
{
    test_start(&argc, &argv);
    for (size_t i = 0; i < sizeof bad_rows / sizeof bad_rows[0]; i++) {
        char *path = g_strdup_printf("/ladder/refuses %s", bad_rows[i].name);
        g_test_add_data_func(path, &bad_rows[i], is_refused);
        g_free(path);
    }
    g_test_add_func("/ladder/sixteen ages are accepted", sixteen_ages_are_accepted);
    g_test_add_func("/ladder/a window holds its start, not its end",
                    a_window_holds_its_start_and_not_its_end);
    g_test_add_func("/ladder/ages are measured at the windows that the twin names",
                    ages_are_measured_at_the_windows_that_the_twin_names);
    g_test_add_func("/ladder/a snapshot is needed as long as the twin says",
                    a_snapshot_is_needed_as_long_as_the_twin_says);
    g_test_add_func("/ladder/everything is needed before the first window is known",
                    everything_is_needed_before_the_first_window_is_known);
    return g_test_run();
}
