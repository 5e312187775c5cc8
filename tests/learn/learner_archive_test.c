/*
 * learner_archive_test.c - a learner that was written down and read into a new one does, to the
 * bit, what the first one does: batches and windows half full, for every set-up and optimizer, with
 * admission and eviction. And what cannot be a learner's state is refused.
 */
#include "core/archive.h"
#include "core/timespan.h"
#include "learn_helper.h"

enum { IMPRESSIONS = 1300, STOPS = 5, CHUNK = 9, ARCHIVE_BYTES = 1 << 26 };

static const struct optimizer_case {
    const char *name;
    enum esp_optimizer kind;
    enum esp_accumulator accumulator;
    enum esp_schedule schedule;
    int64_t half_life_us;
    double clip;
} OPTIMIZERS[] = {
    {"adagrad by coordinate", ESP_ADAGRAD, ESP_PER_COORDINATE, ESP_SCHEDULE_CONSTANT, 0, 0},
    {"adagrad by row, fading, clipped", ESP_ADAGRAD, ESP_ROW_WISE, ESP_SCHEDULE_CONSTANT,
     3 * ESP_HOUR, 0.05},
    {"sgd", ESP_SGD, ESP_PER_COORDINATE, ESP_SCHEDULE_INVERSE, 0, 0},
    {"adam", ESP_ADAM, ESP_PER_COORDINATE, ESP_SCHEDULE_CONSTANT, 0, 0.1},
};

static const struct memory_case {
    const char *name;
    uint32_t admit_after;
    bool is_small; /* rows are evicted */
} MEMORIES[] = {
    {"room for all", 1, false},
    {"rows evicted", 1, true},
    {"admitted after two, rows evicted", 2, true},
};

struct one_case {
    enum esp_setup_id setup;
    bool has_installs;
    const struct optimizer_case *optimizer;
    const struct memory_case *memory;
};

/* A learner and what it told of windows. */
struct told_learner {
    struct esp_learner *learner;
    GString *told;
};

static void hear(void *context, const struct esp_window_done *done)
{
    GString *told = context;
    g_string_append_printf(told, "%ld-%ld %d: %lu %a %a %a\n", (long)done->start_us,
                           (long)done->end_us, (int)done->task, (unsigned long)done->sums->n,
                           done->sums->wl, done->sums->wwlp,
                           done->report->roc_auc.defined ? done->report->roc_auc.value : -1);
}

/* Bytes for 105 rows, a few more than a batch may need. */
static uint64_t small_table(const struct one_case *one)
{
    enum { INDEX_BYTES = 1024 * 12 * 3 / 2, META_BYTES = 16, ROWS = 105 };
    size_t n_floats = one->optimizer->kind == ESP_SGD    ? 4
                      : one->optimizer->kind == ESP_ADAM ? 12
                                                         : 8;
    uint64_t bytes = INDEX_BYTES + ROWS * (n_floats * sizeof(float) + META_BYTES);
    return one->memory->admit_after == 1 ? bytes : bytes * 16 / 15 + 1;
}

static struct esp_learner_config config_of(const struct one_case *one)
{
    struct esp_learner_config config = test_learner_config(one->setup);
    const struct esp_setup *setup = esp_setup_get(one->setup);
    size_t n_towers = one->has_installs ? setup->n_towers : 1;
    config.has_installs = one->has_installs;
    config.windows_kept = 3;
    config.model.admit_after = one->memory->admit_after;
    if (one->memory->is_small)
        config.model.table_bytes = n_towers * small_table(one);
    for (int part = 0; part < 2; part++) {
        struct esp_optimizer_config *optimizer =
            part == 0 ? &config.model.dense : &config.model.sparse;
        optimizer->kind = one->optimizer->kind;
        optimizer->accumulator = one->optimizer->accumulator;
        optimizer->schedule = one->optimizer->schedule;
        optimizer->half_life_us = one->optimizer->half_life_us;
        optimizer->clip = one->optimizer->clip;
    }
    return config;
}

static struct told_learner learner_new(struct esp_learner_config config)
{
    struct told_learner made = {.told = g_string_new(NULL)};
    struct esp_error err = {0};
    config.window_done = hear;
    config.window_context = made.told;
    esp_learner_new(&config, NULL, &made.learner, &err);
    g_assert_cmpstr(err.text, ==, "");
    return made;
}

static void learner_free(struct told_learner *made)
{
    esp_learner_free(made->learner);
    g_string_free(made->told, TRUE);
}

