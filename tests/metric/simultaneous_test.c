/*
 * simultaneous_test.c - bands over ages: the critical value beside a straight twin, and that they
 * hold all truths at once where pointwise intervals do not.
 */
#include "metric/simultaneous.h"

#include <math.h>
#include <string.h>

#include "metric/scored.h"
#include "testkit.h"

enum { AGES = 8, MAX_UNITS = 800 };

static const struct esp_paired_sums enough = {.n = 100, .n_positive = 50, .n_units = 100};

static double normal(struct test_random *random)
{
    double sum = -6;
    for (int k = 0; k < 12; k++)
        sum += test_random_unit(random);
    return sum;
}

struct world {
    size_t n;
    uint64_t keys[MAX_UNITS];
    double w[MAX_UNITS], d[AGES * MAX_UNITS];
    struct esp_units units;
};

/* Unit u weighs w; its differences at age a have mean 0.1 a w. They hang together over ages by
 * `shared` of their variance. */
static void draw(struct world *world, size_t n, double shared, uint64_t seed)
{
    struct test_random random = {seed};
    world->n = n;
    for (size_t u = 0; u < n; u++) {
        double common = normal(&random);
        world->keys[u] = (seed << 20) + u;
        world->w[u] = 1 + (double)test_random_below(&random, 5);
        for (size_t a = 0; a < AGES; a++) {
            double noise = sqrt(shared) * common + sqrt(1 - shared) * normal(&random);
            world->d[a * n + u] = world->w[u] * (0.1 * (double)a + noise);
        }
    }
    /* units stand by ascending key, and so do w and d here: the keys ascend */
    esp_units_init(&world->units, world->keys, n, NULL);
    esp_units_draw(&world->units, NULL, NULL);
}

