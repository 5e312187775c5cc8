/*
 * snapshots_test.c - which snapshots are taken at which boundaries, what they hold, for which
 * boundaries they stand, and which files are left.
 */
#include "snapshots_helper.h"

#include <string.h>

/* ---- what is taken ---- */

static void a_snapshot_holds_what_was_due_before_its_boundary(void)
{
    struct test_bench bench;
    test_bench_start(&bench, "");
    for (size_t i = 0; i < N; i++)
        test_bench_learn(&bench, i, test_due(i));
    test_bench_finish(&bench);
    g_assert_cmpuint(bench.numbers->len, >, 8);
    for (guint k = 0; k < bench.numbers->len && !g_test_failed(); k++) {
        int64_t number = g_array_index(bench.numbers, int64_t, k);
        for (size_t m = 0; m < 2; m++) {
            char *path = test_kept_path(&bench, m, number);
            struct esp_snapshot *snapshot = NULL;
            g_assert_cmpint(esp_snapshot_open(path, ESP_SNAPSHOT_CHECKSUM, &snapshot, NULL), ==,
                            ESP_OK);
            g_free(path);
            if (snapshot == NULL)
                continue;
            const struct esp_manifest *manifest = esp_snapshot_manifest(snapshot);
            uint64_t n_before = 0;
            for (size_t i = 0; i < N; i++)
                n_before += test_due(i) < number * EVERY;
            g_assert_cmpint(manifest->boundary_us, ==, number * EVERY);
            g_assert_cmpuint(manifest->n_learned, ==, n_before);
            g_assert_cmpstr(manifest->model, ==, m == 0 ? "a" : "b");
            g_assert_cmpstr(manifest->run, ==, bench.snapshots.models[m].run);
            esp_snapshot_close(snapshot);
        }
    }
    test_bench_end(&bench);
}

/* A run that never hears of what is due at the boundary or later. */
static void the_last_snapshot_of_a_prefix_is_that_of_the_whole(void)
{
    struct test_bench whole;
    test_bench_start(&whole, "");
    for (size_t i = 0; i < N; i++)
        test_bench_learn(&whole, i, test_due(i));
    test_bench_finish(&whole);
    for (guint k = 0; k < whole.numbers->len && !g_test_failed(); k += 3) {
        int64_t number = g_array_index(whole.numbers, int64_t, k);
        struct test_bench prefix;
        test_bench_start(&prefix, "");
        for (size_t i = 0; i < N && test_due(i) < number * EVERY; i++)
            test_bench_learn(&prefix, i, test_due(i));
        test_bench_finish(&prefix);
        g_assert_cmpuint(prefix.numbers->len, ==, k + 1);
        g_assert_cmpint(g_array_index(prefix.numbers, int64_t, k), ==, number);
        for (size_t m = 0; m < 2; m++) {
            char *paths[] = {test_kept_path(&whole, m, number), test_kept_path(&prefix, m, number)};
            char *bytes[2];
            gsize sizes[2];
            for (size_t p = 0; p < 2; p++)
                g_assert_true(g_file_get_contents(paths[p], &bytes[p], &sizes[p], NULL));
            g_assert_cmpmem(bytes[0], sizes[0], bytes[1], sizes[1]);
            for (size_t p = 0; p < 2; p++) {
                g_free(bytes[p]);
                g_free(paths[p]);
            }
        }
        test_bench_end(&prefix);
    }
    test_bench_end(&whole);
}

static void a_label_due_at_the_boundary_is_not_in_its_snapshot(void)
{
    struct test_bench bench;
    test_bench_start(&bench, "");
    int64_t boundary_us = START + 3 * EVERY;
    test_bench_learn(&bench, 0, boundary_us - 1);
    test_bench_learn(&bench, 1, boundary_us);
    test_bench_learn(&bench, 2, boundary_us + EVERY - 1);
    g_assert_cmpuint(bench.numbers->len, ==, 1);
    g_assert_cmpint(g_array_index(bench.numbers, int64_t, 0), ==, boundary_us / EVERY);
    struct esp_learner_report report;
    esp_learner_report(bench.learners[0], &report);
    g_assert_cmpuint(report.examples_learned, ==, 1);
    test_bench_learn(&bench, 3, boundary_us + EVERY);
    g_assert_cmpuint(bench.numbers->len, ==, 2);
    test_bench_end(&bench);
}

