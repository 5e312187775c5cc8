/* truth.c - see truth.h. */
#include "truth.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "chance.h"

#define ZIPF_EXPONENT 1.1

enum { N_CALIBRATION = 1 << 17 };

/* Whose advertisement and through whom, how it looks and where, in which app and when. */
static const struct {
    enum sim_field a, b;
} pairs[SIM_N_PAIRS] = {
    {SIM_ADVERTISER, SIM_EXCHANGE}, {SIM_FORMAT, SIM_COUNTRY}, {SIM_CATEGORY, SIM_HOUR}};

uint32_t sim_truth_n_values(const struct sim_truth *truth, enum sim_field field)
{
    return sim_field_n_values(field, truth->config.small);
}

/* Values that have effects: those that are drawn from, and new ads. */
static uint32_t n_known(const struct sim_truth *truth, enum sim_field field)
{
    return sim_truth_n_values(truth, field) + (field == SIM_CREATIVE ? truth->config.n_new_ads : 0);
}

/* Numbers of chances between two tables: more than either has values. */
#define TABLE_STRIDE (UINT64_C(1) << 32)

/* Fills rows of 2 x width numbers, one row a value: width standard normals for clicks, then as many
 * for installs that correlate with them. */
static void fill(float *numbers, uint64_t seed, enum sim_purpose purpose, uint64_t what, uint32_t n,
                 size_t width, double correlation)
{
    double rest = sqrt(1 - correlation * correlation);
    for (uint32_t v = 0; v < n; v++) {
        struct sim_chance chance = sim_chance(seed, purpose, what * TABLE_STRIDE + v);
        float *row = numbers + (size_t)v * SIM_N_LOGITS * width;
        for (size_t k = 0; k < width; k++) {
            double normals[2];
            sim_normals(&chance, normals);
            row[k] = (float)normals[0];
            row[width + k] = (float)(correlation * normals[0] + rest * normals[1]);
        }
    }
}

/* Draws numbers (n_values, SIM_N_LOGITS, width) and, where preferences turn, what they turn to. */
static enum esp_status draw_numbers(struct sim_numbers *numbers, const struct sim_truth *truth,
                                    uint64_t what, uint32_t n_values, size_t width,
                                    double correlation, struct esp_error *err)
{
    bool turns = truth->config.quarter_turn_us > 0;
    uint64_t seed = truth->config.seed;
    numbers->n = (size_t)n_values * SIM_N_LOGITS * width;
    numbers->start = calloc(numbers->n, sizeof(float));
    numbers->now = turns ? calloc(numbers->n, sizeof(float)) : numbers->start;
    numbers->turned = turns ? calloc(numbers->n, sizeof(float)) : NULL;
    if (numbers->start == NULL || numbers->now == NULL || (turns && numbers->turned == NULL))
        return esp_fail(err, ESP_ENOMEM, "out of memory for the effects of %u values", n_values);
    fill(numbers->start, seed, SIM_FOR_EFFECTS, what, n_values, width, correlation);
    if (turns)
        fill(numbers->turned, seed, SIM_FOR_TURNED, what, n_values, width, correlation);
    return ESP_OK;
}

/* P(v) of a field, up to a factor: Zipf's, and all hours alike. */
static double share_of(enum sim_field field, uint32_t value)
{
    return field == SIM_HOUR ? 1 : pow(value + 1.0, -ZIPF_EXPONENT);
}

/*
 * Gives each of `width` columns the mean 0 over a field's impressions, and finds how the columns
 * vary together.
 *
 * numbers     (n_known, SIM_N_LOGITS, width); the columns are those of one logit
 * covariance  (width, width)
 */
static void centre(const struct sim_truth *truth, enum sim_field field, size_t logit, size_t width,
                   float *numbers, double covariance[SIM_RANK][SIM_RANK])
{
    uint32_t n_drawn = sim_truth_n_values(truth, field);
    size_t stride = SIM_N_LOGITS * width;
    double mean[SIM_RANK] = {0}, total = 0;
    memset(covariance, 0, sizeof(double) * SIM_RANK * SIM_RANK);
    numbers += logit * width;
    for (uint32_t v = 0; v < n_drawn; v++) {
        double share = share_of(field, v);
        const float *x = numbers + v * stride;
        total += share;
        for (size_t i = 0; i < width; i++) {
            mean[i] += share * x[i];
            for (size_t j = 0; j < width; j++)
                covariance[i][j] += share * x[i] * x[j];
        }
    }
    for (size_t i = 0; i < width; i++)
        mean[i] /= total;
    for (size_t i = 0; i < width; i++)
        for (size_t j = 0; j < width; j++)
            covariance[i][j] = covariance[i][j] / total - mean[i] * mean[j];
    for (uint32_t v = 0; v < n_known(truth, field); v++)
        for (size_t i = 0; i < width; i++)
            numbers[v * stride + i] -= (float)mean[i];
}

/* Multiplies the columns of one logit. */
static void scale(const struct sim_truth *truth, enum sim_field field, size_t logit, size_t width,
                  double factor, float *numbers)
{
    for (uint32_t v = 0; v < n_known(truth, field); v++)
        for (size_t i = 0; i < width; i++)
            numbers[(v * SIM_N_LOGITS + logit) * width + i] *= (float)factor;
}

