/* metric_test.c - losses, sums and figures: by hand, against the twin, and where they are null. */
#include "metric/metric.h"

#include <float.h>
#include <math.h>

#include "metric/auc.h"
#include "metric/metric_twin.h"
#include "testkit.h"

#define LN2 0.69314718055994531

static void add_all(struct esp_task_metric *metric, const struct twin_example *examples, size_t n)
{
    for (size_t i = 0; i < n; i++)
        esp_task_metric_add(metric, examples[i].logit, examples[i].y, examples[i].weight);
}

static void report_of(const struct twin_example *examples, size_t n, struct esp_task_report *out)
{
    struct esp_task_metric metric;
    g_assert_cmpint(esp_task_metric_init(&metric, true, NULL), ==, ESP_OK);
    add_all(&metric, examples, n);
    esp_task_metric_report(&metric, out);
    esp_task_metric_release(&metric);
}

/* ---- one logit ---- */

static const struct {
    double logit, p, loss_of_click, loss_of_none;
} logits[] = {
    {0, 0.5, LN2, LN2},
    {1.0986122886681098, 0.75, 0.28768207245178093, 1.3862943611198906}, /* ln 3: -ln 3/4, ln 4 */
    {-1.0986122886681098, 0.25, 1.3862943611198906, 0.28768207245178093},
    {40, 1, 4.248354255291589e-18, 40}, /* e^-40 */
    {-40, 4.248354255291589e-18, 40, 4.248354255291589e-18},
    {1000, 1, 0, 1000},
    {-1000, 0, 1000, 0},
    {INFINITY, 1, 0, INFINITY},
    {-INFINITY, 0, INFINITY, 0},
};

static void test_logits(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(logits); i++) {
        double a = logits[i].logit, got = esp_log_loss(a, true);
        assert_close(esp_sigmoid(a), logits[i].p, 1e-15, 0);
        if (got != logits[i].loss_of_click)
            assert_close(got, logits[i].loss_of_click, 1e-15, 0);
        got = esp_log_loss(a, false);
        if (got != logits[i].loss_of_none)
            assert_close(got, logits[i].loss_of_none, 1e-15, 0);
    }
}

/* Against log1p() in extended precision: within two units of the last place everywhere. */
static void test_softplus(void)
{
    for (double a = 0; a < 800; a += a < 50 ? 0.001 : 0.5) {
        double want = (double)log1pl(expl((long double)-a));
        assert_close(esp_log_loss(a, true), want, 2 * DBL_EPSILON, 0);
        assert_close(esp_log_loss(-a, false), want, 2 * DBL_EPSILON, 0);
    }
}

/* Others' scores: as they are, or clipped and said so. */
static void test_scores_of_others(void)
{
    const struct {
        double p, clipped_to;
        bool clipped;
    } rows[] = {{0.25, 0.25, false}, {1e-7, 1e-7, false},       {1 - 1e-7, 1 - 1e-7, false},
                {0, 1e-7, true},     {9.9e-8, 1e-7, true},      {-3, 1e-7, true},
                {1, 1 - 1e-7, true}, {INFINITY, 1 - 1e-7, true}};
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        bool clipped = false;
        assert_close(esp_sigmoid(esp_logit_of_score(rows[i].p, &clipped)), rows[i].clipped_to,
                     1e-14, 0);
        g_assert_cmpint(clipped, ==, rows[i].clipped);
    }
    bool clipped = true;
    esp_logit_of_score(0.5, &clipped);
    g_assert_true(clipped); /* stays set */
    clipped = false;
    g_assert_true(isnan(esp_logit_of_score((double)NAN, &clipped)));
    g_assert_false(clipped);
}

/* ---- figures ---- */

