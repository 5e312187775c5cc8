/* learner_test.c - the learner's promises over whole streams: chunks, threads, order, metrics. */
#include <math.h>

#include "core/hash.h"
#include "core/timespan.h"
#include "learn_helper.h"

static struct esp_learner *new_learner(const struct esp_learner_config *config,
                                       struct esp_pool *pool)
{
    struct esp_learner *learner = NULL;
    struct esp_error err = {0};
    enum esp_status status = esp_learner_new(config, pool, &learner, &err);
    if (status != ESP_OK)
        g_test_message("%s", err.text);
    g_assert_true(status == ESP_OK);
    return learner;
}

static uint64_t learn(const struct esp_learner_config *config, struct esp_pool *pool,
                      const struct test_stream *stream, size_t chunk)
{
    struct esp_learner *learner = new_learner(config, pool);
    test_learn_all(learner, stream, chunk);
    esp_learner_check(learner);
    uint64_t hash = esp_learner_hash(learner);
    esp_learner_free(learner);
    return hash;
}

static void test_chunks(const void *data)
{
    enum esp_setup_id setup = GPOINTER_TO_INT(data);
    struct test_stream stream;
    test_stream_init(&stream, TEST_FEATURES);
    test_stream_fill(&stream, 400, 11);
    struct esp_learner_config config = test_learner_config(setup);
    uint64_t want = learn(&config, NULL, &stream, stream.n);
    g_assert_cmphex(want, !=, 0);
    static const size_t CHUNKS[] = {1, 7, 16, 100};
    for (size_t i = 0; i < G_N_ELEMENTS(CHUNKS); i++)
        g_assert_cmphex(learn(&config, NULL, &stream, CHUNKS[i]), ==, want);
    config.model.seed++;
    g_assert_cmphex(learn(&config, NULL, &stream, 16), !=, want);
    test_stream_release(&stream);
}

static void test_threads(const void *data)
{
    enum esp_setup_id setup = GPOINTER_TO_INT(data);
    struct test_stream stream;
    test_stream_init(&stream, TEST_FEATURES);
    test_stream_fill(&stream, 400, 12);
    struct esp_learner_config config = test_learner_config(setup);
    config.model.batch = 40;
    uint64_t want = learn(&config, NULL, &stream, 50);
    for (size_t n = 2; n <= 3; n++) {
        struct esp_pool *pool = NULL;
        g_assert_true(esp_pool_new(n, &pool, NULL) == ESP_OK);
        g_assert_cmphex(learn(&config, pool, &stream, 50), ==, want);
        esp_pool_free(pool);
    }
    test_stream_release(&stream);
}

/* What one task should have gathered. */
struct twin_sums {
    double w, wl, wp, wy;
    uint64_t n;
};

static void twin_add(struct twin_sums *sums, double logit, bool label, double weight)
{
    double p = 1 / (1 + exp(-logit));
    sums->w += weight;
    sums->wl -= weight * log(label ? p : 1 - p);
    sums->wp += weight * p;
    sums->wy += weight * label;
    sums->n++;
}

static void compare_sums(const struct esp_task_report *got, const struct twin_sums *want)
{
    g_assert_cmpuint(got->examples, ==, want->n);
    assert_close(got->weight, want->w, 1e-9, 0);
    if (want->n == 0)
        return;
    assert_close(got->log_loss.value, want->wl / want->w, 1e-5, 0);
    if (want->wy > 0)
        assert_close(got->calibration.value, want->wp / want->wy, 1e-5, 0);
}

/* The install label of an impression in the stream; -1: none comes. */
static int install_label(const struct test_stream *stream, uint64_t ticket)
{
    for (size_t i = 0; i < stream->n; i++)
        if (stream->examples[i].ticket == ticket && stream->examples[i].stage == ESP_STAGE_INSTALL)
            return stream->examples[i].z;
    return -1;
}

