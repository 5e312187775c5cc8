/*
 * snapshots_test.c - which snapshots are taken at which boundaries, what they hold, for which
 * boundaries they stand, and which files are left.
 */
#include "cmd/snapshots.h"

#include <string.h>
#include <unistd.h>

#include "core/timespan.h"
#include "testkit.h"

enum { N = 600, N_FIELDS = 2 };
#define START (INT64_C(1714521600) * ESP_SECOND)
#define EVERY ESP_HOUR

/* Models, their snapshots, and the folders that these go to. */
struct bench {
    char *folder, *kept; /* kept: second links to all files that were taken */
    struct config config;
    struct snapshots snapshots;
    struct esp_learner *learners[2];
    struct esp_features *features;
    GArray *numbers; /* int64_t: what was taken of model 0, in order */
};

static enum esp_status keep(void *context, size_t model, int64_t number, const char *path,
                            struct esp_error *err)
{
    struct bench *bench = context;
    (void)err;
    char *name = g_path_get_basename(path);
    char *other = g_build_filename(bench->kept, name, NULL);
    g_assert_cmpint(link(path, other), ==, 0);
    if (model == 0)
        g_array_append_val(bench->numbers, number);
    g_free(name);
    g_free(other);
    return ESP_OK;
}

static void start(struct bench *bench, const char *more)
{
    *bench = (struct bench){.folder = test_folder_new(), .kept = test_folder_new()};
    char *path = g_build_filename(bench->folder, "t.ini", NULL);
    char *text = g_strdup_printf("[files]\nroot = data\n[features]\ncategorical = who\n"
                                 "numeric = price\n[state]\nfolder = %s/state\n[model a]\n"
                                 "setup = ctr\nlayers = 6\nhead_layers = 4\nwidth = 4\n"
                                 "batch = 50\n[model b]\nsetup = ctr\nlayers = 4\nwidth = 2\n%s",
                                 bench->folder, more);
    g_assert_true(g_file_set_contents(path, text, -1, NULL));
    g_assert_cmpint(config_load(&bench->config, path, NULL, 0, NULL, NULL, NULL), ==, ESP_OK);
    g_assert_cmpint(snapshots_init(&bench->snapshots, &bench->config, NULL), ==, ESP_OK);
    bench->numbers = g_array_new(FALSE, FALSE, sizeof(int64_t));
    bench->snapshots.taker = keep;
    bench->snapshots.taker_context = bench;
    for (size_t m = 0; m < 2; m++) {
        struct esp_learner_config learner = config_learner(&bench->config, m);
        g_assert_cmpint(esp_learner_new(&learner, NULL, &bench->learners[m], NULL), ==, ESP_OK);
    }
    g_assert_cmpint(
        esp_features_new(bench->config.features, bench->config.n_features, &bench->features, NULL),
        ==, ESP_OK);
    g_free(path);
    g_free(text);
}

static void end(struct bench *bench)
{
    for (size_t m = 0; m < 2; m++)
        esp_learner_free(bench->learners[m]);
    esp_features_free(bench->features);
    snapshots_release(&bench->snapshots);
    config_release(&bench->config);
    g_array_free(bench->numbers, TRUE);
    test_folder_remove(bench->folder);
    test_folder_remove(bench->kept);
}

static struct esp_example example_at(size_t i, int64_t due_us)
{
    return (struct esp_example){.due_us = due_us,
                                .impression_us = due_us - ESP_HOUR,
                                .click_us = ESP_TIME_NONE,
                                .install_us = ESP_TIME_NONE,
                                .ticket = i,
                                .id_hash = i * 7919,
                                .weight = 1,
                                .base_weight = 1,
                                .stage = ESP_STAGE_CLICK,
                                .y = i % 3 == 0};
}

