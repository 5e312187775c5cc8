/*
 * statistics_test.c - what sampling and waiting must not do to the figures: a fixed model measured
 * on holdouts sampled with other r, and a new ad while its installs are not yet mature.
 */
#include <math.h>

#include "core/hash.h"
#include "learn_helper.h"
#include "sample/sampler.h"

/* ---- one fixed model, holdouts sampled with r = 1, 0.1, 0.02 --------------------------------- */

enum { POPULATION = 40000, ADS = 40 };

/* A population of impressions with a known click rate an ad, from 1 % to 13 %. */
struct population {
    uint64_t ids[POPULATION];
    float logits[POPULATION]; /* of the model under test */
    bool y[POPULATION];
};

static double click_rate(uint64_t ad)
{
    return 0.01 + 0.003 * (double)ad;
}

/* A model that has learned from another stream, so that it is good but not exact. */
static struct esp_learner *new_fixed_model(void)
{
    struct esp_learner_config config = test_learner_config(ESP_SETUP_CTR);
    config.n_features = 1;
    struct esp_learner *learner = NULL;
    g_assert_cmpint(esp_learner_new(&config, NULL, &learner, NULL), ==, ESP_OK);
    struct test_stream stream;
    test_stream_init(&stream, 1);
    struct test_random random = {77};
    for (uint64_t i = 0; i < 8000; i++) {
        uint64_t ad = test_random_below(&random, ADS), key = 1000 + ad;
        struct esp_example example = {
            .due_us = (int64_t)i * ESP_MINUTE + ESP_HOUR,
            .impression_us = (int64_t)i * ESP_MINUTE,
            .ticket = i,
            .weight = 1,
            .base_weight = 1,
            .y = test_random_unit(&random) < click_rate(ad),
        };
        test_stream_add(&stream, &example, &key);
    }
    test_learn_all(learner, &stream, 500);
    test_stream_release(&stream);
    return learner;
}

static void fill_population(struct population *population, struct esp_learner *learner,
                            uint64_t seed)
{
    struct test_random random = {seed};
    struct test_stream stream;
    test_stream_init(&stream, 1);
    for (size_t i = 0; i < POPULATION; i++) {
        uint64_t ad = test_random_below(&random, ADS), key = 1000 + ad;
        population->ids[i] = test_random_u64(&random);
        population->y[i] = test_random_unit(&random) < click_rate(ad);
        test_stream_add(&stream, &(struct esp_example){.weight = 1, .base_weight = 1}, &key);
    }
    float *logits = g_new(float, (size_t)POPULATION *ESP_N_TASKS);
    g_assert_cmpint(esp_learner_score(learner, &stream.features, logits, NULL), ==, ESP_OK);
    for (size_t i = 0; i < POPULATION; i++)
        population->logits[i] = logits[i * ESP_N_TASKS + ESP_TASK_CLICK];
    g_free(logits);
    test_stream_release(&stream);
}

static struct esp_task_report measure(const struct population *population, double r)
{
    struct esp_sampler_config sampler = {.holdout = 0.5, .negatives = r, .negative_seed = 5};
    struct esp_task_metric metric;
    g_assert_cmpint(esp_task_metric_init(&metric, true, NULL), ==, ESP_OK);
    for (size_t i = 0; i < POPULATION; i++) {
        struct esp_label label = {
            .id = esp_bytes(&population->ids[i], sizeof population->ids[i]),
            .id_hash = esp_hash(esp_bytes(&population->ids[i], sizeof population->ids[i])),
            .y = population->y[i],
        };
        struct esp_sample sample;
        esp_sampler_decide(&sampler, NULL, &label, &sample);
        if (sample.kept && sample.holdout)
            esp_task_metric_add(&metric, population->logits[i], label.y, sample.weight);
    }
    struct esp_task_report report;
    esp_task_metric_report(&metric, &report);
    esp_task_metric_release(&metric);
    return report;
}

static bool holds(const struct esp_figure *figure, double value)
{
    return figure->has_interval && figure->low <= value && value <= figure->high;
}