/* Counts a click-stage example's scores as they should be. */
static void twin_count(const struct test_stream *stream, const struct esp_example *example,
                       const float *logits, struct twin_sums sums[ESP_N_TASKS])
{
    int z = example->y ? install_label(stream, example->ticket) : 0;
    twin_add(&sums[ESP_TASK_CLICK], logits[ESP_TASK_CLICK], example->y, example->weight);
    if (z < 0)
        return;
    twin_add(&sums[ESP_TASK_INSTALL], logits[ESP_TASK_INSTALL], z, example->weight);
    if (example->y)
        twin_add(&sums[ESP_TASK_INSTALL_GIVEN_CLICK], logits[ESP_TASK_INSTALL_GIVEN_CLICK], z,
                 example->weight);
}

/*
 * Batches of one: every example is scored with the weights right before it, and then learned, so
 * esp_learner_score() before each take must be what progressive validation counted. Rows start at
 * 0, as do the default rows that score() reads for keys that take() is about to admit.
 */
static void test_progressive(const void *data)
{
    enum esp_setup_id setup = GPOINTER_TO_INT(data);
    struct esp_learner_config config = test_learner_config(setup);
    config.model.batch = 1;
    struct twin_sums train[ESP_N_TASKS] = {0}, holdout[ESP_N_TASKS] = {0};
    struct test_stream stream;
    struct esp_feature_batch row;
    test_stream_init(&stream, TEST_FEATURES);
    test_stream_fill(&stream, 300, 13);
    esp_feature_batch_init(&row, TEST_FEATURES);
    config.model.init = 0;
    struct esp_learner *learner = new_learner(&config, NULL);
    for (size_t i = 0; i < stream.n; i++) {
        const struct esp_example *example = &stream.examples[i];
        float logits[ESP_N_TASKS];
        test_stream_slice(&stream, i, 1, &row);
        g_assert_true(esp_learner_score(learner, &row, logits, NULL) == ESP_OK);
        if (example->stage == ESP_STAGE_CLICK)
            twin_count(&stream, example, logits, example->holdout ? holdout : train);
        g_assert_true(esp_learner_take(learner, example, 1, &row, NULL) == ESP_OK);
    }
    g_assert_true(esp_learner_flush(learner, NULL) == ESP_OK);
    struct esp_learner_report report;
    esp_learner_report(learner, &report);
    for (enum esp_task task = 0; task < ESP_N_TASKS; task++) {
        g_assert_true(report.has_task[task] == esp_setup_has_task(esp_setup_get(setup), task));
        if (!report.has_task[task])
            continue;
        g_assert_cmpuint(train[task].n, >, 20);
        compare_sums(&report.total[task], &train[task]);
        compare_sums(&report.holdout[task], &holdout[task]);
    }
    g_assert_cmpuint(report.waiting, ==, 0);
    esp_learner_check(learner);
    esp_learner_free(learner);
    esp_feature_batch_release(&row);
    test_stream_release(&stream);
}

/* Holdout examples alone: scored, counted, and nothing else happens. */
static void test_holdout(const void *data)
{
    struct esp_learner_config config = test_learner_config(GPOINTER_TO_INT(data));
    config.model.admit_after = 2;
    struct esp_learner *learner = new_learner(&config, NULL);
    uint64_t before = esp_learner_hash(learner);
    struct test_stream stream;
    test_stream_init(&stream, TEST_FEATURES);
    test_stream_fill(&stream, 100, 14);
    for (size_t i = 0; i < stream.n; i++)
        stream.examples[i].holdout = true;
    test_learn_all(learner, &stream, 9);
    struct esp_learner_report report;
    esp_learner_report(learner, &report);
    g_assert_cmphex(esp_learner_hash(learner), ==, before);
    g_assert_cmpuint(report.rows_admitted, ==, 0);
    g_assert_cmpuint(report.examples_learned, ==, 0);
    enum esp_task task = report.has_task[ESP_TASK_CLICK] ? ESP_TASK_CLICK : ESP_TASK_INSTALL;
    g_assert_cmpuint(report.holdout[task].examples, ==, 100);
    g_assert_cmpuint(report.total[task].examples, ==, 0);
    test_stream_release(&stream);
    esp_learner_free(learner);
}

