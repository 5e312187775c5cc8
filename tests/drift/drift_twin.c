/* drift_twin.c - see drift_twin.h. */
#include "drift_twin.h"

#include <math.h>
#include <stdlib.h>

#include "core/hash.h"
#include "model/scorer.h"

/* A window and when it is told of. */
struct twin_window {
    int64_t number;
    GArray *kept; /* size_t: impressions */
    double threshold;
    size_t closed_at, done_at; /* places of labels; n_labels: at the end */
    bool waits;                /* installs are told of apart from clicks */
};

struct twin {
    const struct test_stream *stream;
    GArray *windows;
    GArray *measures;
    float *logits;  /* (n, n_models, TEST_STATES, ESP_N_TASKS) */
    bool *is_known; /* (n, n_models, TEST_STATES) */
    struct esp_snapshot *snapshots[TEST_MODELS][TEST_STATES]; /* NULL: not needed so far */
};

/* ---- windows ---- */

static int64_t window_of(const struct test_stream *stream, int64_t time_us)
{
    return (int64_t)floor((double)time_us / (double)stream->plan->ladder.window_us);
}

static double thin_hash(uint64_t unit)
{
    uint64_t bits = esp_hash_domain(ESP_DOMAIN_THIN, esp_bytes(&unit, sizeof unit), 0);
    return (double)(bits >> 11) / 9007199254740992.0;
}

static void keep(struct twin *twin, struct twin_window *window, size_t i)
{
    const struct test_impression *impressions = twin->stream->impressions;
    if (thin_hash(impressions[i].unit) >= window->threshold)
        return;
    g_array_append_val(window->kept, i);
    while (window->kept->len >= twin->stream->plan->window_examples) {
        window->threshold /= 2;
        for (guint k = window->kept->len; k-- > 0;) {
            size_t other = g_array_index(window->kept, size_t, k);
            if (thin_hash(impressions[other].unit) >= window->threshold)
                g_array_remove_index(window->kept, k);
        }
    }
}

/* When the window's clicks are all there, and its installs. */
static void time_window(struct twin *twin, struct twin_window *window)
{
    const struct test_stream *stream = twin->stream;
    const struct test_plan *plan = stream->plan;
    int64_t end_us = (window->number + 1) * plan->ladder.window_us + plan->click_window_us;
    window->closed_at = stream->n_labels;
    for (size_t k = stream->n_labels; k-- > 0 && stream->labels[k].due_us >= end_us;)
        window->closed_at = k;
    window->done_at = window->closed_at;
    for (guint k = 0; k < window->kept->len; k++) {
        const struct test_impression *impression =
            &stream->impressions[g_array_index(window->kept, size_t, k)];
        if (!impression->y || !plan->has_installs)
            continue;
        size_t at =
            impression->install_at < stream->n_labels ? impression->install_at : stream->n_labels;
        if (at < window->closed_at)
            continue;
        window->waits = true;
        window->done_at = at > window->done_at ? at : window->done_at;
    }
}

static void find_windows(struct twin *twin)
{
    const struct test_stream *stream = twin->stream;
    for (size_t k = 0; k < stream->n_labels; k++) {
        const struct test_label *label = &stream->labels[k];
        const struct test_impression *impression = &stream->impressions[label->impression];
        if (label->stage != ESP_STAGE_CLICK || !impression->holdout)
            continue;
        int64_t number = window_of(stream, impression->time_us);
        guint n = twin->windows->len;
        if (n == 0 || g_array_index(twin->windows, struct twin_window, n - 1).number != number) {
            struct twin_window window = {
                .number = number,
                .threshold = 1,
                .kept = g_array_new(FALSE, FALSE, sizeof(size_t)),
            };
            g_array_append_val(twin->windows, window);
            n++;
        }
        keep(twin, &g_array_index(twin->windows, struct twin_window, n - 1), label->impression);
    }
    for (guint w = 0; w < twin->windows->len; w++)
        time_window(twin, &g_array_index(twin->windows, struct twin_window, w));
}

/* ---- scores ---- */

