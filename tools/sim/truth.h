/*
 * truth.h - what the simulated users do: the probability of a click and of an install, given the
 * values of an impression's fields.
 *
 *     logit = b + sum over fields s[f] e[f][v] + sum over 3 pairs of fields t <u[f][v], w[g][v']>
 *
 * with its own b, s, e, t, u, w for clicks and for installs. e, u, w are normal, of rank 4 where
 * they make a product, and those of click and install correlate. A field's e then get mean 0 and
 * deviation 1 over its impressions, and so do the products of a pair, over each of its two fields
 * too: a linear model learns nothing of them, and every seed makes a truth of the same difficulty.
 *
 * s[f] falls with the number of values as n^-decline, and all s together, or all t together, make
 * logits of the configured deviation.
 *
 * Drift turns effects: e(t) = cos(a) e + sin(a) e', so that their size stays while after a quarter
 * turn nothing of the old preferences is left. It moves in steps of a quarter of an hour, so that
 * drawing costs the same with and without.
 */
#ifndef ESP_SIM_TRUTH_H
#define ESP_SIM_TRUTH_H

#include <stdbool.h>
#include <stdint.h>

#include "core/status.h"
#include "core/timespan.h"
#include "fields.h"
#include "zipf.h"

enum {
    SIM_RANK = 4,     /* of the products */
    SIM_N_PAIRS = 3,  /* of fields with a product */
    SIM_N_LOGITS = 2, /* click, install */
};

#define SIM_DRIFT_STEP (15 * ESP_MINUTE)

struct sim_truth_config {
    uint64_t seed;
    double ctr, cvr; /* mean probabilities: of a click; of an install of a clicked one */
    double effects[SIM_N_LOGITS]; /* deviation of the logits by all fields together */
    double crosses[SIM_N_LOGITS]; /* and by all pairs of fields together */
    double decline;               /* a field of n values has effects in proportion to n^-decline */
    double correlation;           /* of effects on click and install, in [-1, 1] */
    bool small;                   /* the preset of few values */
    uint32_t n_new_ads;           /* creatives beyond those that are drawn from the start */
    int64_t quarter_turn_us;      /* preferences turn by 90 degrees in this time; 0: they stay */
    double odds_a_day; /* the odds of both are multiplied by this every day; 1: they stay */
};

/* Numbers of all values of a field, as they are now, at the start, and what they turn to. */
struct sim_numbers {
    size_t n;
    float *now, *start; /* the same array where nothing turns */
    float *turned;      /* NULL where nothing turns */
};

struct sim_truth {
    struct sim_truth_config config;
    struct sim_zipf zipf[SIM_N_FIELDS];
    struct sim_numbers effects[SIM_N_FIELDS]; /* (values, SIM_N_LOGITS) */
    struct sim_numbers factors[SIM_N_FIELDS]; /* (values, SIM_N_LOGITS, SIM_RANK) */
    double click_intercept, install_intercept;
    double drifted; /* what is added to both by now */
    int64_t step;   /* of drift that `now` stands at */
};

/*
 * Draws the effects and sets the intercepts so that the mean rates come out as configured.
 * Errors: ESP_ENOMEM.
 */
enum esp_status sim_truth_init(struct sim_truth *truth, const struct sim_truth_config *config,
                               struct esp_error *err);
void sim_truth_release(struct sim_truth *truth);

/* Number of values of a field that impressions are drawn from. */
uint32_t sim_truth_n_values(const struct sim_truth *truth, enum sim_field field);

/* Moves the drift on to a time since the start. */
void sim_truth_drift(struct sim_truth *truth, int64_t since_start_us);

/* The values of an impression at a time, from a stream. */
struct sim_chance;
void sim_truth_draw(const struct sim_truth *truth, struct sim_chance *chance, int64_t time_us,
                    uint32_t values[SIM_N_FIELDS]);

struct sim_probabilities {
    double click;   /* that a click follows the impression, whenever */
    double install; /* that an install follows a click, whenever */
};
struct sim_probabilities sim_truth_of(const struct sim_truth *truth,
                                      const uint32_t values[SIM_N_FIELDS]);

#endif
