/* evaluate.c - see evaluate.h. */
#include "drift/evaluate.h"

#include <math.h>
#include <stdlib.h>

#include "metric/scored.h"

/* The examples of a task, with labels, and what all its measures share. */
struct task_set {
    struct esp_holdout *holdout;
    const struct esp_drift_config *config;
    struct esp_pool *pool;
    enum esp_task task;
    struct esp_units units; /* of all examples of the window */
    size_t n;
    uint32_t *examples; /* (n) which of the window's */
    uint8_t *labels;    /* (n) */
    double *weights;    /* (n) */
    /* The subset that carries a score of production: places in the arrays above, and the same. */
    size_t n_scored;
    uint64_t n_clipped;
    uint32_t *scored_at, *scored_examples;
    uint8_t *scored_labels;
    double *scored_weights;
    float *scored_logits;   /* production's */
    float *scored_of_model; /* scratch: a slot's, of the same examples */
};

static bool label_of(const struct esp_holdout *holdout, enum esp_task task, size_t i)
{
    return task == ESP_TASK_CLICK ? holdout->y[i] : holdout->z[i] == ESP_Z_INSTALLED;
}

static void fill(struct task_set *set)
{
    const struct esp_holdout *holdout = set->holdout;
    const float *production = set->scored_at != NULL ? holdout->production[set->task] : NULL;
    for (size_t i = 0; i < holdout->n; i++) {
        if (set->task == ESP_TASK_INSTALL_GIVEN_CLICK && !holdout->y[i])
            continue;
        size_t at = set->n++;
        set->examples[at] = (uint32_t)i;
        set->labels[at] = label_of(holdout, set->task, i);
        set->weights[at] = holdout->weights[i];
        if (production == NULL || isnan(production[i]))
            continue;
        size_t k = set->n_scored++;
        set->n_clipped += holdout->clips[i] >> set->task & 1;
        set->scored_at[k] = (uint32_t)at;
        set->scored_examples[k] = (uint32_t)i;
        set->scored_labels[k] = set->labels[at];
        set->scored_weights[k] = set->weights[at];
        set->scored_logits[k] = production[i];
    }
}

static enum esp_status make_set(struct task_set *set, struct esp_error *err)
{
    struct esp_holdout *holdout = set->holdout;
    size_t n = holdout->n + 1;
    set->examples = calloc(n, sizeof *set->examples);
    set->labels = calloc(n, sizeof *set->labels);
    set->weights = calloc(n, sizeof *set->weights);
    bool ok = set->examples != NULL && set->labels != NULL && set->weights != NULL;
    if (holdout->production[set->task] != NULL) {
        set->scored_at = calloc(n, sizeof *set->scored_at);
        set->scored_examples = calloc(n, sizeof *set->scored_examples);
        set->scored_labels = calloc(n, sizeof *set->scored_labels);
        set->scored_weights = calloc(n, sizeof *set->scored_weights);
        set->scored_logits = calloc(n, sizeof *set->scored_logits);
        set->scored_of_model = calloc(n, sizeof *set->scored_of_model);
        ok = ok && set->scored_at != NULL && set->scored_examples != NULL &&
             set->scored_labels != NULL && set->scored_weights != NULL &&
             set->scored_logits != NULL && set->scored_of_model != NULL;
    }
    if (!ok)
        return esp_fail(err, ESP_ENOMEM, "out of memory for the evaluation of %zu holdout examples",
                        holdout->n);
    fill(set);
    enum esp_status status = esp_units_init(&set->units, holdout->units, holdout->n, err);
    return status == ESP_OK ? esp_units_draw(&set->units, set->pool, err) : status;
}

static void release_set(struct task_set *set)
{
    esp_units_release(&set->units);
    free(set->examples);
    free(set->labels);
    free(set->weights);
    free(set->scored_at);
    free(set->scored_examples);
    free(set->scored_labels);
    free(set->scored_weights);
    free(set->scored_logits);
    free(set->scored_of_model);
}

/* ---- measures -------------------------------------------------------------------------------- */

static const float *slot_logits(const struct task_set *set, size_t slot)
{
    return set->holdout->logits[set->task] + slot * set->n;
}

/* The slot of age 0 of the same model, or NULL. Slots of a model stand by age. */
static const float *age_0_logits(const struct task_set *set, size_t slot)
{
    const struct esp_slot *slots = set->holdout->slots;
    for (size_t s = slot; s-- > 0 && slots[s].model == slots[slot].model;)
        if (slots[s].age == 0)
            return slot_logits(set, s);
    return NULL;
}

