/*
 * scored.c - see scored.h.
 *
 * The areas of all replicates come from one order of the examples, by (bin, label, unit): a block
 * of 16 replicates goes down the bins side by side, and its counts, 16 bytes a unit, stay in cache.
 */
#include "metric/scored.h"

#include <math.h>
#include <stdlib.h>

#include "metric/auc.h"
#include "metric/figure.h"
#include "metric/lanes.h"

enum { R = ESP_REPLICATE_BLOCK, N_RUNS = 2 * ESP_AUC_BINS };

static size_t unit_of(const struct esp_units *units, const struct esp_scored *scored, size_t i)
{
    return units->unit_of[scored->examples != NULL ? scored->examples[i] : i];
}

/* ---- sums ---- */

void esp_scored_by_unit(const struct esp_units *units, const struct esp_scored *scored,
                        struct esp_unit *by_unit, double *differences)
{
    for (size_t i = 0; i < scored->n; i++) {
        size_t u = unit_of(units, scored, i);
        bool y = scored->labels[i] != 0;
        double w = scored->weights[i];
        double wl = esp_unit_add(&by_unit[u], scored->logits[i], y, w);
        if (differences != NULL)
            differences[u] += wl - w * esp_log_loss(scored->reference[i], y);
    }
}

enum esp_status esp_scored_sums(const struct esp_units *units, const struct esp_scored *scored,
                                struct esp_task_sums *sums, struct esp_paired_sums *paired,
                                struct esp_error *err)
{
    enum esp_status status = ESP_OK;
    struct esp_unit *by_unit = calloc(units->n_units + 1, sizeof *by_unit);
    double *differences = calloc(units->n_units + 1, sizeof *differences);
    if (by_unit == NULL || differences == NULL) {
        status = esp_fail(err, ESP_ENOMEM, "out of memory for sums of %zu units", units->n_units);
        goto out;
    }
    esp_scored_by_unit(units, scored, by_unit, paired != NULL ? differences : NULL);
    *sums = (struct esp_task_sums){0};
    for (size_t u = 0; u < units->n_units; u++)
        esp_task_sums_add(sums, &by_unit[u]);
    if (paired != NULL) {
        *paired = (struct esp_paired_sums){0};
        for (size_t u = 0; u < units->n_units; u++)
            esp_paired_sums_add(paired, &by_unit[u], differences[u]);
    }
out:
    free(by_unit);
    free(differences);
    return status;
}

/* ---- areas ---- */

/* Examples by ascending (bin, label, unit, place). Run 2 b + y is those of bin b and label y. */
struct sorted {
    size_t n, n_positive;
    uint32_t *unit;                                 /* (n) */
    double *weight;                                 /* (n) */
    uint32_t *begin;                                /* (N_RUNS + 1) where each run begins */
    double *bins;                                   /* (N_RUNS) as esp_auc_areas() takes them */
    const struct esp_units *units;                  /* for the replicates: borrowed */
    double roc[ESP_REPLICATES], pr[ESP_REPLICATES]; /* of the replicates */
};

/* Moves counts to where each key's values begin: begin (n_keys + 1), [k + 1] the count of key k. */
static void begin_of_counts(uint32_t *begin, size_t n_keys)
{
    for (size_t k = 0; k < n_keys; k++)
        begin[k + 1] += begin[k];
}

static size_t run_of(const struct esp_scored *scored, size_t i)
{
    return 2 * esp_auc_bin(scored->logits[i]) + (scored->labels[i] != 0);
}

/* order (n): places in the set by ascending (unit, place). begin (n_units + 1), zero: scratch. */
static void order_by_unit(const struct esp_units *units, const struct esp_scored *scored,
                          uint32_t *begin, uint32_t *order)
{
    for (size_t i = 0; i < scored->n; i++)
        begin[unit_of(units, scored, i) + 1]++;
    begin_of_counts(begin, units->n_units);
    for (size_t i = 0; i < scored->n; i++)
        order[begin[unit_of(units, scored, i)]++] = (uint32_t)i;
}

/* Fills sorted from an order by unit. next (N_RUNS): scratch. */
static void sort_into_runs(struct sorted *sorted, const struct esp_scored *scored,
                           const uint32_t *order, uint32_t *next)
{
    for (size_t i = 0; i < scored->n; i++)
        sorted->begin[run_of(scored, i) + 1]++;
    begin_of_counts(sorted->begin, N_RUNS);
    for (size_t run = 0; run < N_RUNS; run++)
        next[run] = sorted->begin[run];
    for (size_t k = 0; k < scored->n; k++) {
        size_t i = order[k], run = run_of(scored, i), to = next[run]++;
        sorted->unit[to] = (uint32_t)unit_of(sorted->units, scored, i);
        sorted->weight[to] = scored->weights[i];
        sorted->bins[run / 2 + (run % 2) * ESP_AUC_BINS] += scored->weights[i];
        sorted->n_positive += run % 2;
    }
}

static void sorted_free(struct sorted *sorted)
{
    if (sorted == NULL)
        return;
    free(sorted->unit);
    free(sorted->weight);
    free(sorted->begin);
    free(sorted->bins);
    free(sorted);
}

