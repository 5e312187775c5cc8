/* holdout_test.c - one window of holdout examples: thinning, labels that come later, memory. */
#include "drift/holdout.h"

#include <math.h>
#include <stdlib.h>

#include "core/hash.h"
#include "testkit.h"

enum { N_SLOTS = 3 };

static const struct esp_drift_config config = {.has_production = {true, false, true}};
static const struct esp_slot slots[N_SLOTS];

static void start(struct esp_holdout *holdout)
{
    g_assert_cmpint(esp_holdout_init(holdout, &config, 5, slots, N_SLOTS, NULL), ==, ESP_OK);
}

/* Example i has the ticket 10 i and carries i in all that is its own. */
static void add(struct esp_holdout *holdout, size_t i, uint64_t unit, bool y)
{
    struct esp_example example = {.ticket = 10 * i, .weight = (double)i, .y = y};
    struct esp_drift_example from = {
        .example = &example, .unit = unit, .production = {i % 7 == 0 ? 2 : 0.25, NAN, NAN}};
    g_assert_cmpint(esp_holdout_add(holdout, &from, true, NULL), ==, ESP_OK);
    for (size_t k = 0; k < N_SLOTS * ESP_N_TASKS; k++)
        holdout->rows[(holdout->n - 1) * N_SLOTS * ESP_N_TASKS + k] = (float)(100 * i + k);
}

/* ---- thinning ---- */

static uint64_t unit_of(size_t i)
{
    return i / 3 % 500; /* units come back */
}

static bool twin_wants(uint64_t unit, double threshold)
{
    uint64_t bits = esp_hash_domain(ESP_DOMAIN_THIN, esp_bytes(&unit, sizeof unit), 0);
    return (double)(bits >> 11) / 9007199254740992.0 < threshold;
}

static void check_example(const struct esp_holdout *holdout, size_t at, size_t i)
{
    g_assert_cmpuint(holdout->tickets[at], ==, 10 * i);
    g_assert_cmpuint(holdout->units[at], ==, unit_of(i));
    g_assert_cmpfloat(holdout->weights[at], ==, (double)i);
    g_assert_cmpint(holdout->y[at], ==, i % 4 == 0);
    g_assert_cmpint(holdout->z[at], ==, i % 4 == 0 ? ESP_Z_WAITS : ESP_Z_NONE);
    g_assert_cmpint(holdout->clips[at], ==, i % 7 == 0);
    g_assert_cmpfloat(fabs(holdout->production[ESP_TASK_CLICK][at] -
                           (i % 7 == 0 ? log((1 - 1e-7) / 1e-7) : log(0.25 / 0.75))),
                      <, 1e-5);
    g_assert_true(isnan(holdout->production[ESP_TASK_INSTALL][at]));
    for (size_t k = 0; k < N_SLOTS * ESP_N_TASKS; k++)
        g_assert_cmpfloat(holdout->rows[at * N_SLOTS * ESP_N_TASKS + k], ==, (float)(100 * i + k));
}

static void thinning_keeps_whole_units_and_all_that_is_theirs(void)
{
    enum { N = 2000, MOST = 900 };
    struct esp_holdout holdout;
    start(&holdout);
    for (size_t i = 0; i < N; i++)
        add(&holdout, i, unit_of(i), i % 4 == 0);
    g_assert_cmpuint(holdout.n_waiting, ==, N / 4);
    esp_holdout_thin(&holdout, MOST);

    double threshold = 1;
    size_t kept = N;
    while (kept >= MOST) {
        threshold /= 2;
        kept = 0;
        for (size_t i = 0; i < N; i++)
            kept += twin_wants(unit_of(i), threshold);
    }
    g_assert_cmpfloat(holdout.threshold, ==, threshold);
    g_assert_cmpfloat(threshold, <, 0.5);
    g_assert_cmpuint(holdout.n, ==, kept);
    g_assert_cmpuint(holdout.n_thinned, ==, N - kept);
    size_t at = 0, n_waiting = 0;
    for (size_t i = 0; i < N && !g_test_failed(); i++) {
        g_assert_cmpint(esp_holdout_wants(&holdout, unit_of(i)), ==,
                        twin_wants(unit_of(i), threshold));
        if (!twin_wants(unit_of(i), threshold))
            continue;
        check_example(&holdout, at++, i);
        n_waiting += i % 4 == 0;
    }
    g_assert_cmpuint(at, ==, kept);
    g_assert_cmpuint(holdout.n_waiting, ==, n_waiting);
    esp_holdout_release(&holdout);
}