/*
 * Logits ln 3 and -ln 3 are probabilities 3/4 and 1/4. Two clicks, of weight 1 at 3/4 and 1/4;
 * two others, of weight 2 at 3/4 and 4 at 1/4:
 *   W = 8, sum w y = 2, base rate 1/4
 *   sum w l = ln 4/3 + ln 4 + 2 ln 4 + 4 ln 4/3 = 5 ln 4/3 + 3 ln 4 = 8 ln 4 - 5 ln 3
 *   H(1/4) = ln 4 - 3/4 ln 3
 *   sum w p = 3/4 + 1/4 + 3/2 + 1 = 7/2, calibration 7/4
 *   AUC: pairs weigh 1 x 2 tie, 1 x 4 won, 1 x 2 lost, 1 x 4 tie: (1 + 4 + 2) / 12
 *   PR: 1/2 x 1/3 + 1/2 x 2/8
 */
static void test_by_hand(void)
{
    const double ln3 = 1.0986122886681098, ln4 = 2 * LN2;
    const struct twin_example examples[] = {
        {ln3, 1, true}, {-ln3, 1, true}, {ln3, 2, false}, {-ln3, 4, false}};
    struct esp_task_report report;
    report_of(examples, G_N_ELEMENTS(examples), &report);
    double loss = (8 * ln4 - 5 * ln3) / 8;
    g_assert_cmpuint(report.examples, ==, 4);
    g_assert_cmpuint(report.positives, ==, 2);
    g_assert_cmpfloat(report.weight, ==, 8);
    g_assert_true(report.log_loss.defined && !report.log_loss.has_interval);
    assert_close(report.log_loss.value, loss, 1e-15, 0);
    assert_close(report.normalised_entropy.value, loss / (ln4 - 0.75 * ln3), 1e-15, 0);
    assert_close(report.calibration.value, 1.75, 1e-15, 0);
    assert_close(report.roc_auc.value, 7.0 / 12, 1e-15, 0);
    assert_close(report.pr_auc.value, 7.0 / 24, 1e-15, 0);
}

struct null_row {
    const char *name;
    size_t n_positive, n_negative;
    bool log_loss, ne, calibration, auc, interval;
};

static const struct null_row null_rows[] = {
    {"no example: nothing is known", 0, 0, false, false, false, false, false},
    {"negatives alone have a loss only", 0, 100, true, false, false, false, false},
    {"positives alone have a loss and a calibration", 100, 0, true, false, true, false, false},
    {"one of each has figures", 1, 1, true, true, true, true, false},
    {"29 positives are too few for an interval", 29, 100, true, true, true, true, false},
    {"29 negatives are too few for an interval", 100, 29, true, true, true, true, false},
    {"30 of each have intervals", 30, 30, true, true, true, true, true},
};

static void check_figure(const char *name, const struct esp_figure *figure, bool defined,
                         bool has_interval)
{
    if (figure->defined != defined || figure->has_interval != (defined && has_interval))
        g_test_fail_printf("%s: defined %d, interval %d", name, figure->defined,
                           figure->has_interval);
    if (figure->has_interval && !(figure->low < figure->value && figure->value < figure->high))
        g_test_fail_printf("%s: %g is not between %g and %g", name, figure->value, figure->low,
                           figure->high);
}

static void test_null(gconstpointer data)
{
    const struct null_row *row = data;
    struct esp_task_metric metric;
    struct esp_task_report report;
    esp_task_metric_init(&metric, true, NULL);
    for (size_t i = 0; i < row->n_positive; i++)
        esp_task_metric_add(&metric, -1 + 0.01 * (double)i, true, 1.5);
    for (size_t i = 0; i < row->n_negative; i++)
        esp_task_metric_add(&metric, -1.5 + 0.01 * (double)i, false, 2.5);
    esp_task_metric_report(&metric, &report);
    check_figure("log loss", &report.log_loss, row->log_loss, row->interval);
    check_figure("NE", &report.normalised_entropy, row->ne, row->interval);
    check_figure("calibration", &report.calibration, row->calibration, row->interval);
    check_figure("ROC-AUC", &report.roc_auc, row->auc, false);
    check_figure("PR-AUC", &report.pr_auc, row->auc, false);
    esp_task_metric_release(&metric);
}

