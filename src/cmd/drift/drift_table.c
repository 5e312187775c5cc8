/* drift_table.c - see drift_table.h. */
#include "cmd/drift/drift_table.h"

#include "cmd/drift/drift_words.h"
#include "cmd/run/figures.h"
#include "cmd/run/grid.h"
#include "core/timespan.h"

enum { MOST_WINDOWS = 48 }; /* of a table by time that is not by day */

static void add_count(struct grid *grid, uint64_t count)
{
    char text[FIGURE_TEXT_SIZE];
    grid_add(grid, figure_exact(count, text));
}

static void add_value(struct grid *grid, const struct esp_figure *figure, int decimals)
{
    char text[DRIFT_TEXT_SIZE];
    grid_add(grid, drift_value_text(figure, decimals, text));
}

static void add_interval(struct grid *grid, const struct esp_figure *figure, int decimals)
{
    char text[DRIFT_TEXT_SIZE];
    grid_add(grid, drift_interval_text(figure, decimals, text));
}

static void add_label(struct grid *grid, const struct esp_drift_report *report,
                      const struct esp_drift_entry *entry)
{
    char text[DRIFT_TEXT_SIZE];
    grid_add(grid, drift_label(report, entry, text));
}

/* ---- by age ---------------------------------------------------------------------------------- */

static enum esp_status print_curve(const struct esp_drift_report *report,
                                   const struct esp_drift_entry *entry, FILE *out,
                                   struct esp_error *err)
{
    static const char *const head[] = {"age",         "log loss", "NE",      "drift loss",
                                       "calibration", "ROC AUC*", "PR AUC*", NULL};
    char text[DRIFT_TEXT_SIZE];
    fprintf(out, "\nLoss by age of %s: ", drift_label(report, entry, text));
    fprintf(out, "%s\n", drift_basis(entry, text));
    if (entry->curve.n_points == 0 || entry->curve.points[0].pool.n_windows == 0)
        return ESP_OK;
    struct grid grid;
    grid_init(&grid, head, 0);
    int decimals = drift_decimals(&entry->curve.points[0].pool.figures.log_loss);
    for (size_t i = 0; i < entry->curve.n_points; i++) {
        const struct esp_drift_point *point = &entry->curve.points[i];
        const struct esp_task_report *figures = &point->pool.figures;
        grid_add(&grid, drift_age_text(point->age_us, text));
        add_interval(&grid, &figures->log_loss, decimals);
        add_value(&grid, &figures->normalised_entropy, 4);
        add_interval(&grid, &point->pool.drift_loss, drift_difference_decimals(entry));
        add_interval(&grid, &figures->calibration, 3);
        add_value(&grid, &figures->roc_auc, 4);
        add_value(&grid, &figures->pr_auc, 4);
    }
    return grid_print(&grid, out, err);
}

/* ---- side by side ---------------------------------------------------------------------------- */

/* True if the entry has something to compare: the holdout at age 0, or others' scores. */
static bool is_compared(const struct esp_drift_entry *entry, enum esp_drift_task task)
{
    return entry->task == task && entry->common.n_windows > 0;
}

static void add_compared(struct grid *grid, const struct esp_drift_report *report,
                         const struct esp_drift_entry *entry)
{
    const struct esp_task_report *figures = &entry->common.figures;
    int decimals = drift_decimals(&figures->log_loss);
    char setup[DRIFT_TEXT_SIZE];
    snprintf(setup, sizeof setup, "%.*s", (int)entry->setup.size,
             entry->setup.size == 0 ? "" : (const char *)entry->setup.data);
    add_label(grid, report, entry);
    grid_add(grid, entry->is_production ? "carried scores" : setup);
    add_count(grid, entry->common.n_windows);
    add_count(grid, figures->examples);
    add_count(grid, figures->positives);
    add_interval(grid, &figures->log_loss, decimals);
    add_value(grid, &figures->normalised_entropy, 4);
    add_interval(grid, &figures->calibration, 3);
    add_value(grid, &figures->roc_auc, 4);
    add_value(grid, &figures->pr_auc, 4);
    add_interval(grid, &entry->progressive.figures.log_loss, decimals);
}