/* Which stages teach: 100 impressions of which every eighth is holdout. */
static void test_stages(const void *data)
{
    enum esp_setup_id id = GPOINTER_TO_INT(data);
    const struct esp_setup *setup = esp_setup_get(id);
    struct esp_learner_config config = test_learner_config(id);
    struct esp_learner *learner = new_learner(&config, NULL);
    struct test_stream stream;
    test_stream_init(&stream, TEST_FEATURES);
    test_stream_fill(&stream, 100, 15);
    test_learn_all(learner, &stream, 9);
    uint64_t want = 0;
    for (size_t i = 0; i < stream.n; i++) {
        const struct esp_example *example = &stream.examples[i];
        bool teaches = setup->needs_whole ? example->stage == ESP_STAGE_WHOLE
                                          : example->stage == ESP_STAGE_CLICK ||
                                                (example->stage == ESP_STAGE_INSTALL &&
                                                 setup->loss_install_clicked);
        want += teaches && !example->holdout;
    }
    struct esp_learner_report report;
    esp_learner_report(learner, &report);
    g_assert_cmpuint(report.examples_learned, ==, want);
    g_assert_true(esp_learner_needs_whole(learner) == setup->needs_whole);
    g_assert_true(report.steps == (want + 15) / 16);
    g_assert_true(isfinite(report.last_loss) && report.last_loss > 0);
    test_stream_release(&stream);
    esp_learner_free(learner);
}

static void test_no_installs(void)
{
    struct test_stream stream;
    test_stream_init(&stream, TEST_FEATURES);
    test_stream_fill(&stream, 200, 16);
    struct esp_learner_config config = test_learner_config(ESP_SETUP_CTR);
    config.has_installs = false;
    uint64_t want = learn(&config, NULL, &stream, 50);
    for (int id = 0; id < ESP_N_SETUPS; id++) {
        config.model.setup = id;
        if (id == ESP_SETUP_ESP)
            continue;
        struct esp_learner *learner = new_learner(&config, NULL);
        g_assert_false(esp_learner_needs_whole(learner));
        test_learn_all(learner, &stream, 50);
        g_assert_cmphex(esp_learner_hash(learner), ==, want);
        esp_learner_free(learner);
    }
    config.model.setup = ESP_SETUP_ESP;
    struct esp_error err = {0};
    struct esp_learner *learner = NULL;
    g_assert_true(esp_learner_new(&config, NULL, &learner, &err) == ESP_ECONFIG);
    g_assert_cmpstr(err.text, ==,
                    "model test: set-up esp learns from installs alone, and there is no topic of "
                    "installs; name one, or choose ctr");
    test_stream_release(&stream);
}

/* Windows of an hour, one impression a minute; W_c is an hour and W_z six. */
static void test_windows(void)
{
    struct esp_learner_config config = test_learner_config(ESP_SETUP_IPSP);
    config.model.batch = 4;
    config.windows_kept = 2;
    struct esp_learner *learner = new_learner(&config, NULL);
    struct test_stream stream;
    test_stream_init(&stream, TEST_FEATURES);
    test_stream_fill(&stream, 12 * 60, 17);
    test_learn_all(learner, &stream, 31);
    size_t n;
    const struct esp_progress_window *windows = esp_learner_windows(learner, &n);
    /* all labels have come; only that the last window is over is not known */
    g_assert_cmpuint(n, ==, 3);
    if (g_test_failed())
        return;
    for (size_t i = 0; i < n; i++) {
        g_assert_cmpint(windows[i].start_us, ==, (int64_t)(9 + i) * ESP_HOUR);
        g_assert_true(windows[i].complete == (i < 2));
        g_assert_cmpuint(windows[i].train[ESP_TASK_CLICK].n + windows[i].holdout[ESP_TASK_CLICK].n,
                         ==, 60);
        g_assert_cmpuint(
            windows[i].train[ESP_TASK_INSTALL].n + windows[i].holdout[ESP_TASK_INSTALL].n, ==, 60);
    }
    struct esp_learner_report report;
    esp_learner_report(learner, &report);
    g_assert_cmpint(report.window_start_us[ESP_TASK_CLICK], ==, 10 * ESP_HOUR);
    g_assert_cmpint(report.window_start_us[ESP_TASK_INSTALL], ==, 10 * ESP_HOUR);
    g_assert_true(report.window[ESP_TASK_CLICK].roc_auc.defined);
    g_assert_cmpuint(report.window[ESP_TASK_CLICK].examples, ==,
                     windows[1].train[ESP_TASK_CLICK].n);
    test_stream_release(&stream);
    esp_learner_free(learner);
}

