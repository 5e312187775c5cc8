/* optimizer.c - see optimizer.h. Each rule is one loop over a span of weights, which the dense
 * block and a row share. */
#include "learn/optimizer.h"

#include <math.h>

#include "core/vectorised.h"

/* One rule's constants for one step, in the precision of the loops. */
struct rule {
    float rate; /* adam: bias correction included */
    float l2, epsilon;
    float beta1, beta2;
    float v_scale; /* adam: 1 / sqrt(1 - beta2^s) */
    float decay;   /* adagrad: 1 without half-life or without time passed */
    float floor;   /* adagrad: `initial` */
};

static enum esp_status bad(struct esp_error *err, const char *what, const char *key, double value,
                           const char *range)
{
    return esp_fail(err, ESP_ECONFIG, "%s_%s: %g; choose %s", what, key, value, range);
}

enum esp_status esp_optimizer_validate(const struct esp_optimizer_config *config, const char *what,
                                       struct esp_error *err)
{
    if (!(config->rate > 0 && config->rate <= 100))
        return bad(err, what, "rate", config->rate, "above 0, at most 100");
    if (!(config->l2 >= 0 && config->l2 <= 1))
        return bad(err, what, "l2", config->l2, "0 to 1");
    if (!(config->clip >= 0 && isfinite(config->clip)))
        return bad(err, what, "clip", config->clip, "0 (none) or a bound above it");
    if (!(config->epsilon >= 0 && config->epsilon <= 1))
        return bad(err, what, "epsilon", config->epsilon, "0 to 1");
    if (config->kind == ESP_ADAGRAD && !(config->initial >= 0 && isfinite(config->initial)))
        return bad(err, what, "initial", config->initial, "0 or more");
    if (config->kind == ESP_ADAGRAD && config->initial == 0 && config->epsilon == 0)
        return bad(err, what, "initial", config->initial, "above 0 where epsilon is 0");
    if (config->kind == ESP_ADAGRAD && config->half_life_us < 0)
        return bad(err, what, "half_life", (double)config->half_life_us, "0 (never) or a span");
    if (config->kind == ESP_SGD && config->schedule == ESP_SCHEDULE_INVERSE &&
        !(config->horizon > 0 && isfinite(config->horizon)))
        return bad(err, what, "horizon", config->horizon, "a number of examples above 0");
    if (config->kind == ESP_ADAM && !(config->beta1 >= 0 && config->beta1 < 1))
        return bad(err, what, "beta1", config->beta1, "0 or more, below 1");
    if (config->kind == ESP_ADAM && !(config->beta2 >= 0 && config->beta2 < 1))
        return bad(err, what, "beta2", config->beta2, "0 or more, below 1");
    if (config->kind == ESP_ADAM && config->epsilon == 0)
        return bad(err, what, "epsilon", config->epsilon, "above 0 with adam");
    return ESP_OK;
}

size_t esp_optimizer_row_slots(const struct esp_optimizer_config *config, size_t D)
{
    switch (config->kind) {
    case ESP_ADAGRAD:
        return config->accumulator == ESP_ROW_WISE ? 1 : D;
    case ESP_ADAM:
        return 2 * D;
    default:
        return 0;
    }
}

size_t esp_optimizer_dense_slots(const struct esp_optimizer_config *config)
{
    return config->kind == ESP_ADAGRAD ? 1 : config->kind == ESP_ADAM ? 2 : 0;
}

float esp_optimizer_slot_initial(const struct esp_optimizer_config *config)
{
    return config->kind == ESP_ADAGRAD ? (float)config->initial : 0;
}

/* steps counts from 1: this one is included. then_us INT64_MIN: there was none before. */
static struct rule make_rule(const struct esp_optimizer_config *config,
                             const struct esp_step_time *time, uint64_t steps, int64_t then_us)
{
    struct rule rule = {.rate = (float)config->rate,
                        .l2 = (float)config->l2,
                        .epsilon = (float)config->epsilon,
                        .beta1 = (float)config->beta1,
                        .beta2 = (float)config->beta2,
                        .decay = 1,
                        .floor = (float)config->initial};
    if (config->kind == ESP_SGD && config->schedule == ESP_SCHEDULE_INVERSE)
        rule.rate = (float)(config->rate / (1 + (double)time->n_learned / config->horizon));
    if (config->kind == ESP_ADAM) {
        rule.rate = (float)(config->rate / (1 - pow(config->beta1, (double)steps)));
        rule.v_scale = (float)(1 / sqrt(1 - pow(config->beta2, (double)steps)));
    }
    if (config->kind == ESP_ADAGRAD && config->half_life_us > 0 && then_us != INT64_MIN &&
        time->now_us > then_us)
        rule.decay =
            (float)exp2(-((double)time->now_us - (double)then_us) / (double)config->half_life_us);
    return rule;
}

/* The loops: w, g, G, m, v are (n) and do not overlap. */

ESP_INLINE void adagrad(const struct rule *rule, size_t n, float *restrict w,
                        const float *restrict g, float *restrict G)
{
    float rate = rule->rate, l2 = rule->l2, epsilon = rule->epsilon;
    for (size_t i = 0; i < n; i++) {
        float gi = g[i] + l2 * w[i];
        float Gi = G[i] + gi * gi;
        G[i] = Gi;
        w[i] -= rate * gi / (sqrtf(Gi) + epsilon);
    }
}

ESP_INLINE void decay_accumulators(const struct rule *rule, size_t n, float *G)
{
    for (size_t i = 0; i < n; i++) {
        float decayed = G[i] * rule->decay;
        G[i] = decayed > rule->floor ? decayed : rule->floor;
    }
}

