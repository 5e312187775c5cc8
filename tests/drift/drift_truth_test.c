/*
 * drift_truth_test.c - what is measured beside what is true, where the truth is known: labels drawn
 * from known probabilities of a population that is small enough to be gone through.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/hash.h"
#include "drift/drift.h"
#include "drift_helper.h"
#include "metric/scored.h"
#include "metric/simultaneous.h"
#include "model/scorer.h"
#include "sample/sampler.h"

enum { POPULATION = 240, AGES = 6, H = 1 << 20 };

/* Impressions, and their logits under saved weights: age 0, then with more and more noise. */
struct world {
    char *paths[AGES];
    char *folder;
    struct esp_value values[POPULATION][TEST_FIELDS];
    float logits[AGES][POPULATION][ESP_N_TASKS];
};
static struct world world;

static void score_population(size_t age)
{
    struct esp_snapshot *snapshot = NULL;
    struct esp_scorer *scorer = NULL;
    struct esp_feature_batch batch;
    esp_feature_batch_init(&batch, TEST_FEATURES);
    g_assert_cmpint(esp_snapshot_open(world.paths[age], ESP_SNAPSHOT_CHECKSUM, &snapshot, NULL), ==,
                    ESP_OK);
    const struct esp_forward_model *model = esp_snapshot_model(snapshot);
    g_assert_cmpint(esp_scorer_new(model->network, &scorer, NULL), ==, ESP_OK);
    for (size_t i = 0; i < POPULATION; i++)
        g_assert_cmpint(esp_features_add_row(esp_snapshot_features(snapshot), world.values[i],
                                             false, &batch, NULL),
                        ==, ESP_OK);
    g_assert_cmpint(esp_scorer_score(scorer, model, &batch, world.logits[age][0], NULL), ==,
                    ESP_OK);
    esp_scorer_free(scorer);
    esp_snapshot_close(snapshot);
    esp_feature_batch_release(&batch);
}

static void make_world(void)
{
    struct test_random random = {.state = 5};
    struct test_model model;
    world.folder = test_folder_new();
    for (size_t i = 0; i < POPULATION; i++)
        test_values(&random, world.values[i]);
    test_model_init(&model, ESP_SETUP_IPSP);
    size_t n = model.network.n_params;
    float *learned = calloc(n, sizeof *learned);
    for (size_t k = 0; k < n; k++)
        learned[k] = model.params[k] + (float)(test_random_unit(&random) - 0.5);
    for (size_t age = 0; age < AGES; age++) {
        for (size_t k = 0; k < n; k++)
            model.params[k] =
                learned[k] + (float)(0.08 * (double)age * (test_random_unit(&random) - 0.5));
        model.manifest.number = 100 - (int64_t)age;
        model.manifest.boundary_us = model.manifest.number * model.manifest.every_us;
        world.paths[age] = g_strdup_printf("%s/%zu.safetensors", world.folder, age);
        g_assert_cmpint(esp_snapshot_write(world.paths[age], &model.manifest, &model.parameters,
                                           ESP_DTYPE_F32, NULL, NULL),
                        ==, ESP_OK);
        score_population(age);
    }
    free(learned);
    test_model_release(&model);
}

static void release_world(void)
{
    for (size_t age = 0; age < AGES; age++)
        g_free(world.paths[age]);
    test_folder_remove(world.folder);
}

static double sigmoid(double a)
{
    return 1 / (1 + exp(-a));
}

static double loss_of(double logit, bool y)
{
    return log1p(exp(y ? -logit : logit));
}

static double expected_loss(double logit, double p)
{
    return p * loss_of(logit, true) + (1 - p) * loss_of(logit, false);
}

/* ---- bands over ages ---- */

enum { REPETITIONS = 400, N = 800 };