static int compare(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

/* Each replicate's |t| from its own count of each unit, by the definition. */
static double twin_critical(const struct world *world)
{
    static double max_t[ESP_REPLICATES];
    memset(max_t, 0, sizeof max_t);
    for (size_t a = 0; a < AGES; a++) {
        double sum_w = 0, sum_d = 0, squares = 0;
        for (size_t u = 0; u < world->n; u++) {
            sum_w += world->w[u];
            sum_d += world->d[a * world->n + u];
        }
        for (size_t u = 0; u < world->n; u++)
            squares += pow(world->d[a * world->n + u] - sum_d / sum_w * world->w[u], 2);
        double deviation = sqrt(squares * (double)world->n / ((double)world->n - 1));
        for (size_t r = 0; r < ESP_REPLICATES; r++) {
            double moved = 0;
            for (size_t u = 0; u < world->n; u++) {
                uint8_t counts[ESP_REPLICATE_BLOCK];
                esp_poisson_counts(world->keys[u], r / ESP_REPLICATE_BLOCK, counts);
                moved += (world->d[a * world->n + u] - sum_d / sum_w * world->w[u]) *
                         (counts[r % ESP_REPLICATE_BLOCK] - 1.0);
            }
            max_t[r] = fmax(max_t[r], fabs(moved) / deviation);
        }
    }
    qsort(max_t, ESP_REPLICATES, sizeof *max_t, compare);
    return max_t[379] + 0.95 * (max_t[380] - max_t[379]); /* place 380.95 of 1..400 */
}

static void test_twin(void)
{
    static struct world world;
    struct esp_figure figures[AGES], again[AGES];
    struct esp_pool *pool = NULL;
    double critical, critical_again;
    draw(&world, 150, 0.5, 61);
    g_assert_cmpint(esp_simultaneous(&world.units, &enough, world.w, world.d, AGES, NULL, figures,
                                     &critical, NULL),
                    ==, ESP_OK);
    assert_close(critical, twin_critical(&world), 1e-11, 0);
    g_assert_cmpfloat(critical, >, 2.2);
    for (size_t a = 0; a < AGES; a++) {
        /* the same value and, but for the critical value, the same width as from sums */
        struct esp_paired_sums sums = {0};
        for (size_t u = 0; u < world.n; u++) {
            struct esp_unit unit = {.n = 2, .n_positive = 1, .w = world.w[u]};
            esp_paired_sums_add(&sums, &unit, world.d[a * world.n + u]);
        }
        struct esp_figure alone = esp_paired_loss(&sums);
        g_assert_true(figures[a].has_interval && alone.has_interval);
        assert_close(figures[a].value, alone.value, 1e-12, 1e-15);
        assert_close((figures[a].high - figures[a].low) / critical,
                     (alone.high - alone.low) / 1.959963984540054, 1e-10, 0);
    }
    g_assert_cmpint(esp_pool_new(3, &pool, NULL), ==, ESP_OK);
    esp_simultaneous(&world.units, &enough, world.w, world.d, AGES, pool, again, &critical_again,
                     NULL);
    g_assert_cmpfloat(critical, ==, critical_again);
    for (size_t a = 0; a < AGES; a++)
        g_assert_cmpfloat(figures[a].low, ==, again[a].low);
    esp_pool_free(pool);
    esp_units_release(&world.units);
}

/* Ages that move as one need no wider a band than one alone does. */
static void test_one_age(void)
{
    static struct world world;
    struct esp_figure figures[AGES];
    double of_one, of_same;
    draw(&world, 800, 1, 62);
    esp_simultaneous(&world.units, &enough, world.w, world.d, 1, NULL, figures, &of_one, NULL);
    esp_simultaneous(&world.units, &enough, world.w, world.d, AGES, NULL, figures, &of_same, NULL);
    assert_close(of_one, 1.96, 0, 0.25); /* the quantile's deviation is about 0.1 */
    g_assert_cmpfloat(of_one, >=, 1.9599);
    assert_close(of_same, of_one, 1e-9, 0);
    esp_units_release(&world.units);
}

struct null_row {
    const char *name;
    size_t n_units;
    uint64_t n, n_positive;
};

static const struct null_row null_rows[] = {
    {"29 positives leave no band", 100, 200, 29},
    {"29 negatives leave no band", 100, 100, 71},
    {"a single unit leaves no band", 1, 200, 100},
};

static void test_null(gconstpointer data)
{
    const struct null_row *row = data;
    static struct world world;
    struct esp_paired_sums sums = {
        .n = row->n, .n_positive = row->n_positive, .n_units = row->n_units};
    struct esp_figure figures[AGES];
    double critical = -1;
    draw(&world, row->n_units, 0.5, 63);
    esp_simultaneous(&world.units, &sums, world.w, world.d, AGES, NULL, figures, &critical, NULL);
    for (size_t a = 0; a < AGES; a++)
        g_assert_true(figures[a].defined && !figures[a].has_interval);
    g_assert_cmpfloat(critical, ==, 0);
    esp_units_release(&world.units);
}

/* Age 0 against itself is 0 in [0, 0], and does not widen the others. Without weight: null. */
static void test_edges(void)
{
    static struct world world;
    struct esp_figure figures[AGES], others[AGES];
    double critical, of_others;
    struct esp_error err = {0};
    draw(&world, 200, 0.5, 64);
    memset(world.d, 0, 200 * sizeof *world.d);
    esp_simultaneous(&world.units, &enough, world.w, world.d, AGES, NULL, figures, &critical, NULL);
    esp_simultaneous(&world.units, &enough, world.w, world.d + 200, AGES - 1, NULL, others,
                     &of_others, NULL);
    g_assert_true(figures[0].has_interval);
    g_assert_cmpfloat(figures[0].low, ==, 0);
    g_assert_cmpfloat(figures[0].high, ==, 0);
    g_assert_cmpfloat(critical, ==, of_others);
    memset(world.w, 0, sizeof world.w);
    esp_simultaneous(&world.units, &enough, world.w, world.d, AGES, NULL, figures, NULL, NULL);
    g_assert_false(figures[0].defined || figures[1].defined);
    free(world.units.counts);
    world.units.counts = NULL;
    g_assert_cmpint(
        esp_simultaneous(&world.units, &enough, world.w, world.d, AGES, NULL, figures, NULL, &err),
        ==, ESP_EINVAL);
    esp_units_release(&world.units);
}

/*
 * Of 600 trials 570 are expected to hold all eight truths at once (deviation 5.3; the bootstrap's
 * critical value adds some); of pointwise intervals, far fewer.
 */
static void test_coverage(void)
{
    enum { N_TRIALS = 600 };
    static struct world world;
    int n_band = 0, n_pointwise = 0;
    for (uint64_t trial = 0; trial < N_TRIALS; trial++) {
        struct esp_figure figures[AGES];
        double critical;
        bool band = true, pointwise = true;
        draw(&world, 300, 0.3, 100 + trial);
        esp_simultaneous(&world.units, &enough, world.w, world.d, AGES, NULL, figures, &critical,
                         NULL);
        for (size_t a = 0; a < AGES; a++) {
            double miss = fabs(figures[a].value - 0.1 * (double)a);
            double half = (figures[a].high - figures[a].low) / 2;
            band &= miss <= half;
            pointwise &= miss <= half / critical * 1.959963984540054;
        }
        n_band += band;
        n_pointwise += pointwise;
        esp_units_release(&world.units);
    }
    g_test_message("%d of %d bands hold, %d of pointwise intervals", n_band, N_TRIALS, n_pointwise);
    g_assert_cmpint(n_band, >=, 548);
    g_assert_cmpint(n_band, <=, 592);
    g_assert_cmpint(n_pointwise, <, 500);
}

int main(int argc, char **argv)
{
    test_start(&argc, &argv);
    g_test_add_func("/simultaneous/the critical value is that of its definition", test_twin);
    g_test_add_func("/simultaneous/ages that move as one need no more than one", test_one_age);
    for (size_t i = 0; i < G_N_ELEMENTS(null_rows); i++) {
        char *path = g_strdup_printf("/simultaneous/null/%s", null_rows[i].name);
        g_test_add_data_func(path, &null_rows[i], test_null);
        g_free(path);
    }
    g_test_add_func("/simultaneous/what never differs has no width", test_edges);
    g_test_add_func("/simultaneous/bands hold all ages at once", test_coverage);
    return g_test_run();
}