/* Learns one example, across a boundary where one is due, as the learning thread does. */
static void learn(struct bench *bench, size_t i, int64_t due_us)
{
    static const char *const names[] = {"ann", "bob", "eve", "kim"};
    struct esp_value values[N_FIELDS] = {
        {.type = ESP_VALUE_TEXT, .u.bytes = esp_bytes_of(names[i % 4])},
        {.type = ESP_VALUE_REAL, .u.f = (double)(i * 13 % 17)}};
    struct esp_example example = example_at(i, due_us);
    struct esp_feature_batch rows;
    if (snapshots_due(&bench->snapshots, due_us)) {
        for (size_t m = 0; m < 2; m++)
            g_assert_cmpint(esp_learner_flush(bench->learners[m], NULL), ==, ESP_OK);
        g_assert_cmpint(
            snapshots_take(&bench->snapshots, bench->learners, bench->features, due_us, NULL), ==,
            ESP_OK);
    }
    esp_feature_batch_init(&rows, bench->config.n_features);
    g_assert_cmpint(esp_features_add_row(bench->features, values, true, &rows, NULL), ==, ESP_OK);
    for (size_t m = 0; m < 2; m++)
        g_assert_cmpint(esp_learner_take(bench->learners[m], &example, 1, &rows, NULL), ==, ESP_OK);
    esp_feature_batch_release(&rows);
}

static void finish(struct bench *bench)
{
    for (size_t m = 0; m < 2; m++)
        g_assert_cmpint(esp_learner_flush(bench->learners[m], NULL), ==, ESP_OK);
    g_assert_cmpint(snapshots_finish(&bench->snapshots, bench->learners, bench->features, NULL), ==,
                    ESP_OK);
}

/* Irregular: example i is due so long after the start; a gap of 5 hours in the middle. */
static int64_t due_of(size_t i)
{
    return START + (int64_t)i * 61 * ESP_SECOND + (i * i % 7) * ESP_SECOND +
           (i > N / 2 ? 5 * ESP_HOUR : 0);
}

static char *kept_path(const struct bench *bench, size_t m, int64_t number)
{
    char name[ESP_SNAPSHOT_NAME_SIZE];
    esp_snapshot_file_name(bench->config.models[m].name, bench->snapshots.models[m].run, number,
                           name);
    return g_build_filename(bench->kept, name, NULL);
}

static size_t count_files(const struct bench *bench)
{
    char *path = g_build_filename(bench->folder, "state", "snapshots", NULL);
    GDir *dir = g_dir_open(path, 0, NULL);
    size_t n = 0;
    while (dir != NULL && g_dir_read_name(dir) != NULL)
        n++;
    if (dir != NULL)
        g_dir_close(dir);
    g_free(path);
    return n;
}

/* ---- what is taken ---- */

static void a_snapshot_holds_what_was_due_before_its_boundary(void)
{
    struct bench bench;
    start(&bench, "");
    for (size_t i = 0; i < N; i++)
        learn(&bench, i, due_of(i));
    finish(&bench);
    g_assert_cmpuint(bench.numbers->len, >, 8);
    for (guint k = 0; k < bench.numbers->len && !g_test_failed(); k++) {
        int64_t number = g_array_index(bench.numbers, int64_t, k);
        for (size_t m = 0; m < 2; m++) {
            char *path = kept_path(&bench, m, number);
            struct esp_snapshot *snapshot = NULL;
            g_assert_cmpint(esp_snapshot_open(path, ESP_SNAPSHOT_CHECKSUM, &snapshot, NULL), ==,
                            ESP_OK);
            g_free(path);
            if (snapshot == NULL)
                continue;
            const struct esp_manifest *manifest = esp_snapshot_manifest(snapshot);
            uint64_t n_before = 0;
            for (size_t i = 0; i < N; i++)
                n_before += due_of(i) < number * EVERY;
            g_assert_cmpint(manifest->boundary_us, ==, number * EVERY);
            g_assert_cmpuint(manifest->n_learned, ==, n_before);
            g_assert_cmpstr(manifest->model, ==, m == 0 ? "a" : "b");
            g_assert_cmpstr(manifest->run, ==, bench.snapshots.models[m].run);
            esp_snapshot_close(snapshot);
        }
    }
    end(&bench);
}