/* The weights of age 0 are the truth; a repetition draws impressions and their clicks. */
static bool band_holds(const double truth[AGES - 1], uint64_t seed)
{
    static uint64_t keys[N];
    static float now[N], aged[N];
    static uint8_t labels[N];
    static double weights[N], w[N], d[(AGES - 1) * N];
    static size_t who[N];
    struct test_random random = {.state = seed};
    struct esp_figure band[AGES - 1];
    struct esp_paired_sums sums = {.n = N, .n_units = N};
    struct esp_units units;
    for (size_t i = 0; i < N; i++) {
        who[i] = test_random_below(&random, POPULATION);
        keys[i] = seed * N + i; /* ascending: unit i is example i */
        now[i] = world.logits[0][who[i]][ESP_TASK_CLICK];
        labels[i] = test_random_unit(&random) < sigmoid((double)now[i]);
        sums.n_positive += labels[i];
        w[i] = weights[i] = 1;
    }
    g_assert_cmpint(esp_units_init(&units, keys, N, NULL), ==, ESP_OK);
    g_assert_cmpint(esp_units_draw(&units, NULL, NULL), ==, ESP_OK);
    memset(d, 0, sizeof d);
    for (size_t a = 1; a < AGES; a++) {
        static struct esp_unit by_unit[N];
        for (size_t i = 0; i < N; i++)
            aged[i] = world.logits[a][who[i]][ESP_TASK_CLICK];
        struct esp_scored scored = {
            .n = N, .logits = aged, .labels = labels, .weights = weights, .reference = now};
        esp_scored_by_unit(&units, &scored, by_unit, d + (a - 1) * N);
    }
    g_assert_cmpint(esp_simultaneous(&units, &sums, w, d, AGES - 1, NULL, band, NULL, NULL), ==,
                    ESP_OK);
    esp_units_release(&units);
    bool holds = true;
    for (size_t a = 0; a < AGES - 1; a++)
        holds = holds && band[a].low <= truth[a] && truth[a] <= band[a].high;
    return holds;
}

static void bands_hold_the_true_differences_of_all_ages(void)
{
    double truth[AGES - 1] = {0};
    for (size_t a = 1; a < AGES; a++)
        for (size_t i = 0; i < POPULATION; i++) {
            double now = (double)world.logits[0][i][ESP_TASK_CLICK];
            double aged = (double)world.logits[a][i][ESP_TASK_CLICK];
            truth[a - 1] +=
                (expected_loss(aged, sigmoid(now)) - expected_loss(now, sigmoid(now))) / POPULATION;
        }
    /* Not to know the truth costs something, the more the noisier. */
    g_assert_cmpfloat(truth[0], >, 0);
    g_assert_cmpfloat(truth[AGES - 2], >, 3 * truth[0]);
    int n_hold = 0;
    for (uint64_t seed = 1; seed <= REPETITIONS; seed++)
        n_hold += band_holds(truth, seed);
    g_test_message("%d of %d bands hold the differences of all ages", n_hold, REPETITIONS);
    g_assert_cmpint(n_hold, >=, REPETITIONS * 92 / 100);
    g_assert_cmpint(n_hold, <=, REPETITIONS * 98 / 100);
}

/* ---- through sampler and stage ---- */

/* Installs and clicks are rarer than the model thinks. */
static double p_click(size_t i)
{
    return sigmoid((double)world.logits[0][i][ESP_TASK_CLICK] - 3);
}

static double p_install(size_t i)
{
    return sigmoid((double)world.logits[0][i][ESP_TASK_INSTALL_GIVEN_CLICK] - 0.5);
}

/* Boundaries from 0 on have the snapshot of age 0, older ones that of age 3. */
static enum esp_status open_by_sign(void *context, size_t model, int64_t boundary_us,
                                    struct esp_snapshot **out, struct esp_error *err)
{
    (void)context;
    (void)model;
    return esp_snapshot_open(world.paths[boundary_us >= 0 ? 0 : 3], ESP_SNAPSHOT_STRUCTURE, out,
                             err);
}

static enum esp_status gather(void *context, const struct esp_drift_measure *measure,
                              struct esp_error *err)
{
    GArray *measures = context;
    (void)err;
    g_array_append_vals(measures, measure, 1);
    return ESP_OK;
}

struct campaign {
    int64_t window_us;
    size_t n, n_ages;
    double negatives;
    int64_t step_us; /* between impressions */
    bool with_scores;
};