static struct esp_snapshot *need_snapshot(struct twin *twin, size_t model, size_t state)
{
    struct esp_snapshot **snapshot = &twin->snapshots[model][state];
    if (*snapshot == NULL)
        g_assert_cmpint(esp_snapshot_open(test_stream_path(twin->stream, model, state),
                                          ESP_SNAPSHOT_CHECKSUM, snapshot, NULL),
                        ==, ESP_OK);
    return *snapshot;
}

/* An impression alone under one snapshot. */
static void score_alone(struct twin *twin, size_t i, size_t model, size_t state,
                        float out[ESP_N_TASKS])
{
    struct esp_snapshot *snapshot = need_snapshot(twin, model, state);
    struct esp_scorer *scorer = NULL;
    struct esp_feature_batch batch;
    esp_feature_batch_init(&batch, TEST_FEATURES);
    g_assert_cmpint(esp_scorer_new(esp_snapshot_model(snapshot)->network, &scorer, NULL), ==,
                    ESP_OK);
    g_assert_cmpint(esp_features_add_row(esp_snapshot_features(snapshot),
                                         twin->stream->impressions[i].values, false, &batch, NULL),
                    ==, ESP_OK);
    g_assert_cmpint(esp_scorer_score(scorer, esp_snapshot_model(snapshot), &batch, out, NULL), ==,
                    ESP_OK);
    esp_scorer_free(scorer);
    esp_feature_batch_release(&batch);
}

static float logit_of(struct twin *twin, size_t i, size_t model, size_t state, enum esp_task task)
{
    size_t at = (i * twin->stream->plan->n_models + model) * TEST_STATES + state;
    if (!twin->is_known[at])
        score_alone(twin, i, model, state, twin->logits + at * ESP_N_TASKS);
    twin->is_known[at] = true;
    return twin->logits[at * ESP_N_TASKS + task];
}

/* ---- sums ---- */

/* One example of a set, under two predictions. */
struct twin_scored {
    uint64_t unit;
    double w, logit, reference; /* reference NaN: none */
    bool y;
};

static double loss_of(double logit, bool y)
{
    double a = y ? -logit : logit;
    return fmax(a, 0) + log1p(exp(-fabs(a)));
}

/* The sums of the unit of example `first`, which is the first of it; false if it is not. */
static bool sum_unit(const GArray *set, guint first, struct esp_unit *unit, double *d)
{
    uint64_t key = g_array_index(set, struct twin_scored, first).unit;
    for (guint k = 0; k < first; k++)
        if (g_array_index(set, struct twin_scored, k).unit == key)
            return false;
    *unit = (struct esp_unit){0};
    *d = 0;
    for (guint k = first; k < set->len; k++) {
        const struct twin_scored *one = &g_array_index(set, struct twin_scored, k);
        if (one->unit != key)
            continue;
        double loss = loss_of(one->logit, one->y);
        unit->n++;
        unit->n_positive += one->y;
        unit->w += one->w;
        unit->wl += one->w * loss;
        unit->wp += one->w / (1 + exp(-one->logit));
        unit->wy += one->y ? one->w : 0;
        if (!isnan(one->reference))
            *d += one->w * (loss - loss_of(one->reference, one->y));
    }
    return true;
}

static void sum_set(const GArray *set, struct esp_task_sums *s, struct esp_paired_sums *paired)
{
    *s = (struct esp_task_sums){0};
    *paired = (struct esp_paired_sums){0};
    for (guint k = 0; k < set->len; k++) {
        struct esp_unit u;
        double d;
        if (!sum_unit(set, k, &u, &d))
            continue;
        s->n += u.n, s->n_positive += u.n_positive, s->n_units++;
        s->w += u.w, s->wl += u.wl, s->wp += u.wp, s->wy += u.wy;
        s->ww += u.w * u.w, s->wwl += u.w * u.wl, s->wwll += u.wl * u.wl;
        s->wwp += u.w * u.wp, s->wwpp += u.wp * u.wp;
        s->wwy += u.w * u.wy, s->wwyy += u.wy * u.wy, s->wwpy += u.wp * u.wy;
        s->wwly += u.wl * u.wy, s->wwlp += u.wl * u.wp;
        paired->w += u.w, paired->d += d;
        paired->ww += u.w * u.w, paired->wd += u.w * d, paired->dd += d * d;
    }
    paired->n = s->n, paired->n_positive = s->n_positive, paired->n_units = s->n_units;
}

