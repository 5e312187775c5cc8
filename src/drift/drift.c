/*
 * drift.c - routes holdout examples through their windows. See drift.h.
 *
 * DESIGN  Click labels come in the order of t_i (their maturity is t_i + W_c), so one window at a
 * time is scored: its first example opens the snapshots of the window's ages, the first label that
 * is due at or after its end + W_c closes them. Examples are scored in batches of PENDING, a batch
 * of keys for each distinct state of the feature statistics among the snapshots (one, where no
 * feature is numeric). A closed window is measured on clicks at once and waits for its installs.
 *
 *          first click label       due >= end + W_c        last install label
 *     (none) -- open_window() -> scoring -- close_window() -> waiting -- finish_window() -> gone
 *
 * INVARIANTS (esp_drift_check() asserts each by number)
 *  (1) Windows are in order of time; only the last may be scoring.
 *  (2) A window that is waiting has examples that wait for an install label.
 *  (3) A window holds at most window_examples examples.
 *  (4) Tickets of a window ascend.
 *  (5) Snapshots are open only while a window is scoring.
 *  (6) The window that is scoring is the first that may still be scored: all before are closed.
 */
#include "drift/drift.h"

#include <math.h>
#include <stdlib.h>

#include "core/buf.h"
#include "core/check.h"
#include "drift/evaluate.h"
#include "drift/holdout.h"
#include "model/scorer.h"

enum { PENDING = 256 }; /* examples scored at a time */

/* Slots whose feature statistics are equal share rows. */
struct group {
    uint64_t state; /* esp_features_hash() */
    struct esp_features *features;
    struct esp_feature_batch batch;
};

/* What is open while a window is scored. */
struct bench {
    size_t n_slots, n_groups;
    struct esp_snapshot **snapshots; /* (n_slots) */
    struct group *groups;            /* (n_slots) n_groups of them in use */
    size_t *group_of;                /* (n_slots) */
    size_t first, n_pending;         /* examples of the window that are not scored yet */
    float *logits;                   /* (n_slots, PENDING, ESP_N_TASKS) */
};

struct esp_drift {
    struct esp_drift_config config;
    struct esp_pool *pool;
    struct esp_holdout *windows; /* (n_windows) oldest first */
    size_t n_windows, capacity;
    struct bench bench;
    struct esp_scorer **scorers; /* (pool size, n_models), made when first needed */
    int64_t first_window;        /* that may still be scored; INT64_MIN: no label came */
    struct esp_drift_usage usage;
    enum esp_status *slot_status; /* scratch of scoring */
};

enum esp_status esp_drift_new(const struct esp_drift_config *config, struct esp_pool *pool,
                              struct esp_drift **out, struct esp_error *err)
{
    enum esp_status status = esp_ladder_validate(&config->ladder, err);
    if (status == ESP_OK && config->window_examples < 2)
        status = esp_fail(err, ESP_ECONFIG, "window_examples: choose at least 2");
    if (status != ESP_OK)
        return status;
    struct esp_drift *drift = calloc(1, sizeof *drift);
    if (drift == NULL)
        return esp_fail(err, ESP_ENOMEM, "out of memory for measuring drift");
    drift->config = *config;
    drift->pool = pool;
    drift->first_window = INT64_MIN;
    drift->scorers = calloc(esp_pool_size(pool) * config->n_models + 1, sizeof(void *));
    if (drift->scorers == NULL) {
        free(drift);
        return esp_fail(err, ESP_ENOMEM, "out of memory for measuring drift");
    }
    *out = drift;
    return ESP_OK;
}

static void close_bench(struct bench *bench)
{
    for (size_t s = 0; bench->snapshots != NULL && s < bench->n_slots; s++)
        esp_snapshot_close(bench->snapshots[s]);
    for (size_t g = 0; g < bench->n_groups; g++)
        esp_feature_batch_release(&bench->groups[g].batch);
    free(bench->snapshots);
    free(bench->groups);
    free(bench->group_of);
    free(bench->logits);
    *bench = (struct bench){0};
}

