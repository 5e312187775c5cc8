/* drift_words.c - see drift_words.h. */
#include "cmd/drift/drift_words.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "cmd/run/figures.h"
#include "core/timespan.h"

enum { MOST_DECIMALS = 8 };

const char *const drift_explanation[] = {
    "Drift loss is the loss of a model that stopped learning some time ago, less the loss of the "
    "same model up to date, on the same impressions: what it costs not to retrain.",
    "It is drift plus what learning goes on to gain: a model that is still improving seems to age "
    "even where nothing changes.",
    "Losses are weighted log losses in nats. Intervals hold the true value in 95 of 100 cases, "
    "each by itself; one that holds 0 shows no difference.",
    NULL,
};

const char *drift_task_title(enum esp_drift_task task)
{
    static const char *const titles[ESP_N_DRIFT_TASKS] = {"Clicks", "Installs after a click",
                                                          "Installs"};
    return titles[task];
}

const char *drift_task_noun(enum esp_drift_task task)
{
    static const char *const nouns[ESP_N_DRIFT_TASKS] = {"clicks", "installs after a click",
                                                         "installs"};
    return nouns[task];
}

const char *drift_age_text(int64_t age_us, char text[DRIFT_TEXT_SIZE])
{
    double hours = (double)age_us / (double)ESP_HOUR;
    if (age_us % ESP_HOUR == 0)
        snprintf(text, DRIFT_TEXT_SIZE, "%.0f h", hours);
    else if (age_us % ESP_MINUTE == 0 && hours < 24)
        snprintf(text, DRIFT_TEXT_SIZE, "%.0f min", hours * 60);
    else
        snprintf(text, DRIFT_TEXT_SIZE, "%.2f h", hours);
    return text;
}

const char *drift_label(const struct esp_drift_report *report, const struct esp_drift_entry *entry,
                        char text[DRIFT_TEXT_SIZE])
{
    bool other_run = false, other_window = false;
    for (size_t e = 0; e < report->n_entries; e++) {
        const struct esp_drift_entry *other = &report->entries[e];
        if (!esp_bytes_equal(other->model, entry->model))
            continue;
        other_run = other_run || !esp_bytes_equal(other->run, entry->run);
        other_window = other_window || other->window_us != entry->window_us;
    }
    int n = snprintf(text, DRIFT_TEXT_SIZE, "%.*s", (int)entry->model.size,
                     (const char *)entry->model.data);
    if (other_run)
        n += snprintf(text + n, DRIFT_TEXT_SIZE - (size_t)n, " (run %.8s)",
                      (const char *)entry->run.data);
    if (other_window) {
        char span[ESP_TIME_TEXT_SIZE];
        snprintf(text + n, DRIFT_TEXT_SIZE - (size_t)n, " (windows of %s)",
                 esp_span_format(entry->window_us, span));
    }
    return text;
}

int drift_decimals(const struct esp_figure *loss)
{
    double size = loss->defined ? fabs(loss->value) : 1;
    return size >= 0.1 || size == 0 ? 4 : size >= 0.01 ? 5 : size >= 0.001 ? 6 : 7;
}

int drift_difference_decimals(const struct esp_drift_entry *entry)
{
    const struct esp_drift_point *point = esp_drift_telling_point(&entry->curve);
    const struct esp_figure *figure = point != NULL ? &point->pool.drift_loss : NULL;
    const struct esp_figure *loss = &entry->common.figures.log_loss;
    int least = drift_decimals(loss->defined ? loss : &entry->progressive.figures.log_loss);
    if (figure == NULL || !figure->has_interval || figure->high <= figure->low)
        return least;
    int wanted = (int)ceil(-log10((figure->high - figure->low) / 2)) + 1;
    wanted = wanted < MOST_DECIMALS ? wanted : MOST_DECIMALS;
    return wanted > least ? wanted : least;
}

const char *drift_value_text(const struct esp_figure *figure, int decimals,
                             char text[DRIFT_TEXT_SIZE])
{
    if (figure->defined)
        snprintf(text, DRIFT_TEXT_SIZE, "%.*f", decimals, figure->value);
    else
        snprintf(text, DRIFT_TEXT_SIZE, "-");
    return text;
}

const char *drift_interval_text(const struct esp_figure *figure, int decimals,
                                char text[DRIFT_TEXT_SIZE])
{
    if (!figure->defined || !figure->has_interval)
        return drift_value_text(figure, decimals, text);
    snprintf(text, DRIFT_TEXT_SIZE, "%.*f (%.*f to %.*f)", decimals, figure->value, decimals,
             figure->low, decimals, figure->high);
    return text;
}

