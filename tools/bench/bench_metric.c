/*
 * bench_metric.c - what the figures of one drift window cost, by part.
 *
 * Examples as a holdout of negatives sampled at r = 0.1 has them: a third positive, users of two
 * impressions on average, logits of 10 ages that differ a little; 2 tasks (the second rarer). One
 * thread; time is the thread's own. Median of the runs.
 */
#include "bench.h"

#include <argp.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/hash.h"
#include "metric/scored.h"

enum { AGES = 10, TASKS = 2, MAX_RUNS = 99 };
enum part { UNITS, COUNTS, SUMS, AREAS, N_PARTS };

struct options {
    size_t n, n_runs;
};

struct window {
    size_t n;
    uint64_t *keys;
    uint8_t *labels[TASKS];
    double *weights;
    float *logits[AGES];
};

static double now_ms(void)
{
    struct timespec time;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return 1e3 * (double)time.tv_sec + 1e-6 * (double)time.tv_nsec;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Normal enough: the sum of four uniforms, deviation 1. */
static double noise(uint64_t *state)
{
    double sum = -2;
    for (int i = 0; i < 4; i++)
        sum += esp_unit_of_bits(*state = esp_mix64(*state));
    return sum * sqrt(3);
}

static void window_free(struct window *window)
{
    free(window->keys);
    free(window->weights);
    for (int task = 0; task < TASKS; task++)
        free(window->labels[task]);
    for (int age = 0; age < AGES; age++)
        free(window->logits[age]);
}

static bool window_make(struct window *window, size_t n)
{
    uint64_t state = 1;
    *window = (struct window){.n = n};
    bool ok = (window->keys = calloc(n, sizeof *window->keys)) != NULL &&
              (window->weights = calloc(n, sizeof *window->weights)) != NULL;
    for (int task = 0; task < TASKS && ok; task++)
        ok = (window->labels[task] = calloc(n, 1)) != NULL;
    for (int age = 0; age < AGES && ok; age++)
        ok = (window->logits[age] = calloc(n, sizeof *window->logits[age])) != NULL;
    for (size_t i = 0; i < n && ok; i++) {
        bool y = esp_unit_of_bits(state = esp_mix64(state)) < 1.0 / 3;
        double logit = -3 + noise(&state) + y;
        window->keys[i] = esp_mix64((state = esp_mix64(state)) % (n / 2 + 1));
        window->labels[0][i] = y;
        window->labels[1][i] = y && i % 10 == 0;
        window->weights[i] = y ? 1 : 10;
        for (int age = 0; age < AGES; age++)
            window->logits[age][i] = (float)(logit + 0.02 * age * noise(&state));
    }
    return ok;
}

/* All figures of the window once; ms (N_PARTS) is added to. */
static bool measure(const struct window *window, double *ms)
{
    struct esp_units units;
    double begin = now_ms(), end;
    enum esp_status status = esp_units_init(&units, window->keys, window->n, NULL);
    ms[UNITS] = (end = now_ms()) - begin;
    if (status == ESP_OK)
        status = esp_units_draw(&units, NULL, NULL);
    ms[COUNTS] = now_ms() - end;
    ms[SUMS] = ms[AREAS] = 0;
    for (int i = 0; i < TASKS * AGES && status == ESP_OK; i++) {
        struct esp_scored scored = {.n = window->n,
                                    .logits = window->logits[i % AGES],
                                    .labels = window->labels[i / AGES],
                                    .weights = window->weights,
                                    .reference = window->logits[0]};
        struct esp_task_sums sums;
        struct esp_paired_sums paired;
        struct esp_figure roc, pr;
        begin = now_ms();
        status = esp_scored_sums(&units, &scored, &sums, &paired, NULL);
        ms[SUMS] += (end = now_ms()) - begin;
        if (status == ESP_OK)
            status = esp_scored_areas(&units, &scored, NULL, &roc, &pr, NULL);
        ms[AREAS] += now_ms() - end;
    }
    esp_units_release(&units);
    return status == ESP_OK;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct options *options = state->input;
    char *end = NULL;
    if (key != 'n' && key != 'r')
        return ARGP_ERR_UNKNOWN;
    unsigned long value = strtoul(arg, &end, 10);
    if (end == arg || *end != 0 || value == 0 || value > (key == 'n' ? 10000000 : MAX_RUNS))
        argp_error(state, "%s: choose a whole number above 0", arg);
    *(key == 'n' ? &options->n : &options->n_runs) = value;
    return 0;
}

int bench_metric(int argc, char **argv)
{
    static const struct argp_option table[] = {
        {"examples", 'n', "N", 0, "examples of the window (20000)", 0},
        {"runs", 'r', "N", 0, "of which the median is told (5)", 0},
        {0},
    };
    static const struct argp argp = {
        .options = table,
        .parser = parse,
        .doc = "The figures of a drift window: 10 ages, 2 tasks, 400 replicates, one thread."};
    static const char *const names[] = {"units", "counts", "sums", "areas"};
    struct options options = {20000, 5};
    struct window window;
    double ms[N_PARTS][MAX_RUNS], run[N_PARTS], total = 0;
    if (argp_parse(&argp, argc, argv, 0, NULL, &options) != 0)
        return 64;
    bool ok = window_make(&window, options.n);
    for (size_t i = 0; i < options.n_runs && ok; i++) {
        ok = measure(&window, run);
        for (int part = 0; part < N_PARTS; part++)
            ms[part][i] = run[part];
    }
    for (int part = 0; part < N_PARTS && ok; part++) {
        qsort(ms[part], options.n_runs, sizeof(double), by_value);
        printf("metric_window_%s_ms %.1f ms\n", names[part], ms[part][options.n_runs / 2]);
        total += ms[part][options.n_runs / 2];
    }
    if (ok)
        printf("metric_window_ms %.1f ms\n", total);
    else
        fprintf(stderr, "espalier-bench: out of memory\n");
    window_free(&window);
    return ok ? 0 : 75;
}
