/* scored_test.c - sums by unit and areas with intervals, beside straight twins. */
#include "metric/scored.h"

#include <math.h>
#include <string.h>

#include "metric/auc.h"
#include "metric/metric_twin.h"
#include "testkit.h"

enum { N = 600, N_UNITS = 200 };

/* A set of examples with everything that the twins need beside it. */
struct world {
    uint64_t keys[N];
    uint8_t labels[N];
    double weights[N];
    float logits[N], reference[N];
    struct esp_units units;
    struct esp_scored scored; /* of all */
};

static double normal(struct test_random *random)
{
    double sum = -6;
    for (int k = 0; k < 12; k++)
        sum += test_random_unit(random);
    return sum;
}

/* Logits on the bins' centres where asked for, so that binned areas are exact. */
static float place(double logit, bool centred)
{
    return (float)(centred ? (floor(logit * 128) + 0.5) / 128 : logit);
}

static struct world *world_new(uint64_t seed, double shift, bool centred)
{
    struct world *world = g_new0(struct world, 1);
    struct test_random random = {seed};
    double of_unit[N_UNITS];
    for (size_t u = 0; u < N_UNITS; u++)
        of_unit[u] = normal(&random);
    for (size_t i = 0; i < N; i++) {
        uint64_t unit = test_random_below(&random, N_UNITS);
        double logit = shift + of_unit[unit] + 0.5 * normal(&random);
        world->keys[i] = unit * UINT64_C(0x9e3779b97f4a7c15);
        world->labels[i] = test_random_unit(&random) < 1 / (1 + exp(-logit));
        world->weights[i] = world->labels[i] ? 1.5 : 1 + (double)test_random_below(&random, 9);
        world->logits[i] = place(logit + 0.3 * normal(&random), centred);
        world->reference[i] = place(logit, centred);
    }
    esp_units_init(&world->units, world->keys, N, NULL);
    world->scored = (struct esp_scored){.n = N,
                                        .logits = world->logits,
                                        .labels = world->labels,
                                        .weights = world->weights,
                                        .reference = world->reference};
    return world;
}

static void world_free(struct world *world)
{
    esp_units_release(&world->units);
    g_free(world);
}

static void twin_of(const struct world *world, struct twin_example *examples, uint64_t *units)
{
    for (size_t i = 0; i < N; i++) {
        examples[i] = (struct twin_example){world->logits[i], world->weights[i], world->labels[i]};
        if (units != NULL)
            units[i] = world->units.unit_of[i];
    }
}

/* ---- sums ---- */

/* Each sum by its definition: a walk over all examples for every unit. */
static void test_sums(void)
{
    struct world *world = world_new(31, -1, false);
    struct esp_task_sums sums, want = {0};
    struct esp_paired_sums paired, want_paired = {0};
    for (size_t u = 0; u < world->units.n_units; u++) {
        double w = 0, l = 0, p = 0, y = 0, d = 0;
        for (size_t i = 0; i < N; i++) {
            if (world->keys[i] != world->units.keys[u])
                continue;
            double q = 1 / (1 + exp(-(double)world->logits[i]));
            double q0 = 1 / (1 + exp(-(double)world->reference[i]));
            double loss = world->labels[i] ? -log(q) : -log(1 - q);
            w += world->weights[i];
            l += world->weights[i] * loss;
            p += world->weights[i] * q;
            y += world->weights[i] * world->labels[i];
            d += world->weights[i] * (loss + (world->labels[i] ? log(q0) : log(1 - q0)));
        }
        want.w += w, want.wl += l, want.wp += p, want.wy += y;
        want.ww += w * w, want.wwl += w * l, want.wwll += l * l, want.wwp += w * p;
        want.wwpp += p * p, want.wwy += w * y, want.wwyy += y * y, want.wwpy += p * y;
        want.wwly += l * y, want.wwlp += l * p;
        want_paired.d += d, want_paired.dd += d * d, want_paired.wd += w * d;
    }
    g_assert_cmpint(esp_scored_sums(&world->units, &world->scored, &sums, &paired, NULL), ==,
                    ESP_OK);
    g_assert_cmpuint(sums.n, ==, N);
    g_assert_cmpuint(sums.n_units, ==, world->units.n_units);
    const double *got = &sums.w, *expected = &want.w;
    for (size_t i = 0; i < 14; i++) /* the 14 sums lie side by side */
        assert_close(got[i], expected[i], 1e-12, 0);
    g_assert_cmpuint(paired.n, ==, sums.n);
    g_assert_cmpuint(paired.n_positive, ==, sums.n_positive);
    g_assert_cmpuint(paired.n_units, ==, sums.n_units);
    g_assert_cmpfloat(paired.w, ==, sums.w);
    g_assert_cmpfloat(paired.ww, ==, sums.ww);
    assert_close(paired.d, want_paired.d, 1e-12, 0);
    assert_close(paired.dd, want_paired.dd, 1e-12, 0);
    assert_close(paired.wd, want_paired.wd, 1e-12, 0);
    world_free(world);
}