static void each_thinning_takes_about_half(void)
{
    struct esp_holdout holdout;
    start(&holdout);
    for (size_t i = 0; i < 4000; i++)
        add(&holdout, i, i, false);
    size_t n = holdout.n;
    for (double threshold = 0.5; threshold > 0.03; threshold /= 2) {
        esp_holdout_thin(&holdout, holdout.n);
        g_assert_cmpfloat(holdout.threshold, ==, threshold);
        g_assert_cmpfloat(fabs((double)holdout.n - (double)n / 2), <, 5 * sqrt((double)n) / 2);
        n = holdout.n;
    }
    g_assert_cmpuint(holdout.n + holdout.n_thinned, ==, 4000);
    esp_holdout_release(&holdout);
}

static void one_unit_alone_is_dropped_rather_than_cut(void)
{
    struct esp_holdout holdout;
    start(&holdout);
    for (size_t i = 0; i < 50; i++)
        add(&holdout, i, 77, i % 2 == 0);
    esp_holdout_thin(&holdout, 50);
    g_assert_cmpuint(holdout.n, ==, 0);
    g_assert_cmpuint(holdout.n_waiting, ==, 0);
    g_assert_cmpuint(holdout.n_thinned, ==, 50);
    g_assert_false(esp_holdout_wants(&holdout, 77));
    esp_holdout_release(&holdout);
}

static void fewer_than_the_bound_stay_as_they_are(void)
{
    struct esp_holdout holdout;
    start(&holdout);
    for (size_t i = 0; i < 50; i++)
        add(&holdout, i, i, false);
    esp_holdout_thin(&holdout, 51);
    g_assert_cmpuint(holdout.n, ==, 50);
    g_assert_cmpfloat(holdout.threshold, ==, 1);
    esp_holdout_release(&holdout);
}

/* ---- install labels ---- */

static void install_labels_find_their_example_by_ticket(void)
{
    struct esp_holdout holdout;
    start(&holdout);
    for (size_t i = 1; i <= 300; i++)
        add(&holdout, i, i, i % 3 != 0);
    g_assert_cmpuint(holdout.n_waiting, ==, 200);
    for (size_t i = 300; i >= 1; i--) { /* in another order than they came */
        g_assert_false(esp_holdout_install(&holdout, 10 * i + 1, true));
        g_assert_cmpint(esp_holdout_install(&holdout, 10 * i, i % 2 == 0), ==, i % 3 != 0);
        g_assert_false(esp_holdout_install(&holdout, 10 * i, true)); /* once only */
    }
    g_assert_cmpuint(holdout.n_waiting, ==, 0);
    for (size_t i = 1; i <= 300; i++)
        g_assert_cmpint(holdout.z[i - 1], ==,
                        i % 3 != 0 && i % 2 == 0 ? ESP_Z_INSTALLED : ESP_Z_NONE);
    g_assert_false(esp_holdout_install(&holdout, 0, true));
    g_assert_false(esp_holdout_install(&holdout, UINT64_MAX, true));
    esp_holdout_release(&holdout);
}

static void a_window_without_examples_has_no_install(void)
{
    struct esp_holdout holdout;
    start(&holdout);
    g_assert_false(esp_holdout_install(&holdout, 0, true));
    esp_holdout_thin(&holdout, 2);
    g_assert_cmpint(esp_holdout_close(&holdout, true, NULL), ==, ESP_OK);
    esp_holdout_release(&holdout);
}

/* ---- closing, memory ---- */