void esp_drift_free(struct esp_drift *drift)
{
    if (drift == NULL)
        return;
    close_bench(&drift->bench);
    for (size_t i = 0; i < drift->n_windows; i++)
        esp_holdout_release(&drift->windows[i]);
    free(drift->windows);
    for (size_t i = 0; i < esp_pool_size(drift->pool) * drift->config.n_models; i++)
        esp_scorer_free(drift->scorers[i]);
    free(drift->scorers);
    free(drift->slot_status);
    free(drift);
}

/* ---- opening a window ------------------------------------------------------------------------ */

/* Puts an opened snapshot into the next slot; takes it over. */
static void add_slot(struct bench *bench, struct esp_slot *slots, size_t model, size_t age,
                     struct esp_snapshot *snapshot)
{
    const struct esp_network *network = esp_snapshot_model(snapshot)->network;
    struct esp_slot *slot = &slots[bench->n_slots];
    *slot = (struct esp_slot){.model = model,
                              .age = age,
                              .snapshot = esp_snapshot_manifest(snapshot)->number,
                              .setup = network->setup.name};
    for (enum esp_task task = 0; task < ESP_N_TASKS; task++)
        slot->has_task[task] = esp_setup_has_task(&network->setup, task);
    struct esp_features *features = esp_snapshot_features(snapshot);
    uint64_t state = esp_features_hash(features);
    size_t g = 0;
    while (g < bench->n_groups && bench->groups[g].state != state)
        g++;
    if (g == bench->n_groups) {
        bench->groups[g] = (struct group){.state = state, .features = features};
        esp_feature_batch_init(&bench->groups[g].batch, esp_features_count(features));
        bench->n_groups++;
    }
    bench->group_of[bench->n_slots] = g;
    bench->snapshots[bench->n_slots++] = snapshot;
}

static enum esp_status open_snapshots(struct esp_drift *drift, int64_t window,
                                      struct esp_slot *slots, struct esp_error *err)
{
    const struct esp_drift_config *config = &drift->config;
    const struct esp_ladder *ladder = &config->ladder;
    for (size_t m = 0; m < config->n_models; m++)
        for (size_t a = 0; a < ladder->n_ages; a++) {
            if (!esp_ladder_measures(ladder, window, a))
                continue;
            struct esp_snapshot *snapshot = NULL;
            int64_t boundary_us = (window - ladder->ages[a]) * ladder->window_us;
            enum esp_status status =
                config->open(config->open_context, m, boundary_us, &snapshot, err);
            if (status != ESP_OK)
                return status;
            if (snapshot != NULL)
                add_slot(&drift->bench, slots, m, a, snapshot);
        }
    return ESP_OK;
}

static enum esp_status open_bench(struct bench *bench, size_t most, struct esp_error *err)
{
    bench->snapshots = calloc(most, sizeof *bench->snapshots);
    bench->groups = calloc(most, sizeof *bench->groups);
    bench->group_of = calloc(most, sizeof *bench->group_of);
    bench->logits = calloc(most * PENDING * ESP_N_TASKS, sizeof *bench->logits);
    bool ok = bench->snapshots != NULL && bench->groups != NULL && bench->group_of != NULL &&
              bench->logits != NULL;
    return ok ? ESP_OK : esp_fail(err, ESP_ENOMEM, "out of memory for a window of %zu slots", most);
}

static enum esp_status open_window(struct esp_drift *drift, int64_t window, struct esp_error *err)
{
    size_t most = drift->config.n_models * drift->config.ladder.n_ages;
    void *windows = drift->windows;
    enum esp_status status = esp_array_grow(&windows, &drift->capacity, drift->n_windows + 1,
                                            sizeof *drift->windows, err);
    drift->windows = windows;
    struct esp_slot *slots = calloc(most, sizeof *slots);
    if (status == ESP_OK && slots == NULL)
        status = esp_fail(err, ESP_ENOMEM, "out of memory for a window of %zu slots", most);
    if (status == ESP_OK)
        status = open_bench(&drift->bench, most, err);
    if (status == ESP_OK)
        status = open_snapshots(drift, window, slots, err);
    if (status == ESP_OK)
        status = esp_holdout_init(&drift->windows[drift->n_windows++], &drift->config, window,
                                  slots, drift->bench.n_slots, err);
    free(slots);
    return status;
}

