/*
 * scored.h - one task's sums and AUCs of a set of scored examples whose resampling units are given.
 *
 * The units (units.h) are of a window's examples; a set is all of these or some (the clicked ones),
 * with one model's logits at one age. A unit's examples may stand anywhere. Results depend on the
 * order of the examples inside a unit, not on how units are interleaved: equal to the bit for one
 * build, and for any number of threads.
 */
#ifndef ESP_METRIC_SCORED_H
#define ESP_METRIC_SCORED_H

#include "metric/metric.h"
#include "metric/units.h"

struct esp_scored {
    size_t n;
    const uint32_t *examples; /* (n) which of the units' examples, each at most once; NULL: i */
    const float *logits;      /* (n) */
    const uint8_t *labels;    /* (n) 0 or 1 */
    const double *weights;    /* (n) > 0 */
    const float *reference;   /* (n) logits to compare with, or NULL */
};

/*
 * Adds each unit's share to by_unit[u], and sum w (l - l0) to differences[u] (may be NULL; only
 * with a reference). Both (n_units), the caller's, zeroed before the first call.
 */
void esp_scored_by_unit(const struct esp_units *units, const struct esp_scored *scored,
                        struct esp_unit *by_unit, double *differences);

/*
 * The sums over units, from nothing: *sums and *paired (may be NULL; only with a reference) are
 * overwritten. Units are added in ascending order of key.
 * On failure both are untouched. Errors: ESP_ENOMEM.
 */
enum esp_status esp_scored_sums(const struct esp_units *units, const struct esp_scored *scored,
                                struct esp_task_sums *sums, struct esp_paired_sums *paired,
                                struct esp_error *err);

/*
 * Areas under the ROC and the precision-recall curve over fixed logit bins, with percentile
 * intervals of the Poisson bootstrap if the units' counts are made (esp_units_draw()).
 *
 * Null: a single class. No interval: fewer than ESP_INTERVAL_MIN_CLASS positives or negatives, one
 * unit, no counts, or a replicate that has a single class (too few units hold the other).
 * There are no sums of an AUC: windows do not pool to it. Pooled, it is made from all examples.
 *
 * On failure both are untouched. Errors: ESP_ENOMEM.
 */
enum esp_status esp_scored_areas(const struct esp_units *units, const struct esp_scored *scored,
                                 struct esp_pool *pool, struct esp_figure *roc_auc,
                                 struct esp_figure *pr_auc, struct esp_error *err);

#endif
