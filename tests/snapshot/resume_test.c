/*
 * resume_test.c - a learner that goes on from a snapshot: to the bit where the snapshot holds all
 * that it takes, from the same scores where it does not. Other readers of the file notice nothing.
 */
#include <math.h>

#include "resume_helper.h"
#include "snapshot/snapshot_export.h"

/* ---- to the bit ------------------------------------------------------------------------------ */

static void same_counters(const struct esp_learner *left, const struct esp_learner *right)
{
    struct esp_learner_report a, b;
    esp_learner_report(left, &a);
    esp_learner_report(right, &b);
    g_assert_cmpuint(a.examples_learned, ==, b.examples_learned);
    g_assert_cmpuint(a.steps, ==, b.steps);
    g_assert_cmpuint(a.dense_clipped, ==, b.dense_clipped);
    g_assert_cmpuint(a.rows_clipped, ==, b.rows_clipped);
    g_assert_cmpuint(a.rows, ==, b.rows);
    g_assert_cmpuint(a.rows_admitted, ==, b.rows_admitted);
    g_assert_cmpuint(a.rows_evicted, ==, b.rows_evicted);
    g_assert_cmpuint(a.table_bytes, ==, b.table_bytes);
    g_assert_cmpfloat(a.last_loss, ==, b.last_loss);
}

/* Of windows that begin when all their impressions are yet to be scored: as the first learner told
 * of them. Of those before: nothing. */
static void same_windows(const GArray *whole, const GArray *resumed_windows)
{
    guint next = 0;
    for (guint i = 0; i < whole->len; i++) {
        const struct resume_heard *want = &g_array_index(whole, struct resume_heard, i);
        if (want->start_us < RESUME_BOUNDARY_US - RESUME_CLICK_MINUTES * ESP_MINUTE)
            continue;
        g_assert_cmpuint(next, <, resumed_windows->len);
        if (g_test_failed())
            return;
        const struct resume_heard *got =
            &g_array_index(resumed_windows, struct resume_heard, next++);
        g_assert_cmpint(got->start_us, ==, want->start_us);
        g_assert_cmpint(got->task, ==, want->task);
        g_assert_cmpmem(&got->sums, sizeof got->sums, &want->sums, sizeof want->sums);
    }
    g_assert_cmpuint(next, ==, resumed_windows->len);
    g_assert_cmpuint(next, >, 0);
}

static void run_whole(enum esp_setup_id setup, const struct resume_case *row)
{
    struct resume_scene scene;
    resume_scene_init(&scene, setup, row);
    resume_write_whole(&scene);
    struct resume_learner second = resume_taken(&scene);
    g_assert_cmpuint(esp_learner_hash(second.learner), ==, esp_learner_hash(scene.first.learner));
    same_counters(scene.first.learner, second.learner);
    resume_same_scores(scene.first.learner, second.learner, &scene.stream);
    resume_same_as_file(&scene, second.learner);
    resume_feed(scene.first.learner, &scene.stream, scene.split, scene.stream.n - scene.split);
    resume_feed(second.learner, &scene.stream, scene.split, scene.stream.n - scene.split);
    esp_learner_check(second.learner);
    g_assert_cmpuint(esp_learner_hash(second.learner), ==, esp_learner_hash(scene.first.learner));
    same_counters(scene.first.learner, second.learner);
    resume_same_scores(scene.first.learner, second.learner, &scene.stream);
    same_windows(scene.first.heard, second.heard);
    struct esp_learner_report report;
    esp_learner_report(second.learner, &report);
    g_assert_true((report.rows_evicted > 0) == (row->n_floats > 0));
    resume_learner_free(&second);
    resume_scene_release(&scene);
}

static void test_whole(const void *data)
{
    for (size_t i = 0; i < RESUME_N_CASES; i++) {
        g_test_message("%s", RESUME_CASES[i].name);
        run_whole((enum esp_setup_id)GPOINTER_TO_INT(data), &RESUME_CASES[i]);
    }
}

/* A snapshot of a learner that was resumed itself is that of the undisturbed one, to the byte but
 * for what the manifest says of progressive validation, which is left out here. */
static void test_again(void)
{
    struct resume_scene scene;
    char *bytes[2];
    gsize sizes[2];
    resume_scene_init(&scene, ESP_SETUP_IPSP, &RESUME_CASES[2]);
    resume_write_whole(&scene);
    struct resume_learner second = resume_taken(&scene);
    for (int i = 0; i < 2; i++) {
        struct resume_learner own = scene.first;
        scene.first = i == 0 ? own : second;
        resume_feed(scene.first.learner, &scene.stream, scene.split, 700);
        resume_write_whole(&scene);
        g_assert_true(g_file_get_contents(scene.path, &bytes[i], &sizes[i], NULL));
        scene.first = own;
    }
    g_assert_cmpmem(bytes[0], sizes[0], bytes[1], sizes[1]);
    g_free(bytes[0]);
    g_free(bytes[1]);
    resume_learner_free(&second);
    resume_scene_release(&scene);
}

/* ---- without the rest ------------------------------------------------------------------------ */