static void take(struct esp_drift *drift, const struct campaign *campaign, size_t k,
                 struct test_random *random, const struct esp_sampler_config *sampler)
{
    char id[32];
    size_t i = test_random_below(random, POPULATION);
    bool y = test_random_unit(random) < p_click(i);
    bool z = test_random_unit(random) < p_install(i) && y;
    double score = test_random_unit(random);
    struct esp_label label = {.id = esp_bytes(id, (size_t)snprintf(id, sizeof id, "imp-%zu", k)),
                              .y = y};
    struct esp_sample sample = {0};
    esp_sampler_decide(sampler, NULL, &label, &sample);
    struct esp_example example = {.due_us = (int64_t)k * campaign->step_us,
                                  .impression_us = (int64_t)k * campaign->step_us,
                                  .ticket = k,
                                  .weight = sample.weight,
                                  .y = y};
    if (!sample.kept)
        return;
    g_assert_cmpint(esp_drift_advance(drift, example.due_us, NULL), ==, ESP_OK);
    if (!sample.holdout)
        return;
    struct esp_drift_example taken = {.example = &example,
                                      .values = world.values[i],
                                      .unit = esp_hash(label.id),
                                      .production = {NAN, NAN, NAN}};
    if (campaign->with_scores && k % 3 != 0)
        taken.production[ESP_TASK_CLICK] = score;
    g_assert_cmpint(esp_drift_click(drift, &taken, NULL), ==, ESP_OK);
    example.z = z;
    if (y)
        g_assert_cmpint(esp_drift_install(drift, &example, NULL), ==, ESP_OK);
}

/* All measures of a campaign: GArray of struct esp_drift_measure. The labels do not depend on r. */
static GArray *measure_campaign(const struct campaign *campaign)
{
    GArray *measures = g_array_new(FALSE, FALSE, sizeof(struct esp_drift_measure));
    struct esp_drift *drift = NULL;
    struct esp_drift_config config = {
        .ladder = {.window_us = campaign->window_us,
                   .n_ages = campaign->n_ages,
                   .ages = {0, 10000}, /* whose boundaries are all below 0 */
                   .sparse_from = 1,
                   .sparse = 1},
        .has_installs = true,
        .has_production = {campaign->with_scores, false, false},
        .n_models = 1,
        .window_examples = 1 << 30,
        .open = open_by_sign,
        .emit = gather,
        .emit_context = measures,
    };
    struct esp_sampler_config sampler = {
        .holdout = 0.9, .negatives = campaign->negatives, .holdout_seed = 1, .negative_seed = 2};
    struct test_random random = {.state = 2024};
    g_assert_cmpint(esp_drift_new(&config, NULL, &drift, NULL), ==, ESP_OK);
    for (size_t k = 0; k < campaign->n; k++)
        take(drift, campaign, k, &random, &sampler);
    g_assert_cmpint(esp_drift_finish(drift, NULL), ==, ESP_OK);
    esp_drift_free(drift);
    return measures;
}

static double true_loss(enum esp_task task)
{
    double sum = 0, weight = 0;
    for (size_t i = 0; i < POPULATION; i++) {
        double click = p_click(i), install = p_install(i);
        double p = task == ESP_TASK_CLICK     ? click
                   : task == ESP_TASK_INSTALL ? click * install
                                              : install;
        double w = task == ESP_TASK_INSTALL_GIVEN_CLICK ? click : 1;
        sum += w * expected_loss((double)world.logits[0][i][task], p);
        weight += w;
    }
    return sum / weight;
}

/* The loss of all windows pooled, and how many of their intervals hold the truth. */
static struct esp_figure pool_task(const GArray *measures, enum esp_task task, double truth,
                                   int *n_hold)
{
    struct esp_task_sums sums = {0};
    struct esp_task_report report;
    *n_hold = 0;
    for (guint k = 0; k < measures->len; k++) {
        const struct esp_drift_measure *m = &g_array_index(measures, struct esp_drift_measure, k);
        if (m->task != task)
            continue;
        const struct esp_figure *loss = &m->figures.log_loss;
        g_assert_true(loss->has_interval);
        *n_hold += loss->low <= truth && truth <= loss->high;
        esp_task_sums_merge(&sums, &m->sums);
    }
    esp_task_sums_report(&sums, &report);
    return report.log_loss;
}

