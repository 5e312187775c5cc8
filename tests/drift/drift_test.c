/*
 * drift_test.c - what the stage makes of random streams, beside a twin that scores every example
 * alone and sums by the definitions; and that nothing but the label order matters.
 */
#include "drift/drift.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "core/timespan.h"
#include "drift_helper.h"
#include "drift_twin.h"

#define H 1600 /* of a window, in us; times fall on sixteenths */

enum { SEEDS = 3 };

static struct test_files files;

#define FIVE_AGES                   \
    {                               \
        H, 5, {0, 1, 2, 4, 7}, 2, 2 \
    }
#define EVERY_AGE                \
    {                            \
        H, 4, {0, 1, 3, 4}, 1, 1 \
    }
#define ONLY_NOW        \
    {                   \
        H, 1, {0}, 1, 3 \
    }

/* clang-format off */
static const struct test_plan plans[] = {
    /* ladder, W_c, W_z, installs?, models, set-ups, impressions, windows, kept, units,
     *                                                    scored, missing, holdout, cut */
    {"all tasks and clicks alone",
     FIVE_AGES, H / 2, 3 * H, true, 2, {TEST_IPSP, TEST_CTR}, 500, 14, 10000, 0, 0.7, 0.1, 0.7, 0},
    {"all tasks and installs alone, units that come back",
     FIVE_AGES, H / 2, 3 * H, true, 2, {TEST_IPSP, TEST_ESP}, 500, 14, 10000, 60, 0.7, 0.1, 0.7, 0},
    {"one model, every age at every window",
     EVERY_AGE, H / 2, 3 * H, true, 1, {TEST_IPSP, TEST_CTR}, 500, 14, 10000, 0, 0.7, 0.1, 0.7, 0},
    {"age 0 alone",
     ONLY_NOW, H / 2, 3 * H, true, 2, {TEST_IPSP, TEST_CTR}, 500, 14, 10000, 0, 0.7, 0.1, 0.7, 0},
    {"clicks that must come at once",
     FIVE_AGES, 0, 3 * H, true, 2, {TEST_IPSP, TEST_CTR}, 500, 14, 10000, 0, 0.7, 0.1, 0.7, 0},
    {"installs that must come at once",
     FIVE_AGES, H / 2, 0, true, 2, {TEST_IPSP, TEST_CTR}, 500, 14, 10000, 0, 0.7, 0.1, 0.7, 0},
    {"no waiting at all",
     FIVE_AGES, 0, 0, true, 2, {TEST_IPSP, TEST_CTR}, 500, 14, 10000, 0, 0.7, 0.1, 0.7, 0},
    {"installs after many later windows",
     FIVE_AGES, H / 2, 9 * H, true, 2, {TEST_IPSP, TEST_CTR}, 500, 14, 10000, 0, 0.7, 0.1, 0.7, 0},
    {"clicks after many later windows",
     FIVE_AGES, 4 * H, 3 * H, true, 2, {TEST_IPSP, TEST_CTR}, 500, 14, 10000, 0, 0.7, 0.1, 0.7, 0},
    {"no installs",
     FIVE_AGES, H / 2, 3 * H, false, 2, {TEST_IPSP, TEST_CTR}, 500, 14, 10000, 0, 0.7, 0.1, 0.7, 0},
    {"most snapshots missing",
     FIVE_AGES, H / 2, 3 * H, true, 2, {TEST_IPSP, TEST_CTR}, 500, 14, 10000, 0, 0.7, 0.8, 0.7, 0},
    {"no snapshot at all",
     FIVE_AGES, H / 2, 3 * H, true, 2, {TEST_IPSP, TEST_CTR}, 500, 14, 10000, 0, 0.7, 1, 0.7, 0},
    {"no scores of others",
     FIVE_AGES, H / 2, 3 * H, true, 2, {TEST_IPSP, TEST_CTR}, 500, 14, 10000, 0, 0, 0.1, 0.7, 0},
    {"a stream that breaks off",
     FIVE_AGES, H / 2, 3 * H, true, 2, {TEST_IPSP, TEST_CTR}, 500, 14, 10000, 0, 0.7, 0.1, 0.7, 0.3},
    {"more examples than a window keeps",
     FIVE_AGES, H / 2, 3 * H, true, 2, {TEST_IPSP, TEST_CTR}, 500, 14, 30, 90, 0.7, 0.1, 0.7, 0},
    {"more examples than are scored at a time",
     FIVE_AGES, H / 2, 3 * H, true, 1, {TEST_IPSP, TEST_CTR}, 1800, 4, 10000, 0, 0.7, 0.1, 0.7, 0},
    {"thinned while examples are pending",
     FIVE_AGES, H / 2, 3 * H, true, 2, {TEST_ESP, TEST_IPSP}, 1800, 4, 300, 0, 0.7, 0.1, 0.7, 0},
    {"few holdout examples",
     FIVE_AGES, H / 2, 3 * H, true, 2, {TEST_IPSP, TEST_CTR}, 500, 14, 10000, 0, 0.7, 0.1, 0.03, 0},
    {"everybody is holdout",
     FIVE_AGES, H / 2, 3 * H, true, 2, {TEST_IPSP, TEST_CTR}, 500, 14, 10000, 0, 0.7, 0.1, 1, 0},
    {"nobody is holdout",
     FIVE_AGES, H / 2, 3 * H, true, 2, {TEST_IPSP, TEST_CTR}, 500, 14, 10000, 0, 0.7, 0.1, 0, 0},
};
/* clang-format on */

