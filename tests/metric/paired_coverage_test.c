/*
 * paired_coverage_test.c - 95 % intervals of a holdout's paired loss differences hold the truth.
 *
 * A window has 20,000 impressions or more, of users; two fixed models predict them. A tenth of the
 * users is held out, negatives are kept with r and weighted by 1 / r, labels are drawn; the truth
 * is the mean expected difference of the losses over all impressions of the window, held out or
 * not. Users and impressions are of 8 kinds each, so it is a sum of 64 terms.
 *
 * At least 70 positives are expected in each holdout. Of 2,000 windows 1,900 are expected to hold;
 * 9.7 is the deviation of that count. Bounds are 93 and 97 %.
 */
#include <math.h>

#include "metric/scored.h"
#include "testkit.h"

enum { N_KINDS = 8, N_WINDOWS = 2000, MAX_EXAMPLES = 8000 };

struct row {
    const char *name;
    size_t n_impressions; /* of a window */
    double extra;         /* impressions of a user beyond the first, on average */
    double keep;          /* r */
    bool naive_fails;     /* intervals that take each example as a unit are too narrow */
};

static const struct row rows[] = {
    {"one impression a user, every negative kept", 20000, 0, 1, false},
    {"one impression a user, r = 0.1", 20000, 0, 0.1, false},
    {"users of 5 impressions, r = 0.1", 20000, 4, 0.1, false},
    {"users of 10 impressions, r = 0.2", 60000, 9, 0.2, true},
};

/* What is known of a kind of user and of impression. */
struct cell {
    double p, difference; /* P(click), expected difference of the losses */
    float logit, reference;
};

struct window {
    size_t n, n_positive;
    uint64_t keys[MAX_EXAMPLES];
    uint8_t labels[MAX_EXAMPLES];
    double weights[MAX_EXAMPLES];
    float logits[MAX_EXAMPLES], references[MAX_EXAMPLES];
    double truth;
};

/* The reference is near the truth; the model has lost what it knew of users, and is too high. */
static void make_cells(struct cell cells[N_KINDS][N_KINDS])
{
    for (int user = 0; user < N_KINDS; user++) {
        for (int kind = 0; kind < N_KINDS; kind++) {
            struct cell *cell = &cells[user][kind];
            double of_user = 0.7 * (user - 3.5), of_kind = 0.3 * (kind - 3.5);
            double p = 1 / (1 + exp(-(-4.4 + of_user + of_kind)));
            cell->p = p;
            cell->logit = (float)(-3.6 + 0.1 * of_user + 0.8 * of_kind);
            cell->reference = (float)(-4.4 + 0.9 * of_user + of_kind);
            cell->difference = p * (log1p(exp(-cell->logit)) - log1p(exp(-cell->reference))) +
                               (1 - p) * (log1p(exp(cell->logit)) - log1p(exp(cell->reference)));
        }
    }
}

static void add_example(struct window *window, const struct row *row, const struct cell *cell,
                        uint64_t user, struct test_random *random)
{
    bool y = test_random_unit(random) < cell->p;
    size_t i = window->n;
    if (!y && test_random_unit(random) >= row->keep)
        return;
    window->n++;
    window->n_positive += y;
    window->keys[i] = user;
    window->labels[i] = y;
    window->weights[i] = y ? 1 : 1 / row->keep;
    window->logits[i] = cell->logit;
    window->references[i] = cell->reference;
}

static void draw_window(struct window *window, const struct row *row,
                        const struct cell cells[N_KINDS][N_KINDS], struct test_random *random)
{
    double sum = 0;
    size_t n = 0;
    window->n = window->n_positive = 0;
    for (uint64_t user = 0; n < row->n_impressions; user++) {
        const struct cell *of_user = cells[test_random_below(random, N_KINDS)];
        bool is_held_out = test_random_unit(random) < 0.1;
        do {
            const struct cell *cell = &of_user[test_random_below(random, N_KINDS)];
            sum += cell->difference;
            if (is_held_out && window->n < MAX_EXAMPLES)
                add_example(window, row, cell, user, random);
            n++;
        } while (test_random_unit(random) < row->extra / (1 + row->extra));
    }
    window->truth = sum / (double)n;
}

/* 1: the interval holds the truth; 0: it does not, or there is none. */
static int holds(const struct window *window, const uint64_t *keys)
{
    struct esp_units units;
    struct esp_task_sums sums;
    struct esp_paired_sums paired;
    struct esp_scored scored = {.n = window->n,
                                .logits = window->logits,
                                .labels = window->labels,
                                .weights = window->weights,
                                .reference = window->references};
    esp_units_init(&units, keys, window->n, NULL);
    esp_scored_sums(&units, &scored, &sums, &paired, NULL);
    esp_units_release(&units);
    struct esp_figure figure = esp_paired_loss(&paired);
    return figure.has_interval && figure.low <= window->truth && window->truth <= figure.high;
}

static void test_row(gconstpointer data)
{
    const struct row *row = data;
    struct cell cells[N_KINDS][N_KINDS];
    static struct window window;
    static uint64_t each[MAX_EXAMPLES];
    int n_held = 0, n_naive = 0;
    double n_positive = 0;
    make_cells(cells);
    for (size_t i = 0; i < MAX_EXAMPLES; i++)
        each[i] = i;
    for (uint64_t seed = 0; seed < N_WINDOWS; seed++) {
        struct test_random random = {(seed + 1) * UINT64_C(0xd1342543de82ef95)};
        draw_window(&window, row, cells, &random);
        g_assert_cmpuint(window.n, <, MAX_EXAMPLES);
        n_held += holds(&window, window.keys);
        n_naive += holds(&window, each);
        n_positive += (double)window.n_positive / N_WINDOWS;
    }
    g_test_message("%d of %d hold, %d with each example a unit; %.0f positives", n_held, N_WINDOWS,
                   n_naive, n_positive);
    g_assert_cmpfloat(n_positive, >, 60);
    g_assert_cmpint(n_held, >=, N_WINDOWS * 93 / 100);
    g_assert_cmpint(n_held, <=, N_WINDOWS * 97 / 100);
    if (row->naive_fails)
        g_assert_cmpint(n_naive, <, N_WINDOWS * 93 / 100);
}

int main(int argc, char **argv)
{
    test_start(&argc, &argv);
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        char *path = g_strdup_printf("/paired-coverage/%s", rows[i].name);
        g_test_add_data_func(path, &rows[i], test_row);
        g_free(path);
    }
    return g_test_run();
}
