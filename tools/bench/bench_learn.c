/*
 * bench_learn.c - examples a second of the learner alone, its features already extracted.
 *
 * 16 features, width 16, layers 128-64, heads 32, batch 512: set-up ipsp on click-stage rows with
 * Zipf keys, on one thread unless asked. In the same run OpenBLAS' sgemm is timed on a large
 * square, and its rate gives the ideal: the step's multiplications alone, at that speed.
 */
#include "bench.h"

#include <argp.h>
#include <cblas.h>
#include <math.h>
#include <time.h>

#include "core/hash.h"
#include "core/timespan.h"
#include "learn/learner.h"
#include "model/product.h"

enum { N_FEATURES = 16, N_SGEMM = 1024, MAX_RUNS = 99, CHUNK = 256 };

struct options {
    size_t n_examples, n_runs, n_threads, slice, batch;
    int setup; /* enum esp_setup_id */
};

/* A run's input, made before the clock starts. */
struct input {
    struct esp_example *examples;
    struct esp_feature_batch *chunks;
    size_t n_chunks;
};

static double seconds_of(clockid_t clock)
{
    struct timespec time;
    clock_gettime(clock, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* A value of 0 .. n-1 with P(k) about (k + 1)^-1.1, from a uniform number. */
static uint64_t zipf(double u, double n)
{
    double k = pow(1 - u * (1 - pow(n + 1, -0.1)), -10) - 1;
    return k < n - 1 ? (uint64_t)k : (uint64_t)n - 1;
}

static int make_chunk(struct input *input, size_t c)
{
    static const double SIZES[N_FEATURES] = {7,     24,    60,     200,   500,   900,
                                             1500,  2000,  2500,   3000,  10000, 20000,
                                             50000, 80000, 120000, 200000};
    uint32_t begin[N_FEATURES + 1];
    uint64_t keys[N_FEATURES];
    float coefficients[N_FEATURES];
    struct esp_feature_batch row = {N_FEATURES, 1, 1, begin, keys, coefficients, N_FEATURES};
    esp_feature_batch_init(&input->chunks[c], N_FEATURES);
    for (size_t i = c * CHUNK; i < (c + 1) * CHUNK; i++) {
        for (uint32_t f = 0; f < N_FEATURES; f++) {
            double u = esp_unit_of_bits(esp_mix64(i * N_FEATURES + f));
            begin[f] = f;
            keys[f] = esp_mix64((uint64_t)f << 32 | zipf(u, SIZES[f])) | 1;
            coefficients[f] = 1;
        }
        begin[N_FEATURES] = N_FEATURES;
        if (esp_feature_batch_copy_row(&input->chunks[c], &row, 0, NULL) != ESP_OK)
            return 75;
        bool y = esp_mix64(i) % 20 == 0;
        input->examples[i] = (struct esp_example){.due_us = (int64_t)i * ESP_MS,
                                                  .impression_us = (int64_t)i * ESP_MS,
                                                  .ticket = i,
                                                  .weight = 1,
                                                  .base_weight = 1,
                                                  .stage = ESP_STAGE_CLICK,
                                                  .y = y};
    }
    return 0;
}

static int make_input(struct input *input, size_t n_examples)
{
    input->n_chunks = (n_examples + CHUNK - 1) / CHUNK;
    input->examples = calloc(input->n_chunks * CHUNK, sizeof(*input->examples));
    input->chunks = calloc(input->n_chunks, sizeof(*input->chunks));
    int code = input->examples && input->chunks ? 0 : 75;
    for (size_t c = 0; c < input->n_chunks && code == 0; c++)
        code = make_chunk(input, c);
    return code;
}

static void free_input(struct input *input)
{
    for (size_t c = 0; c < input->n_chunks; c++)
        esp_feature_batch_release(&input->chunks[c]);
    free(input->chunks);
    free(input->examples);
}

static struct esp_learner_config make_config(const struct options *options)
{
    static const char *const NAMES[N_FEATURES] = {"f0",  "f1",  "f2",  "f3", "f4",  "f5",
                                                  "f6",  "f7",  "f8",  "f9", "f10", "f11",
                                                  "f12", "f13", "f14", "f15"};
    struct esp_optimizer_config adagrad = {
        .kind = ESP_ADAGRAD, .rate = 0.05, .initial = 0.1, .epsilon = 1e-10};
    return (struct esp_learner_config){.model = {.name = "bench",
                                                 .setup = (enum esp_setup_id)options->setup,
                                                 .width = 16,
                                                 .layers = {128, 64},
                                                 .n_layers = 2,
                                                 .head_layers = {32},
                                                 .n_head_layers = 1,
                                                 .batch = options->batch,
                                                 .slice = options->slice,
                                                 .dense = adagrad,
                                                 .sparse = adagrad,
                                                 .init = 0.01,
                                                 .admit_after = 1,
                                                 .table_bytes = UINT64_C(1) << 30,
                                                 .keep = 1},
                                       .feature_names = NAMES,
                                       .n_features = N_FEATURES,
                                       .has_installs = true,
                                       .window_us = ESP_HOUR,
                                       .windows_kept = 2};
}

/* What one pass took. */
struct pass {
    size_t n_examples;
    double wall_seconds, cpu_seconds; /* of all threads */
};

/* One pass over the input with a fresh learner; the first tenth, in which the table grows, is not
 * timed. False: it failed and was reported. */
static bool time_pass(const struct options *options, struct esp_pool *pool,
                      const struct input *input, struct pass *out)
{
    struct esp_learner_config config = make_config(options);
    struct esp_error err = {0};
    struct esp_learner *learner = NULL;
    enum esp_status status = esp_learner_new(&config, pool, &learner, &err);
    double wall = 0, cpu = 0;
    size_t first = input->n_chunks / 10;
    for (size_t c = 0; c < input->n_chunks && status == ESP_OK; c++) {
        if (c == first) {
            wall = seconds_of(CLOCK_MONOTONIC);
            cpu = seconds_of(CLOCK_PROCESS_CPUTIME_ID);
        }
        status =
            esp_learner_take(learner, input->examples + c * CHUNK, CHUNK, &input->chunks[c], &err);
    }
    *out = (struct pass){(input->n_chunks - first) * CHUNK, seconds_of(CLOCK_MONOTONIC) - wall,
                         seconds_of(CLOCK_PROCESS_CPUTIME_ID) - cpu};
    esp_learner_free(learner);
    if (status != ESP_OK)
        fprintf(stderr, "espalier-bench: %s\n", err.text);
    return status == ESP_OK;
}

/* GFLOP a CPU second on a large square: what OpenBLAS reaches here and now. */
static double time_sgemm(float *memory)
{
    size_t n = (size_t)N_SGEMM * N_SGEMM;
    const float *a = memory, *b = memory + n;
    float *c = memory + 2 * n;
    double start = seconds_of(CLOCK_PROCESS_CPUTIME_ID);
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, N_SGEMM, N_SGEMM, N_SGEMM, 1, a, N_SGEMM,
                b, N_SGEMM, 0, c, N_SGEMM);
    return 2e-9 * N_SGEMM * (double)n / (seconds_of(CLOCK_PROCESS_CPUTIME_ID) - start);
}

static int measure(const struct options *options, const struct input *input, struct esp_pool *pool)
{
    double rates[MAX_RUNS], cpu_rates[MAX_RUNS], gflops[MAX_RUNS];
    float *memory = malloc(3 * sizeof(float) * N_SGEMM * N_SGEMM);
    if (!memory)
        return 75;
    for (size_t i = 0; i < (size_t)3 * N_SGEMM * N_SGEMM; i++)
        memory[i] = (float)(i % 17) / 17;
    openblas_set_num_threads(1);
    time_sgemm(memory);
    int code = 0;
    for (size_t r = 0; r < options->n_runs && code == 0; r++) {
        struct pass pass;
        gflops[r] = time_sgemm(memory);
        code = time_pass(options, pool, input, &pass) ? 0 : 70;
        rates[r] = (double)pass.n_examples / pass.wall_seconds;
        cpu_rates[r] = (double)pass.n_examples / pass.cpu_seconds;
    }
    free(memory);
    if (code != 0)
        return code;
    size_t middle = options->n_runs / 2;
    qsort(rates, options->n_runs, sizeof(*rates), by_value);
    qsort(cpu_rates, options->n_runs, sizeof(*cpu_rates), by_value);
    qsort(gflops, options->n_runs, sizeof(*gflops), by_value);
    /* multiply-adds of the layers, each forward, to the inputs and to the weights */
    double flops = 3 * 2 * (256.0 * 128 + 128 * 64 + 2 * (64 * 32 + 32));
    double ideal = gflops[middle] * 1e9 / flops;
    printf("learn_examples_per_second %.0f 1/s\n", rates[middle]);
    printf("learn_examples_per_cpu_second %.0f 1/s\n", cpu_rates[middle]);
    printf("learn_slowest_run %.0f 1/s\n", rates[0]);
    printf("learn_fastest_run %.0f 1/s\n", rates[options->n_runs - 1]);
    printf("learn_flops_per_example %.0f FLOP\n", flops);
    printf("learn_sgemm %.1f GFLOP/s\n", gflops[middle]);
    printf("learn_sgemm_core %s core\n", openblas_get_corename());
    printf("learn_kernels %s name\n", esp_product_kernels());
    printf("learn_ratio_to_sgemm_bound %.3f 1\n", cpu_rates[middle] / ideal);
    return 0;
}

static error_t parse(int key, char *text, struct argp_state *state)
{
    struct options *options = state->input;
    unsigned long n = text ? strtoul(text, NULL, 10) : 0;
    switch (key) {
    case 'n':
        options->n_examples = n > 1000 ? n : 1000;
        return 0;
    case 'r':
        options->n_runs = n >= 1 && n <= MAX_RUNS ? n : 5;
        return 0;
    case 't':
        options->n_threads = n >= 1 ? n : 1;
        return 0;
    case 's':
        options->slice = n;
        return 0;
    case 'b':
        options->batch = n;
        return 0;
    case 'u':
        for (options->setup = 0; options->setup < ESP_N_SETUPS; options->setup++)
            if (strcmp(text, esp_setup_get((enum esp_setup_id)options->setup)->name) == 0)
                return 0;
        argp_error(state, "no set-up is named %s", text);
        return EINVAL;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

int bench_learn(int argc, char **argv)
{
    static const struct argp_option OPTIONS[] = {
        {"examples", 'n', "N", 0, "examples a run (default 400000)", 0},
        {"runs", 'r', "N", 0, "runs; the median is given (default 5)", 0},
        {"threads", 't', "N", 0, "threads of the pool (default 1)", 0},
        {"slice", 's', "ROWS", 0, "rows computed at a time (default 128)", 0},
        {"batch", 'b', "ROWS", 0, "rows a step (default 512)", 0},
        {"setup", 'u', "NAME", 0, "a set-up that learns at the click stage (default ipsp)", 0},
        {0}};
    static const struct argp ARGP = {OPTIONS, parse, NULL, "the learner alone", NULL, NULL, NULL};
    struct options options = {400000, 5, 1, 128, 512, ESP_SETUP_IPSP};
    if (argp_parse(&ARGP, argc, argv, 0, NULL, &options) != 0)
        return 64;
    struct input input = {0};
    struct esp_pool *pool = NULL;
    struct esp_error err = {0};
    int code = make_input(&input, options.n_examples);
    if (code == 0 && esp_pool_new(options.n_threads, &pool, &err) != ESP_OK)
        code = esp_status_exit_code(err.status);
    if (code == 0)
        code = measure(&options, &input, pool);
    esp_pool_free(pool);
    free_input(&input);
    return code;
}