static void test_without_bins(void)
{
    struct esp_task_metric metric = {0};
    struct esp_task_report report;
    esp_task_metric_add(&metric, 1, true, 1);
    esp_task_metric_add(&metric, -1, false, 1);
    esp_task_metric_report(&metric, &report);
    g_assert_true(report.log_loss.defined && report.normalised_entropy.defined);
    g_assert_false(report.roc_auc.defined || report.pr_auc.defined);
}

static void test_infinite(void)
{
    const struct twin_example examples[] = {{-INFINITY, 1, true}, {0, 1, false}};
    struct esp_task_report report;
    report_of(examples, 2, &report);
    g_assert_false(report.log_loss.defined || report.normalised_entropy.defined);
    g_assert_true(report.calibration.defined && report.roc_auc.defined);
}

/* ---- against the twin ---- */

/* Examples of a model that is right but for a shift; spread: deviation of its logits. */
static void draw(struct test_random *random, struct twin_example *examples, size_t n, double spread)
{
    for (size_t i = 0; i < n; i++) {
        double normal = -6;
        for (int k = 0; k < 12; k++)
            normal += test_random_unit(random);
        double logit = -1 + spread * normal;
        examples[i].y = test_random_unit(random) < 1 / (1 + exp(-logit));
        examples[i].weight = examples[i].y ? 1 : 1 + (double)test_random_below(random, 4);
        examples[i].logit = logit + 0.2;
    }
}

enum { N_TWIN = 500 };

static void test_auc_exact(void)
{
    struct test_random random = {3};
    struct twin_example examples[N_TWIN];
    for (double spread = 0.01; spread < 8; spread *= 3) {
        struct esp_task_report report;
        draw(&random, examples, N_TWIN, spread);
        for (size_t i = 0; i < N_TWIN; i++) /* onto the bins' centres, inside their range */
            examples[i].logit =
                (floor(fmax(fmin(examples[i].logit, 15.9), -15.9) * 128) + 0.5) / 128;
        report_of(examples, N_TWIN, &report);
        assert_close(report.roc_auc.value, twin_roc_auc(examples, N_TWIN), 1e-12, 0);
        assert_close(report.pr_auc.value, twin_pr_auc(examples, N_TWIN), 1e-12, 0);
    }
}

/* Logits anywhere: pairs within a bin of 1/128 count half, which with a spread of logits of 1 is
 * some 0.2 % of the pairs, half of them rightly. */
static void test_auc_binned(void)
{
    struct test_random random = {4};
    struct twin_example examples[N_TWIN];
    for (int round = 0; round < 5; round++) {
        struct esp_task_report report;
        draw(&random, examples, N_TWIN, 1);
        report_of(examples, N_TWIN, &report);
        assert_close(report.roc_auc.value, twin_roc_auc(examples, N_TWIN), 0, 1e-3);
        assert_close(report.pr_auc.value, twin_pr_auc(examples, N_TWIN), 0, 5e-3);
    }
}

static void test_bins(void)
{
    for (size_t i = 0; i < ESP_AUC_BINS; i++) {
        double low = -16 + (double)i / 128;
        g_assert_cmpuint(esp_auc_bin(low), ==, i);
        g_assert_cmpuint(esp_auc_bin(low + 1.0 / 128 - 1e-12), ==, i);
    }
    g_assert_cmpuint(esp_auc_bin(-1e300), ==, 0);
    g_assert_cmpuint(esp_auc_bin(-INFINITY), ==, 0);
    g_assert_cmpuint(esp_auc_bin((double)NAN), ==, 0);
    g_assert_cmpuint(esp_auc_bin(16), ==, ESP_AUC_BINS - 1);
    g_assert_cmpuint(esp_auc_bin(DBL_MAX), ==, ESP_AUC_BINS - 1);
    g_assert_cmpuint(esp_auc_bin(INFINITY), ==, ESP_AUC_BINS - 1);
}