/* The interval of the sampled holdout must hold what the whole holdout gives. It is wider than it
 * need be (the two share their positives), so it holds it nearly always. */
static void test_sampled_holdouts_agree(void)
{
    enum { TRIALS = 40 };
    static const double shares[] = {0.1, 0.02};
    struct esp_learner *learner = new_fixed_model();
    struct population *population = g_new0(struct population, 1);
    for (size_t s = 0; s < G_N_ELEMENTS(shares); s++) {
        int n_loss = 0, n_calibration = 0;
        double bias = 0;
        for (uint64_t trial = 0; trial < TRIALS; trial++) {
            fill_population(population, learner, 1000 + trial);
            struct esp_task_report whole = measure(population, 1);
            struct esp_task_report sampled = measure(population, shares[s]);
            g_assert_cmpuint(sampled.positives, ==, whole.positives);
            g_assert_cmpuint(sampled.examples, <, whole.examples / 5);
            n_loss += holds(&sampled.log_loss, whole.log_loss.value);
            n_calibration += holds(&sampled.calibration, whole.calibration.value);
            bias += (sampled.log_loss.value / whole.log_loss.value - 1) / TRIALS;
        }
        g_assert_cmpint(n_loss, >=, TRIALS * 95 / 100);
        g_assert_cmpint(n_calibration, >=, TRIALS * 95 / 100);
        g_assert_cmpfloat(fabs(bias), <, 0.01);
    }
    g_free(population);
    esp_learner_free(learner);
}

/* Without the weights the same holdout would mislead: the test above can fail. */
static void test_unweighted_would_mislead(void)
{
    struct esp_learner *learner = new_fixed_model();
    struct population *population = g_new0(struct population, 1);
    fill_population(population, learner, 9);
    struct esp_task_report whole = measure(population, 1);
    struct esp_task_metric metric;
    g_assert_cmpint(esp_task_metric_init(&metric, false, NULL), ==, ESP_OK);
    for (size_t i = 0; i < POPULATION; i++) {
        if (population->y[i] || i % 10 == 0)
            esp_task_metric_add(&metric, population->logits[i], population->y[i], 1);
    }
    struct esp_task_report unweighted;
    esp_task_metric_report(&metric, &unweighted);
    g_assert_false(holds(&unweighted.log_loss, whole.log_loss.value));
    g_assert_false(holds(&unweighted.calibration, whole.calibration.value));
    esp_task_metric_release(&metric);
    g_free(population);
    esp_learner_free(learner);
}

/* ---- a new ad -------------------------------------------------------------------------------- */

enum { PER_DAY = 2000, DAYS = 24, NEW_AD_DAY = 14, W_Z_DAYS = 6 };
#define NEW_AD_SHARE   0.2
#define NEW_CLICK_RATE 0.2
#define NEW_INSTALL    0.5

/* One impression's labels, in no order yet. */
static void add_labels(GArray *examples, uint64_t i, struct test_random *random)
{
    struct esp_example example = {
        .impression_us = (int64_t)i * (ESP_DAY / PER_DAY),
        .click_us = ESP_TIME_NONE,
        .install_us = ESP_TIME_NONE,
        .ticket = i,
        .weight = 1,
        .base_weight = 1,
    };
    bool is_new = i >= (uint64_t)NEW_AD_DAY * PER_DAY && test_random_unit(random) < NEW_AD_SHARE;
    example.id_hash = is_new ? 0 : 1 + test_random_below(random, 4); /* the ad, here */
    example.y = test_random_unit(random) < NEW_CLICK_RATE;
    bool z = example.y && test_random_unit(random) < NEW_INSTALL;
    example.stage = ESP_STAGE_CLICK;
    example.due_us = example.impression_us + ESP_HOUR;
    g_array_append_val(examples, example);
    example.z = z;
    example.stage = ESP_STAGE_WHOLE;
    example.due_us = example.impression_us + ESP_HOUR + W_Z_DAYS * ESP_DAY;
    g_array_append_val(examples, example);
    if (!example.y)
        return;
    example.stage = ESP_STAGE_INSTALL;
    example.due_us = example.impression_us + ESP_MINUTE + W_Z_DAYS * ESP_DAY;
    g_array_append_val(examples, example);
}