static void one_model_has_one_loss_however_few_negatives_are_kept(void)
{
    enum { WINDOWS = 40, PER_WINDOW = 4096 };
    static const double shares[] = {1, 0.1, 0.02};
    struct esp_figure of_all[ESP_N_TASKS];
    for (size_t r = 0; r < 3; r++) {
        struct campaign campaign = {.window_us = H,
                                    .n = WINDOWS * PER_WINDOW,
                                    .n_ages = 1,
                                    .negatives = shares[r],
                                    .step_us = H / PER_WINDOW};
        GArray *measures = measure_campaign(&campaign);
        for (enum esp_task task = 0; task < ESP_N_TASKS; task++) {
            int n_hold;
            double truth = true_loss(task);
            struct esp_figure loss = pool_task(measures, task, truth, &n_hold);
            g_test_message("r %g, task %d: %.5f in [%.5f, %.5f], true %.5f; %d windows hold it",
                           shares[r], (int)task, loss.value, loss.low, loss.high, truth, n_hold);
            /* 1.5 half-widths are 99.7 %; of 40 intervals of 95 %, fewer than 32: one in 10,000. */
            g_assert_cmpfloat(fabs(loss.value - truth), <, 0.75 * (loss.high - loss.low));
            g_assert_cmpint(n_hold, >=, 32);
            if (r == 0)
                of_all[task] = loss;
            g_assert_cmpfloat(loss.low, <=, of_all[task].high);
            g_assert_cmpfloat(loss.high, >=, of_all[task].low);
        }
        g_array_free(measures, TRUE);
    }
}

/* ---- pooling ---- */

static void same_figure(const struct esp_figure *got, const struct esp_figure *want)
{
    g_assert_true(got->defined && want->defined);
    g_assert_cmpint(got->has_interval, ==, want->has_interval);
    assert_close(got->value, want->value, 1e-11, 0);
    assert_close(got->low, want->low, 1e-9, 0);
    assert_close(got->high, want->high, 1e-9, 0);
}

/* Pools the windows' measures of one source, task and age, and compares with the only one of all
 * examples. */
static void compare_pooled(const GArray *windows, const struct esp_drift_measure *whole)
{
    struct esp_drift_measure pooled = {0};
    size_t n_windows = 0;
    for (guint k = 0; k < windows->len; k++) {
        const struct esp_drift_measure *m = &g_array_index(windows, struct esp_drift_measure, k);
        if (m->source != whole->source || m->task != whole->task || m->age != whole->age)
            continue;
        n_windows++;
        esp_task_sums_merge(&pooled.sums, &m->sums);
        esp_paired_sums_merge(&pooled.paired, &m->paired);
        esp_paired_sums_merge(&pooled.production, &m->production);
        pooled.production_clipped += m->production_clipped;
    }
    g_assert_cmpuint(n_windows, >, 10);
    g_assert_cmpuint(pooled.sums.n, ==, whole->sums.n);
    g_assert_cmpuint(pooled.sums.n_positive, ==, whole->sums.n_positive);
    g_assert_cmpuint(pooled.production_clipped, ==, whole->production_clipped);
    esp_task_sums_report(&pooled.sums, &pooled.figures);
    same_figure(&pooled.figures.log_loss, &whole->figures.log_loss);
    same_figure(&pooled.figures.normalised_entropy, &whole->figures.normalised_entropy);
    same_figure(&pooled.figures.calibration, &whole->figures.calibration);
    if (whole->has_paired) {
        pooled.drift_loss = esp_paired_loss(&pooled.paired);
        same_figure(&pooled.drift_loss, &whole->drift_loss);
    }
    if (whole->has_production) {
        pooled.production_loss = esp_paired_loss(&pooled.production);
        same_figure(&pooled.production_loss, &whole->production_loss);
    }
}

static void pooled_windows_are_their_examples_at_once(void)
{
    enum { IMPRESSIONS = 20000 };
    struct campaign campaign = {.window_us = H,
                                .n = IMPRESSIONS,
                                .n_ages = 2,
                                .negatives = 0.3,
                                .step_us = 20 * H / IMPRESSIONS,
                                .with_scores = true};
    GArray *windows = measure_campaign(&campaign);
    campaign.window_us = 64 * (int64_t)H;
    GArray *whole = measure_campaign(&campaign);
    g_assert_cmpuint(whole->len, ==, 2 * ESP_N_TASKS + 1); /* ages and tasks, and the scores */
    for (guint k = 0; k < whole->len; k++)
        compare_pooled(windows, &g_array_index(whole, struct esp_drift_measure, k));
    g_array_free(windows, TRUE);
    g_array_free(whole, TRUE);
}

int main(int argc, char **argv)
{
    test_start(&argc, &argv);
    make_world();
    g_test_add_func("/truth/bands hold the true differences of all ages at once",
                    bands_hold_the_true_differences_of_all_ages);
    g_test_add_func("/truth/one model has one loss, however few negatives are kept",
                    one_model_has_one_loss_however_few_negatives_are_kept);
    g_test_add_func("/truth/pooled windows are their examples at once",
                    pooled_windows_are_their_examples_at_once);
    int result = g_test_run();
    release_world();
    return result;
}