ESP_INLINE void adagrad_row_wise(const struct rule *rule, size_t n, float *restrict w,
                                 float *restrict g, float *restrict G)
{
    float sum = 0;
    for (size_t i = 0; i < n; i++) {
        g[i] += rule->l2 * w[i];
        sum += g[i] * g[i];
    }
    *G += sum / (float)n;
    float step = rule->rate / (sqrtf(*G) + rule->epsilon);
    for (size_t i = 0; i < n; i++)
        w[i] -= step * g[i];
}

ESP_INLINE void sgd(const struct rule *rule, size_t n, float *restrict w, const float *restrict g)
{
    for (size_t i = 0; i < n; i++)
        w[i] -= rule->rate * (g[i] + rule->l2 * w[i]);
}

ESP_INLINE void adam(const struct rule *rule, size_t n, float *restrict w, const float *restrict g,
                     float *restrict m, float *restrict v)
{
    for (size_t i = 0; i < n; i++) {
        float gi = g[i] + rule->l2 * w[i];
        m[i] = rule->beta1 * m[i] + (1 - rule->beta1) * gi;
        v[i] = rule->beta2 * v[i] + (1 - rule->beta2) * (gi * gi);
        w[i] -= rule->rate * m[i] / (sqrtf(v[i]) * rule->v_scale + rule->epsilon);
    }
}

/* Scales g so that its norm is at most clip. True: it was above. */
ESP_INLINE bool clip_norm(double clip, size_t n, float *g)
{
    if (clip == 0)
        return false;
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)g[i] * g[i];
    double norm = sqrt(sum);
    if (norm <= clip)
        return false;
    float scale = (float)(clip / norm);
    for (size_t i = 0; i < n; i++)
        g[i] *= scale;
    return true;
}

ESP_VECTORISED bool esp_optimizer_step_dense(const struct esp_optimizer_config *config,
                                             const struct esp_step_time *time, size_t n,
                                             float *params, float *grads,
                                             struct esp_dense_state *state)
{
    struct rule rule = make_rule(config, time, state->steps + 1, state->stepped_us);
    bool clipped = clip_norm(config->clip, n, grads);
    switch (config->kind) {
    case ESP_ADAGRAD:
        if (rule.decay < 1)
            decay_accumulators(&rule, n, state->slots[0]);
        adagrad(&rule, n, params, grads, state->slots[0]);
        break;
    case ESP_SGD:
        sgd(&rule, n, params, grads);
        break;
    case ESP_ADAM:
        adam(&rule, n, params, grads, state->slots[0], state->slots[1]);
        break;
    }
    state->steps++;
    state->stepped_us = time->now_us > state->stepped_us ? time->now_us : state->stepped_us;
    return clipped;
}

/* One row: w, then its slots. The rule is this step's; what depends on the row is added here. */
ESP_INLINE void step_row(const struct esp_optimizer_config *config,
                         const struct esp_step_time *time, const struct rule *step_rule,
                         const struct esp_row_meta *meta, size_t D, float *w, float *g)
{
    const struct rule *rule = step_rule;
    struct rule own;
    if (config->kind == ESP_ADAM || config->half_life_us > 0) {
        own = make_rule(config, time, (uint64_t)meta->steps + 1, meta->trained_us);
        rule = &own;
    }
    switch (config->kind) {
    case ESP_ADAGRAD:
        if (rule->decay < 1)
            decay_accumulators(rule, config->accumulator == ESP_ROW_WISE ? 1 : D, w + D);
        if (config->accumulator == ESP_ROW_WISE)
            adagrad_row_wise(rule, D, w, g, w + D);
        else
            adagrad(rule, D, w, g, w + D);
        break;
    case ESP_SGD:
        sgd(rule, D, w, g);
        break;
    case ESP_ADAM:
        adam(rule, D, w, g, w + D, w + 2 * D);
        break;
    }
}

ESP_INLINE uint64_t step_rows(const struct esp_optimizer_config *config,
                              const struct esp_step_time *time, struct esp_table *table, size_t D,
                              size_t first, size_t n, float *grads)
{
    enum { AHEAD = 12 };
    struct rule rule = make_rule(config, time, 1, INT64_MIN);
    uint64_t n_clipped = 0;
    for (size_t place = first; place < first + n; place++) {
        if (place + AHEAD < first + n) {
            uint32_t ahead = table->touched[place + AHEAD];
            const float *next = table->rows + ahead * table->stride;
            __builtin_prefetch(&table->meta[ahead], 1);
            for (size_t d = 0; d < table->stride; d += 16)
                __builtin_prefetch(next + d, 1);
        }
        uint32_t row = table->touched[place];
        struct esp_row_meta *meta = &table->meta[row];
        float *w = table->rows + row * table->stride, *g = grads + place * D;
        n_clipped += clip_norm(config->clip, D, g);
        step_row(config, time, &rule, meta, D, w, g);
        meta->steps += meta->steps < UINT32_MAX - 1;
        meta->trained_us = time->now_us > meta->trained_us ? time->now_us : meta->trained_us;
    }
    return n_clipped;
}

ESP_VECTORISED uint64_t esp_optimizer_step_rows(const struct esp_optimizer_config *config,
                                                const struct esp_step_time *time,
                                                struct esp_table *table, size_t first, size_t n,
                                                float *grads)
{
    if (table->width == ESP_USUAL_WIDTH)
        return step_rows(config, time, table, ESP_USUAL_WIDTH, first, n, grads);
    return step_rows(config, time, table, table->width, first, n, grads);
}