/* ---- beside the twin ---- */

struct checker {
    GArray *want;
    guint next;
    const char *name;
    uint64_t seed;
};

static bool is_close(double got, double want, double scale)
{
    return fabs(got - want) <= 1e-12 * (fabs(want) + scale);
}

static bool same_sums(const struct esp_task_sums *got, const struct esp_task_sums *want)
{
    const double pairs[][2] = {
        {got->w, want->w},       {got->wl, want->wl},     {got->wp, want->wp},
        {got->wy, want->wy},     {got->ww, want->ww},     {got->wwl, want->wwl},
        {got->wwll, want->wwll}, {got->wwp, want->wwp},   {got->wwpp, want->wwpp},
        {got->wwy, want->wwy},   {got->wwyy, want->wwyy}, {got->wwpy, want->wwpy},
        {got->wwly, want->wwly}, {got->wwlp, want->wwlp},
    };
    bool same =
        got->n == want->n && got->n_positive == want->n_positive && got->n_units == want->n_units;
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++)
        same = same && is_close(pairs[i][0], pairs[i][1], 0);
    return same;
}

/* Differences of losses cancel: they are as exact as the losses are. */
static bool same_paired(const struct esp_paired_sums *got, const struct esp_paired_sums *want,
                        double scale)
{
    return got->n == want->n && got->n_positive == want->n_positive &&
           got->n_units == want->n_units && is_close(got->w, want->w, 0) &&
           is_close(got->ww, want->ww, 0) && is_close(got->d, want->d, scale) &&
           is_close(got->wd, want->wd, scale * scale) && is_close(got->dd, want->dd, scale * scale);
}

static bool same_place(const struct esp_drift_measure *got, const struct esp_drift_measure *want)
{
    return got->source == want->source && got->model == want->model &&
           strcmp(got->setup, want->setup) == 0 && got->window_start_us == want->window_start_us &&
           got->window_end_us == want->window_end_us && got->task == want->task &&
           got->age == want->age && got->snapshot == want->snapshot;
}

static bool same_measure(const struct esp_drift_measure *got, const struct twin_measure *twin)
{
    const struct esp_drift_measure *want = &twin->measure;
    bool same = got->share == want->share && same_sums(&got->sums, &want->sums) &&
                got->has_paired == want->has_paired && got->has_production == want->has_production;
    if (same && want->has_paired)
        same = same_paired(&got->paired, &want->paired, twin->scale) && got->drift_loss.defined &&
               is_close(got->drift_loss.value, want->drift_loss.value, twin->scale);
    if (same && want->has_production)
        same = same_paired(&got->production, &want->production, twin->scale) &&
               got->production_clipped == want->production_clipped &&
               got->production_loss.defined &&
               is_close(got->production_loss.value, want->production_loss.value, twin->scale);
    return same;
}

/* Figures follow from the sums: metric/'s tests hold them; here only that they are of these. */
static bool same_figures(const struct esp_drift_measure *got)
{
    const struct esp_task_report *f = &got->figures;
    const struct esp_task_sums *s = &got->sums;
    bool both = s->n_positive > 0 && s->n_positive < s->n;
    return f->examples == s->n && f->positives == s->n_positive && f->log_loss.defined &&
           f->log_loss.value == s->wl / s->w && f->roc_auc.defined == both &&
           f->pr_auc.defined == both && f->normalised_entropy.defined == both &&
           (!both || (f->roc_auc.value >= 0 && f->roc_auc.value <= 1 && f->pr_auc.value <= 1));
}