/* ---- scoring --------------------------------------------------------------------------------- */

static enum esp_status need_scorer(struct esp_drift *drift, size_t slot, size_t worker,
                                   struct esp_scorer **out)
{
    size_t model = drift->windows[drift->n_windows - 1].slots[slot].model;
    struct esp_scorer **scorer = &drift->scorers[worker * drift->config.n_models + model];
    enum esp_status status =
        *scorer != NULL ? ESP_OK
                        : esp_scorer_new(esp_snapshot_model(drift->bench.snapshots[slot])->network,
                                         scorer, NULL);
    *out = *scorer;
    return status;
}

static void score_slot(void *context, size_t slot, size_t worker)
{
    struct esp_drift *drift = context;
    struct bench *bench = &drift->bench;
    struct esp_scorer *scorer = NULL;
    enum esp_status status = need_scorer(drift, slot, worker, &scorer);
    if (status == ESP_OK)
        status = esp_scorer_score(scorer, esp_snapshot_model(bench->snapshots[slot]),
                                  &bench->groups[bench->group_of[slot]].batch,
                                  bench->logits + slot * PENDING * ESP_N_TASKS, NULL);
    drift->slot_status[slot] = status;
}

/* Scores what is pending and notes the logits in the window's rows. */
static enum esp_status score_pending(struct esp_drift *drift, struct esp_error *err)
{
    struct bench *bench = &drift->bench;
    struct esp_holdout *holdout = &drift->windows[drift->n_windows - 1];
    if (bench->n_pending == 0)
        return ESP_OK;
    free(drift->slot_status);
    drift->slot_status = calloc(bench->n_slots + 1, sizeof *drift->slot_status);
    if (drift->slot_status == NULL)
        return esp_fail(err, ESP_ENOMEM, "out of memory for scores of %zu slots", bench->n_slots);
    esp_pool_run(drift->pool, bench->n_slots, score_slot, drift);
    for (size_t s = 0; s < bench->n_slots; s++) {
        if (drift->slot_status[s] != ESP_OK)
            return esp_fail(err, drift->slot_status[s], "holdout examples cannot be scored");
        const float *logits = bench->logits + s * PENDING * ESP_N_TASKS;
        for (size_t i = 0; i < bench->n_pending; i++)
            memcpy(holdout->rows + ((bench->first + i) * holdout->n_slots + s) * ESP_N_TASKS,
                   logits + i * ESP_N_TASKS, ESP_N_TASKS * sizeof *logits);
    }
    for (size_t g = 0; g < bench->n_groups; g++)
        esp_feature_batch_reset(&bench->groups[g].batch);
    drift->usage.scored += bench->n_pending;
    bench->first = holdout->n;
    bench->n_pending = 0;
    return ESP_OK;
}

static enum esp_status add_example(struct esp_drift *drift, const struct esp_drift_example *example,
                                   struct esp_error *err)
{
    struct bench *bench = &drift->bench;
    struct esp_holdout *holdout = &drift->windows[drift->n_windows - 1];
    if (!esp_holdout_wants(holdout, example->unit)) {
        holdout->n_thinned++;
        drift->usage.thinned++;
        return ESP_OK;
    }
    for (size_t g = 0; g < bench->n_groups; g++) {
        struct group *group = &bench->groups[g];
        enum esp_status status =
            esp_features_add_row(group->features, example->values, false, &group->batch, err);
        if (status != ESP_OK)
            return status;
    }
    enum esp_status status = esp_holdout_add(holdout, example, drift->config.has_installs, err);
    if (status != ESP_OK)
        return status;
    bool is_full = holdout->n >= drift->config.window_examples;
    if (++bench->n_pending == PENDING || is_full)
        status = score_pending(drift, err);
    if (status == ESP_OK && is_full) {
        uint64_t before = holdout->n_thinned;
        esp_holdout_thin(holdout, drift->config.window_examples);
        drift->usage.thinned += holdout->n_thinned - before;
        bench->first = holdout->n;
    }
    return status;
}

/* ---- closing a window ------------------------------------------------------------------------ */