static enum esp_status print_side_by_side(const struct esp_drift_report *report,
                                          enum esp_drift_task task, FILE *out,
                                          struct esp_error *err)
{
    static const char *const head[] = {
        "model", "set-up",      "windows",  "examples", "positives",        "log loss",
        "NE",    "calibration", "ROC AUC*", "PR AUC*",  "progressive loss", NULL};
    size_t n = 0;
    for (size_t e = 0; e < report->n_entries; e++)
        n += is_compared(&report->entries[e], task);
    if (n == 0)
        return ESP_OK;
    fprintf(out, "\nUp-to-date models%s%s\n", n > 1 ? " side by side" : "",
            n == 1                    ? ""
            : report->is_common[task] ? ", on the windows that all models have"
                                      : ", each on its own windows: no window is in all of them");
    struct grid grid;
    grid_init(&grid, head, 2);
    for (size_t e = 0; e < report->n_entries; e++) {
        if (is_compared(&report->entries[e], task))
            add_compared(&grid, report, &report->entries[e]);
    }
    return grid_print(&grid, out, err);
}

static bool has_production(const struct esp_drift_entry *entry, enum esp_drift_task task)
{
    return is_compared(entry, task) && entry->common.with_production.n > 0;
}

static void add_production(struct grid *grid, const struct esp_drift_report *report,
                           const struct esp_drift_entry *entry)
{
    const struct esp_drift_pool *pool = &entry->common;
    char share[32];
    snprintf(share, sizeof share, "%.1f %%",
             100 * (double)pool->with_production.n / (double)pool->figures.examples);
    add_label(grid, report, entry);
    add_count(grid, pool->with_production.n);
    grid_add(grid, share);
    add_count(grid, pool->n_clipped);
    add_interval(grid, &pool->production_loss, drift_difference_decimals(entry));
}

static enum esp_status print_production(const struct esp_drift_report *report,
                                        enum esp_drift_task task, FILE *out, struct esp_error *err)
{
    static const char *const head[] = {"model",   "examples with a score",         "share",
                                       "clipped", "loss less the carried scores'", NULL};
    size_t n = 0;
    for (size_t e = 0; e < report->n_entries; e++)
        n += has_production(&report->entries[e], task);
    if (n == 0)
        return ESP_OK;
    fputs("\nAgainst the scores that the impressions carried, paired on the examples that have "
          "one\n",
          out);
    struct grid grid;
    grid_init(&grid, head, 1);
    for (size_t e = 0; e < report->n_entries; e++) {
        if (has_production(&report->entries[e], task))
            add_production(&grid, report, &report->entries[e]);
    }
    return grid_print(&grid, out, err);
}

/* ---- by time --------------------------------------------------------------------------------- */

static void add_period(struct grid *grid, const struct esp_drift_entry *entry,
                       const struct esp_drift_period *period, bool by_day, size_t age, int decimals)
{
    static const struct esp_figure none;
    char text[ESP_TIME_TEXT_SIZE];
    esp_time_format(period->start_us, text);
    if (by_day)
        text[sizeof "2026-01-05" - 1] = '\0';
    grid_add(grid, text);
    add_count(grid, period->fresh.figures.examples);
    add_count(grid, period->fresh.figures.positives);
    add_interval(grid, &period->fresh.figures.log_loss, decimals);
    add_value(grid, &period->fresh.figures.normalised_entropy, 4);
    add_value(grid, &period->fresh.figures.calibration, 3);
    add_interval(grid, age < entry->n_ages ? &period->drift_loss[age] : &none,
                 drift_difference_decimals(entry));
    add_interval(grid, &period->progressive.figures.log_loss, decimals);
}

