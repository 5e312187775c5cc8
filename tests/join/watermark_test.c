/* watermark_test.c - W over partitions that speak, are idle, have ended. */
#include "join/watermark.h"

#include "testkit.h"

#define NONE ESP_TIME_NONE

struct row {
    const char *name;
    int64_t now_us, idle_lag_us;
    struct esp_watermark_source sources[4];
    size_t n;
    int64_t want_us;
};

enum { NO = 0, YES = 1 };

static const struct row rows[] = {
    {"none before all have spoken", NONE, 0, {{5, NO, NO, NO}, {NONE, NO, NO, NO}}, 2, NONE},
    {"the smallest of all", NONE, 0, {{5, NO, NO, NO}, {3, NO, NO, NO}, {9, NO, NO, NO}}, 3, 3},
    {"it never falls", 7, 0, {{5, NO, NO, NO}, {9, NO, NO, NO}}, 2, 7},
    {"an idle one stands at the others' largest", 1, 0, {{3, YES, NO, NO}, {9, NO, NO, NO}}, 2, 9},
    {"less the lag", 1, 2, {{3, YES, NO, NO}, {9, NO, NO, NO}}, 2, 7},
    {"but not below its own", 1, 8, {{3, YES, NO, NO}, {9, NO, NO, NO}}, 2, 3},
    {"a silent one that is idle counts the same",
     NONE,
     0,
     {{NONE, YES, NO, NO}, {9, NO, NO, NO}},
     2,
     9},
    {"all idle: the lag behind the largest", NONE, 2, {{3, YES, NO, NO}, {9, YES, NO, NO}}, 2, 7},
    {"all idle and silent: none", NONE, 0, {{NONE, YES, NO, NO}, {NONE, YES, NO, NO}}, 2, NONE},
    {"one that ended keeps its watermark", 1, 0, {{3, NO, YES, NO}, {9, NO, NO, NO}}, 2, 3},
    {"one that ended without a record is left out",
     1,
     0,
     {{NONE, NO, YES, NO}, {9, NO, NO, NO}},
     2,
     9},
    {"one whose time was closed is left out", 1, 0, {{3, NO, YES, YES}, {9, NO, NO, NO}}, 2, 9},
    {"where none counts it stays", 4, 0, {{3, NO, YES, YES}, {9, NO, YES, YES}}, 2, 4},
};

static void test_row(gconstpointer data)
{
    const struct row *row = data;
    g_assert_cmpint(esp_watermark_raise(row->now_us, row->sources, row->n, row->idle_lag_us), ==,
                    row->want_us);
}

int main(int argc, char **argv)
{
    test_start(&argc, &argv);
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        char *path = g_strdup_printf("/watermark/\"%s\"", rows[i].name);
        g_test_add_data_func(path, &rows[i], test_row);
        g_free(path);
    }
    return g_test_run();
}