/* While clicked impressions wait, the click's window is known before the install's. */
static void test_open_windows(void)
{
    struct esp_learner_config config = test_learner_config(ESP_SETUP_IPSP);
    config.model.batch = 4;
    struct esp_learner *learner = new_learner(&config, NULL);
    struct test_stream stream;
    test_stream_init(&stream, TEST_FEATURES);
    test_stream_fill(&stream, 12 * 60, 17);
    while (stream.n > 0 && stream.examples[stream.n - 1].due_us > 7 * ESP_HOUR)
        stream.n--; /* clicks up to hour 6, installs up to half past 0 */
    test_learn_all(learner, &stream, 31);
    struct esp_learner_report report;
    esp_learner_report(learner, &report);
    g_assert_cmpint(report.window_start_us[ESP_TASK_CLICK], ==, 5 * ESP_HOUR);
    g_assert_cmpint(report.window_start_us[ESP_TASK_INSTALL], ==, ESP_TIME_NONE);
    g_assert_cmpuint(report.waiting, >, 50);
    test_stream_release(&stream);
    esp_learner_free(learner);
}

/* A weight of 1e300 makes a gradient infinite: the step changes nothing and is written down. */
static void test_fault(void)
{
    char *folder = test_folder_new();
    struct esp_learner_config config = test_learner_config(ESP_SETUP_IPSP);
    config.model.name = "a/b";
    config.fault_folder = folder;
    struct esp_learner *learner = new_learner(&config, NULL);
    struct test_stream stream;
    struct esp_feature_batch features;
    struct esp_error err = {0};
    test_stream_init(&stream, TEST_FEATURES);
    test_stream_fill(&stream, 60, 18);
    esp_feature_batch_init(&features, TEST_FEATURES);
    test_learn_all(learner, &stream, stream.n);
    uint64_t before = esp_learner_hash(learner);
    struct esp_learner_report report;
    esp_learner_report(learner, &report);
    stream.examples[5].weight = 1e300;
    stream.examples[5].holdout = false;
    test_stream_slice(&stream, 0, 20, &features);
    enum esp_status status = esp_learner_take(learner, stream.examples, 20, &features, &err);
    g_assert_true(status == ESP_ENUMERIC);
    g_assert_cmphex(esp_learner_hash(learner), ==, before);
    char *path = g_strdup_printf("%s/a_b-step-%u.jsonl", folder, (unsigned)report.steps + 1);
    g_assert_nonnull(strstr(err.text, path));
    char *text = NULL;
    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    g_assert_nonnull(text ? strstr(text, "\"weight\": 1e+300") : NULL);
    g_assert_nonnull(text ? strstr(text, "\"ad\": [[\"") : NULL);
    g_free(text);
    g_free(path);
    esp_feature_batch_release(&features);
    test_stream_release(&stream);
    esp_learner_free(learner);
    test_folder_remove(folder);
}

struct refusal {
    const char *text;
    size_t batch, slice, width;
    uint64_t table_bytes;
};

static const struct refusal REFUSALS[] = {
    {"batch: 0; choose 1 to 65536", 0, 8, 4, 1 << 20},
    {"slice: 12 rows; choose a multiple of 8, 8 to 1024", 16, 12, 4, 1 << 20},
    {"table_memory: 20000 bytes hold 32 rows a table, but a batch of 16 with 3 features may need "
     "99; "
     "raise it or lower batch",
     16, 8, 4, 20000},
};

static void test_refusal(const void *data)
{
    const struct refusal *refusal = data;
    struct esp_learner_config config = test_learner_config(ESP_SETUP_CTR);
    config.model.batch = refusal->batch;
    config.model.slice = refusal->slice;
    config.model.width = refusal->width;
    config.model.table_bytes = refusal->table_bytes;
    struct esp_error err = {0};
    struct esp_learner *learner = NULL;
    g_assert_true(esp_learner_new(&config, NULL, &learner, &err) == ESP_ECONFIG);
    g_assert_cmpstr(err.text, ==, refusal->text);
    g_assert_null(learner);
}