/* A run that never hears of what is due at the boundary or later. */
static void the_last_snapshot_of_a_prefix_is_that_of_the_whole(void)
{
    struct bench whole;
    start(&whole, "");
    for (size_t i = 0; i < N; i++)
        learn(&whole, i, due_of(i));
    finish(&whole);
    for (guint k = 0; k < whole.numbers->len && !g_test_failed(); k += 3) {
        int64_t number = g_array_index(whole.numbers, int64_t, k);
        struct bench prefix;
        start(&prefix, "");
        for (size_t i = 0; i < N && due_of(i) < number * EVERY; i++)
            learn(&prefix, i, due_of(i));
        finish(&prefix);
        g_assert_cmpuint(prefix.numbers->len, ==, k + 1);
        g_assert_cmpint(g_array_index(prefix.numbers, int64_t, k), ==, number);
        for (size_t m = 0; m < 2; m++) {
            char *paths[] = {kept_path(&whole, m, number), kept_path(&prefix, m, number)};
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
        end(&prefix);
    }
    end(&whole);
}

static void a_label_due_at_the_boundary_is_not_in_its_snapshot(void)
{
    struct bench bench;
    start(&bench, "");
    int64_t boundary_us = START + 3 * EVERY;
    learn(&bench, 0, boundary_us - 1);
    learn(&bench, 1, boundary_us);
    learn(&bench, 2, boundary_us + EVERY - 1);
    g_assert_cmpuint(bench.numbers->len, ==, 1);
    g_assert_cmpint(g_array_index(bench.numbers, int64_t, 0), ==, boundary_us / EVERY);
    struct esp_learner_report report;
    esp_learner_report(bench.learners[0], &report);
    g_assert_cmpuint(report.examples_learned, ==, 1);
    learn(&bench, 3, boundary_us + EVERY);
    g_assert_cmpuint(bench.numbers->len, ==, 2);
    end(&bench);
}

static void boundaries_that_nothing_was_learned_before_have_the_last_snapshot(void)
{
    struct bench bench;
    struct esp_snapshot *snapshot = NULL;
    start(&bench, "");
    int64_t first_us = START + EVERY, last_us = START + 9 * EVERY;
    learn(&bench, 0, START + 1);
    learn(&bench, 1, last_us + 1); /* crosses nine boundaries */
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
    finish(&bench);
    finish(&bench); /* nothing new: nothing is taken */
    g_assert_cmpuint(bench.numbers->len, ==, 2);
    g_assert_cmpint(g_array_index(bench.numbers, int64_t, 1), ==, last_us / EVERY + 1);
    end(&bench);
}

static void statistics_alone_make_a_snapshot_and_no_label_none(void)
{
    struct bench bench;
    struct esp_feature_batch rows;
    struct esp_value values[N_FIELDS] = {{.type = ESP_VALUE_MISSING},
                                         {.type = ESP_VALUE_REAL, .u.f = 3}};
    start(&bench, "");
    g_assert_false(snapshots_due(&bench.snapshots, START + 1));
    g_assert_true(snapshots_due(&bench.snapshots, START + EVERY));
    g_assert_cmpint(
        snapshots_take(&bench.snapshots, bench.learners, bench.features, START + EVERY, NULL), ==,
        ESP_OK);
    g_assert_cmpuint(bench.numbers->len, ==, 0);
    learn(&bench, 0, START + EVERY);
    learn(&bench, 1, START + 2 * EVERY);
    learn(&bench, 2, START + 3 * EVERY);
    guint n = bench.numbers->len;
    g_assert_cmpuint(n, ==, 2);
    finish(&bench);
    g_assert_cmpuint(bench.numbers->len, ==, n + 1);
    finish(&bench);
    g_assert_cmpuint(bench.numbers->len, ==, n + 1);
    /* Numbers of an impression whose label is learned at a later stage. */
    esp_feature_batch_init(&rows, bench.config.n_features);
    g_assert_cmpint(esp_features_add_row(bench.features, values, true, &rows, NULL), ==, ESP_OK);
    esp_feature_batch_release(&rows);
    finish(&bench);
    g_assert_cmpuint(bench.numbers->len, ==, n + 2);
    end(&bench);
}

/* ---- files ---- */

static void only_files_that_the_ladder_needs_are_left(void)
{
    struct bench bench;
    start(&bench, "[drift]\nages = 0, 1, 2, 8, 16\nsparse_from = 8\nsparse = 4\n");
    size_t most = 0;
    for (size_t i = 0; i < 4 * N; i++) {
        int64_t due_us = START + (int64_t)i * 10 * ESP_MINUTE;
        learn(&bench, i, due_us);
        int64_t window = esp_ladder_window(&bench.config.ladder, due_us - ESP_HOUR);
        snapshots_forget(&bench.snapshots, window);
        size_t n = bench.snapshots.models[0].n;
        most = n > most ? n : most;
        g_assert_cmpuint(count_files(&bench), ==, n + bench.snapshots.models[1].n);
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
    end(&bench);
}

static void without_drift_only_the_newest_is_left(void)
{
    struct bench bench;
    start(&bench, "[drift]\nenabled = off\n");
    for (size_t i = 0; i < 300; i++) {
        learn(&bench, i, START + (int64_t)i * 10 * ESP_MINUTE);
        snapshots_forget(&bench.snapshots, INT64_MAX);
        g_assert_cmpuint(count_files(&bench), <=, 2);
    }
    g_assert_cmpuint(bench.numbers->len, >, 40);
    snapshots_release(&bench.snapshots);
    g_assert_cmpuint(count_files(&bench), ==, 0);
    bench.snapshots.config = &bench.config;
    end(&bench);
}

static void a_run_removes_what_killed_ones_left_and_nothing_else(void)
{
    struct bench bench;
    start(&bench, "");
    char *state = g_build_filename(bench.folder, "state", "snapshots", NULL);
    const char *run = bench.snapshots.models[0].run;
    char *names[] = {g_strdup_printf("%s/a-%s-000000000007.safetensors", state, run),
                     g_strdup_printf("%s/a-%s-000000000008.safetensors.tmp", state, run),
                     g_strdup_printf("%s/a-0123456789abcdef-000000000007.safetensors", state),
                     g_strdup_printf("%s/aa-%s-000000000007.safetensors", state, run),
                     g_strdup_printf("%s/a-%s-notes.txt", state, run)};
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
        g_assert_true(g_file_set_contents(names[i], "left", -1, NULL));
    snapshots_release(&bench.snapshots);
    g_assert_cmpint(snapshots_init(&bench.snapshots, &bench.config, NULL), ==, ESP_OK);
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        g_assert_cmpint(g_file_test(names[i], G_FILE_TEST_EXISTS), ==, i >= 4);
        g_free(names[i]);
    }
    g_free(state);
    end(&bench);
}

static void nothing_is_taken_where_every_is_0(void)
{
    struct bench bench;
    start(&bench, "[snapshot]\nevery = 0\n");
    for (size_t i = 0; i < 100; i++)
        learn(&bench, i, START + (int64_t)i * ESP_HOUR);
    finish(&bench);
    g_assert_cmpuint(bench.numbers->len, ==, 0);
    char *state = g_build_filename(bench.folder, "state", NULL);
    g_assert_false(g_file_test(state, G_FILE_TEST_EXISTS));
    g_free(state);
    end(&bench);
}

static void one_state_folder_serves_one_run_at_a_time(void)
{
    struct bench bench;
    struct snapshots second;
    struct esp_error err = {0};
    start(&bench, "");
    for (size_t i = 0; i < 10; i++)
        learn(&bench, i, START + (int64_t)i * ESP_HOUR);
    g_assert_cmpint(snapshots_init(&second, &bench.config, &err), ==, ESP_ECONFIG);
    g_assert_nonnull(strstr(err.text, "state is in use by another `espalier train`"));
    snapshots_release(&second);
    finish(&bench); /* what the first took is still there */
    snapshots_release(&bench.snapshots);
    g_assert_cmpint(snapshots_init(&bench.snapshots, &bench.config, NULL), ==, ESP_OK);
    end(&bench);
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
    g_test_add_func("/snapshots/a run removes what killed ones left, and nothing else",
                    a_run_removes_what_killed_ones_left_and_nothing_else);
    g_test_add_func("/snapshots/nothing is taken where every is 0",
                    nothing_is_taken_where_every_is_0);
    g_test_add_func("/snapshots/one state folder serves one run at a time",
                    one_state_folder_serves_one_run_at_a_time);
    return g_test_run();
}