static enum esp_status to_buf(void *context, const void *bytes, size_t n, struct esp_error *err)
{
    return esp_buf_append(context, bytes, n, err);
}

static void write_learner(struct esp_learner *learner, struct esp_buf *out)
{
    struct esp_archive archive;
    struct esp_error err = {0};
    esp_buf_init(out, ARCHIVE_BYTES);
    esp_archive_write_to(&archive, to_buf, out);
    esp_learner_archive(&archive, learner);
    g_assert_cmpint(esp_archive_end(&archive, &err), ==, ESP_OK);
    g_assert_cmpstr(err.text, ==, "");
}

static enum esp_status read_learner(struct esp_learner *learner, struct esp_bytes bytes,
                                    struct esp_error *err)
{
    struct esp_archive archive;
    esp_archive_read_from(&archive, bytes);
    esp_learner_archive(&archive, learner);
    return esp_archive_end(&archive, err);
}

/* A new learner that goes on where another one is. */
static struct told_learner restore(const struct esp_learner_config *config,
                                   struct esp_learner *from)
{
    struct told_learner made = learner_new(*config);
    struct esp_buf buf;
    struct esp_error err = {0};
    write_learner(from, &buf);
    read_learner(made.learner, esp_buf_bytes(&buf), &err);
    g_assert_cmpstr(err.text, ==, "");
    esp_buf_release(&buf);
    esp_learner_check(made.learner);
    return made;
}

static void feed(struct esp_learner *learner, const struct test_stream *stream, size_t first,
                 size_t n)
{
    struct esp_feature_batch features;
    struct esp_error err = {0};
    esp_feature_batch_init(&features, TEST_FEATURES);
    test_stream_slice(stream, first, n, &features);
    esp_learner_take(learner, stream->examples + first, n, &features, &err);
    g_assert_cmpstr(err.text, ==, "");
    esp_feature_batch_release(&features);
}

static void same_figure(const struct esp_figure *a, const struct esp_figure *b)
{
    g_assert_cmpint(a->defined, ==, b->defined);
    g_assert_cmpint(a->has_interval, ==, b->has_interval);
    if (a->defined)
        g_assert_cmpmem(&a->value, sizeof a->value, &b->value, sizeof b->value);
    if (a->has_interval) {
        g_assert_cmpmem(&a->low, sizeof a->low, &b->low, sizeof b->low);
        g_assert_cmpmem(&a->high, sizeof a->high, &b->high, sizeof b->high);
    }
}

static void same_task(const struct esp_task_report *a, const struct esp_task_report *b)
{
    g_assert_cmpuint(a->examples, ==, b->examples);
    g_assert_cmpuint(a->positives, ==, b->positives);
    g_assert_cmpfloat(a->weight, ==, b->weight);
    same_figure(&a->log_loss, &b->log_loss);
    same_figure(&a->normalised_entropy, &b->normalised_entropy);
    same_figure(&a->calibration, &b->calibration);
    same_figure(&a->roc_auc, &b->roc_auc);
    same_figure(&a->pr_auc, &b->pr_auc);
}

static void same_report(const struct esp_learner *left, const struct esp_learner *right)
{
    struct esp_learner_report a, b;
    esp_learner_report(left, &a);
    esp_learner_report(right, &b);
    for (enum esp_task task = 0; task < ESP_N_TASKS; task++) {
        g_assert_cmpint(a.has_task[task], ==, b.has_task[task]);
        g_assert_cmpint(a.window_start_us[task], ==, b.window_start_us[task]);
        same_task(&a.total[task], &b.total[task]);
        same_task(&a.window[task], &b.window[task]);
        same_task(&a.holdout[task], &b.holdout[task]);
    }
    g_assert_cmpuint(a.examples_learned, ==, b.examples_learned);
    g_assert_cmpuint(a.steps, ==, b.steps);
    g_assert_cmpuint(a.dense_clipped, ==, b.dense_clipped);
    g_assert_cmpuint(a.rows_clipped, ==, b.rows_clipped);
    g_assert_cmpuint(a.rows, ==, b.rows);
    g_assert_cmpuint(a.rows_admitted, ==, b.rows_admitted);
    g_assert_cmpuint(a.rows_evicted, ==, b.rows_evicted);
    g_assert_cmpuint(a.waiting, ==, b.waiting);
    g_assert_cmpuint(a.table_bytes, ==, b.table_bytes);
    g_assert_cmpfloat(a.last_loss, ==, b.last_loss);
}