/* ---- measures ---- */

static bool has_label(const struct twin *twin, const struct test_impression *impression,
                      enum esp_task task)
{
    return task == ESP_TASK_CLICK
               ? impression->y
               : impression->z && impression->install_at < twin->stream->n_labels;
}

/* Production's logit, single precision as it is kept; NaN: none. */
static float production_logit(const struct test_impression *impression, enum esp_task task)
{
    double p = impression->production[task];
    if (isnan(p))
        return NAN;
    p = p < 1e-7 ? 1e-7 : p > 1 - 1e-7 ? 1 - 1e-7 : p;
    return (float)(log(p) - log1p(-p));
}

enum against { NOBODY, AGE_0, PRODUCTION };

/*
 * The examples of a task that count. model SIZE_MAX: production's own scores, on those that carry
 * one, as against PRODUCTION.
 */
static GArray *make_set(struct twin *twin, const struct twin_window *window, enum esp_task task,
                        size_t model, size_t state, enum against against, size_t state_0,
                        uint64_t *n_clipped)
{
    GArray *set = g_array_new(FALSE, FALSE, sizeof(struct twin_scored));
    *n_clipped = 0;
    for (guint k = 0; k < window->kept->len; k++) {
        size_t i = g_array_index(window->kept, size_t, k);
        const struct test_impression *impression = &twin->stream->impressions[i];
        if (task == ESP_TASK_INSTALL_GIVEN_CLICK && !impression->y)
            continue;
        float theirs = production_logit(impression, task);
        if ((model == SIZE_MAX || against == PRODUCTION) && isnan(theirs))
            continue;
        double p = impression->production[task];
        *n_clipped += p < 1e-7 || p > 1 - 1e-7;
        struct twin_scored one = {
            .unit = impression->unit,
            .w = impression->weight,
            .y = has_label(twin, impression, task),
            .logit = (double)(model == SIZE_MAX ? theirs : logit_of(twin, i, model, state, task)),
            .reference = (double)(against == AGE_0        ? logit_of(twin, i, model, state_0, task)
                                  : against == PRODUCTION ? theirs
                                                          : NAN),
        };
        g_array_append_val(set, one);
    }
    return set;
}

static struct twin_measure new_measure(const struct twin *twin, const struct twin_window *window,
                                       enum esp_task task)
{
    int64_t h = twin->stream->plan->ladder.window_us;
    return (struct twin_measure){.measure = {
                                     .setup = "",
                                     .window_start_us = window->number * h,
                                     .window_end_us = window->number * h + h,
                                     .task = task,
                                     .share = window->threshold,
                                 }};
}

static bool has_task(enum test_setup setup, enum esp_task task)
{
    return setup == TEST_IPSP || task == (setup == TEST_ESP ? ESP_TASK_INSTALL : ESP_TASK_CLICK);
}