static void run_plain(enum esp_setup_id setup, const struct resume_case *row, enum esp_dtype dtype)
{
    struct resume_scene scene;
    struct esp_learner_report report, whole;
    static float logits[RESUME_SCORED * ESP_N_TASKS];
    resume_scene_init(&scene, setup, row);
    resume_write_plain(&scene, dtype);
    struct resume_learner second = resume_taken(&scene);
    resume_same_as_file(&scene, second.learner);
    if (dtype == ESP_DTYPE_F32)
        resume_same_scores(scene.first.learner, second.learner, &scene.stream);
    esp_learner_report(scene.first.learner, &whole);
    esp_learner_report(second.learner, &report);
    g_assert_cmpuint(report.examples_learned, ==, whole.examples_learned);
    g_assert_cmpuint(report.steps, ==, whole.steps);
    g_assert_cmpuint(report.rows, ==, whole.rows);
    resume_feed(second.learner, &scene.stream, scene.split, scene.stream.n - scene.split);
    esp_learner_check(second.learner);
    esp_learner_report(second.learner, &report);
    g_assert_true(isfinite(report.last_loss));
    g_assert_cmpuint(report.examples_learned, >, whole.examples_learned);
    resume_score(second.learner, &scene.stream, logits);
    for (size_t i = 0; i < RESUME_SCORED * ESP_N_TASKS; i++)
        g_assert_true(isfinite(logits[i]) || !report.has_task[i % ESP_N_TASKS]);
    resume_learner_free(&second);
    resume_scene_release(&scene);
}

static void test_plain(const void *data)
{
    enum esp_setup_id setup = (enum esp_setup_id)GPOINTER_TO_INT(data);
    for (size_t i = 0; i < RESUME_N_CASES; i++) {
        g_test_message("%s", RESUME_CASES[i].name);
        run_plain(setup, &RESUME_CASES[i], ESP_DTYPE_F32);
    }
    run_plain(setup, &RESUME_CASES[0], ESP_DTYPE_BF16);
}

/* With SGD there is no optimizer's state: learning goes on to the bit from any snapshot. */
static void test_stateless(void)
{
    struct resume_case row = RESUME_CASES[3];
    row.n_floats = 0; /* what eviction goes by is not in the file */
    struct resume_scene scene;
    resume_scene_init(&scene, ESP_SETUP_IPSP, &row);
    resume_write_plain(&scene, ESP_DTYPE_F32);
    struct resume_learner second = resume_taken(&scene);
    resume_feed(scene.first.learner, &scene.stream, scene.split, scene.stream.n - scene.split);
    resume_feed(second.learner, &scene.stream, scene.split, scene.stream.n - scene.split);
    resume_same_scores(scene.first.learner, second.learner, &scene.stream);
    resume_learner_free(&second);
    resume_scene_release(&scene);
}

/* ---- readers that know nothing of it --------------------------------------------------------- */

static void test_readers(void)
{
    struct resume_scene scene;
    resume_scene_init(&scene, ESP_SETUP_IPSP, &RESUME_CASES[0]);
    resume_write_plain(&scene, ESP_DTYPE_F32);
    struct esp_snapshot *plain = resume_open(&scene);
    g_assert_false(esp_resume_is_whole(plain));
    g_assert_cmpstr(esp_resume_restarts(plain), ==,
                    "optimizers, admission counts and progressive validation");
    size_t n_tensors = esp_snapshot_layout(plain)->n;
    uint64_t n_bytes = esp_snapshot_layout(plain)->data_bytes;
    esp_snapshot_close(plain); /* before its file is replaced: not needed, but tidy */
    resume_write_whole(&scene);
    struct esp_snapshot *whole = resume_open(&scene);
    const struct esp_file_layout *layout = esp_snapshot_layout(whole);
    g_assert_true(esp_resume_is_whole(whole));
    g_assert_cmpstr(esp_resume_restarts(whole), ==, "progressive validation");
    g_assert_cmpuint(layout->n, >, n_tensors);
    g_assert_cmpstr(layout->tensors[layout->n - 1].name, ==, "resume.learner");
    g_assert_cmpuint(layout->data_bytes, >, n_bytes);
    resume_same_as_file(&scene, scene.first.learner);
    char *path = g_build_filename(scene.folder, "exported.safetensors", NULL), *bytes = NULL;
    gsize n = 0;
    g_assert_cmpint(esp_snapshot_export(whole, path, NULL), ==, ESP_OK);
    g_assert_true(g_file_get_contents(path, &bytes, &n, NULL));
    g_assert_null(memmem(bytes, n, "resume.learner", strlen("resume.learner")));
    g_free(bytes);
    g_free(path);
    esp_snapshot_close(whole);
    resume_scene_release(&scene);
}

int main(int argc, char **argv)
{
    test_start(&argc, &argv);
    for (int id = 0; id < ESP_N_SETUPS; id++) {
        const char *setup = esp_setup_get((enum esp_setup_id)id)->name;
        char *whole = g_strdup_printf("/resume/%s goes on to the bit with the rest", setup);
        char *plain = g_strdup_printf("/resume/%s goes on from the same scores without", setup);
        g_test_add_data_func(whole, GINT_TO_POINTER(id), test_whole);
        g_test_add_data_func(plain, GINT_TO_POINTER(id), test_plain);
        g_free(whole);
        g_free(plain);
    }
    g_test_add_func("/resume/the next snapshot is the undisturbed one's", test_again);
    g_test_add_func("/resume/sgd needs no rest", test_stateless);
    g_test_add_func("/resume/readers and exports pass the rest over", test_readers);
    return g_test_run();
}