/* The linearised interval against the jackknife: the same to the first order in 1 / n. */
static void test_interval_twin(void)
{
    enum { N = 1200 };
    static struct twin_example examples[N];
    struct test_random random = {5};
    for (int round = 0; round < 3; round++) {
        struct esp_task_report report;
        draw(&random, examples, N, 0.5 + round);
        report_of(examples, N, &report);
        const struct esp_figure *figures[] = {&report.log_loss, &report.normalised_entropy,
                                              &report.calibration};
        for (int i = 0; i < 3; i++) {
            double want = twin_deviation((enum twin_figure)i, examples, N, NULL, N);
            double got = (figures[i]->high - figures[i]->low) / 2 / 1.959963984540054;
            assert_close(figures[i]->value, twin_value((enum twin_figure)i, examples, N, NULL, N),
                         1e-12, 0);
            assert_close(got, want, 0.01, 0);
        }
    }
}

/* ---- merging ---- */

static void test_merge(void)
{
    struct test_random random = {6};
    struct twin_example examples[N_TWIN];
    struct esp_task_metric whole, part, sum;
    struct esp_task_report a, b;
    draw(&random, examples, N_TWIN, 1);
    esp_task_metric_init(&whole, true, NULL);
    esp_task_metric_init(&part, true, NULL);
    esp_task_metric_init(&sum, true, NULL);
    add_all(&whole, examples, N_TWIN);
    for (size_t i = 0; i < N_TWIN; i += 100) {
        esp_task_metric_reset(&part);
        add_all(&part, examples + i, 100);
        esp_task_metric_merge(&sum, &part);
    }
    esp_task_metric_merge(&sum, &(struct esp_task_metric){0});
    esp_task_metric_report(&whole, &a);
    esp_task_metric_report(&sum, &b);
    g_assert_cmpuint(a.examples, ==, b.examples);
    g_assert_cmpuint(a.positives, ==, b.positives);
    const struct esp_figure *of_whole = &a.log_loss, *of_sum = &b.log_loss;
    g_assert_cmpuint(sum.sums.n_units, ==, N_TWIN);
    for (int i = 0; i < 5; i++) { /* the five figures lie side by side */
        assert_close(of_sum[i].value, of_whole[i].value, 1e-13, 0);
        assert_close(of_sum[i].low, of_whole[i].low, 1e-11, 0);
        assert_close(of_sum[i].high, of_whole[i].high, 1e-11, 0);
    }
    assert_close(sum.sums.wwlp, whole.sums.wwlp, 1e-13, 0);
    esp_task_metric_release(&whole);
    esp_task_metric_release(&part);
    esp_task_metric_release(&sum);
    esp_task_metric_release(&sum); /* twice is fine */
}

int main(int argc, char **argv)
{
    test_start(&argc, &argv);
    g_test_add_func("/metric/a logit's loss and probability do not overflow", test_logits);
    g_test_add_func("/metric/the loss keeps its digits however small", test_softplus);
    g_test_add_func("/metric/scores of others are clipped, and it is said", test_scores_of_others);
    g_test_add_func("/metric/four examples, worked by hand", test_by_hand);
    for (size_t i = 0; i < G_N_ELEMENTS(null_rows); i++) {
        char *path = g_strdup_printf("/metric/null/%s", null_rows[i].name);
        g_test_add_data_func(path, &null_rows[i], test_null);
        g_free(path);
    }
    g_test_add_func("/metric/null/without bins there is no AUC", test_without_bins);
    g_test_add_func("/metric/null/an infinite loss is no figure", test_infinite);
    g_test_add_func("/metric/AUCs on the bins' centres are exact", test_auc_exact);
    g_test_add_func("/metric/AUCs of any logits are near", test_auc_binned);
    g_test_add_func("/metric/every logit has its bin", test_bins);
    g_test_add_func("/metric/intervals agree with the jackknife", test_interval_twin);
    g_test_add_func("/metric/what is merged is what was added", test_merge);
    return g_test_run();
}