static enum esp_status print_periods(const struct esp_drift_report *report,
                                     const struct esp_drift_entry *entry, enum drift_by by,
                                     FILE *out, struct esp_error *err)
{
    bool by_day = by == DRIFT_BY_DAY || (by == DRIFT_BY_ITSELF && entry->windows.n > MOST_WINDOWS);
    const struct esp_drift_periods *periods = by_day ? &entry->days : &entry->windows;
    const struct esp_drift_point *telling = esp_drift_telling_point(&entry->curve);
    size_t age = telling == NULL ? SIZE_MAX : (size_t)(telling - entry->curve.points);
    char label[DRIFT_TEXT_SIZE], text[DRIFT_TEXT_SIZE], at_age[DRIFT_TEXT_SIZE] = "drift loss";
    if (telling != NULL)
        snprintf(at_age, sizeof at_age, "drift loss at %.20s",
                 drift_age_text(telling->age_us, text));
    const char *const head[] = {by_day ? "day (UTC)" : "window from",
                                "examples",
                                "positives",
                                "log loss",
                                "NE",
                                "calibration",
                                at_age,
                                "progressive loss",
                                NULL};
    fprintf(out, "\nLoss by time of %s, by %s\n", drift_label(report, entry, label),
            by_day ? "day" : "window");
    struct grid grid;
    grid_init(&grid, head, 1);
    struct esp_figure scale = entry->common.figures.log_loss;
    if (!scale.defined)
        scale = entry->progressive.figures.log_loss;
    for (size_t i = 0; i < periods->n; i++)
        add_period(&grid, entry, &periods->periods[i], by_day, age, drift_decimals(&scale));
    return grid_print(&grid, out, err);
}

/* ---- the whole ------------------------------------------------------------------------------- */

static void print_conclusions(const struct esp_drift_report *report, enum esp_drift_task task,
                              FILE *out)
{
    for (size_t e = 0; e < report->n_entries; e++) {
        const struct esp_drift_entry *entry = &report->entries[e];
        char label[DRIFT_TEXT_SIZE], text[DRIFT_TEXT_SIZE];
        if (entry->task != task || entry->n_ages == 0)
            continue;
        fprintf(out, "%s: %s\n", drift_label(report, entry, label), drift_conclusion(entry, text));
    }
}

static enum esp_status print_task(const struct esp_drift_report *report, enum esp_drift_task task,
                                  enum drift_by by, FILE *out, struct esp_error *err)
{
    enum esp_status status = ESP_OK;
    fprintf(out, "\n%s\n", drift_task_title(task));
    for (const char *at = drift_task_title(task); *at != '\0'; at++)
        fputc('-', out);
    fputc('\n', out);
    print_conclusions(report, task, out);
    for (size_t e = 0; status == ESP_OK && e < report->n_entries; e++) {
        const struct esp_drift_entry *entry = &report->entries[e];
        if (entry->task == task && entry->n_ages > 0)
            status = print_curve(report, entry, out, err);
    }
    if (status == ESP_OK)
        status = print_side_by_side(report, task, out, err);
    if (status == ESP_OK)
        status = print_production(report, task, out, err);
    for (size_t e = 0; status == ESP_OK && e < report->n_entries; e++) {
        if (report->entries[e].task == task)
            status = print_periods(report, &report->entries[e], by, out, err);
    }
    return status;
}

enum esp_status drift_table_print(const struct esp_drift_report *report, enum drift_by by,
                                  FILE *out, struct esp_error *err)
{
    char start[ESP_TIME_TEXT_SIZE], end[ESP_TIME_TEXT_SIZE];
    enum esp_status status = ESP_OK;
    fprintf(out, "Impressions from %s to %s\n", esp_time_format(report->start_us, start),
            esp_time_format(report->end_us, end));
    for (int task = 0; task < ESP_N_DRIFT_TASKS; task++) {
        size_t n = 0;
        for (size_t e = 0; e < report->n_entries; e++)
            n += report->entries[e].task == (enum esp_drift_task)task;
        if (n > 0 && status == ESP_OK)
            status = print_task(report, (enum esp_drift_task)task, by, out, err);
    }
    fputc('\n', out);
    for (size_t i = 0; drift_explanation[i] != NULL; i++)
        fprintf(out, "%s\n", drift_explanation[i]);
    fputs("* Areas have no sums that windows could add: these are means over the windows that have "
          "one.\n",
          out);
    return status;
}