static enum esp_status check_measure(void *context, const struct esp_drift_measure *got,
                                     struct esp_error *err)
{
    struct checker *checker = context;
    (void)err;
    guint at = checker->next++;
    if (at >= checker->want->len || g_test_failed())
        return ESP_OK; /* counted at the end */
    const struct twin_measure *want = &g_array_index(checker->want, struct twin_measure, at);
    const char *what = !same_place(got, &want->measure) ? "is another's"
                       : !same_measure(got, want)       ? "differs"
                       : !same_figures(got)             ? "has other figures than its sums"
                                                        : NULL;
    if (what != NULL)
        g_test_fail_printf("seed %d, measure %u (window %" PRId64 ", task %d, model %zu, age %u) "
                           "%s; want window %" PRId64 ", task %d, model %zu, age %u",
                           (int)checker->seed, at, got->window_start_us / H, (int)got->task,
                           got->model, got->age, what, want->measure.window_start_us / H,
                           (int)want->measure.task, want->measure.model, want->measure.age);
    return ESP_OK;
}

static void check_end(const struct esp_drift *drift, const struct test_stream *stream,
                      guint n_measures)
{
    uint64_t n_clicks = 0;
    struct esp_drift_usage usage;
    esp_drift_usage(drift, &usage);
    for (size_t k = 0; k < stream->n_labels; k++)
        n_clicks += stream->labels[k].stage == ESP_STAGE_CLICK &&
                    stream->impressions[stream->labels[k].impression].holdout;
    g_assert_cmpuint(usage.windows, ==, 0);
    g_assert_cmpuint(usage.examples, ==, 0);
    g_assert_cmpuint(usage.memory_bytes, ==, 0);
    g_assert_cmpuint(usage.measures, ==, n_measures);
    g_assert_cmpuint(usage.scored, <=, n_clicks);
    g_assert_cmpuint(usage.scored + usage.thinned, >=, n_clicks);
}

static void run_beside_twin(const struct test_plan *plan, uint64_t seed, guint *n_measures)
{
    struct test_stream stream;
    test_stream_draw(&stream, plan, &files, seed);
    struct checker checker = {.want = drift_twin(&stream), .name = plan->name, .seed = seed};
    struct esp_drift_config config = test_stream_config(&stream);
    config.emit = check_measure;
    config.emit_context = &checker;
    struct esp_drift *drift = NULL;
    g_assert_cmpint(esp_drift_new(&config, NULL, &drift, NULL), ==, ESP_OK);
    for (size_t k = 0; k < stream.n_labels; k++) {
        g_assert_cmpint(test_stream_feed(&stream, drift, k, NULL), ==, ESP_OK);
        esp_drift_check(drift);
    }
    g_assert_cmpint(esp_drift_finish(drift, NULL), ==, ESP_OK);
    esp_drift_check(drift);
    g_assert_cmpuint(checker.next, ==, checker.want->len);
    check_end(drift, &stream, checker.next);
    *n_measures += checker.next;
    esp_drift_free(drift);
    g_array_free(checker.want, TRUE);
    test_stream_release(&stream);
}

static void equals_the_twin(gconstpointer data)
{
    const struct test_plan *plan = data;
    guint n_measures = 0;
    for (uint64_t seed = 1; seed <= SEEDS && !g_test_failed(); seed++)
        run_beside_twin(plan, seed, &n_measures);
    /* A plan that measures nothing must be one that cannot. */
    g_assert_cmpint(n_measures > 0, ==,
                    plan->holdout > 0 && (plan->missing < 1 || plan->production > 0));
}

/* ---- nothing but the label order matters ---- */

/* All measures of a stream; told of moments between labels as well if `between`. */
static GString *measures_of(const struct test_plan *plan, size_t n_threads, bool between)
{
    GString *text = g_string_new(NULL);
    struct test_stream stream;
    struct esp_pool *pool = NULL;
    struct esp_drift *drift = NULL;
    test_stream_draw(&stream, plan, &files, 77);
    struct esp_drift_config config = test_stream_config(&stream);
    config.emit = test_write_measure;
    config.emit_context = text;
    if (n_threads > 0)
        g_assert_cmpint(esp_pool_new(n_threads, &pool, NULL), ==, ESP_OK);
    g_assert_cmpint(esp_drift_new(&config, pool, &drift, NULL), ==, ESP_OK);
    for (size_t k = 0; k < stream.n_labels; k++) {
        for (int64_t before = 3; between && k > 0 && before >= 0; before--) {
            int64_t due_us = stream.labels[k].due_us - before * (H / 20);
            if (due_us >= stream.labels[k - 1].due_us)
                g_assert_cmpint(esp_drift_advance(drift, due_us, NULL), ==, ESP_OK);
        }
        g_assert_cmpint(test_stream_feed(&stream, drift, k, NULL), ==, ESP_OK);
    }
    g_assert_cmpint(esp_drift_finish(drift, NULL), ==, ESP_OK);
    esp_drift_free(drift);
    esp_pool_free(pool);
    test_stream_release(&stream);
    return text;
}

