/*
 * area_coverage_test.c - 95 % intervals of the areas hold the truth in about 95 % of trials.
 *
 * Impressions of 64 kinds (a user's and the impression's own), a flawed model that gives each kind
 * its own bin, negatives kept with r: the true areas are sums over the kinds.
 */
#include <math.h>

#include "metric/scored.h"
#include "testkit.h"

enum { SIDE = 8, N_KINDS = SIDE * SIDE, N_TRIALS = 600, MAX_EXAMPLES = 4000 };

struct row {
    const char *name;
    size_t n_users;
    double extra; /* impressions of a user beyond the first, on average */
    double keep;  /* r */
};

static const struct row rows[] = {
    {"one impression a user, every negative kept", 2000, 0, 1},
    {"one impression a user, r = 0.1", 3000, 0, 0.1},
    {"users of 3 impressions, r = 0.1", 1500, 2, 0.1},
};

static double click_probability(size_t user, size_t own)
{
    return 1 / (1 + exp(-(-3 + 0.4 * ((double)user - 3.5) + 0.3 * ((double)own - 3.5))));
}

/* Ascends with the kind, by 1/8 a user's kind and 1/64 an impression's own: 64 bins. */
static double model_logit(size_t user, size_t own)
{
    return -3 + (double)(user * SIDE + own) / 64 + 1.0 / 256;
}

/* The areas over the kinds, by the definition. */
static void truth_of(double *roc, double *pr)
{
    double above[2] = {0}, pairs = 0, precision = 0;
    for (size_t kind = N_KINDS; kind-- > 0;) {
        double p = click_probability(kind / SIDE, kind % SIDE), q = 1 - p;
        pairs += q * (above[1] + p / 2);
        above[0] += q;
        above[1] += p;
        precision += p * above[1] / (above[0] + above[1]);
    }
    *roc = pairs / (above[0] * above[1]);
    *pr = precision / above[1];
}

struct sample {
    size_t n;
    uint64_t keys[MAX_EXAMPLES];
    uint8_t labels[MAX_EXAMPLES];
    double weights[MAX_EXAMPLES];
    float logits[MAX_EXAMPLES];
};

static void draw(struct sample *sample, const struct row *row, uint64_t seed)
{
    struct test_random random = {seed};
    sample->n = 0;
    for (size_t i = 0; i < row->n_users; i++) {
        size_t user = (size_t)test_random_below(&random, SIDE);
        uint64_t key = test_random_u64(&random);
        do {
            size_t own = (size_t)test_random_below(&random, SIDE), at = sample->n;
            bool y = test_random_unit(&random) < click_probability(user, own);
            if (at == MAX_EXAMPLES || (!y && test_random_unit(&random) >= row->keep))
                continue;
            sample->n++;
            sample->keys[at] = key;
            sample->labels[at] = y;
            sample->weights[at] = y ? 1 : 1 / row->keep;
            sample->logits[at] = (float)model_logit(user, own);
        } while (test_random_unit(&random) < row->extra / (1 + row->extra));
    }
}

static void test_row(gconstpointer data)
{
    const struct row *row = data;
    static struct sample sample;
    double roc_truth, pr_truth;
    int n_roc = 0, n_pr = 0;
    truth_of(&roc_truth, &pr_truth);
    for (uint64_t trial = 0; trial < N_TRIALS; trial++) {
        struct esp_units units;
        struct esp_figure roc, pr;
        draw(&sample, row, (trial + 1) * UINT64_C(0xd1342543de82ef95));
        g_assert_cmpuint(sample.n, <, MAX_EXAMPLES);
        struct esp_scored scored = {.n = sample.n,
                                    .logits = sample.logits,
                                    .labels = sample.labels,
                                    .weights = sample.weights};
        esp_units_init(&units, sample.keys, sample.n, NULL);
        esp_units_draw(&units, NULL, NULL);
        esp_scored_areas(&units, &scored, NULL, &roc, &pr, NULL);
        esp_units_release(&units);
        g_assert_true(roc.has_interval && pr.has_interval);
        n_roc += roc.low <= roc_truth && roc_truth <= roc.high;
        n_pr += pr.low <= pr_truth && pr_truth <= pr.high;
    }
    /* 570 are expected, with a deviation of 5.3 */
    g_test_message("%d (ROC) and %d (PR) of %d hold", n_roc, n_pr, N_TRIALS);
    g_assert_cmpint(n_roc, >=, 550);
    g_assert_cmpint(n_roc, <=, 590);
    g_assert_cmpint(n_pr, >=, 550);
    g_assert_cmpint(n_pr, <=, 590);
}

int main(int argc, char **argv)
{
    test_start(&argc, &argv);
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        char *path = g_strdup_printf("/area-coverage/%s", rows[i].name);
        g_test_add_data_func(path, &rows[i], test_row);
        g_free(path);
    }
    return g_test_run();
}
