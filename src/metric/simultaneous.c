/* simultaneous.c - see simultaneous.h. */
#include "metric/simultaneous.h"

#include <math.h>
#include <stdlib.h>

#include "metric/figure.h"
#include "metric/lanes.h"

enum { R = ESP_REPLICATE_BLOCK };

struct band {
    const struct esp_units *units;
    const double *w, *d; /* (n_units), (A, n_units) */
    size_t A;
    double total;                 /* sum of w */
    double *value;                /* (A) the differences */
    double *deviation;            /* (A) of their numerators */
    double max_t[ESP_REPLICATES]; /* the largest |t| over the differences */
};

/* Values and deviations, from influences e = d - value w. Returns the number of units with weight.
 */
static size_t estimate(struct band *band)
{
    size_t U = band->units->n_units, n = 0;
    for (size_t u = 0; u < U; u++) {
        band->total += band->w[u];
        n += band->w[u] > 0;
    }
    for (size_t a = 0; a < band->A; a++) {
        const double *d = band->d + a * U;
        double sum = 0, squares = 0;
        for (size_t u = 0; u < U; u++)
            sum += d[u];
        double value = sum / band->total;
        for (size_t u = 0; u < U; u++) {
            double e = d[u] - value * band->w[u];
            squares += e * e;
        }
        band->value[a] = value;
        band->deviation[a] = n < 2 ? 0 : sqrt(squares * (double)n / (double)(n - 1));
    }
    return n;
}

/* sum (R) of influences x (counts - 1) over units, by replicate */
ESP_VECTORISED static void perturb(const double *d, const double *w, double value,
                                   const uint8_t *counts, size_t U, double sum[R])
{
    esp_doubles low = {0}, high = {0};
    double once = 0; /* sum of the influences: 0 but for rounding */
    for (size_t u = 0; u < U; u++) {
        double e = d[u] - value * w[u];
        once += e;
        esp_add_weighted(&low, e, counts + u * R);
        esp_add_weighted(&high, e, counts + u * R + 8);
    }
    *(esp_doubles *)sum = low - once;
    *(esp_doubles *)(sum + 8) = high - once;
}

static void band_task(void *context, size_t block, size_t worker)
{
    struct band *band = context;
    size_t U = band->units->n_units;
    const uint8_t *counts = band->units->counts + block * U * R;
    double *max_t = band->max_t + block * R, sum[R];
    (void)worker;
    for (size_t a = 0; a < band->A; a++) {
        if (!(band->deviation[a] > 0))
            continue;
        perturb(band->d + a * U, band->w, band->value[a], counts, U, sum);
        for (size_t r = 0; r < R; r++)
            max_t[r] = fmax(max_t[r], fabs(sum[r]) / band->deviation[a]);
    }
}

/* Writes the figures; critical 0: without intervals. */
static void write_figures(const struct band *band, double critical, struct esp_figure *out)
{
    for (size_t a = 0; a < band->A; a++) {
        out[a] = esp_figure_of(band->value[a]);
        double half = critical * band->deviation[a] / band->total;
        out[a].has_interval = out[a].defined && critical > 0 && isfinite(half);
        if (out[a].has_interval) {
            out[a].low = band->value[a] - half;
            out[a].high = band->value[a] + half;
        }
    }
}

enum esp_status esp_simultaneous(const struct esp_units *units, const struct esp_paired_sums *sums,
                                 const double *w, const double *d, size_t A, struct esp_pool *pool,
                                 struct esp_figure *out, double *critical, struct esp_error *err)
{
    enum esp_status status = ESP_OK;
    double quantile = 0;
    struct band band = {.units = units, .w = w, .d = d, .A = A};
    if (units->counts == NULL)
        return esp_fail(err, ESP_EINVAL, "simultaneous intervals of units without counts");
    band.value = calloc(A + 1, sizeof *band.value);
    band.deviation = calloc(A + 1, sizeof *band.deviation);
    if (band.value == NULL || band.deviation == NULL) {
        status = esp_fail(err, ESP_ENOMEM, "out of memory for intervals of %zu differences", A);
        goto out;
    }
    size_t n_units = estimate(&band);
    struct esp_counts counts = {sums->n, sums->n_positive, sums->n_units};
    if (n_units >= 2 && esp_counts_suffice(counts)) {
        esp_pool_run(pool, ESP_N_REPLICATE_BLOCKS, band_task, &band);
        quantile = fmax(esp_quantile(band.max_t, ESP_REPLICATES, 0.95), ESP_NORMAL_975);
    }
    write_figures(&band, quantile, out);
    if (critical != NULL)
        *critical = quantile;
out:
    free(band.value);
    free(band.deviation);
    return status;
}