/* "0.0021 nats (0.0012 to 0.0030)" */
static void put_amount(const struct esp_figure *figure, int decimals, char *text, size_t size)
{
    int n = snprintf(text, size, "%.*f nats", decimals, figure->value);
    if (figure->has_interval)
        snprintf(text + n, size - (size_t)n, " (%.*f to %.*f)", decimals, figure->low, decimals,
                 figure->high);
}

/* "A model 24 h old loses 0.0021 nats (0.0012 to 0.0030) on clicks, 1.1 % of ..." */
static void conclude(const struct esp_drift_entry *entry, const struct esp_drift_point *point,
                     char text[DRIFT_TEXT_SIZE])
{
    struct esp_figure drift = point->pool.drift_loss;
    const struct esp_figure *fresh = &entry->curve.points[0].pool.figures.log_loss;
    char age[DRIFT_TEXT_SIZE], amount[128], share[64] = "";
    const char *noun = drift_task_noun(entry->task);
    bool is_gain = drift.has_interval && drift.high < 0;
    bool is_clear = is_gain || (drift.has_interval && drift.low > 0);
    if (is_gain)
        drift =
            (struct esp_figure){true, drift.has_interval, -drift.value, -drift.high, -drift.low};
    if (is_clear && fresh->defined && fresh->value > 0)
        snprintf(share, sizeof share, ", %.2g %% of the loss of one up to date",
                 100 * drift.value / fresh->value);
    drift_age_text(point->age_us, age);
    put_amount(&drift, drift_difference_decimals(entry), amount, sizeof amount);
    if (!drift.has_interval)
        snprintf(text, DRIFT_TEXT_SIZE,
                 "There are too few examples (%" PRIu64 " %s) to tell what a model %.20s old loses "
                 "on %s.",
                 point->pool.figures.positives, noun, age, noun);
    else if (!is_clear)
        snprintf(text, DRIFT_TEXT_SIZE,
                 "A model %.20s old shows no loss on %s that can be told from chance: %s.", age,
                 noun, amount);
    else
        snprintf(text, DRIFT_TEXT_SIZE, "A model %.20s old %s %s on %s%s.", age,
                 is_gain ? "gains" : "loses", amount, noun, share);
}

const char *drift_conclusion(const struct esp_drift_entry *entry, char text[DRIFT_TEXT_SIZE])
{
    const struct esp_drift_point *point = esp_drift_telling_point(&entry->curve);
    if (point != NULL)
        conclude(entry, point, text);
    else if (entry->is_production)
        snprintf(text, DRIFT_TEXT_SIZE,
                 "These are scores that the impressions carried; they have "
                 "no age.");
    else
        snprintf(text, DRIFT_TEXT_SIZE,
                 "No window has both an up-to-date and an older model yet, so there is no drift "
                 "loss on %s.",
                 drift_task_noun(entry->task));
    return text;
}

static int put_days(const struct esp_drift_curve *curve, char *text, size_t size)
{
    if (curve->n_days > 0)
        return snprintf(text, size, "%zu whole day%s, ", curve->n_days,
                        curve->n_days == 1 ? "" : "s");
    return snprintf(text, size, "less than a whole day, ");
}

const char *drift_basis(const struct esp_drift_entry *entry, char text[DRIFT_TEXT_SIZE])
{
    const struct esp_drift_curve *curve = &entry->curve;
    if (curve->n_points == 0 || curve->points[0].pool.n_windows == 0) {
        snprintf(text, DRIFT_TEXT_SIZE, "no windows");
        return text;
    }
    const struct esp_drift_pool *pool = &curve->points[0].pool;
    char window[DRIFT_TEXT_SIZE], start[ESP_TIME_TEXT_SIZE], end[ESP_TIME_TEXT_SIZE];
    char examples[FIGURE_TEXT_SIZE], positives[FIGURE_TEXT_SIZE];
    int n = put_days(curve, text, DRIFT_TEXT_SIZE);
    n +=
        snprintf(text + n, DRIFT_TEXT_SIZE - (size_t)n,
                 "%zu window%s of %.20s with every age, %s to %s, %s examples, %s %s",
                 pool->n_windows, pool->n_windows == 1 ? "" : "s",
                 drift_age_text(entry->window_us, window), esp_time_format(pool->start_us, start),
                 esp_time_format(pool->end_us, end), figure_exact(pool->figures.examples, examples),
                 figure_exact(pool->figures.positives, positives), drift_task_noun(entry->task));
    if (pool->least_share < 1)
        n += snprintf(text + n, DRIFT_TEXT_SIZE - (size_t)n,
                      "; some windows thinned, down to %.2g %% of their impressions",
                      100 * pool->least_share);
    if (curve->n_older > 0)
        snprintf(text + n, DRIFT_TEXT_SIZE - (size_t)n,
                 "; %zu older age%s left out, for want of days that have all", curve->n_older,
                 curve->n_older == 1 ? "" : "s");
    return text;
}