/* The linearised intervals against the jackknife that leaves out a unit at a time. */
static void test_interval_twin(void)
{
    struct world *world = world_new(32, -0.5, false);
    struct twin_example examples[N];
    uint64_t units[N];
    struct esp_task_sums sums;
    struct esp_task_report report;
    twin_of(world, examples, units);
    esp_scored_sums(&world->units, &world->scored, &sums, NULL, NULL);
    esp_task_sums_report(&sums, &report);
    const struct esp_figure *figures[] = {&report.log_loss, &report.normalised_entropy,
                                          &report.calibration};
    for (int i = 0; i < 3; i++) {
        double got = (figures[i]->high - figures[i]->value) / 1.959963984540054;
        double by_unit = twin_deviation((enum twin_figure)i, examples, N, units, sums.n_units);
        assert_close(got, by_unit, 0.03, 0);
    }
    world_free(world);
}

/* Of each example twice under one key, the interval is that of each once; as independent examples
 * it would be narrower by sqrt 2. */
static void test_doubled(void)
{
    struct world *twice = world_new(33, -1, false), *once = world_new(33, -1, false);
    uint32_t even[N / 2];
    for (size_t i = 0; i < N; i++)
        twice->keys[i] = i / 2;
    for (size_t i = 0; i < N; i += 2) {
        twice->labels[i + 1] = twice->labels[i];
        twice->weights[i + 1] = twice->weights[i];
        twice->logits[i + 1] = twice->logits[i];
        twice->reference[i + 1] = twice->reference[i];
    }
    esp_units_release(&twice->units);
    esp_units_init(&twice->units, twice->keys, N, NULL);
    for (size_t k = 0; k < N / 2; k++) {
        even[k] = (uint32_t)(2 * k);
        once->labels[k] = twice->labels[2 * k];
        once->weights[k] = twice->weights[2 * k];
        once->logits[k] = twice->logits[2 * k];
        once->reference[k] = twice->reference[2 * k];
    }
    once->scored.n = N / 2;
    once->scored.examples = even;
    struct esp_task_sums sums[2];
    struct esp_paired_sums paired[2];
    esp_scored_sums(&twice->units, &twice->scored, &sums[0], &paired[0], NULL);
    esp_scored_sums(&twice->units, &once->scored, &sums[1], &paired[1], NULL);
    struct esp_figure a = esp_paired_loss(&paired[0]), b = esp_paired_loss(&paired[1]);
    g_assert_true(a.has_interval && b.has_interval);
    assert_close(a.value, b.value, 1e-12, 0);
    assert_close(a.low, b.low, 1e-12, 0);
    assert_close(a.high, b.high, 1e-12, 0);
    g_assert_cmpuint(sums[0].n, ==, 2 * sums[1].n);
    g_assert_cmpuint(sums[0].n_units, ==, sums[1].n_units);
    world_free(once);
    world_free(twice);
}

