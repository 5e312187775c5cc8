/* numbers_test.c - running statistics of numbers: standardised values, and buckets. */
#include <math.h>
#include <stdlib.h>

#include "feature/quantiles.h"
#include "feature/standard.h"
#include "testkit.h"

/* ---- standardised ---- */

/* n values, half of them low and half of them high: mean (low + high) / 2, deviation half of the
 * distance. */
static struct esp_standard two_values(double low, double high, size_t n)
{
    struct esp_standard standard = {0};
    for (size_t i = 0; i < n; i++)
        esp_standard_learn(&standard, i % 2 == 0 ? low : high);
    return standard;
}

struct score {
    const char *title;
    double low, high;
    size_t n;
    double x, want;
};

static const struct score scores[] = {
    {"nothing was seen", 0, 0, 0, 5, 0},
    {"31 values are too few", 0, 2, 31, 5, 0},
    {"the mean scores 0", 0, 2, 32, 1, 0},
    {"one deviation above scores 1", 0, 2, 32, 2, 1},
    {"two and a half below score -2.5", 10, 14, 1000, 7, -2.5},
    {"nine deviations are clipped to 8", 0, 2, 32, 10, 8},
    {"all below are clipped to -8", 0, 2, 32, -1e300, -8},
    {"a constant scores 0", 5, 5, 1000, 5, 0},
    {"what differs from a constant scores 0", 5, 5, 1000, 6, 0},
    {"the rounding of a constant is no deviation", 0.1, 0.1 + 1e-16, 1000, 0.2, 0},
    {"a large offset is no matter", 1e9, 1e9 + 2, 1000, 1e9 + 4, 3},
};

static void a_score_is_right(gconstpointer data)
{
    const struct score *score = data;
    struct esp_standard standard = two_values(score->low, score->high, score->n);
    assert_close(esp_standard_score(&standard, score->x), score->want, 1e-6, 1e-9);
    g_assert_true(esp_standard_valid(&standard));
}

static double normal(struct test_random *random)
{
    double u = 1 - test_random_unit(random), v = test_random_unit(random);
    return sqrt(-2 * log(u)) * cos(2 * G_PI * v);
}

static void running_statistics_are_those_of_two_passes(void)
{
    enum { N = 5000 };
    double *x = g_new(double, N), mean = 0, m2 = 0;
    struct test_random random = {7};
    struct esp_standard standard = {0};
    for (size_t i = 0; i < N; i++) {
        x[i] = 100 + 3 * normal(&random);
        mean += x[i] / N;
        esp_standard_learn(&standard, x[i]);
    }
    for (size_t i = 0; i < N; i++)
        m2 += (x[i] - mean) * (x[i] - mean);
    g_assert_cmpuint(standard.count, ==, N);
    assert_close(standard.mean, mean, 1e-12, 0);
    assert_close(standard.m2, m2, 1e-9, 0);
    g_free(x);
}

static void an_absurd_value_moves_the_mean_by_8_deviations_over_n(void)
{
    struct esp_standard standard = two_values(-1, 1, 1000);
    esp_standard_learn(&standard, 1e18);
    assert_close(standard.mean, 8.0 / 1001, 1e-9, 0);
    g_assert_cmpfloat(esp_standard_score(&standard, 1), >, 0.9);
    standard = two_values(-1, 1, 1000);
    esp_standard_learn(&standard, -1e18);
    assert_close(standard.mean, -8.0 / 1001, 1e-9, 0);
}

static void a_lasting_change_of_scale_is_followed(void)
{
    struct esp_standard standard = two_values(-1, 1, 1000);
    for (size_t i = 0; i < 10000; i++)
        esp_standard_learn(&standard, i % 2 == 0 ? -1e6 : 1e6);
    double score = esp_standard_score(&standard, 1e6);
    g_assert_cmpfloat(score, >, 0.8);
    g_assert_cmpfloat(score, <, 1.25);
}

static void the_largest_doubles_leave_it_finite(void)
{
    struct esp_standard standard = two_values(-1.7e308, 1.7e308, 100000);
    g_assert_true(esp_standard_valid(&standard));
    assert_close(esp_standard_score(&standard, 1.7e308), 1, 1e-6, 0);
}

/* ---- buckets ---- */

static struct esp_quantiles *new_quantiles(size_t n_buckets)
{
    return g_malloc0(esp_quantiles_bytes(n_buckets));
}