static void threads_and_moments_change_no_bit(gconstpointer data)
{
    const struct test_plan *plan = data;
    GString *inline_ = measures_of(plan, 0, false);
    const struct {
        size_t n_threads;
        bool between;
    } others[] = {{1, false}, {3, false}, {3, true}};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        GString *other = measures_of(plan, others[i].n_threads, others[i].between);
        g_assert_true(g_string_equal(inline_, other));
        g_string_free(other, TRUE);
    }
    g_assert_cmpuint(inline_->len, >, 1000);
    g_string_free(inline_, TRUE);
}

/* ---- order, failures ---- */

static enum esp_status count_measure(void *context, const struct esp_drift_measure *measure,
                                     struct esp_error *err)
{
    size_t *n_left = context;
    (void)measure;
    if (*n_left == 0)
        return esp_fail(err, ESP_EIO, "the topic is full");
    (*n_left)--;
    return ESP_OK;
}

static struct esp_drift *new_drift(const struct test_stream *stream, size_t *n_left)
{
    struct esp_drift *drift = NULL;
    struct esp_drift_config config = test_stream_config(stream);
    config.emit = count_measure;
    config.emit_context = n_left;
    g_assert_cmpint(esp_drift_new(&config, NULL, &drift, NULL), ==, ESP_OK);
    return drift;
}

static enum esp_status click_at(struct esp_drift *drift, int64_t time_us, uint64_t ticket,
                                struct esp_error *err)
{
    struct test_random random = {.state = ticket};
    struct esp_value values[TEST_FIELDS];
    test_values(&random, values);
    struct esp_example example = {.due_us = time_us + H / 2,
                                  .impression_us = time_us,
                                  .ticket = ticket,
                                  .weight = 1,
                                  .holdout = true};
    struct esp_drift_example taken = {
        .example = &example, .values = values, .unit = ticket, .production = {NAN, NAN, NAN}};
    return esp_drift_click(drift, &taken, err);
}

static void is_out_of_order(struct esp_drift *drift, int64_t time_us, uint64_t ticket)
{
    struct esp_error err = {0};
    g_assert_cmpint(click_at(drift, time_us, ticket, &err), ==, ESP_EBUG);
    g_assert_cmpstr(err.text, ==, "a holdout example is out of label order");
    esp_drift_check(drift);
}

static void click_labels_out_of_order_are_refused(void)
{
    struct test_stream stream;
    size_t n_left = SIZE_MAX;
    test_stream_draw(&stream, &plans[0], &files, 1);
    struct esp_drift *drift = new_drift(&stream, &n_left);
    is_out_of_order(drift, 10 * H, 1); /* no label's time was told */
    g_assert_cmpint(esp_drift_advance(drift, 10 * H + H / 2, NULL), ==, ESP_OK);
    g_assert_cmpint(click_at(drift, 10 * H, 5, NULL), ==, ESP_OK);
    is_out_of_order(drift, 10 * H, 5); /* the same label again */
    is_out_of_order(drift, 10 * H, 4); /* one before it */
    is_out_of_order(drift, 9 * H, 6);  /* of an older window */
    is_out_of_order(drift, 11 * H, 7); /* of a later one, without its time */
    g_assert_cmpint(esp_drift_advance(drift, 11 * H + H / 2, NULL), ==, ESP_OK);
    is_out_of_order(drift, 10 * H, 8); /* that window is closed, and none is open */
    g_assert_cmpint(click_at(drift, 11 * H, 9, NULL), ==, ESP_OK);
    g_assert_cmpint(esp_drift_advance(drift, 0, NULL), ==, ESP_OK); /* time does not go back */
    g_assert_cmpint(esp_drift_first_window(drift), ==, 11);
    esp_drift_free(drift);
    test_stream_release(&stream);
}

