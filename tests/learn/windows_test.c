/*
 * windows_test.c - every counted row is in the window of its impression time, though holdout rows
 * are counted before the batch that came with them, and batches span windows.
 */
#include "core/timespan.h"
#include "learn_helper.h"

enum { HOURS = 12 };

/* Which of two buffers fills first, how many windows a batch spans, and which have no holdout. */
struct windows_case {
    const char *name;
    size_t batch;
    uint64_t rare; /* every rare-th impression is holdout, or, if mostly_holdout, is not */
    bool mostly_holdout;
};

static const struct windows_case CASES[] = {
    {"a batch spans hours", 256, 97, false},
    {"holdout rows are counted while a batch waits", 64, 8, true},
    {"batches are shorter than a window", 8, 97, false},
};

/* What a window should have gathered of one task, of training or holdout rows. */
struct want {
    uint64_t n;
    double w;
};

/* [hour][holdout][task], from the stream: the test's streams have all install labels. */
static void want_windows(const struct test_stream *stream, struct want want[HOURS][2][ESP_N_TASKS])
{
    for (size_t i = 0; i < stream->n; i++) {
        const struct esp_example *example = &stream->examples[i];
        if (example->stage != ESP_STAGE_CLICK)
            continue;
        struct want *tasks = want[example->impression_us / ESP_HOUR][example->holdout];
        for (enum esp_task task = 0; task < ESP_N_TASKS; task++) {
            bool counts = task != ESP_TASK_INSTALL_GIVEN_CLICK || example->y;
            tasks[task].n += counts;
            tasks[task].w += counts ? example->weight : 0;
        }
    }
}

static const struct esp_task_sums *sums_of(const struct esp_progress_window *window, bool holdout,
                                           enum esp_task task)
{
    return holdout ? &window->holdout[task] : &window->train[task];
}

/* Windows are in order, and a complete one has all its rows; returns how many are complete. */
static size_t check_windows(const struct esp_learner *learner, const struct esp_setup *setup,
                            struct want want[HOURS][2][ESP_N_TASKS])
{
    size_t n, n_complete = 0;
    const struct esp_progress_window *windows = esp_learner_windows(learner, &n);
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            g_assert_cmpint(windows[i].start_us, >, windows[i - 1].start_us);
        n_complete += windows[i].complete;
        for (int part = 0; windows[i].complete && part < 2 * ESP_N_TASKS; part++) {
            bool holdout = part % 2 == 1;
            enum esp_task task = part / 2;
            if (!esp_setup_has_task(setup, task))
                continue;
            g_assert_cmpuint(sums_of(&windows[i], holdout, task)->n, ==,
                             want[windows[i].start_us / ESP_HOUR][holdout][task].n);
        }
    }
    return n_complete;
}

/* The windows' sums of one task: each as the stream says, and together the total. */
static void compare_total(const struct esp_learner *learner, bool holdout, enum esp_task task,
                          struct want want[HOURS][2][ESP_N_TASKS],
                          const struct esp_task_report *total)
{
    size_t n;
    const struct esp_progress_window *windows = esp_learner_windows(learner, &n);
    struct esp_task_sums all = {0};
    g_assert_cmpuint(n, ==, HOURS);
    for (size_t i = 0; i < n && i < HOURS; i++) {
        const struct esp_task_sums *sums = sums_of(&windows[i], holdout, task);
        g_assert_cmpint(windows[i].start_us, ==, (int64_t)i * ESP_HOUR);
        g_assert_cmpuint(sums->n, ==, want[i][holdout][task].n);
        assert_close(sums->w, want[i][holdout][task].w, 1e-12, 0);
        all.n += sums->n;
        all.w += sums->w;
        all.wl += sums->wl;
    }
    g_assert_cmpuint(all.n, >, 0);
    g_assert_cmpuint(all.n, ==, total->examples);
    assert_close(all.w, total->weight, 1e-12, 0);
    assert_close(all.wl, total->log_loss.value * total->weight, 1e-9, 0);
}

/* Fed one by one, so that every state between two rows is seen. */
static void run_case(const struct windows_case *windows_case, enum esp_setup_id id)
{
    const struct esp_setup *setup = esp_setup_get(id);
    struct esp_learner_config config = test_learner_config(id);
    config.model.batch = windows_case->batch;
    config.model.table_bytes = 4 << 20;
    struct esp_learner *learner = NULL;
    g_assert_true(esp_learner_new(&config, NULL, &learner, NULL) == ESP_OK);
    struct test_stream stream;
    struct esp_feature_batch row;
    test_stream_init(&stream, TEST_FEATURES);
    test_stream_fill(&stream, HOURS * 60, 21);
    for (size_t i = 0; i < stream.n; i++)
        stream.examples[i].holdout = (stream.examples[i].ticket % windows_case->rare ==
                                      windows_case->rare - 1) != windows_case->mostly_holdout;
    struct want want[HOURS][2][ESP_N_TASKS] = {0};
    want_windows(&stream, want);
    esp_feature_batch_init(&row, TEST_FEATURES);
    for (size_t i = 0; i < stream.n; i++) {
        test_stream_slice(&stream, i, 1, &row);
        g_assert_true(esp_learner_take(learner, &stream.examples[i], 1, &row, NULL) == ESP_OK);
        check_windows(learner, setup, want);
    }
    g_assert_true(esp_learner_flush(learner, NULL) == ESP_OK);
    /* that the last window is over is not known */
    g_assert_cmpuint(check_windows(learner, setup, want), ==, HOURS - 1);
    struct esp_learner_report report;
    esp_learner_report(learner, &report);
    for (enum esp_task task = 0; task < ESP_N_TASKS; task++) {
        if (!esp_setup_has_task(setup, task))
            continue;
        compare_total(learner, false, task, want, &report.total[task]);
        compare_total(learner, true, task, want, &report.holdout[task]);
    }
    esp_feature_batch_release(&row);
    test_stream_release(&stream);
    esp_learner_free(learner);
}

static void test_case(const void *data)
{
    for (int id = 0; id < ESP_N_SETUPS; id++) {
        g_test_message("set-up %s", esp_setup_get(id)->name);
        run_case(data, id);
    }
}

int main(int argc, char **argv)
{
    test_start(&argc, &argv);
    for (size_t i = 0; i < G_N_ELEMENTS(CASES); i++) {
        char *path = g_strdup_printf("/windows/sums/%s", CASES[i].name);
        g_test_add_data_func(path, &CASES[i], test_case);
        g_free(path);
    }
    return g_test_run();
}