/* A table that can hold few rows evicts, stays within its budget, and learns the same in chunks. */
static void test_budget(void)
{
    struct esp_learner_config config = test_learner_config(ESP_SETUP_IPSP);
    config.model.table_bytes = 26000;
    config.model.admit_after = 2;
    struct test_stream stream;
    test_stream_init(&stream, TEST_FEATURES);
    test_stream_fill(&stream, 1000, 19);
    struct esp_learner *learner = new_learner(&config, NULL);
    test_learn_all(learner, &stream, 100);
    struct esp_learner_report report;
    esp_learner_report(learner, &report);
    g_assert_cmpuint(report.rows_evicted, >, 0);
    g_assert_cmpuint(report.rows, ==, TEST_FEATURES + report.rows_admitted - report.rows_evicted);
    g_assert_cmpuint(report.table_bytes, <=, 26000);
    esp_learner_check(learner);
    g_assert_cmphex(esp_learner_hash(learner), ==, learn(&config, NULL, &stream, 1));
    esp_learner_free(learner);
    test_stream_release(&stream);
}

/* Scores are equal to the bit whatever shares their batch. */
static void test_scores(void)
{
    struct esp_learner_config config = test_learner_config(ESP_SETUP_ESMM);
    struct esp_learner *learner = new_learner(&config, NULL);
    struct test_stream stream;
    struct esp_feature_batch row;
    struct esp_error err = {0};
    test_stream_init(&stream, TEST_FEATURES);
    test_stream_fill(&stream, 50, 20);
    esp_feature_batch_init(&row, TEST_FEATURES);
    test_learn_all(learner, &stream, stream.n);
    float *all = g_new0(float, stream.n *ESP_N_TASKS);
    g_assert_true(esp_learner_score(learner, &stream.features, all, &err) == ESP_OK);
    for (size_t i = 0; i < stream.n; i++) {
        float one[ESP_N_TASKS];
        test_stream_slice(&stream, i, 1, &row);
        g_assert_true(esp_learner_score(learner, &row, one, &err) == ESP_OK);
        g_assert_cmpmem(one, sizeof(one), all + i * ESP_N_TASKS, sizeof(one));
    }
    g_free(all);
    esp_feature_batch_release(&row);
    test_stream_release(&stream);
    esp_learner_free(learner);
}

static void add_by_setup(const char *format, void (*test)(const void *))
{
    for (int setup = 0; setup < ESP_N_SETUPS; setup++) {
        char *path = g_strdup_printf("/learner/%s/%s", esp_setup_get(setup)->name, format);
        g_test_add_data_func(path, GINT_TO_POINTER(setup), test);
        g_free(path);
    }
}

int main(int argc, char **argv)
{
    test_start(&argc, &argv);
    add_by_setup("learns the same in any chunks", test_chunks);
    add_by_setup("learns the same on 1, 2 and 3 threads", test_threads);
    add_by_setup("counts the scores from before it learned", test_progressive);
    add_by_setup("learns nothing from the holdout", test_holdout);
    add_by_setup("learns at its stages", test_stages);
    g_test_add_func("/learner/installs/without them all but esp are ctr", test_no_installs);
    g_test_add_func("/learner/windows/are kept and complete", test_windows);
    g_test_add_func("/learner/windows/clicks are known before installs", test_open_windows);
    g_test_add_func("/learner/fault/changes nothing and is written down", test_fault);
    g_test_add_func("/learner/table/stays within its budget", test_budget);
    g_test_add_func("/learner/scores/do not depend on the batch", test_scores);
    for (size_t i = 0; i < G_N_ELEMENTS(REFUSALS); i++) {
        char *path = g_strdup_printf("/learner/config/%zu is refused", i + 1);
        g_test_add_data_func(path, &REFUSALS[i], test_refusal);
        g_free(path);
    }
    return g_test_run();
}