static enum esp_status evaluate(struct esp_drift *drift, size_t i, enum esp_task task,
                                struct esp_error *err)
{
    return esp_holdout_evaluate(&drift->windows[i], &drift->config, task, drift->pool,
                                &drift->usage.measures, err);
}

/* Evaluates what waited for installs, and forgets the window. */
static enum esp_status finish_window(struct esp_drift *drift, size_t i, struct esp_error *err)
{
    enum esp_status status = ESP_OK;
    if (drift->config.has_installs) {
        status = evaluate(drift, i, ESP_TASK_INSTALL_GIVEN_CLICK, err);
        if (status == ESP_OK)
            status = evaluate(drift, i, ESP_TASK_INSTALL, err);
    }
    esp_holdout_release(&drift->windows[i]);
    drift->n_windows--;
    memmove(drift->windows + i, drift->windows + i + 1,
            (drift->n_windows - i) * sizeof *drift->windows);
    return status;
}

/* The window being scored, or NULL. */
static struct esp_holdout *scoring_window(const struct esp_drift *drift)
{
    struct esp_holdout *last = drift->n_windows == 0 ? NULL : &drift->windows[drift->n_windows - 1];
    return last != NULL && last->scoring ? last : NULL;
}

/* holdout is the window being scored. */
static enum esp_status close_window(struct esp_drift *drift, struct esp_holdout *holdout,
                                    struct esp_error *err)
{
    enum esp_status status = score_pending(drift, err);
    close_bench(&drift->bench);
    if (status == ESP_OK)
        status = esp_holdout_close(holdout, drift->config.has_installs, err);
    if (status == ESP_OK)
        status = evaluate(drift, drift->n_windows - 1, ESP_TASK_CLICK, err);
    if (status == ESP_OK && holdout->n_waiting == 0)
        status = finish_window(drift, drift->n_windows - 1, err);
    return status;
}

enum esp_status esp_drift_advance(struct esp_drift *drift, int64_t due_us, struct esp_error *err)
{
    /* A click label that is due now or later is of an impression from here on. */
    int64_t window =
        esp_ladder_window(&drift->config.ladder, due_us - drift->config.click_window_us);
    if (window <= drift->first_window)
        return ESP_OK;
    drift->first_window = window;
    struct esp_holdout *holdout = scoring_window(drift);
    return holdout != NULL && holdout->window < window ? close_window(drift, holdout, err) : ESP_OK;
}

enum esp_status esp_drift_click(struct esp_drift *drift, const struct esp_drift_example *example,
                                struct esp_error *err)
{
    int64_t window = esp_ladder_window(&drift->config.ladder, example->example->impression_us);
    const struct esp_holdout *holdout = scoring_window(drift);
    size_t n = holdout != NULL ? holdout->n : 0;
    if (window != drift->first_window ||
        (n > 0 && holdout->tickets[n - 1] >= example->example->ticket))
        return esp_fail(err, ESP_EBUG, "a holdout example is out of label order");
    enum esp_status status = holdout == NULL ? open_window(drift, window, err) : ESP_OK;
    return status == ESP_OK ? add_example(drift, example, err) : status;
}

enum esp_status esp_drift_install(struct esp_drift *drift, const struct esp_example *example,
                                  struct esp_error *err)
{
    int64_t window = esp_ladder_window(&drift->config.ladder, example->impression_us);
    size_t i = drift->n_windows;
    while (i > 0 && drift->windows[i - 1].window > window)
        i--;
    if (i == 0 || drift->windows[i - 1].window != window)
        return ESP_OK; /* thinned out, or from before the start */
    struct esp_holdout *holdout = &drift->windows[i - 1];
    if (esp_holdout_install(holdout, example->ticket, example->z) && !holdout->scoring &&
        holdout->n_waiting == 0)
        return finish_window(drift, i - 1, err);
    return ESP_OK;
}

enum esp_status esp_drift_finish(struct esp_drift *drift, struct esp_error *err)
{
    struct esp_holdout *holdout = scoring_window(drift);
    enum esp_status status = holdout != NULL ? close_window(drift, holdout, err) : ESP_OK;
    while (status == ESP_OK && drift->n_windows > 0)
        status = finish_window(drift, 0, err);
    return status;
}