static void same_windows(const struct esp_learner *left, const struct esp_learner *right)
{
    size_t n_left, n_right;
    const struct esp_progress_window *a = esp_learner_windows(left, &n_left);
    const struct esp_progress_window *b = esp_learner_windows(right, &n_right);
    g_assert_cmpuint(n_left, ==, n_right);
    for (size_t i = 0; i < MIN(n_left, n_right); i++) {
        g_assert_cmpint(a[i].start_us, ==, b[i].start_us);
        g_assert_cmpint(a[i].complete, ==, b[i].complete);
        g_assert_cmpmem(a[i].train, sizeof a[i].train, b[i].train, sizeof b[i].train);
        g_assert_cmpmem(a[i].holdout, sizeof a[i].holdout, b[i].holdout, sizeof b[i].holdout);
    }
}

static void same_scores(struct esp_learner *left, struct esp_learner *right,
                        const struct test_stream *stream)
{
    enum { N = 40 };
    static float a[N * ESP_N_TASKS], b[N * ESP_N_TASKS];
    struct esp_feature_batch features;
    esp_feature_batch_init(&features, TEST_FEATURES);
    test_stream_slice(stream, stream->n / 2, N, &features);
    g_assert_cmpint(esp_learner_score(left, &features, a, NULL), ==, ESP_OK);
    g_assert_cmpint(esp_learner_score(right, &features, b, NULL), ==, ESP_OK);
    g_assert_cmpmem(a, sizeof a, b, sizeof b);
    esp_feature_batch_release(&features);
}

static void same_state(struct esp_learner *left, struct esp_learner *right,
                       const struct test_stream *stream)
{
    g_assert_cmpuint(esp_learner_hash(left), ==, esp_learner_hash(right));
    same_report(left, right);
    same_windows(left, right);
    same_scores(left, right, stream);
}

/* Both to the stream's end, which leaves no prediction waiting: then all that they hold is equal.
 */
static void finish(struct told_learner *learners, size_t n, const struct test_stream *stream)
{
    struct esp_buf want = {0}, got;
    for (size_t i = 0; i < n; i++) {
        g_assert_cmpint(esp_learner_flush(learners[i].learner, NULL), ==, ESP_OK);
        esp_learner_end(learners[i].learner);
        esp_learner_check(learners[i].learner);
        write_learner(learners[i].learner, i == 0 ? &want : &got);
        if (i == 0)
            continue;
        same_state(learners[0].learner, learners[i].learner, stream);
        g_assert_cmpmem(got.data, got.size, want.data, want.size);
        esp_buf_release(&got);
    }
    esp_buf_release(&want);
}

/*
 * The first learner runs undisturbed. At each stop a new one is made from it; all go on beside it.
 * Chunks are of any length, so that stops fall between batches, inside them, and between windows.
 */
static void run(const struct one_case *one)
{
    struct esp_learner_config config = config_of(one);
    struct told_learner learners[STOPS + 1] = {learner_new(config)};
    size_t heard[STOPS + 1] = {0}, n_learners = 1;
    struct test_stream stream;
    struct test_random random = {.state = 99 + (uint64_t)one->setup};
    test_stream_init(&stream, TEST_FEATURES);
    test_stream_fill(&stream, IMPRESSIONS, 5);
    for (size_t at = 0; at < stream.n;) {
        if (n_learners <= STOPS && at >= (n_learners - 1) * stream.n / STOPS) {
            heard[n_learners] = learners[0].told->len;
            /* every second one from the one before it: restored twice */
            learners[n_learners] =
                restore(&config, learners[n_learners % 2 == 0 ? n_learners - 1 : 0].learner);
            same_state(learners[0].learner, learners[n_learners].learner, &stream);
            n_learners++;
        }
        size_t n = 1 + test_random_below(&random, CHUNK);
        n = MIN(n, stream.n - at);
        for (size_t i = 0; i < n_learners; i++)
            feed(learners[i].learner, &stream, at, n);
        at += n;
    }
    finish(learners, n_learners, &stream);
    for (size_t i = 1; i < n_learners; i++)
        g_assert_cmpstr(learners[i].told->str, ==, learners[0].told->str + heard[i]);
    struct esp_learner_report report;
    esp_learner_report(learners[0].learner, &report);
    g_assert_cmpuint(n_learners, ==, STOPS + 1);
    g_assert_cmpuint(learners[0].told->len, >, 100);
    g_assert_true((report.rows_evicted > 0) == one->memory->is_small);
    for (size_t i = 0; i < n_learners; i++)
        learner_free(&learners[i]);
    test_stream_release(&stream);
}

