/*
 * quantiles.c - buckets by running quantiles, for rows that go on learning.
 *
 * An embedding row belongs to a bucket's number, so a bound that wanders moves examples between
 * rows and undoes what they learned. On the other hand a number that drifts for months (a price, a
 * time) leaves bounds that never move behind, until all values fall into one bucket.
 *
 * So values are taken in generations, each of which fills a sample of 32 values a bucket (at least
 * 512). The first generation samples every value, and makes the bounds. Generation g then samples
 * one value of each run of min(4^g, 1024), and at its end only asks whether the bounds are still
 * good: they are replaced where the sample's own bounds would tell at least MIN_GAIN nats more (the
 * entropy of the bucket's number). Chance makes 0.03 nats, so a number that does not drift
 * keeps its first bounds for ever; and where they are replaced, most examples had lost their bucket
 * anyway, and a bucket's number keeps its rank as meaning.
 *
 * Which value of a run is sampled is a hash of (generation, run), so that a period in the stream
 * finds no echo. All depends on the order of the values alone.
 *
 * A value so frequent that it fills a bucket (zero, most often) gets one to itself, and the others
 * share what is left; so there may be fewer bounds than n_buckets - 1.
 */
#include "feature/quantiles.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/hash.h"

#define MIN_GAIN 0.25 /* nats; log(2) = 0.69 is lost when half of the buckets are empty */

enum { MAX_RUN_LOG4 = 5 }; /* 4^5 = 1024 values a sampled one */

static size_t sample_size(size_t n_buckets)
{
    size_t n = ESP_BUCKET_SAMPLE * n_buckets;
    return n < ESP_LEAST_SAMPLE ? ESP_LEAST_SAMPLE : n;
}

static double *sample_of(struct esp_quantiles *quantiles, size_t n_buckets)
{
    return quantiles->values + (n_buckets - 1);
}

size_t esp_quantiles_bytes(size_t n_buckets)
{
    return sizeof(struct esp_quantiles) + (n_buckets - 1 + sample_size(n_buckets)) * sizeof(double);
}

/* How many of n ascending bounds are not above x. */
static size_t rank_of(const double *bounds, size_t n, double x)
{
    size_t low = 0;
    while (n > 0) {
        size_t half = n / 2;
        if (bounds[low + half] <= x) {
            low += half + 1;
            n -= half + 1;
        } else {
            n = half;
        }
    }
    return low;
}

size_t esp_quantiles_bucket(const struct esp_quantiles *quantiles, double x)
{
    return rank_of(quantiles->values, quantiles->n_bounds, x);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/*
 * Bounds of at most n_buckets buckets of about equal weight.
 *
 * sorted  (n) ascending
 * bounds  (n_buckets - 1) room; a bound is the first value of its bucket
 * Returns how many bounds there are. Equal values are never parted: the cut goes to the nearer end
 * of their run, and what is left is shared among the buckets that are left.
 */
static size_t make_bounds(const double *sorted, size_t n, size_t n_buckets, double *bounds)
{
    size_t n_bounds = 0;
    for (size_t begin = 0; n_bounds + 1 < n_buckets;) {
        size_t target = begin + (n - begin) / (n_buckets - n_bounds);
        if (target >= n)
            break;
        size_t first = target, last = target;
        while (first > begin && sorted[first - 1] == sorted[target])
            first--;
        while (last < n && sorted[last] == sorted[target])
            last++;
        size_t cut = first > begin && target - first <= last - target ? first : last;
        if (cut == n)
            break;
        bounds[n_bounds++] = sorted[cut];
        begin = cut;
    }
    return n_bounds;
}

/* Entropy of the bucket's number over the sample, in nats. */
static double entropy(const double *sorted, size_t n, const double *bounds, size_t n_bounds)
{
    double sum = 0;
    size_t begin = 0;
    for (size_t b = 0; b <= n_bounds; b++) {
        size_t end = begin;
        while (end < n && (b == n_bounds || sorted[end] < bounds[b]))
            end++;
        double share = (double)(end - begin) / (double)n;
        if (end > begin)
            sum -= share * log(share);
        begin = end;
    }
    return sum;
}

/* Ends a generation: makes the bounds, or replaces them where they have become bad. */
static void judge(struct esp_quantiles *quantiles, size_t n_buckets)
{
    double fresh[ESP_MAX_BUCKETS - 1];
    double *sample = sample_of(quantiles, n_buckets);
    size_t n = sample_size(n_buckets);
    qsort(sample, n, sizeof *sample, by_value);
    size_t n_fresh = make_bounds(sample, n, n_buckets, fresh);
    bool first = quantiles->generation == 0;
    if (first || entropy(sample, n, fresh, n_fresh) >
                     MIN_GAIN + entropy(sample, n, quantiles->values, quantiles->n_bounds)) {
        memcpy(quantiles->values, fresh, n_fresh * sizeof *fresh);
        quantiles->n_bounds = n_fresh;
    }
}

static uint64_t run_length(uint64_t generation)
{
    return UINT64_C(1) << (2 * (generation < MAX_RUN_LOG4 ? generation : MAX_RUN_LOG4));
}

void esp_quantiles_learn(struct esp_quantiles *quantiles, size_t n_buckets, double x)
{
    uint64_t length = run_length(quantiles->generation);
    uint64_t run = quantiles->position / length;
    uint64_t chosen = esp_mix64(esp_mix64(quantiles->generation) + run) % length;
    if (quantiles->position % length == chosen)
        sample_of(quantiles, n_buckets)[run] = x;
    quantiles->position++;
    if (quantiles->position == sample_size(n_buckets) * length) {
        judge(quantiles, n_buckets);
        quantiles->generation++;
        quantiles->position = 0;
    }
}

bool esp_quantiles_valid(const struct esp_quantiles *quantiles, size_t n_buckets)
{
    const double *values = quantiles->values;
    size_t n = n_buckets - 1 + sample_size(n_buckets);
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(values[i]))
            return false;
    }
    if (quantiles->n_bounds >= n_buckets)
        return false;
    for (size_t i = 1; i < quantiles->n_bounds; i++) {
        if (!(values[i - 1] < values[i]))
            return false;
    }
    return quantiles->position < sample_size(n_buckets) * run_length(quantiles->generation);
}