/* ---- into a checkpoint and back -------------------------------------------------------------- */

enum { WINDOW_BYTES = 8 + 1 + 8 + 8 + 8 + 8 }; /* of one without slots and examples */

enum esp_status esp_drift_settle(struct esp_drift *drift, struct esp_error *err)
{
    return scoring_window(drift) != NULL ? score_pending(drift, err) : ESP_OK;
}

/* What the state means depends on these. */
static void archive_configuration(struct esp_archive *archive,
                                  const struct esp_drift_config *config)
{
    const struct esp_ladder *ladder = &config->ladder;
    esp_archive_same(archive, (uint64_t)ladder->window_us, "drift.window in microseconds");
    esp_archive_same(archive, ladder->n_ages, "the number of drift.ages");
    for (size_t a = 0; a < ladder->n_ages; a++)
        esp_archive_same(archive, ladder->ages[a], "one of drift.ages");
    esp_archive_same(archive, ladder->sparse_from, "drift.sparse_from");
    esp_archive_same(archive, ladder->sparse, "drift.sparse");
    esp_archive_same(archive, (uint64_t)config->click_window_us, "the click window");
    esp_archive_same(archive, config->has_installs, "whether there are installs");
    esp_archive_same(archive, config->n_models, "the number of models");
    esp_archive_same(archive, config->window_examples, "drift.window_examples");
    for (size_t task = 0; task < ESP_N_TASKS; task++)
        esp_archive_same(archive, config->has_production[task], "whether a task has scores");
}

/* A window whose times, and those of all ages before it, are numbers. */
static bool is_window(const struct esp_ladder *ladder, int64_t window)
{
    int64_t oldest, next, time_us;
    return !__builtin_sub_overflow(window, (int64_t)ladder->ages[ladder->n_ages - 1], &oldest) &&
           !__builtin_mul_overflow(oldest, ladder->window_us, &time_us) &&
           !__builtin_add_overflow(window, 1, &next) &&
           !__builtin_mul_overflow(next, ladder->window_us, &time_us);
}

/* Appends an empty window to read into; NULL: the archive has failed. */
static struct esp_holdout *add_window(struct esp_drift *drift, struct esp_archive *archive)
{
    struct esp_error err = {0};
    void *windows = drift->windows;
    enum esp_status status = esp_array_grow(&windows, &drift->capacity, drift->n_windows + 1,
                                            sizeof *drift->windows, &err);
    drift->windows = windows;
    if (status != ESP_OK) {
        esp_archive_fail(archive, status, "%s", err.text);
        return NULL;
    }
    struct esp_holdout *holdout = &drift->windows[drift->n_windows++];
    *holdout = (struct esp_holdout){0};
    return holdout;
}

/* Invariants (1), (6), and that a window that waits is before all that may be scored. */
static bool fits_in(const struct esp_drift *drift, size_t i, bool is_last)
{
    const struct esp_holdout *holdout = &drift->windows[i];
    return is_window(&drift->config.ladder, holdout->window) &&
           (i == 0 || drift->windows[i - 1].window < holdout->window) &&
           (holdout->scoring ? is_last && holdout->window == drift->first_window
                             : holdout->window < drift->first_window);
}

/* Opens the snapshot of a slot once more, for the bench. */
static enum esp_status reopen_slot(struct esp_drift *drift, const struct esp_holdout *holdout,
                                   const struct esp_slot *slot, struct esp_slot *scratch,
                                   struct esp_error *err)
{
    const struct esp_drift_config *config = &drift->config;
    int64_t age = config->ladder.ages[slot->age], found = INT64_MIN;
    int64_t boundary_us = (holdout->window - age) * config->ladder.window_us;
    struct esp_snapshot *snapshot = NULL;
    enum esp_status status =
        config->open(config->open_context, slot->model, boundary_us, &snapshot, err);
    if (status != ESP_OK)
        return status;
    if (snapshot != NULL) {
        struct bench *bench = &drift->bench;
        add_slot(bench, scratch, slot->model, slot->age, snapshot);
        const struct esp_slot *again = &scratch[bench->n_slots - 1];
        found = again->snapshot;
        if (found == slot->snapshot && strcmp(again->setup, slot->setup) == 0 &&
            memcmp(again->has_task, slot->has_task, sizeof slot->has_task) == 0)
            return ESP_OK;
    }
    return esp_fail(err, ESP_EDATA,
                    "snapshot %lld of model %zu, which scores the window of drift that is open, is "
                    "%s",
                    (long long)slot->snapshot, slot->model,
                    snapshot == NULL ? "gone" : "another one now");
}