static void test_setup(const void *data)
{
    enum esp_setup_id setup = (enum esp_setup_id)GPOINTER_TO_INT(data);
    for (size_t o = 0; o < G_N_ELEMENTS(OPTIMIZERS); o++)
        for (size_t m = 0; m < G_N_ELEMENTS(MEMORIES); m++) {
            struct one_case one = {setup, true, &OPTIMIZERS[o], &MEMORIES[m]};
            g_test_message("%s, %s", OPTIMIZERS[o].name, MEMORIES[m].name);
            run(&one);
        }
}

static void test_without_installs(void)
{
    struct one_case one = {ESP_SETUP_ESMM, false, &OPTIMIZERS[0], &MEMORIES[0]};
    run(&one);
}

/* ---- who listens ----------------------------------------------------------------------------- */

/* A window that was complete while nobody listened is not news to who listens later. */
static void test_late_listener(void)
{
    struct one_case one = {ESP_SETUP_IPSP, true, &OPTIMIZERS[0], &MEMORIES[0]};
    struct esp_learner_config config = config_of(&one);
    config.windows_kept = 100;
    struct told_learner whole = learner_new(config), deaf = {.told = g_string_new(NULL)};
    struct test_stream stream;
    test_stream_init(&stream, TEST_FEATURES);
    test_stream_fill(&stream, IMPRESSIONS, 5);
    g_assert_cmpint(esp_learner_new(&config, NULL, &deaf.learner, NULL), ==, ESP_OK);
    size_t half = stream.n / 2;
    feed(whole.learner, &stream, 0, half);
    feed(deaf.learner, &stream, 0, half);
    size_t heard = whole.told->len;
    struct told_learner later = restore(&config, deaf.learner);
    feed(whole.learner, &stream, half, stream.n - half);
    feed(later.learner, &stream, half, stream.n - half);
    g_assert_cmpuint(heard, >, 0);
    g_assert_cmpuint(later.told->len, >, 0);
    g_assert_cmpstr(later.told->str, ==, whole.told->str + heard);
    learner_free(&whole);
    learner_free(&deaf);
    learner_free(&later);
    test_stream_release(&stream);
}

/* ---- what is refused ------------------------------------------------------------------------- */

static void set_width(struct esp_learner_config *config)
{
    config->model.width = 5;
}
static void set_batch(struct esp_learner_config *config)
{
    config->model.batch = 24;
}
static void set_setup(struct esp_learner_config *config)
{
    config->model.setup = ESP_SETUP_ESMM;
}
static void set_memory(struct esp_learner_config *config)
{
    config->model.table_bytes *= 2;
}
static void set_admission(struct esp_learner_config *config)
{
    config->model.admit_after = 2;
}
static void set_optimizer(struct esp_learner_config *config)
{
    config->model.sparse.kind = ESP_ADAM;
}
static void set_window(struct esp_learner_config *config)
{
    config->window_us = 2 * ESP_HOUR;
}

static const struct other_case {
    const char *name;
    void (*set)(struct esp_learner_config *config);
    const char *want; /* a part of the line */
} OTHERS[] = {
    {"another width", set_width, "the number of dense weights is "},
    {"another batch", set_batch, "the number of examples of a batch is 24, and was 16 when"},
    {"another set-up", set_setup, "no state of the esmm stands where it should"},
    {"another budget", set_memory, "the number of rows that table_memory holds is "},
    {"another admission", set_admission, "the size of the admission counts is "},
    {"another optimizer", set_optimizer, "the optimizer's numbers of an embedding row is 8, and"},
    {"other windows", set_window,
     "the length of the windows of progressive metrics, in microseconds, is 7200000000, and was"},
};

/* What a learner held in the middle of the stream. */
static void half_way(const struct memory_case *memory, struct esp_learner_config *config,
                     struct esp_buf *out)
{
    struct one_case one = {ESP_SETUP_IPSP, true, &OPTIMIZERS[0], memory};
    struct test_stream stream;
    *config = config_of(&one);
    struct told_learner made = learner_new(*config);
    test_stream_init(&stream, TEST_FEATURES);
    test_stream_fill(&stream, 700, 5);
    feed(made.learner, &stream, 0, stream.n * 3 / 4 + 3);
    write_learner(made.learner, out);
    learner_free(&made);
    test_stream_release(&stream);
}