/* A set of its own examples, in other places, among others that it does not have. */
static void test_subset(void)
{
    struct world *world = world_new(34, -1, true);
    uint32_t clicked[N];
    uint64_t keys[N];
    uint8_t labels[N];
    double weights[N];
    float logits[N];
    size_t n = 0;
    for (size_t i = 0; i < N; i += 3) {
        clicked[n] = (uint32_t)i;
        keys[n] = world->keys[i];
        labels[n] = world->labels[i];
        weights[n] = world->weights[i];
        logits[n++] = world->logits[i];
    }
    struct esp_scored all = {.n = n, .logits = logits, .labels = labels, .weights = weights};
    struct esp_scored some = all;
    some.examples = clicked;
    struct esp_units own;
    struct esp_task_sums a, b;
    struct esp_figure roc[2], pr[2];
    esp_units_init(&own, keys, n, NULL);
    esp_units_draw(&own, NULL, NULL);
    esp_units_draw(&world->units, NULL, NULL);
    esp_scored_sums(&own, &all, &a, NULL, NULL);
    esp_scored_sums(&world->units, &some, &b, NULL, NULL);
    g_assert_cmpmem(&a, sizeof a, &b, sizeof b);
    esp_scored_areas(&own, &all, NULL, &roc[0], &pr[0], NULL);
    esp_scored_areas(&world->units, &some, NULL, &roc[1], &pr[1], NULL);
    g_assert_true(roc[0].has_interval && pr[0].has_interval);
    g_assert_cmpfloat(roc[0].low, ==, roc[1].low);
    g_assert_cmpfloat(roc[0].high, ==, roc[1].high);
    g_assert_cmpfloat(pr[0].low, ==, pr[1].low);
    g_assert_cmpfloat(pr[0].high, ==, pr[1].high);
    esp_units_release(&own);
    world_free(world);
}

/* ---- order, threads ---- */

/* Interleaved otherwise, each unit's examples in their order: equal to the bit. */
static void test_order(void)
{
    struct world *world = world_new(35, -1, false), *moved = world_new(35, -1, false);
    size_t to = 0;
    for (size_t u = 0; u < N_UNITS; u++) { /* unit after unit */
        for (size_t i = 0; i < N; i++) {
            if (world->units.unit_of[i] != u)
                continue;
            moved->keys[to] = world->keys[i];
            moved->labels[to] = world->labels[i];
            moved->weights[to] = world->weights[i];
            moved->reference[to] = world->reference[i];
            moved->logits[to++] = world->logits[i];
        }
    }
    g_assert_cmpuint(to, ==, N);
    esp_units_release(&moved->units);
    esp_units_init(&moved->units, moved->keys, N, NULL);
    struct esp_pool *pool = NULL;
    g_assert_cmpint(esp_pool_new(2, &pool, NULL), ==, ESP_OK);
    struct esp_task_sums sums[2];
    struct esp_paired_sums paired[2];
    struct esp_figure areas[2][2];
    esp_units_draw(&world->units, NULL, NULL);
    esp_units_draw(&moved->units, pool, NULL);
    esp_scored_sums(&world->units, &world->scored, &sums[0], &paired[0], NULL);
    esp_scored_sums(&moved->units, &moved->scored, &sums[1], &paired[1], NULL);
    esp_scored_areas(&world->units, &world->scored, NULL, &areas[0][0], &areas[0][1], NULL);
    esp_scored_areas(&moved->units, &moved->scored, pool, &areas[1][0], &areas[1][1], NULL);
    g_assert_cmpmem(&sums[0], sizeof sums[0], &sums[1], sizeof sums[1]);
    g_assert_cmpmem(&paired[0], sizeof paired[0], &paired[1], sizeof paired[1]);
    for (int i = 0; i < 2; i++) {
        g_assert_true(areas[0][i].has_interval);
        g_assert_cmpfloat(areas[0][i].value, ==, areas[1][i].value);
        g_assert_cmpfloat(areas[0][i].low, ==, areas[1][i].low);
        g_assert_cmpfloat(areas[0][i].high, ==, areas[1][i].high);
    }
    esp_pool_free(pool);
    world_free(world);
    world_free(moved);
}