static enum esp_status reopen_bench(struct esp_drift *drift, const struct esp_holdout *holdout,
                                    struct esp_error *err)
{
    size_t most = drift->config.n_models * drift->config.ladder.n_ages;
    struct esp_slot *scratch = calloc(most, sizeof *scratch);
    enum esp_status status =
        scratch == NULL ? esp_fail(err, ESP_ENOMEM, "out of memory for a window of %zu slots", most)
                        : open_bench(&drift->bench, most, err);
    for (size_t s = 0; status == ESP_OK && s < holdout->n_slots; s++)
        status = reopen_slot(drift, holdout, &holdout->slots[s], scratch, err);
    drift->bench.first = holdout->n;
    free(scratch);
    return status;
}

void esp_drift_archive(struct esp_archive *archive, struct esp_drift *drift)
{
    bool reads = esp_archive_reads(archive);
    size_t n = drift->n_windows;
    esp_archive_mark(archive, "drift", 1);
    esp_archive_check(archive, drift->bench.n_pending == 0, "a holdout example without its logits");
    archive_configuration(archive, &drift->config);
    esp_archive_i64(archive, &drift->first_window);
    esp_archive_u64(archive, &drift->usage.scored);
    esp_archive_u64(archive, &drift->usage.thinned);
    esp_archive_u64(archive, &drift->usage.measures);
    esp_archive_check(archive,
                      drift->first_window == INT64_MIN ||
                          is_window(&drift->config.ladder, drift->first_window),
                      "the first window that may still be scored");
    esp_archive_count(archive, &n, WINDOW_BYTES);
    for (size_t i = 0; i < n && esp_archive_is_ok(archive); i++) {
        struct esp_holdout *holdout = reads ? add_window(drift, archive) : &drift->windows[i];
        if (holdout == NULL)
            return;
        esp_holdout_archive(archive, holdout, &drift->config);
        esp_archive_check(archive, fits_in(drift, i, i + 1 == n), "the order of windows");
    }
    struct esp_error err = {0};
    const struct esp_holdout *holdout = scoring_window(drift);
    if (reads && esp_archive_is_ok(archive) && holdout != NULL &&
        reopen_bench(drift, holdout, &err) != ESP_OK)
        esp_archive_fail(archive, err.status, "%s", err.text);
}

int64_t esp_drift_first_window(const struct esp_drift *drift)
{
    return drift->first_window;
}

void esp_drift_usage(const struct esp_drift *drift, struct esp_drift_usage *out)
{
    *out = drift->usage;
    out->windows = drift->n_windows;
    for (size_t i = 0; i < drift->n_windows; i++) {
        out->examples += drift->windows[i].n;
        out->memory_bytes += esp_holdout_bytes(&drift->windows[i]);
    }
}

void esp_drift_check(const struct esp_drift *drift)
{
    for (size_t i = 0; i < drift->n_windows; i++) {
        const struct esp_holdout *holdout = &drift->windows[i];
        ESP_CHECK(1, i == 0 || drift->windows[i - 1].window < holdout->window);
        ESP_CHECK(1, !holdout->scoring || i + 1 == drift->n_windows);
        ESP_CHECK(2, holdout->scoring || holdout->n_waiting > 0);
        ESP_CHECK(3, holdout->n <= drift->config.window_examples);
        for (size_t k = 1; k < holdout->n; k++)
            ESP_CHECK(4, holdout->tickets[k - 1] < holdout->tickets[k]);
    }
    ESP_CHECK(5, drift->bench.n_slots == 0 || scoring_window(drift) != NULL);
    ESP_CHECK(6, scoring_window(drift) == NULL ||
                     scoring_window(drift)->window == drift->first_window);
}
