/*
 * quantiles.h - buckets of about equal weight for one number, with bounds that stay.
 *
 * The state is a parameter: it goes into checkpoint and snapshot as it lies in memory.
 */
#ifndef ESP_FEATURE_QUANTILES_H
#define ESP_FEATURE_QUANTILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    ESP_MIN_BUCKETS = 2,
    ESP_MAX_BUCKETS = 4096,
    ESP_BUCKET_SAMPLE = 32, /* values sampled a bucket before bounds are made of them */
    ESP_LEAST_SAMPLE = 512, /* with fewer, few buckets would jump by chance */
};

/* All zero: nothing was seen, there are no buckets yet. */
struct esp_quantiles {
    uint64_t generation; /* samples that are complete; buckets exist from 1 on */
    uint64_t position;   /* values seen of the sample under way */
    uint64_t n_bounds;   /* below n_buckets */
    double values[]; /* (n_buckets - 1) bounds, ascending; the sample: 32 a bucket, at least 512 */
};

/* Bytes of the state. n_buckets is in [ESP_MIN_BUCKETS, ESP_MAX_BUCKETS] here and below. */
size_t esp_quantiles_bytes(size_t n_buckets);

/* True once buckets exist. */
static inline bool esp_quantiles_ready(const struct esp_quantiles *quantiles)
{
    return quantiles->generation > 0;
}

/* The bucket of x, below n_buckets: how many bounds are not above x. */
size_t esp_quantiles_bucket(const struct esp_quantiles *quantiles, double x);

/* Takes a finite x; may make or replace the bounds. */
void esp_quantiles_learn(struct esp_quantiles *quantiles, size_t n_buckets, double x);

/* False for a state that esp_quantiles_learn() cannot have left. */
bool esp_quantiles_valid(const struct esp_quantiles *quantiles, size_t n_buckets);

#endif
