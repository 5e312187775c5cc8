/* units.c - see units.h. */
#include "metric/units.h"

#include <stdlib.h>

#include "core/hash.h"
#include "core/vectorised.h"

/*
 * round(2^16 P(N <= k)), k = 0..7, for N ~ Poisson(1): 16 uniform bits pass as many of these as the
 * unit counts. The mean of what they give is 1 exactly: sum of (2^16 - them) is 2^16.
 */
static const uint16_t thresholds[] = {24109, 48219, 60273, 64292, 65296, 65497, 65531, 65535};
enum { N_THRESHOLDS = sizeof thresholds / sizeof thresholds[0] };

struct keyed {
    uint64_t key;
    uint32_t example;
};

static int compare_keyed(const void *left, const void *right)
{
    const struct keyed *a = left, *b = right;
    return (a->key > b->key) - (a->key < b->key);
}

/* Numbers the runs of equal keys. sorted (n) */
static void number_units(struct esp_units *units, const struct keyed *sorted, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (i == 0 || sorted[i].key != sorted[i - 1].key)
            units->keys[units->n_units++] = sorted[i].key;
        units->unit_of[sorted[i].example] = (uint32_t)(units->n_units - 1);
    }
}

enum esp_status esp_units_init(struct esp_units *units, const uint64_t *keys, size_t n,
                               struct esp_error *err)
{
    enum esp_status status = ESP_OK;
    *units = (struct esp_units){0};
    if (n > UINT32_MAX)
        return esp_fail(err, ESP_ELIMIT, "%zu examples in one window; make windows shorter", n);
    struct keyed *sorted = calloc(n + 1, sizeof *sorted);
    units->keys = calloc(n + 1, sizeof *units->keys);
    units->unit_of = calloc(n + 1, sizeof *units->unit_of);
    if (sorted == NULL || units->keys == NULL || units->unit_of == NULL) {
        status = esp_fail(err, ESP_ENOMEM, "out of memory for the units of %zu examples", n);
        esp_units_release(units);
        goto out;
    }
    for (size_t i = 0; i < n; i++)
        sorted[i] = (struct keyed){keys[i], (uint32_t)i};
    qsort(sorted, n, sizeof *sorted, compare_keyed);
    number_units(units, sorted, n);
    units->n_examples = n;
out:
    free(sorted);
    return status;
}

void esp_units_release(struct esp_units *units)
{
    free(units->unit_of);
    free(units->keys);
    free(units->counts);
    *units = (struct esp_units){0};
}

ESP_INLINE void count_block(uint64_t key, size_t block, uint8_t counts[ESP_REPLICATE_BLOCK])
{
    /* splitmix64's stream from the key's hash; each number has the bits of four counts */
    uint64_t state = esp_hash_domain(ESP_DOMAIN_BOOTSTRAP, esp_bytes(&key, sizeof key), 0);
    uint16_t bits[ESP_REPLICATE_BLOCK];
    state += block * (ESP_REPLICATE_BLOCK / 4) * UINT64_C(0x9e3779b97f4a7c15);
    for (size_t i = 0; i < ESP_REPLICATE_BLOCK; i += 4) {
        uint64_t number = esp_mix64(state);
        state += UINT64_C(0x9e3779b97f4a7c15);
        for (size_t j = 0; j < 4; j++)
            bits[i + j] = (uint16_t)(number >> (16 * j));
    }
    for (size_t i = 0; i < ESP_REPLICATE_BLOCK; i++) {
        uint8_t count = 0;
        for (size_t k = 0; k < N_THRESHOLDS; k++)
            count = (uint8_t)(count + (bits[i] >= thresholds[k]));
        counts[i] = count;
    }
}

void esp_poisson_counts(uint64_t key, size_t block, uint8_t counts[ESP_REPLICATE_BLOCK])
{
    count_block(key, block, counts);
}

ESP_VECTORISED static void draw_block(struct esp_units *units, size_t block)
{
    uint8_t *counts = units->counts + block * units->n_units * ESP_REPLICATE_BLOCK;
    for (size_t u = 0; u < units->n_units; u++)
        count_block(units->keys[u], block, counts + u * ESP_REPLICATE_BLOCK);
}

static void draw_task(void *context, size_t task, size_t worker)
{
    (void)worker;
    draw_block(context, task);
}

enum esp_status esp_units_draw(struct esp_units *units, struct esp_pool *pool,
                               struct esp_error *err)
{
    if (units->counts != NULL)
        return ESP_OK;
    units->counts = calloc(units->n_units + 1, ESP_REPLICATES);
    if (units->counts == NULL)
        return esp_fail(err, ESP_ENOMEM, "out of memory for %d replicates of %zu units",
                        ESP_REPLICATES, units->n_units);
    esp_pool_run(pool, ESP_N_REPLICATE_BLOCKS, draw_task, units);
    return ESP_OK;
}

static int compare_doubles(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

double esp_quantile(double *values, size_t n, double share)
{
    qsort(values, n, sizeof *values, compare_doubles);
    double place = ((double)n + 1) * share;
    if (!(place > 1))
        return values[0];
    if (place >= (double)n)
        return values[n - 1];
    size_t below = (size_t)place;
    double part = place - (double)below;
    return values[below - 1] + part * (values[below] - values[below - 1]);
}