/* What makes a variance this deviation's; nothing can where nothing varies. */
static double factor_for(double deviation, double variance)
{
    return variance > 0 ? deviation / sqrt(variance) : 0;
}

/* Gives a field's effects the mean 0 and s[f] times the deviation of all fields together. */
static void level_effects(const struct sim_truth *truth, enum sim_field field, double s,
                          float *numbers)
{
    double covariance[SIM_RANK][SIM_RANK];
    for (size_t l = 0; l < SIM_N_LOGITS; l++) {
        centre(truth, field, l, 1, numbers, covariance);
        scale(truth, field, l, 1, factor_for(s * truth->config.effects[l], covariance[0][0]),
              numbers);
    }
}

/* The same for the product of one pair: its variance over independent values is the sum of the
 * products of both covariances' elements. */
static void level_pair(const struct sim_truth *truth, size_t pair, float *u, float *w)
{
    double of_u[SIM_RANK][SIM_RANK], of_w[SIM_RANK][SIM_RANK];
    for (size_t l = 0; l < SIM_N_LOGITS; l++) {
        centre(truth, pairs[pair].a, l, SIM_RANK, u, of_u);
        centre(truth, pairs[pair].b, l, SIM_RANK, w, of_w);
        double variance = 0;
        for (size_t i = 0; i < SIM_RANK; i++)
            for (size_t j = 0; j < SIM_RANK; j++)
                variance += of_u[i][j] * of_w[i][j];
        double deviation = truth->config.crosses[l] / sqrt(SIM_N_PAIRS);
        scale(truth, pairs[pair].a, l, SIM_RANK, factor_for(deviation, variance), u);
    }
}

static void release_numbers(struct sim_numbers *numbers)
{
    if (numbers->now != numbers->start)
        free(numbers->now);
    free(numbers->start);
    free(numbers->turned);
    *numbers = (struct sim_numbers){0};
}

static void turn(struct sim_numbers *numbers, double angle)
{
    float c = (float)cos(angle);
    float s = (float)sin(angle);
    for (size_t i = 0; i < numbers->n; i++)
        numbers->now[i] = c * numbers->start[i] + s * numbers->turned[i];
}

void sim_truth_drift(struct sim_truth *truth, int64_t since_start_us)
{
    int64_t step = since_start_us / SIM_DRIFT_STEP;
    if (step == truth->step)
        return;
    truth->step = step;
    double elapsed_us = (double)step * (double)SIM_DRIFT_STEP;
    truth->drifted = log(truth->config.odds_a_day) * elapsed_us / (double)ESP_DAY;
    if (truth->config.quarter_turn_us == 0)
        return;
    double angle = 1.5707963267948966 * elapsed_us / (double)truth->config.quarter_turn_us;
    for (size_t f = 0; f < SIM_N_FIELDS; f++) {
        turn(&truth->effects[f], angle);
        turn(&truth->factors[f], angle);
    }
}

void sim_truth_draw(const struct sim_truth *truth, struct sim_chance *chance, int64_t time_us,
                    uint32_t values[SIM_N_FIELDS])
{
    for (size_t f = 0; f < SIM_N_FIELDS; f++)
        if (f != SIM_HOUR)
            values[f] = sim_zipf_draw(&truth->zipf[f], sim_bits(chance));
    values[SIM_HOUR] = sim_local_hour(time_us, values[SIM_COUNTRY]);
}

/* Both logits without their intercepts. */
static void effects_of(const struct sim_truth *truth, const uint32_t values[SIM_N_FIELDS],
                       double *out_click, double *out_install)
{
    double click = 0, install = 0;
    for (size_t f = 0; f < SIM_N_FIELDS; f++) {
        const float *effect = truth->effects[f].now + (size_t)values[f] * SIM_N_LOGITS;
        click += effect[0];
        install += effect[1];
    }
    for (size_t p = 0; p < SIM_N_PAIRS; p++) {
        const size_t width = (size_t)SIM_N_LOGITS * SIM_RANK;
        const float *u = truth->factors[pairs[p].a].now + values[pairs[p].a] * width;
        const float *w = truth->factors[pairs[p].b].now + values[pairs[p].b] * width;
        for (size_t k = 0; k < SIM_RANK; k++) {
            click += (double)u[k] * w[k];
            install += (double)u[SIM_RANK + k] * w[SIM_RANK + k];
        }
    }
    *out_click = click;
    *out_install = install;
}

static double sigmoid(double logit)
{
    return 1 / (1 + exp(-logit));
}

struct sim_probabilities sim_truth_of(const struct sim_truth *truth,
                                      const uint32_t values[SIM_N_FIELDS])
{
    double click, install;
    effects_of(truth, values, &click, &install);
    return (struct sim_probabilities){
        .click = sigmoid(click + truth->click_intercept + truth->drifted),
        .install = sigmoid(install + truth->install_intercept + truth->drifted),
    };
}

/* The intercept at which the weighted mean of sigmoid(logit + intercept) is the rate. By halving:
 * the mean grows with the intercept. */