static void learn_modulo(struct esp_quantiles *quantiles, size_t n_buckets, size_t n,
                         double (*value)(size_t))
{
    for (size_t i = 0; i < n; i++)
        esp_quantiles_learn(quantiles, n_buckets, value(i));
}

/* Of 512 values each: 0..511 in a scrambled order; nine tenths 0; all 5; three values; one tie in
 * the middle of others. */
static double scrambled(size_t i)
{
    return (double)(i * 77 % 512);
}
static double mostly_zero(size_t i)
{
    return i % 10 == 9 ? (double)i : 0;
}
static double constant(size_t i)
{
    (void)i;
    return 5;
}
static double three_values(size_t i)
{
    return (double)(i % 3) * 10;
}
static double tie_in_the_middle(size_t i)
{
    return i < 64 ? (double)i : i < 448 ? 1000 : (double)(2000 + i);
}

struct first_bounds {
    const char *title;
    double (*value)(size_t);
    size_t n_buckets, n_bounds;
    double bounds[4];
};

static const struct first_bounds first_bounds[] = {
    {"512 values in 4 buckets are cut at the quarters", scrambled, 4, 3, {128, 256, 384}},
    {"512 values in 2 buckets are cut in the middle", scrambled, 2, 1, {256}},
    /* 51 values 9, 19 .. 509 in 3 buckets of 17: 9..169, 179..339, 349.. */
    {"a frequent zero has a bucket, the rest is shared", mostly_zero, 4, 3, {9, 179, 349}},
    {"a constant needs no bound", constant, 4, 0, {0}},
    {"three values have a bucket each", three_values, 8, 2, {10, 20}},
    {"a tie in the middle has a bucket", tie_in_the_middle, 4, 3, {1000, 2448, 2480}},
};

static void first_bounds_are_right(gconstpointer data)
{
    const struct first_bounds *row = data;
    struct esp_quantiles *quantiles = new_quantiles(row->n_buckets);
    learn_modulo(quantiles, row->n_buckets, 511, row->value);
    g_assert_false(esp_quantiles_ready(quantiles));
    esp_quantiles_learn(quantiles, row->n_buckets, row->value(511));
    g_assert_true(esp_quantiles_ready(quantiles));
    g_assert_true(esp_quantiles_valid(quantiles, row->n_buckets));
    g_assert_cmpuint(quantiles->n_bounds, ==, row->n_bounds);
    for (size_t b = 0; b < row->n_bounds; b++) {
        assert_close(quantiles->values[b], row->bounds[b], 0, 0);
        g_assert_cmpuint(esp_quantiles_bucket(quantiles, row->bounds[b]), ==, b + 1);
        g_assert_cmpuint(esp_quantiles_bucket(quantiles, row->bounds[b] - 0.5), ==, b);
    }
    g_assert_cmpuint(esp_quantiles_bucket(quantiles, -1e300), ==, 0);
    g_assert_cmpuint(esp_quantiles_bucket(quantiles, 1e300), ==, row->n_bounds);
    g_free(quantiles);
}

static void a_bucket_is_the_count_of_bounds_not_above(void)
{
    struct test_random random = {3};
    for (size_t n_buckets = ESP_MIN_BUCKETS; n_buckets <= ESP_MAX_BUCKETS;
         n_buckets += 1 + n_buckets / 8) {
        struct esp_quantiles *quantiles = new_quantiles(n_buckets);
        while (!esp_quantiles_ready(quantiles))
            esp_quantiles_learn(quantiles, n_buckets, floor(300 * test_random_unit(&random)));
        g_assert_true(esp_quantiles_valid(quantiles, n_buckets));
        for (int i = -1; i <= 301; i++) {
            size_t twin = 0;
            for (size_t b = 0; b < quantiles->n_bounds; b++)
                twin += quantiles->values[b] <= i;
            g_assert_cmpuint(esp_quantiles_bucket(quantiles, i), ==, twin);
        }
        g_free(quantiles);
    }
}

static void buckets_of_distinct_values_weigh_the_same(void)
{
    enum { N_BUCKETS = 256, N = 32 * N_BUCKETS };
    struct test_random random = {5};
    struct esp_quantiles *quantiles = new_quantiles(N_BUCKETS);
    double *x = g_new(double, N);
    size_t *counts = g_new0(size_t, N_BUCKETS);
    for (size_t i = 0; i < N; i++) {
        x[i] = exp(3 * normal(&random));
        esp_quantiles_learn(quantiles, N_BUCKETS, x[i]);
    }
    for (size_t i = 0; i < N; i++)
        counts[esp_quantiles_bucket(quantiles, x[i])]++;
    for (size_t b = 0; b < N_BUCKETS; b++)
        g_assert_cmpuint(counts[b], ==, 32);
    g_free(counts);
    g_free(x);
    g_free(quantiles);
}