static void closing_turns_rows_into_logits_by_task(void)
{
    struct esp_holdout holdout;
    start(&holdout);
    for (size_t i = 0; i < 100; i++)
        add(&holdout, i, i, i % 4 == 0);
    g_assert_cmpint(esp_holdout_close(&holdout, true, NULL), ==, ESP_OK);
    g_assert_null(holdout.rows);
    g_assert_false(holdout.scoring);
    g_assert_cmpuint(holdout.n_clicked, ==, 25);
    for (size_t s = 0; s < N_SLOTS; s++)
        for (size_t i = 0; i < 100; i++) {
            size_t k = s * ESP_N_TASKS;
            g_assert_cmpfloat(holdout.logits[ESP_TASK_CLICK][s * 100 + i], ==,
                              (float)(100 * i + k + ESP_TASK_CLICK));
            g_assert_cmpfloat(holdout.logits[ESP_TASK_INSTALL][s * 100 + i], ==,
                              (float)(100 * i + k + ESP_TASK_INSTALL));
            if (i % 4 == 0)
                g_assert_cmpfloat(holdout.logits[ESP_TASK_INSTALL_GIVEN_CLICK][s * 25 + i / 4], ==,
                                  (float)(100 * i + k + ESP_TASK_INSTALL_GIVEN_CLICK));
        }
    esp_holdout_release(&holdout);
}

static void bytes_are_those_of_the_arrays(void)
{
    struct esp_holdout holdout;
    start(&holdout);
    g_assert_cmpuint(esp_holdout_bytes(&holdout), ==, 0);
    for (size_t i = 0; i < 257; i++) /* grows once: 512 places */
        add(&holdout, i, i, i < 100);
    /* unit, ticket, weight, y, z, clips; scores of two tasks; logits of three tasks a slot */
    uint64_t fixed = 512 * (8 + 8 + 8 + 3 + 2 * 4);
    g_assert_cmpuint(esp_holdout_bytes(&holdout), ==, fixed + 512 * N_SLOTS * 3 * 4);
    g_assert_cmpint(esp_holdout_close(&holdout, true, NULL), ==, ESP_OK);
    g_assert_cmpuint(esp_holdout_bytes(&holdout), ==,
                     fixed + N_SLOTS * 4 * (uint64_t)(257 + 100 + 257));
    free(holdout.logits[ESP_TASK_CLICK]);
    holdout.logits[ESP_TASK_CLICK] = NULL; /* as if evaluated */
    g_assert_cmpuint(esp_holdout_bytes(&holdout), ==, fixed + N_SLOTS * 4 * (uint64_t)(100 + 257));
    esp_holdout_release(&holdout);
}

static void without_installs_only_clicks_are_kept(void)
{
    struct esp_holdout holdout;
    start(&holdout);
    struct esp_example example = {.ticket = 1, .weight = 1, .y = true};
    struct esp_drift_example from = {.example = &example, .production = {NAN, NAN, NAN}};
    g_assert_cmpint(esp_holdout_add(&holdout, &from, false, NULL), ==, ESP_OK);
    g_assert_cmpuint(holdout.n_waiting, ==, 0);
    g_assert_cmpint(esp_holdout_close(&holdout, false, NULL), ==, ESP_OK);
    g_assert_nonnull(holdout.logits[ESP_TASK_CLICK]);
    g_assert_null(holdout.logits[ESP_TASK_INSTALL]);
    g_assert_null(holdout.logits[ESP_TASK_INSTALL_GIVEN_CLICK]);
    esp_holdout_release(&holdout);
}

int main(int argc, char **argv)
{
    test_start(&argc, &argv);
    g_test_add_func("/holdout/thinning keeps whole units and all that is theirs",
                    thinning_keeps_whole_units_and_all_that_is_theirs);
    g_test_add_func("/holdout/each thinning takes about half", each_thinning_takes_about_half);
    g_test_add_func("/holdout/one unit alone is dropped rather than cut",
                    one_unit_alone_is_dropped_rather_than_cut);
    g_test_add_func("/holdout/fewer than the bound stay as they are",
                    fewer_than_the_bound_stay_as_they_are);
    g_test_add_func("/holdout/install labels find their example by ticket",
                    install_labels_find_their_example_by_ticket);
    g_test_add_func("/holdout/a window without examples has no install",
                    a_window_without_examples_has_no_install);
    g_test_add_func("/holdout/closing turns rows into logits by task",
                    closing_turns_rows_into_logits_by_task);
    g_test_add_func("/holdout/bytes are those of the arrays", bytes_are_those_of_the_arrays);
    g_test_add_func("/holdout/without installs only clicks are kept",
                    without_installs_only_clicks_are_kept);
    return g_test_run();
}