static int by_label_order(const void *a, const void *b)
{
    const struct esp_example *x = a, *y = b;
    if (x->due_us != y->due_us)
        return x->due_us < y->due_us ? -1 : 1;
    if (x->ticket != y->ticket)
        return x->ticket < y->ticket ? -1 : 1;
    return (int)x->stage - (int)y->stage;
}

static double predicted_install(struct esp_learner *learner)
{
    struct test_stream probe;
    test_stream_init(&probe, 1);
    uint64_t key = 500;
    test_stream_add(&probe, &(struct esp_example){.weight = 1, .base_weight = 1}, &key);
    float logits[ESP_N_TASKS];
    g_assert_cmpint(esp_learner_score(learner, &probe.features, logits, NULL), ==, ESP_OK);
    test_stream_release(&probe);
    return esp_sigmoid(logits[ESP_TASK_INSTALL]);
}

/* The lowest prediction for the new ad at the end of a day since it came, over the truth. */
static double lowest_share_of_truth(enum esp_setup_id setup)
{
    struct esp_learner_config config = test_learner_config(setup);
    config.n_features = 1;
    struct esp_learner *learner = NULL;
    g_assert_cmpint(esp_learner_new(&config, NULL, &learner, NULL), ==, ESP_OK);
    GArray *examples = g_array_new(FALSE, FALSE, sizeof(struct esp_example));
    struct test_random random = {3};
    for (uint64_t i = 0; i < (uint64_t)DAYS * PER_DAY; i++)
        add_labels(examples, i, &random);
    g_array_sort(examples, by_label_order);

    double lowest = INFINITY;
    int64_t day = 0;
    struct test_stream one;
    for (guint i = 0; i < examples->len; i++) {
        const struct esp_example *example = &g_array_index(examples, struct esp_example, i);
        if (example->due_us >= DAYS * ESP_DAY)
            break;
        if (example->due_us / ESP_DAY > day) {
            day = example->due_us / ESP_DAY;
            double share = predicted_install(learner) / (NEW_CLICK_RATE * NEW_INSTALL);
            if (day > NEW_AD_DAY)
                lowest = fmin(lowest, share);
        }
        uint64_t key = 500 + example->id_hash;
        test_stream_init(&one, 1);
        test_stream_add(&one, example, &key);
        g_assert_cmpint(esp_learner_take(learner, one.examples, 1, &one.features, NULL), ==,
                        ESP_OK);
        test_stream_release(&one);
    }
    g_array_free(examples, TRUE);
    esp_learner_free(learner);
    return lowest;
}

/* If clicked examples alone waited for their installs, a new ad would show nothing but negatives
 * for W_z: its prediction would sink to a few hundredths of the truth. */
static void test_new_ad(gconstpointer setup)
{
    double lowest = lowest_share_of_truth((enum esp_setup_id)GPOINTER_TO_INT(setup));
    g_test_message("lowest prediction over truth: %.3f", lowest);
    g_assert_cmpfloat(lowest, >, 0.75);
}

int main(int argc, char **argv)
{
    test_start(&argc, &argv);
    g_test_add_func("/statistics/one model on holdouts of r = 1, 0.1, 0.02 agrees within intervals",
                    test_sampled_holdouts_agree);
    g_test_add_func("/statistics/the same without weights does not", test_unweighted_would_mislead);
    static const enum esp_setup_id setups[] = {ESP_SETUP_ESMM, ESP_SETUP_ESMM_NS,
                                               ESP_SETUP_ESSP_SPLIT, ESP_SETUP_ESP, ESP_SETUP_IPSP};
    for (size_t i = 0; i < G_N_ELEMENTS(setups); i++) {
        char *path = g_strdup_printf("/statistics/a new ad is not underestimated by %s",
                                     esp_setup_get(setups[i])->name);
        g_test_add_data_func(path, GINT_TO_POINTER(setups[i]), test_new_ad);
        g_free(path);
    }
    return g_test_run();
}