static void bounds_stay_without_drift(void)
{
    enum { N_BUCKETS = 16 };
    struct test_random random = {11};
    struct esp_quantiles *quantiles = new_quantiles(N_BUCKETS);
    double first[N_BUCKETS - 1];
    while (!esp_quantiles_ready(quantiles))
        esp_quantiles_learn(quantiles, N_BUCKETS, normal(&random));
    memcpy(first, quantiles->values, sizeof first);
    while (quantiles->generation < 6) /* 512 * (4 + 16 + 64 + 256 + 1024) values */
        esp_quantiles_learn(quantiles, N_BUCKETS, normal(&random));
    g_assert_cmpuint(quantiles->n_bounds, ==, N_BUCKETS - 1);
    g_assert_cmpmem(quantiles->values, sizeof first, first, sizeof first);
    g_free(quantiles);
}

static void bounds_follow_a_drift(void)
{
    enum { N_BUCKETS = 16 };
    struct test_random random = {13};
    struct esp_quantiles *quantiles = new_quantiles(N_BUCKETS);
    while (!esp_quantiles_ready(quantiles))
        esp_quantiles_learn(quantiles, N_BUCKETS, test_random_unit(&random));
    while (quantiles->generation < 2)
        esp_quantiles_learn(quantiles, N_BUCKETS, 100 + test_random_unit(&random));
    g_assert_cmpuint(esp_quantiles_bucket(quantiles, 100), ==, 0);
    g_assert_cmpuint(esp_quantiles_bucket(quantiles, 100.28), ==, 4);
    g_assert_cmpuint(esp_quantiles_bucket(quantiles, 101), ==, N_BUCKETS - 1);
    g_free(quantiles);
}

static double period_of_4(size_t i)
{
    return (double)(i % 4);
}

static void a_period_in_the_stream_finds_no_echo(void)
{
    enum { N_BUCKETS = 8 };
    struct esp_quantiles *quantiles = new_quantiles(N_BUCKETS);
    learn_modulo(quantiles, N_BUCKETS, 512, constant);
    g_assert_cmpuint(quantiles->n_bounds, ==, 0);
    learn_modulo(quantiles, N_BUCKETS, 4 * 512, period_of_4); /* one of every 4 is sampled */
    g_assert_cmpuint(quantiles->generation, ==, 2);
    g_assert_cmpuint(quantiles->n_bounds, ==, 3);
    g_free(quantiles);
}

int main(int argc, char **argv)
{
    test_start(&argc, &argv);
    for (size_t i = 0; i < G_N_ELEMENTS(scores); i++) {
        char *path = g_strdup_printf("/numbers/standardised/%s", scores[i].title);
        g_test_add_data_func(path, &scores[i], a_score_is_right);
        g_free(path);
    }
    g_test_add_func("/numbers/standardised/running statistics are those of two passes",
                    running_statistics_are_those_of_two_passes);
    g_test_add_func("/numbers/standardised/an absurd value counts as 8 deviations",
                    an_absurd_value_moves_the_mean_by_8_deviations_over_n);
    g_test_add_func("/numbers/standardised/a lasting change of scale is followed",
                    a_lasting_change_of_scale_is_followed);
    g_test_add_func("/numbers/standardised/the largest doubles leave it finite",
                    the_largest_doubles_leave_it_finite);
    for (size_t i = 0; i < G_N_ELEMENTS(first_bounds); i++) {
        char *path = g_strdup_printf("/numbers/buckets/%s", first_bounds[i].title);
        g_test_add_data_func(path, &first_bounds[i], first_bounds_are_right);
        g_free(path);
    }
    g_test_add_func("/numbers/buckets/a bucket is the count of bounds not above",
                    a_bucket_is_the_count_of_bounds_not_above);
    g_test_add_func("/numbers/buckets/buckets of distinct values weigh the same",
                    buckets_of_distinct_values_weigh_the_same);
    g_test_add_func("/numbers/buckets/bounds stay where nothing drifts", bounds_stay_without_drift);
    g_test_add_func("/numbers/buckets/bounds follow a drift", bounds_follow_a_drift);
    g_test_add_func("/numbers/buckets/a period in the stream finds no echo",
                    a_period_in_the_stream_finds_no_echo);
    return g_test_run();
}