static double intercept_for(const double *logits, const double *weights, size_t n, double rate)
{
    double low = -30, high = 30;
    double total = 0;
    for (size_t i = 0; i < n; i++)
        total += weights[i];
    while (high - low > 1e-6) {
        double middle = (low + high) / 2;
        double sum = 0;
        for (size_t i = 0; i < n; i++)
            sum += weights[i] * sigmoid(logits[i] + middle);
        if (sum < rate * total)
            low = middle;
        else
            high = middle;
    }
    return (low + high) / 2;
}

/* Sets both intercepts on a sample of impressions, spread over the hours of a day; the install's
 * among the clicked. */
static enum esp_status calibrate(struct sim_truth *truth, struct esp_error *err)
{
    double *clicks = calloc(N_CALIBRATION, sizeof(double));
    double *installs = calloc(N_CALIBRATION, sizeof(double));
    double *weights = calloc(N_CALIBRATION, sizeof(double));
    enum esp_status status = ESP_OK;
    if (clicks == NULL || installs == NULL || weights == NULL) {
        status = esp_fail(err, ESP_ENOMEM, "out of memory for the calibration");
        goto out;
    }
    for (size_t i = 0; i < N_CALIBRATION; i++) {
        struct sim_chance chance = sim_chance(truth->config.seed, SIM_FOR_CALIBRATION, i);
        uint32_t values[SIM_N_FIELDS];
        sim_truth_draw(truth, &chance, (int64_t)(i % 24) * ESP_HOUR, values);
        effects_of(truth, values, &clicks[i], &installs[i]);
        weights[i] = 1;
    }
    truth->click_intercept = intercept_for(clicks, weights, N_CALIBRATION, truth->config.ctr);
    for (size_t i = 0; i < N_CALIBRATION; i++)
        weights[i] = sigmoid(clicks[i] + truth->click_intercept);
    truth->install_intercept = intercept_for(installs, weights, N_CALIBRATION, truth->config.cvr);
out:
    free(clicks);
    free(installs);
    free(weights);
    return status;
}

static enum esp_status draw_effects(struct sim_truth *truth, struct esp_error *err)
{
    double total = 0;
    for (size_t f = 0; f < SIM_N_FIELDS; f++)
        total += pow(sim_truth_n_values(truth, f), -2 * truth->config.decline);
    for (size_t f = 0; f < SIM_N_FIELDS; f++) {
        struct sim_numbers *effects = &truth->effects[f];
        double s = pow(sim_truth_n_values(truth, f), -truth->config.decline) / sqrt(total);
        enum esp_status status =
            draw_numbers(effects, truth, f, n_known(truth, f), 1, truth->config.correlation, err);
        if (status != ESP_OK)
            return status;
        level_effects(truth, f, s, effects->start);
        if (effects->turned != NULL)
            level_effects(truth, f, s, effects->turned);
    }
    return ESP_OK;
}

static enum esp_status draw_factors(struct sim_truth *truth, struct esp_error *err)
{
    /* Products of factors that correlate by r correlate by r^2; the sign comes from one side. */
    double correlation = truth->config.correlation;
    double side = sqrt(fabs(correlation));
    for (size_t p = 0; p < SIM_N_PAIRS; p++) {
        enum sim_field a = pairs[p].a;
        enum sim_field b = pairs[p].b;
        struct sim_numbers *u = &truth->factors[a];
        struct sim_numbers *w = &truth->factors[b];
        enum esp_status status = draw_numbers(u, truth, SIM_N_FIELDS + a, n_known(truth, a),
                                              SIM_RANK, copysign(side, correlation), err);
        if (status == ESP_OK)
            status =
                draw_numbers(w, truth, SIM_N_FIELDS + b, n_known(truth, b), SIM_RANK, side, err);
        if (status != ESP_OK)
            return status;
        level_pair(truth, p, u->start, w->start);
        if (u->turned != NULL)
            level_pair(truth, p, u->turned, w->turned);
    }
    return ESP_OK;
}

enum esp_status sim_truth_init(struct sim_truth *truth, const struct sim_truth_config *config,
                               struct esp_error *err)
{
    *truth = (struct sim_truth){.config = *config};
    enum esp_status status = ESP_OK;
    for (size_t f = 0; f < SIM_N_FIELDS && status == ESP_OK; f++)
        status = sim_zipf_init(&truth->zipf[f], sim_truth_n_values(truth, f), ZIPF_EXPONENT, err);
    if (status == ESP_OK)
        status = draw_effects(truth, err);
    if (status == ESP_OK)
        status = draw_factors(truth, err);
    if (status == ESP_OK) {
        truth->step = -1;
        sim_truth_drift(truth, 0);
        status = calibrate(truth, err);
    }
    if (status != ESP_OK)
        sim_truth_release(truth);
    return status;
}

void sim_truth_release(struct sim_truth *truth)
{
    for (size_t f = 0; f < SIM_N_FIELDS; f++) {
        sim_zipf_release(&truth->zipf[f]);
        release_numbers(&truth->effects[f]);
        release_numbers(&truth->factors[f]);
    }
}