/* Sums, figures and AUCs of one set of logits; paired if there is a reference. */
static enum esp_status measure_scored(const struct task_set *set, const struct esp_scored *scored,
                                      struct esp_drift_measure *measure, struct esp_error *err)
{
    measure->has_paired = scored->reference != NULL;
    enum esp_status status = esp_scored_sums(&set->units, scored, &measure->sums,
                                             measure->has_paired ? &measure->paired : NULL, err);
    if (status != ESP_OK)
        return status;
    esp_task_sums_report(&measure->sums, &measure->figures);
    if (measure->has_paired)
        measure->drift_loss = esp_paired_loss(&measure->paired);
    return esp_scored_areas(&set->units, scored, set->pool, &measure->figures.roc_auc,
                            &measure->figures.pr_auc, err);
}

/* The model's loss less production's, on the examples that carry a score. */
static enum esp_status compare_production(const struct task_set *set, size_t slot,
                                          struct esp_drift_measure *measure, struct esp_error *err)
{
    if (set->n_scored == 0 || set->holdout->slots[slot].age != 0)
        return ESP_OK;
    const float *logits = slot_logits(set, slot);
    for (size_t k = 0; k < set->n_scored; k++)
        set->scored_of_model[k] = logits[set->scored_at[k]];
    struct esp_scored scored = {.n = set->n_scored,
                                .examples = set->scored_examples,
                                .logits = set->scored_of_model,
                                .labels = set->scored_labels,
                                .weights = set->scored_weights,
                                .reference = set->scored_logits};
    struct esp_task_sums unused;
    enum esp_status status =
        esp_scored_sums(&set->units, &scored, &unused, &measure->production, err);
    if (status != ESP_OK)
        return status;
    measure->has_production = true;
    measure->production_clipped = set->n_clipped;
    measure->production_loss = esp_paired_loss(&measure->production);
    return ESP_OK;
}

static struct esp_drift_measure new_measure(const struct task_set *set)
{
    const struct esp_ladder *ladder = &set->config->ladder;
    return (struct esp_drift_measure){
        .window_start_us = set->holdout->window * ladder->window_us,
        .window_end_us = (set->holdout->window + 1) * ladder->window_us,
        .task = set->task,
        .share = set->holdout->threshold,
    };
}

static enum esp_status measure_slot(const struct task_set *set, size_t slot, struct esp_error *err)
{
    const struct esp_slot *at = &set->holdout->slots[slot];
    struct esp_drift_measure measure = new_measure(set);
    measure.model = at->model;
    measure.setup = at->setup;
    measure.age = set->config->ladder.ages[at->age];
    measure.snapshot = at->snapshot;
    struct esp_scored scored = {.n = set->n,
                                .examples = set->examples,
                                .logits = slot_logits(set, slot),
                                .labels = set->labels,
                                .weights = set->weights,
                                .reference = age_0_logits(set, slot)};
    enum esp_status status = measure_scored(set, &scored, &measure, err);
    if (status == ESP_OK)
        status = compare_production(set, slot, &measure, err);
    return status == ESP_OK ? set->config->emit(set->config->emit_context, &measure, err) : status;
}

static enum esp_status measure_production(const struct task_set *set, struct esp_error *err)
{
    struct esp_drift_measure measure = new_measure(set);
    measure.source = ESP_DRIFT_BY_PRODUCTION;
    measure.setup = "";
    struct esp_scored scored = {.n = set->n_scored,
                                .examples = set->scored_examples,
                                .logits = set->scored_logits,
                                .labels = set->scored_labels,
                                .weights = set->scored_weights};
    enum esp_status status = measure_scored(set, &scored, &measure, err);
    return status == ESP_OK ? set->config->emit(set->config->emit_context, &measure, err) : status;
}

enum esp_status esp_holdout_evaluate(struct esp_holdout *holdout,
                                     const struct esp_drift_config *config, enum esp_task task,
                                     struct esp_pool *pool, uint64_t *n_measures,
                                     struct esp_error *err)
{
    struct task_set set = {.holdout = holdout, .config = config, .pool = pool, .task = task};
    enum esp_status status = make_set(&set, err);
    for (size_t s = 0; status == ESP_OK && set.n > 0 && s < holdout->n_slots; s++) {
        if (!holdout->slots[s].has_task[task])
            continue;
        status = measure_slot(&set, s, err);
        *n_measures += status == ESP_OK;
    }
    if (status == ESP_OK && set.n_scored > 0) {
        status = measure_production(&set, err);
        *n_measures += status == ESP_OK;
    }
    release_set(&set);
    free(holdout->logits[task]);
    holdout->logits[task] = NULL;
    return status;
}
