/* snapshots_helper.c - see snapshots_helper.h. */
#include "snapshots_helper.h"

#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

static void same_bytes(const char *path, const char *other)
{
    char *bytes[2] = {NULL, NULL};
    gsize sizes[2] = {0, 0};
    g_assert_true(g_file_get_contents(path, &bytes[0], &sizes[0], NULL));
    g_assert_true(g_file_get_contents(other, &bytes[1], &sizes[1], NULL));
    g_assert_cmpmem(bytes[0], sizes[0], bytes[1], sizes[1]);
    g_free(bytes[0]);
    g_free(bytes[1]);
}

static enum esp_status keep(void *context, size_t model, int64_t number, const char *path,
                            struct esp_error *err)
{
    struct test_bench *bench = context;
    (void)err;
    char *name = g_path_get_basename(path);
    char *other = g_build_filename(bench->kept, name, NULL);
    if (link(path, other) != 0)
        same_bytes(path, other); /* taken once more */
    if (model == 0)
        g_array_append_val(bench->numbers, number);
    g_free(name);
    g_free(other);
    return ESP_OK;
}

void test_bench_start(struct test_bench *bench, const char *more)
{
    *bench = (struct test_bench){.folder = test_folder_new(), .kept = test_folder_new()};
    char *path = g_build_filename(bench->folder, "t.ini", NULL);
    char *data = g_build_filename(bench->folder, "data", NULL);
    g_assert_cmpint(g_mkdir(data, 0700), ==, 0);
    g_free(data);
    char *text = g_strdup_printf("[files]\nroot = %s/data\n[features]\ncategorical = who\n"
                                 "numeric = price\n[state]\nfolder = %s/state\n[model a]\n"
                                 "setup = ctr\nlayers = 6\nhead_layers = 4\nwidth = 4\n"
                                 "batch = 50\n[model b]\nsetup = ctr\nlayers = 4\nwidth = 2\n%s",
                                 bench->folder, bench->folder, more);
    g_assert_true(g_file_set_contents(path, text, -1, NULL));
    g_assert_cmpint(config_load(&bench->config, path, NULL, 0, NULL, NULL, NULL), ==, ESP_OK);
    config_settle(&bench->config, false);
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

void test_bench_end(struct test_bench *bench)
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

void test_bench_learn(struct test_bench *bench, size_t i, int64_t due_us)
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

void test_bench_finish(struct test_bench *bench)
{
    for (size_t m = 0; m < 2; m++)
        g_assert_cmpint(esp_learner_flush(bench->learners[m], NULL), ==, ESP_OK);
    g_assert_cmpint(snapshots_finish(&bench->snapshots, bench->learners, bench->features, NULL), ==,
                    ESP_OK);
}

int64_t test_due(size_t i)
{
    return START + (int64_t)i * 61 * ESP_SECOND + (i * i % 7) * ESP_SECOND +
           (i > N / 2 ? 5 * ESP_HOUR : 0);
}

char *test_kept_path(const struct test_bench *bench, size_t m, int64_t number)
{
    char name[ESP_SNAPSHOT_NAME_SIZE];
    esp_snapshot_file_name(bench->config.models[m].name, bench->snapshots.models[m].run, number,
                           name);
    return g_build_filename(bench->kept, name, NULL);
}

size_t test_count_files(const struct test_bench *bench)
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