static void test_other(const void *data)
{
    const struct other_case *row = data;
    struct esp_learner_config config;
    struct esp_buf buf;
    struct esp_error err = {0};
    half_way(&MEMORIES[0], &config, &buf);
    row->set(&config);
    struct told_learner other = learner_new(config);
    g_assert_cmpint(read_learner(other.learner, esp_buf_bytes(&buf), &err), ==, ESP_EDATA);
    if (strstr(err.text, row->want) == NULL)
        g_test_fail_printf("it says \"%s\"", err.text);
    learner_free(&other);
    esp_buf_release(&buf);
}

static void test_truncated(void)
{
    struct esp_learner_config config;
    struct esp_buf buf;
    half_way(&MEMORIES[2], &config, &buf);
    for (size_t n = 0; n < buf.size; n += n < 300 ? 1 : 61) {
        struct told_learner made = learner_new(config);
        uint8_t *copy = g_memdup2(buf.data, n); /* so that reading past its end is noticed */
        g_assert_cmpint(read_learner(made.learner, esp_bytes(copy, n), NULL), ==, ESP_EDATA);
        g_free(copy);
        learner_free(&made);
    }
    esp_buf_release(&buf);
}

/* What is taken keeps all invariants while it learns on: a number may be any, a place may not. */
static void test_altered(void)
{
    struct esp_learner_config config;
    struct esp_buf buf;
    struct test_stream stream;
    struct test_random random = {.state = 3};
    size_t n_taken = 0, n_refused = 0;
    half_way(&MEMORIES[2], &config, &buf);
    test_stream_init(&stream, TEST_FEATURES);
    test_stream_fill(&stream, 60, 6);
    for (size_t i = 0; i < 2500; i++) {
        size_t place = i < 400 ? i : test_random_below(&random, buf.size);
        uint8_t mask = (uint8_t)(1 << test_random_below(&random, 8));
        struct told_learner made = learner_new(config);
        buf.data[place] ^= mask;
        if (read_learner(made.learner, esp_buf_bytes(&buf), NULL) == ESP_OK) {
            struct esp_feature_batch features;
            struct esp_learner_report report;
            esp_feature_batch_init(&features, TEST_FEATURES);
            test_stream_slice(&stream, 0, stream.n, &features);
            esp_learner_check(made.learner);
            if (esp_learner_take(made.learner, stream.examples, stream.n, &features, NULL) ==
                    ESP_OK &&
                esp_learner_flush(made.learner, NULL) == ESP_OK) {
                esp_learner_end(made.learner);
                esp_learner_check(made.learner);
            }
            esp_learner_report(made.learner, &report);
            esp_feature_batch_release(&features);
            n_taken++;
        } else {
            n_refused++;
        }
        buf.data[place] ^= mask;
        learner_free(&made);
    }
    g_assert_cmpuint(n_taken, >, 100);
    g_assert_cmpuint(n_refused, >, 100);
    test_stream_release(&stream);
    esp_buf_release(&buf);
}

static void test_left_over(void)
{
    struct esp_learner_config config;
    struct esp_buf buf;
    struct esp_error err = {0};
    half_way(&MEMORIES[2], &config, &buf);
    struct told_learner made = learner_new(config);
    g_assert_cmpint(esp_buf_append(&buf, "x", 1, NULL), ==, ESP_OK);
    g_assert_cmpint(read_learner(made.learner, esp_buf_bytes(&buf), &err), ==, ESP_EDATA);
    g_assert_cmpstr(err.text, ==, "1 bytes are left over");
    learner_free(&made);
    esp_buf_release(&buf);
}

int main(int argc, char **argv)
{
    test_start(&argc, &argv);
    for (int id = 0; id < ESP_N_SETUPS; id++) {
        char *path = g_strdup_printf("/learner/%s goes on to the bit",
                                     esp_setup_get((enum esp_setup_id)id)->name);
        g_test_add_data_func(path, GINT_TO_POINTER(id), test_setup);
        g_free(path);
    }
    g_test_add_func("/learner/clicks alone go on to the bit", test_without_installs);
    g_test_add_func("/learner/who listens later hears of a window once", test_late_listener);
    for (size_t i = 0; i < G_N_ELEMENTS(OTHERS); i++) {
        char *path = g_strdup_printf("/learner/refused/%s", OTHERS[i].name);
        g_test_add_data_func(path, &OTHERS[i], test_other);
        g_free(path);
    }
    g_test_add_func("/learner/refused/a truncated state, at every length", test_truncated);
    g_test_add_func("/learner/refused/bytes that are left over", test_left_over);
    g_test_add_func("/learner/an altered byte breaks no invariant", test_altered);
    return g_test_run();
}