/* ---- areas ---- */

static int compare(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

/* Each replicate by the definition over all pairs, with weights times counts. */
static void test_areas(void)
{
    struct world *world = world_new(36, -1, true);
    struct twin_example examples[N], again[N];
    static double roc[ESP_REPLICATES], pr[ESP_REPLICATES];
    struct esp_figure got_roc, got_pr;
    twin_of(world, examples, NULL);
    memcpy(again, examples, sizeof again);
    for (size_t r = 0; r < ESP_REPLICATES; r++) {
        size_t n = 0;
        for (size_t i = 0; i < N; i++) {
            uint8_t counts[ESP_REPLICATE_BLOCK];
            esp_poisson_counts(world->keys[i], r / ESP_REPLICATE_BLOCK, counts);
            again[n] = examples[i];
            again[n].weight *= counts[r % ESP_REPLICATE_BLOCK];
            n += again[n].weight > 0;
        }
        roc[r] = twin_roc_auc(again, n);
        pr[r] = twin_pr_auc(again, n);
    }
    qsort(roc, ESP_REPLICATES, sizeof *roc, compare);
    qsort(pr, ESP_REPLICATES, sizeof *pr, compare);
    esp_units_draw(&world->units, NULL, NULL);
    esp_scored_areas(&world->units, &world->scored, NULL, &got_roc, &got_pr, NULL);
    assert_close(got_roc.value, twin_roc_auc(examples, N), 1e-12, 0);
    assert_close(got_pr.value, twin_pr_auc(examples, N), 1e-12, 0);
    /* places 10.025 and 390.975 of 1..400 */
    assert_close(got_roc.low, roc[9] + 0.025 * (roc[10] - roc[9]), 1e-12, 0);
    assert_close(got_roc.high, roc[389] + 0.975 * (roc[390] - roc[389]), 1e-12, 0);
    assert_close(got_pr.low, pr[9] + 0.025 * (pr[10] - pr[9]), 1e-12, 0);
    assert_close(got_pr.high, pr[389] + 0.975 * (pr[390] - pr[389]), 1e-12, 0);
    g_assert_cmpfloat(got_roc.low, <, got_roc.value);
    g_assert_cmpfloat(got_roc.high, >, got_roc.value);
    world_free(world);
}

/*
 * What bins can cost. ROC: pairs inside a bin count half instead of 0 or 1. PR: a bin's positives
 * get one precision, where each has at best all of the bin's positives and none of its negatives
 * above it, at worst the negatives alone.
 */
static void test_bin_bound(void)
{
    for (uint64_t seed = 40; seed < 50; seed++) {
        struct world *world = world_new(seed, -1, false);
        struct twin_example examples[N];
        static double bins[2 * ESP_AUC_BINS];
        double W[2] = {0}, above[2] = {0}, half = 0, best = 0, worst = 0;
        struct esp_figure roc, pr;
        twin_of(world, examples, NULL);
        memset(bins, 0, sizeof bins);
        for (size_t i = 0; i < N; i++) {
            bins[2 * esp_auc_bin(world->logits[i]) + world->labels[i]] += world->weights[i];
            W[world->labels[i]] += world->weights[i];
        }
        for (size_t bin = ESP_AUC_BINS; bin-- > 0;) {
            double negative = bins[2 * bin], positive = bins[2 * bin + 1];
            half += negative * positive / 2;
            if (positive > 0) {
                best += positive * (above[1] + positive) / (above[1] + positive + above[0]);
                worst += positive * above[1] / (above[1] + above[0] + negative + positive);
            }
            above[0] += negative;
            above[1] += positive;
        }
        esp_scored_areas(&world->units, &world->scored, NULL, &roc, &pr, NULL);
        assert_close(roc.value, twin_roc_auc(examples, N), 0, half / (W[0] * W[1]) + 1e-12);
        double exact = twin_pr_auc(examples, N);
        g_assert_cmpfloat(worst / W[1] - 1e-12, <=, exact);
        g_assert_cmpfloat(exact, <=, best / W[1] + 1e-12);
        g_assert_cmpfloat(worst / W[1] - 1e-12, <=, pr.value);
        g_assert_cmpfloat(pr.value, <=, best / W[1] + 1e-12);
        assert_close(roc.value, twin_roc_auc(examples, N), 0, 1e-3);
        assert_close(pr.value, exact, 0, 5e-3);
        world_free(world);
    }
}

/* ---- null ---- */

struct null_row {
    const char *name;
    size_t n_positive, n_negative, n_units;
    bool drawn, area, area_interval, sums_interval;
};

static const struct null_row null_rows[] = {
    {"no example has no area", 0, 0, 1, true, false, false, false},
    {"positives alone have no area", 100, 0, 50, true, false, false, false},
    {"negatives alone have no area", 0, 100, 50, true, false, false, false},
    {"one of each has an area without interval", 1, 1, 2, true, true, false, false},
    {"29 positives are too few for an interval", 29, 100, 60, true, true, false, false},
    {"29 negatives are too few for an interval", 100, 29, 60, true, true, false, false},
    {"a single unit has no interval", 100, 100, 1, true, true, false, false},
    {"without counts an area has no interval", 100, 100, 60, false, true, false, true},
    {"in four units some replicates lose a class", 100, 100, 4, true, true, false, true},
    {"30 of each in 60 units have intervals", 30, 30, 60, true, true, true, true},
};

static void test_null(gconstpointer data)
{
    const struct null_row *row = data;
    struct world *world = world_new(37, 0, false);
    struct esp_figure roc, pr;
    struct esp_task_sums sums;
    struct esp_paired_sums paired;
    struct esp_task_report report;
    size_t n = row->n_positive + row->n_negative;
    for (size_t i = 0; i < n; i++) {
        world->labels[i] = i < row->n_positive;
        world->keys[i] = i % row->n_units;
        world->logits[i] = world->reference[i] + 0.25F * (float)(i % 3);
    }
    esp_units_release(&world->units);
    esp_units_init(&world->units, world->keys, n, NULL);
    if (row->drawn)
        esp_units_draw(&world->units, NULL, NULL);
    world->scored.n = n;
    esp_scored_areas(&world->units, &world->scored, NULL, &roc, &pr, NULL);
    g_assert_cmpint(roc.defined, ==, row->area);
    g_assert_cmpint(pr.defined, ==, row->area);
    g_assert_cmpint(roc.has_interval, ==, row->area_interval);
    g_assert_cmpint(pr.has_interval, ==, row->area_interval);
    esp_scored_sums(&world->units, &world->scored, &sums, &paired, NULL);
    esp_task_sums_report(&sums, &report);
    struct esp_figure difference = esp_paired_loss(&paired);
    g_assert_cmpint(report.log_loss.defined, ==, n > 0);
    g_assert_cmpint(difference.defined, ==, n > 0);
    g_assert_cmpint(report.normalised_entropy.defined, ==, row->area);
    g_assert_cmpint(report.calibration.defined, ==, row->n_positive > 0);
    g_assert_cmpint(report.log_loss.has_interval, ==, row->sums_interval);
    g_assert_cmpint(report.normalised_entropy.has_interval, ==, row->sums_interval);
    g_assert_cmpint(report.calibration.has_interval, ==, row->sums_interval);
    g_assert_cmpint(difference.has_interval, ==, row->sums_interval);
    g_assert_false(report.roc_auc.defined || report.pr_auc.defined); /* there are no sums of them */
    world_free(world);
}

static void test_itself(void)
{
    struct world *world = world_new(38, -1, false);
    struct esp_task_sums sums;
    struct esp_paired_sums paired;
    world->scored.reference = world->logits;
    esp_scored_sums(&world->units, &world->scored, &sums, &paired, NULL);
    struct esp_figure difference = esp_paired_loss(&paired);
    g_assert_true(difference.defined && difference.has_interval);
    g_assert_cmpfloat(difference.value, ==, 0);
    g_assert_cmpfloat(difference.low, ==, 0);
    g_assert_cmpfloat(difference.high, ==, 0);
    world_free(world);
}

/* ---- pooling ---- */

static void check_equal(const struct esp_figure *got, const struct esp_figure *want)
{
    g_assert_true(got->has_interval && want->has_interval);
    assert_close(got->value, want->value, 1e-13, 0);
    assert_close(got->low, want->low, 1e-11, 0);
    assert_close(got->high, want->high, 1e-11, 0);
}

/* Five windows, their sums added, against all of their examples at once: no unit is in two. */
static void test_pooled(void)
{
    struct world *world = world_new(39, -1, false);
    struct esp_task_sums pooled = {0}, whole;
    struct esp_paired_sums pooled_paired = {0}, whole_paired;
    struct esp_task_report a, b;
    size_t n_windows = 5, n_seen = 0;
    for (size_t window = 0; window < n_windows; window++) {
        uint64_t keys[N];
        uint8_t labels[N];
        double weights[N];
        float logits[N], reference[N];
        struct esp_scored scored = {
            .logits = logits, .labels = labels, .weights = weights, .reference = reference};
        struct esp_units units;
        struct esp_task_sums sums;
        struct esp_paired_sums paired;
        for (size_t i = 0; i < N; i++) {
            if (world->units.unit_of[i] % n_windows != window)
                continue;
            keys[scored.n] = world->keys[i];
            labels[scored.n] = world->labels[i];
            weights[scored.n] = world->weights[i];
            logits[scored.n] = world->logits[i];
            reference[scored.n++] = world->reference[i];
        }
        esp_units_init(&units, keys, scored.n, NULL);
        esp_scored_sums(&units, &scored, &sums, &paired, NULL);
        esp_task_sums_merge(&pooled, &sums);
        esp_paired_sums_merge(&pooled_paired, &paired);
        esp_units_release(&units);
        n_seen += scored.n;
    }
    g_assert_cmpuint(n_seen, ==, N);
    esp_scored_sums(&world->units, &world->scored, &whole, &whole_paired, NULL);
    g_assert_cmpuint(pooled.n, ==, whole.n);
    g_assert_cmpuint(pooled.n_positive, ==, whole.n_positive);
    g_assert_cmpuint(pooled.n_units, ==, whole.n_units);
    esp_task_sums_report(&pooled, &a);
    esp_task_sums_report(&whole, &b);
    check_equal(&a.log_loss, &b.log_loss);
    check_equal(&a.normalised_entropy, &b.normalised_entropy);
    check_equal(&a.calibration, &b.calibration);
    struct esp_figure c = esp_paired_loss(&pooled_paired), d = esp_paired_loss(&whole_paired);
    check_equal(&c, &d);
    world_free(world);
}

int main(int argc, char **argv)
{
    test_start(&argc, &argv);
    g_test_add_func("/scored/sums are those of their definition", test_sums);
    g_test_add_func("/scored/intervals agree with the jackknife of units", test_interval_twin);
    g_test_add_func("/scored/examples that repeat inside a unit add nothing", test_doubled);
    g_test_add_func("/scored/a task may have some of the examples", test_subset);
    g_test_add_func("/scored/the bits depend on neither interleaving nor threads", test_order);
    g_test_add_func("/scored/areas of replicates are those over all pairs", test_areas);
    g_test_add_func("/scored/bins cost no more than their bound", test_bin_bound);
    for (size_t i = 0; i < G_N_ELEMENTS(null_rows); i++) {
        char *path = g_strdup_printf("/scored/null/%s", null_rows[i].name);
        g_test_add_data_func(path, &null_rows[i], test_null);
        g_free(path);
    }
    g_test_add_func("/scored/against itself a model differs by nothing", test_itself);
    g_test_add_func("/scored/windows that are pooled are all examples at once", test_pooled);
    return g_test_run();
}