static enum esp_status sorted_new(const struct esp_units *units, const struct esp_scored *scored,
                                  struct sorted **out, struct esp_error *err)
{
    enum esp_status status = ESP_OK;
    size_t n = scored->n, n_keys = units->n_units > N_RUNS ? units->n_units : N_RUNS;
    struct sorted *sorted = calloc(1, sizeof *sorted);
    uint32_t *order = calloc(n + 1, sizeof *order), *scratch = calloc(n_keys + 1, sizeof *scratch);
    if (sorted != NULL) {
        *sorted = (struct sorted){.n = n, .units = units};
        sorted->unit = calloc(n + 1, sizeof *sorted->unit);
        sorted->weight = calloc(n + 1, sizeof *sorted->weight);
        sorted->begin = calloc(N_RUNS + 1, sizeof *sorted->begin);
        sorted->bins = calloc(N_RUNS, sizeof *sorted->bins);
    }
    if (sorted == NULL || order == NULL || scratch == NULL || sorted->unit == NULL ||
        sorted->weight == NULL || sorted->begin == NULL || sorted->bins == NULL) {
        status = esp_fail(err, ESP_ENOMEM, "out of memory for areas of %zu examples", n);
        goto out;
    }
    order_by_unit(units, scored, scratch, order);
    sort_into_runs(sorted, scored, order, scratch);
    *out = sorted;
    sorted = NULL; /* moved to the caller */
out:
    sorted_free(sorted);
    free(order);
    free(scratch);
    return status;
}

/* sum (R) of weights x counts of a run, by replicate. counts (n_units, R) */
ESP_INLINE void sum_run(const struct sorted *sorted, size_t run, const uint8_t *counts,
                        double sum[R])
{
    esp_doubles low = {0}, high = {0};
    for (size_t i = sorted->begin[run]; i < sorted->begin[run + 1]; i++) {
        const uint8_t *count = counts + (size_t)sorted->unit[i] * R;
        esp_add_weighted(&low, sorted->weight[i], count);
        esp_add_weighted(&high, sorted->weight[i], count + 8);
    }
    *(esp_doubles *)sum = low;
    *(esp_doubles *)(sum + 8) = high;
}

/* The areas of one block of replicates. */
ESP_VECTORISED static void replicate_areas(struct sorted *sorted, size_t block)
{
    const uint8_t *counts = sorted->units->counts + block * sorted->units->n_units * R;
    double w_negative[R] = {0}, w_positive[R] = {0}, pairs[R] = {0}, precision[R] = {0};
    double negative[R], positive[R];
    for (size_t bin = ESP_AUC_BINS; bin-- > 0;) {
        if (sorted->begin[2 * bin] == sorted->begin[2 * bin + 2])
            continue;
        sum_run(sorted, 2 * bin, counts, negative);
        sum_run(sorted, 2 * bin + 1, counts, positive);
        for (size_t r = 0; r < R; r++) {
            struct esp_area area = {w_negative[r], w_positive[r], pairs[r], precision[r]};
            esp_area_step(&area, negative[r], positive[r]);
            w_negative[r] = area.w_negative;
            w_positive[r] = area.w_positive;
            pairs[r] = area.pairs;
            precision[r] = area.precision;
        }
    }
    for (size_t r = 0; r < R; r++) {
        struct esp_area area = {w_negative[r], w_positive[r], pairs[r], precision[r]};
        sorted->roc[block * R + r] = esp_area_roc(&area);
        sorted->pr[block * R + r] = esp_area_pr(&area);
    }
}

static void areas_task(void *context, size_t task, size_t worker)
{
    (void)worker;
    replicate_areas(context, task);
}

/* The percentile interval; none if a replicate has no value. */
static void add_interval(struct esp_figure *figure, double values[ESP_REPLICATES])
{
    for (size_t r = 0; r < ESP_REPLICATES; r++)
        if (!isfinite(values[r]))
            return;
    figure->has_interval = true;
    figure->low = esp_quantile(values, ESP_REPLICATES, 0.025);
    figure->high = esp_quantile(values, ESP_REPLICATES, 0.975);
}

/* Units are counted up to two only: more are not asked for. */
static bool has_two_units(const struct sorted *sorted)
{
    for (size_t i = 1; i < sorted->n; i++)
        if (sorted->unit[i] != sorted->unit[0])
            return true;
    return false;
}

enum esp_status esp_scored_areas(const struct esp_units *units, const struct esp_scored *scored,
                                 struct esp_pool *pool, struct esp_figure *roc_auc,
                                 struct esp_figure *pr_auc, struct esp_error *err)
{
    struct sorted *sorted = NULL;
    struct esp_figure roc = {0}, pr = {0};
    enum esp_status status = sorted_new(units, scored, &sorted, err);
    if (status != ESP_OK)
        return status;
    struct esp_counts counts = {sorted->n, sorted->n_positive, has_two_units(sorted) ? 2 : 1};
    if (esp_auc_areas(sorted->bins, &roc.value, &pr.value)) {
        roc.defined = pr.defined = true;
        if (units->counts != NULL && esp_counts_suffice(counts)) {
            esp_pool_run(pool, ESP_N_REPLICATE_BLOCKS, areas_task, sorted);
            add_interval(&roc, sorted->roc);
            add_interval(&pr, sorted->pr);
        }
    }
    *roc_auc = roc;
    *pr_auc = pr;
    sorted_free(sorted);
    return ESP_OK;
}