static void measure_age(struct twin *twin, const struct twin_window *window, enum esp_task task,
                        size_t model, size_t age)
{
    static const char *const names[] = {"ipsp", "esp", "ctr"};
    const struct test_stream *stream = twin->stream;
    const struct esp_ladder *ladder = &stream->plan->ladder;
    bool sparse = ladder->ages[age] >= ladder->sparse_from;
    int64_t start_us = window->number * ladder->window_us;
    size_t state =
        test_stream_state(stream, model, start_us - ladder->ages[age] * ladder->window_us);
    if ((sparse && window->number % ladder->sparse != 0) || state == SIZE_MAX ||
        !has_task(stream->plan->setups[model], task))
        return;
    size_t state_0 = test_stream_state(stream, model, start_us);
    bool paired = age > 0 && state_0 != SIZE_MAX;
    uint64_t n_clipped;
    struct twin_measure out = new_measure(twin, window, task);
    struct esp_drift_measure *m = &out.measure;
    m->model = model;
    m->setup = names[stream->plan->setups[model]];
    m->age = ladder->ages[age];
    m->snapshot = 100 + (int64_t)state;
    GArray *set =
        make_set(twin, window, task, model, state, paired ? AGE_0 : NOBODY, state_0, &n_clipped);
    sum_set(set, &m->sums, &m->paired);
    out.scale = m->sums.wl;
    m->has_paired = paired;
    m->drift_loss.value = m->paired.d / m->paired.w;
    bool any = set->len > 0;
    g_array_free(set, TRUE);
    if (age == 0 && stream->plan->production > 0) {
        struct esp_task_sums unused;
        set = make_set(twin, window, task, model, state, PRODUCTION, 0, &m->production_clipped);
        sum_set(set, &unused, &m->production);
        m->has_production = set->len > 0;
        m->production_loss.value = m->production.d / m->production.w;
        g_array_free(set, TRUE);
    }
    if (any)
        g_array_append_val(twin->measures, out);
}

static void measure_task(struct twin *twin, const struct twin_window *window, enum esp_task task)
{
    for (size_t model = 0; model < twin->stream->plan->n_models; model++)
        for (size_t age = 0; age < twin->stream->plan->ladder.n_ages; age++)
            measure_age(twin, window, task, model, age);
    if (twin->stream->plan->production <= 0)
        return;
    struct esp_paired_sums unused;
    uint64_t n_clipped;
    struct twin_measure out = new_measure(twin, window, task);
    out.measure.source = ESP_DRIFT_BY_PRODUCTION;
    GArray *set = make_set(twin, window, task, SIZE_MAX, 0, NOBODY, 0, &n_clipped);
    sum_set(set, &out.measure.sums, &unused);
    out.scale = out.measure.sums.wl;
    if (set->len > 0)
        g_array_append_val(twin->measures, out);
    g_array_free(set, TRUE);
}

static void measure_installs(struct twin *twin, const struct twin_window *window)
{
    if (!twin->stream->plan->has_installs)
        return;
    measure_task(twin, window, ESP_TASK_INSTALL_GIVEN_CLICK);
    measure_task(twin, window, ESP_TASK_INSTALL);
}

/* What a label does, place by place: it closes a window first, then completes another. */
static void measure_all(struct twin *twin)
{
    for (size_t place = 0; place <= twin->stream->n_labels; place++) {
        for (guint w = 0; w < twin->windows->len; w++) {
            const struct twin_window *window = &g_array_index(twin->windows, struct twin_window, w);
            if (window->closed_at != place)
                continue;
            measure_task(twin, window, ESP_TASK_CLICK);
            if (!window->waits)
                measure_installs(twin, window);
        }
        for (guint w = 0; w < twin->windows->len; w++) {
            const struct twin_window *window = &g_array_index(twin->windows, struct twin_window, w);
            if (window->waits && window->done_at == place)
                measure_installs(twin, window);
        }
    }
}

GArray *drift_twin(const struct test_stream *stream)
{
    size_t n_scores = (stream->n * stream->plan->n_models + 1) * TEST_STATES;
    struct twin twin = {
        .stream = stream,
        .windows = g_array_new(FALSE, FALSE, sizeof(struct twin_window)),
        .measures = g_array_new(FALSE, FALSE, sizeof(struct twin_measure)),
        .logits = calloc(n_scores * ESP_N_TASKS, sizeof(float)),
        .is_known = calloc(n_scores, sizeof(bool)),
    };
    find_windows(&twin);
    measure_all(&twin);
    for (guint w = 0; w < twin.windows->len; w++)
        g_array_free(g_array_index(twin.windows, struct twin_window, w).kept, TRUE);
    for (size_t model = 0; model < TEST_MODELS; model++)
        for (size_t state = 0; state < TEST_STATES; state++)
            esp_snapshot_close(twin.snapshots[model][state]);
    g_array_free(twin.windows, TRUE);
    free(twin.logits);
    free(twin.is_known);
    return twin.measures;
}
