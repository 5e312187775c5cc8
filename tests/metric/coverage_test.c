/*
 * coverage_test.c - 95 % intervals hold the truth in about 95 % of trials.
 *
 * The world has eight kinds of impressions, so the true loss, NE and calibration of a given,
 * somewhat wrong model are sums of eight terms. Each trial draws impressions, keeps negatives with
 * a probability and weighs them by its inverse, as the trainer does.
 */
#include <math.h>

#include "metric/metric.h"
#include "testkit.h"

enum { N_KINDS = 8, N_TRIALS = 600, N_IMPRESSIONS = 2500 };

struct row {
    const char *name;
    double shift; /* of the true logits */
    double keep;  /* probability that a negative is kept */
};

static const struct row rows[] = {
    {"every example kept, a third positive", -0.7, 1},
    {"one negative in five kept", -1.5, 0.2},
    {"rare positives, one negative in ten kept", -2.8, 0.1},
};

static double true_logit(const struct row *row, size_t kind)
{
    return row->shift + 0.4 * ((double)kind - 3.5);
}

/* The model: too flat and a little high. */
static double model_logit(const struct row *row, size_t kind)
{
    return row->shift + 0.25 * ((double)kind - 3.5) + 0.1;
}

struct truth {
    double log_loss, ne, calibration;
};

static struct truth truth_of(const struct row *row)
{
    double loss = 0, rate = 0, predicted = 0;
    for (size_t kind = 0; kind < N_KINDS; kind++) {
        double q = 1 / (1 + exp(-true_logit(row, kind)));
        double p = 1 / (1 + exp(-model_logit(row, kind)));
        loss -= (q * log(p) + (1 - q) * log(1 - p)) / N_KINDS;
        rate += q / N_KINDS;
        predicted += p / N_KINDS;
    }
    double entropy = -rate * log(rate) - (1 - rate) * log(1 - rate);
    return (struct truth){loss, loss / entropy, predicted / rate};
}

static void run_trial(const struct row *row, struct test_random *random,
                      struct esp_task_report *report)
{
    struct esp_task_metric metric = {0};
    for (int i = 0; i < N_IMPRESSIONS; i++) {
        size_t kind = (size_t)test_random_below(random, N_KINDS);
        bool y = test_random_unit(random) < 1 / (1 + exp(-true_logit(row, kind)));
        if (y || test_random_unit(random) < row->keep)
            esp_task_metric_add(&metric, model_logit(row, kind), y, y ? 1 : 1 / row->keep);
    }
    esp_task_metric_report(&metric, report);
}

static int holds(const struct esp_figure *figure, double truth)
{
    g_assert_true(figure->has_interval);
    return figure->low <= truth && truth <= figure->high;
}

/* Of 600 trials 570 are expected to hold; 5.3 is the deviation of that count. */
static void check_coverage(const char *name, int n)
{
    if (n < 570 - 20 || n > 570 + 20)
        g_test_fail_printf("%s: %d of %d intervals hold the truth", name, n, N_TRIALS);
}

static void test_row(gconstpointer data)
{
    const struct row *row = data;
    struct truth truth = truth_of(row);
    struct test_random random = {11};
    int n_loss = 0, n_ne = 0, n_calibration = 0;
    for (int trial = 0; trial < N_TRIALS; trial++) {
        struct esp_task_report report;
        run_trial(row, &random, &report);
        n_loss += holds(&report.log_loss, truth.log_loss);
        n_ne += holds(&report.normalised_entropy, truth.ne);
        n_calibration += holds(&report.calibration, truth.calibration);
    }
    g_test_message("log loss %d, NE %d, calibration %d of %d", n_loss, n_ne, n_calibration,
                   N_TRIALS);
    check_coverage("log loss", n_loss);
    check_coverage("NE", n_ne);
    check_coverage("calibration", n_calibration);
}

int main(int argc, char **argv)
{
    test_start(&argc, &argv);
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        char *path = g_strdup_printf("/coverage/%s", rows[i].name);
        g_test_add_data_func(path, &rows[i], test_row);
        g_free(path);
    }
    return g_test_run();
}