static void boundaries_that_nothing_was_learned_before_have_the_last_snapshot(void)
{
    struct test_bench bench;
    struct esp_snapshot *snapshot = NULL;
    test_bench_start(&bench, "");
    int64_t first_us = START + EVERY, last_us = START + 9 * EVERY;
    test_bench_learn(&bench, 0, START + 1);
    test_bench_learn(&bench, 1, last_us + 1); /* crosses nine boundaries */
    g_assert_cmpuint(bench.numbers->len, ==, 1);
    g_assert_cmpint(g_array_index(bench.numbers, int64_t, 0), ==, first_us / EVERY);
    g_assert_cmpint(snapshots_open(&bench.snapshots, 0, first_us - EVERY, &snapshot, NULL), ==,
                    ESP_OK);
    g_assert_null(snapshot); /* before the first */
    for (int64_t boundary_us = first_us; boundary_us <= last_us; boundary_us += EVERY) {
        g_assert_cmpint(snapshots_open(&bench.snapshots, 0, boundary_us, &snapshot, NULL), ==,
                        ESP_OK);
        g_assert_nonnull(snapshot);
        if (snapshot == NULL)
            break;
        g_assert_cmpint(esp_snapshot_manifest(snapshot)->boundary_us, ==, first_us);
        esp_snapshot_close(snapshot);
    }
    test_bench_finish(&bench);
    test_bench_finish(&bench); /* nothing new: nothing is taken */
    g_assert_cmpuint(bench.numbers->len, ==, 2);
    g_assert_cmpint(g_array_index(bench.numbers, int64_t, 1), ==, last_us / EVERY + 1);
    test_bench_end(&bench);
}

static void statistics_alone_make_a_snapshot_and_no_label_none(void)
{
    struct test_bench bench;
    struct esp_feature_batch rows;
    struct esp_value values[N_FIELDS] = {{.type = ESP_VALUE_MISSING},
                                         {.type = ESP_VALUE_REAL, .u.f = 3}};
    test_bench_start(&bench, "");
    g_assert_false(snapshots_due(&bench.snapshots, START + 1));
    g_assert_true(snapshots_due(&bench.snapshots, START + EVERY));
    g_assert_cmpint(
        snapshots_take(&bench.snapshots, bench.learners, bench.features, START + EVERY, NULL), ==,
        ESP_OK);
    g_assert_cmpuint(bench.numbers->len, ==, 0);
    test_bench_learn(&bench, 0, START + EVERY);
    test_bench_learn(&bench, 1, START + 2 * EVERY);
    test_bench_learn(&bench, 2, START + 3 * EVERY);
    guint n = bench.numbers->len;
    g_assert_cmpuint(n, ==, 2);
    test_bench_finish(&bench);
    g_assert_cmpuint(bench.numbers->len, ==, n + 1);
    test_bench_finish(&bench);
    g_assert_cmpuint(bench.numbers->len, ==, n + 1);
    /* Numbers of an impression whose label is learned at a later stage. */
    esp_feature_batch_init(&rows, bench.config.n_features);
    g_assert_cmpint(esp_features_add_row(bench.features, values, true, &rows, NULL), ==, ESP_OK);
    esp_feature_batch_release(&rows);
    test_bench_finish(&bench);
    g_assert_cmpuint(bench.numbers->len, ==, n + 2);
    test_bench_end(&bench);
}

/* ---- files ---- */

static void only_files_that_the_ladder_needs_are_left(void)
{
    struct test_bench bench;
    test_bench_start(&bench, "[drift]\nages = 0, 1, 2, 8, 16\nsparse_from = 8\nsparse = 4\n");
    size_t most = 0;
    for (size_t i = 0; i < 4 * N; i++) {
        int64_t due_us = START + (int64_t)i * 10 * ESP_MINUTE;
        test_bench_learn(&bench, i, due_us);
        int64_t window = esp_ladder_window(&bench.config.ladder, due_us - ESP_HOUR);
        snapshots_forget(&bench.snapshots, window);
        size_t n = bench.snapshots.models[0].n;
        most = n > most ? n : most;
        g_assert_cmpuint(test_count_files(&bench), ==, n + bench.snapshots.models[1].n);
        if (i < 600)
            continue;
        /* What each of the next windows will ask for and exists already is there. */
        for (int64_t next = window; next < window + 20; next++)
            for (size_t a = 0; a < bench.config.ladder.n_ages; a++) {
                int64_t boundary_us = (next - bench.config.ladder.ages[a]) * EVERY;
                struct esp_snapshot *snapshot = NULL;
                if (boundary_us > due_us || !esp_ladder_measures(&bench.config.ladder, next, a))
                    continue;
                g_assert_cmpint(snapshots_open(&bench.snapshots, 0, boundary_us, &snapshot, NULL),
                                ==, ESP_OK);
                g_assert_nonnull(snapshot);
                if (snapshot == NULL)
                    goto out;
                g_assert_cmpint(esp_snapshot_manifest(snapshot)->boundary_us, ==, boundary_us);
                esp_snapshot_close(snapshot);
            }
    }
    /* Ages 0 to 2, every 4th of 16, the newest, and what waits for its window an hour later. */
    g_assert_cmpuint(most, <=, 3 + 4 + 1 + 1);
out:
    test_bench_end(&bench);
}

