/*
 * units.h - the resampling units of a set of examples (a window's), and how often each bootstrap
 * replicate takes each of them.
 *
 * A unit is all examples of one key: the holdout key, or what `drift.cluster` names. Made once a
 * window and shared by every task, model and age.
 *
 * The Poisson bootstrap takes a unit N times into a replicate, N ~ Poisson(1), independently of the
 * others (Hanley and MacGibbon 2006; Chamandy et al. 2012). N is no draw but a function of (key,
 * replicate): the same unit counts the same in every task, model, age and window.
 */
#ifndef ESP_METRIC_UNITS_H
#define ESP_METRIC_UNITS_H

#include <stddef.h>
#include <stdint.h>

#include "core/pool.h"
#include "core/status.h"

enum {
    ESP_REPLICATES = 400,
    ESP_REPLICATE_BLOCK = 16, /* replicates that are computed side by side */
    ESP_N_REPLICATE_BLOCKS = ESP_REPLICATES / ESP_REPLICATE_BLOCK,
};

struct esp_units {
    size_t n_examples, n_units;
    uint32_t *unit_of; /* (n_examples) the unit of each example */
    uint64_t *keys;    /* (n_units) ascending */
    uint8_t *counts;   /* (ESP_N_REPLICATE_BLOCKS, n_units, ESP_REPLICATE_BLOCK) or NULL */
};

/*
 * Groups examples by key: keys (n), borrowed for the call; 12 bytes an example are kept.
 * Units are in ascending order of key, whatever the order of the examples.
 *
 * On failure *units is empty. Errors: ESP_ELIMIT (n over UINT32_MAX), ESP_ENOMEM.
 */
enum esp_status esp_units_init(struct esp_units *units, const uint64_t *keys, size_t n,
                               struct esp_error *err);

/*
 * Makes the counts of all replicates, ESP_REPLICATES bytes a unit, which AUCs' intervals and
 * simultaneous intervals need. Made only once. Errors: ESP_ENOMEM.
 */
enum esp_status esp_units_draw(struct esp_units *units, struct esp_pool *pool,
                               struct esp_error *err);

/* Frees the memory; { 0 } and what was released are fine. */
void esp_units_release(struct esp_units *units);

/*
 * The counts of ESP_REPLICATE_BLOCK replicates, from number 16 block on, for the unit of a key:
 * Poisson(1) with probabilities rounded to 2^-16, 0 to 8; mean 1, variance 0.99997.
 */
void esp_poisson_counts(uint64_t key, size_t block, uint8_t counts[ESP_REPLICATE_BLOCK]);

/*
 * The quantile of n > 0 finite values, which are sorted in place: definition 6 of Hyndman and Fan
 * (1996), the value at place (n + 1) share among 1..n, interpolated, the ends where it is beyond.
 */
double esp_quantile(double *values, size_t n, double share);

#endif