static void the_first_window_moves_with_every_label(void)
{
    struct test_stream stream;
    size_t n_left = SIZE_MAX;
    test_stream_draw(&stream, &plans[0], &files, 1);
    struct esp_drift *drift = new_drift(&stream, &n_left);
    g_assert_cmpint(esp_drift_first_window(drift), ==, INT64_MIN);
    /* Labels of the others alone: what is due at B + W_c is of an impression from B on. */
    g_assert_cmpint(esp_drift_advance(drift, 3 * H + H / 2 - 1, NULL), ==, ESP_OK);
    g_assert_cmpint(esp_drift_first_window(drift), ==, 2);
    g_assert_cmpint(esp_drift_advance(drift, 3 * H + H / 2, NULL), ==, ESP_OK);
    g_assert_cmpint(esp_drift_first_window(drift), ==, 3);
    esp_drift_free(drift);
    test_stream_release(&stream);
}

/* Wherever writing fails, the call says so, and freeing leaves nothing. */
static void a_failure_to_write_ends_the_call_that_met_it(void)
{
    struct test_stream stream;
    test_stream_draw(&stream, &plans[0], &files, 2);
    for (size_t n = 0; n < 40; n++) {
        size_t n_left = n;
        struct esp_error err = {0};
        struct esp_drift *drift = new_drift(&stream, &n_left);
        enum esp_status status = ESP_OK;
        for (size_t k = 0; status == ESP_OK && k < stream.n_labels; k++)
            status = test_stream_feed(&stream, drift, k, &err);
        if (status == ESP_OK)
            status = esp_drift_finish(drift, &err);
        g_assert_cmpint(status, ==, ESP_EIO);
        g_assert_cmpstr(err.text, ==, "the topic is full");
        esp_drift_free(drift);
    }
    test_stream_release(&stream);
}

static enum esp_status open_nothing(void *context, size_t model, int64_t boundary_us,
                                    struct esp_snapshot **out, struct esp_error *err)
{
    (void)context;
    (void)model;
    (void)boundary_us;
    return esp_snapshot_open("no/such/file", ESP_SNAPSHOT_STRUCTURE, out, err);
}

static void a_snapshot_that_cannot_be_opened_ends_the_call(void)
{
    struct test_stream stream;
    struct esp_error err = {0};
    struct esp_drift *drift = NULL;
    test_stream_draw(&stream, &plans[0], &files, 1);
    struct esp_drift_config config = test_stream_config(&stream);
    config.open = open_nothing;
    config.emit = test_write_measure;
    g_assert_cmpint(esp_drift_new(&config, NULL, &drift, NULL), ==, ESP_OK);
    g_assert_cmpint(esp_drift_advance(drift, H, NULL), ==, ESP_OK);
    g_assert_cmpint(click_at(drift, H / 2, 1, &err), ==, ESP_EIO);
    g_assert_nonnull(strstr(err.text, "no/such/file"));
    esp_drift_free(drift);
    test_stream_release(&stream);
}

static void bounds_that_cannot_be_are_refused(void)
{
    struct esp_drift *drift = NULL;
    struct esp_error err = {0};
    struct esp_drift_config config = {.ladder = FIVE_AGES, .n_models = 1, .window_examples = 1};
    g_assert_cmpint(esp_drift_new(&config, NULL, &drift, &err), ==, ESP_ECONFIG);
    g_assert_cmpstr(err.text, ==, "window_examples: choose at least 2");
    g_assert_null(drift);
}

int main(int argc, char **argv)
{
    test_start(&argc, &argv);
    test_files_init(&files);
    for (size_t i = 0; i < sizeof plans / sizeof plans[0]; i++) {
        char *path = g_strdup_printf("/drift/%s: measures equal the twin's", plans[i].name);
        g_test_add_data_func(path, &plans[i], equals_the_twin);
        g_free(path);
    }
    const size_t repeated[] = {0, 1, 16};
    for (size_t i = 0; i < sizeof repeated / sizeof repeated[0]; i++) {
        char *path = g_strdup_printf("/drift/%s: threads, and times between labels, change no bit",
                                     plans[repeated[i]].name);
        g_test_add_data_func(path, &plans[repeated[i]], threads_and_moments_change_no_bit);
        g_free(path);
    }
    g_test_add_func("/drift/click labels out of order are refused",
                    click_labels_out_of_order_are_refused);
    g_test_add_func("/drift/the first window moves with every label",
                    the_first_window_moves_with_every_label);
    g_test_add_func("/drift/a failure to write ends the call that met it",
                    a_failure_to_write_ends_the_call_that_met_it);
    g_test_add_func("/drift/a snapshot that cannot be opened ends the call",
                    a_snapshot_that_cannot_be_opened_ends_the_call);
    g_test_add_func("/drift/bounds that cannot be are refused", bounds_that_cannot_be_are_refused);
    int result = g_test_run();
    test_files_release(&files);
    return result;
}