static void without_drift_only_the_newest_is_left(void)
{
    struct test_bench bench;
    test_bench_start(&bench, "[drift]\nenabled = off\n");
    for (size_t i = 0; i < 300; i++) {
        test_bench_learn(&bench, i, START + (int64_t)i * 10 * ESP_MINUTE);
        snapshots_forget(&bench.snapshots, INT64_MAX);
        g_assert_cmpuint(test_count_files(&bench), <=, 2);
    }
    g_assert_cmpuint(bench.numbers->len, >, 40);
    snapshots_release(&bench.snapshots);
    g_assert_cmpuint(test_count_files(&bench), ==, 0);
    bench.snapshots.config = &bench.config;
    test_bench_end(&bench);
}

static void tidying_removes_what_killed_runs_left_and_nothing_else(void)
{
    struct test_bench bench;
    test_bench_start(&bench, "");
    char *state = g_build_filename(bench.folder, "state", "snapshots", NULL);
    const char *run = bench.snapshots.models[0].run;
    char *names[] = {g_strdup_printf("%s/a-%s-000000000007.safetensors", state, run),
                     g_strdup_printf("%s/a-%s-000000000008.safetensors.tmp", state, run),
                     g_strdup_printf("%s/a-0123456789abcdef-000000000007.safetensors", state),
                     g_strdup_printf("%s/aa-%s-000000000007.safetensors", state, run),
                     g_strdup_printf("%s/.a-%s-000000000007.safetensors.publish.tmp", state, run),
                     g_strdup_printf("%s/a-%s-000000000007.safetensors.publish", state, run),
                     g_strdup_printf("%s/a-%s-notes.txt", state, run)};
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
        g_assert_true(g_file_set_contents(names[i], "left", -1, NULL));
    test_bench_learn(&bench, 0, START);
    test_bench_learn(&bench, 1, START + 2 * EVERY);
    g_assert_cmpuint(test_count_files(&bench), ==, G_N_ELEMENTS(names) + 2);
    snapshots_tidy(&bench.snapshots);
    g_assert_cmpuint(test_count_files(&bench), ==, 2 + 2);
    g_assert_true(g_file_test(bench.snapshots.models[0].files[0].path, G_FILE_TEST_EXISTS));
    g_assert_true(g_file_test(bench.snapshots.models[1].files[0].path, G_FILE_TEST_EXISTS));
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        g_assert_cmpint(g_file_test(names[i], G_FILE_TEST_EXISTS), ==, i >= 5);
        g_free(names[i]);
    }
    g_free(state);
    test_bench_end(&bench);
}

static void nothing_is_taken_where_every_is_0(void)
{
    struct test_bench bench;
    test_bench_start(&bench, "[snapshot]\nevery = 0\n");
    for (size_t i = 0; i < 100; i++)
        test_bench_learn(&bench, i, START + (int64_t)i * ESP_HOUR);
    test_bench_finish(&bench);
    g_assert_cmpuint(bench.numbers->len, ==, 0);
    char *state = g_build_filename(bench.folder, "state", NULL);
    g_assert_false(g_file_test(state, G_FILE_TEST_EXISTS));
    g_free(state);
    test_bench_end(&bench);
}

int main(int argc, char **argv)
{
    test_start(&argc, &argv);
    g_test_add_func("/snapshots/one holds what was due before its boundary, and nothing else",
                    a_snapshot_holds_what_was_due_before_its_boundary);
    g_test_add_func("/snapshots/the last one of a prefix is that of the whole, to the byte",
                    the_last_snapshot_of_a_prefix_is_that_of_the_whole);
    g_test_add_func("/snapshots/a label due at the boundary is not in its snapshot",
                    a_label_due_at_the_boundary_is_not_in_its_snapshot);
    g_test_add_func("/snapshots/boundaries that nothing was learned before have the last one",
                    boundaries_that_nothing_was_learned_before_have_the_last_snapshot);
    g_test_add_func("/snapshots/statistics alone make one, no label makes none",
                    statistics_alone_make_a_snapshot_and_no_label_none);
    g_test_add_func("/snapshots/only files that the ladder needs are left",
                    only_files_that_the_ladder_needs_are_left);
    g_test_add_func("/snapshots/without drift only the newest is left",
                    without_drift_only_the_newest_is_left);
    g_test_add_func("/snapshots/tidying removes what killed runs left, and nothing else",
                    tidying_removes_what_killed_runs_left_and_nothing_else);
    g_test_add_func("/snapshots/nothing is taken where every is 0",
                    nothing_is_taken_where_every_is_0);
    return g_test_run();
}
