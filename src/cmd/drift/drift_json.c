/* drift_json.c - see drift_json.h. */
#include "cmd/drift/drift_json.h"

#include "cmd/drift/drift_words.h"
#include "core/timespan.h"
#include "core/version.h"

/* Windows that the page shows one by one; before these it has days. */
enum { PAGE_WINDOWS = 1500 };

/* jansson's *_new setters take NULL values as failures, so one check at the end covers them all:
 * `ok` turns false once. */
static void put(json_t *object, const char *key, json_t *value, bool *ok)
{
    if (json_object_set_new(object, key, value) != 0)
        *ok = false;
}

static void append(json_t *array, json_t *value, bool *ok)
{
    if (json_array_append_new(array, value) != 0)
        *ok = false;
}

static json_t *text_json(struct esp_bytes text)
{
    return json_stringn(text.size == 0 ? "" : (const char *)text.data, text.size);
}

static json_t *time_json(int64_t time_us)
{
    char text[ESP_TIME_TEXT_SIZE];
    return json_string(esp_time_format(time_us, text));
}

static json_t *count_json(uint64_t count)
{
    return json_integer((json_int_t)count);
}

static json_t *seconds_json(int64_t us)
{
    return us % ESP_SECOND == 0 ? json_integer(us / ESP_SECOND)
                                : json_real((double)us / (double)ESP_SECOND);
}

/* {"value": v, "low": l, "high": h}, the ends null without an interval; null where undefined. */
static json_t *figure_json(const struct esp_figure *figure, bool *ok)
{
    if (!figure->defined)
        return json_null();
    json_t *object = json_object();
    put(object, "value", json_real(figure->value), ok);
    put(object, "low", figure->has_interval ? json_real(figure->low) : json_null(), ok);
    put(object, "high", figure->has_interval ? json_real(figure->high) : json_null(), ok);
    return object;
}

/* [v, l, h], [v] or null */
static json_t *short_figure_json(const struct esp_figure *figure, bool *ok)
{
    if (!figure->defined)
        return json_null();
    json_t *array = json_array();
    append(array, json_real(figure->value), ok);
    if (figure->has_interval) {
        append(array, json_real(figure->low), ok);
        append(array, json_real(figure->high), ok);
    }
    return array;
}

static json_t *mean_json(const struct esp_figure *figure)
{
    return figure->defined ? json_real(figure->value) : json_null();
}

static json_t *production_json(const struct esp_drift_pool *pool, bool *ok)
{
    if (pool->with_production.n == 0)
        return json_null();
    json_t *object = json_object();
    put(object, "examples", count_json(pool->with_production.n), ok);
    put(object, "share",
        json_real((double)pool->with_production.n / (double)pool->figures.examples), ok);
    put(object, "clipped", count_json(pool->n_clipped), ok);
    put(object, "loss_difference", figure_json(&pool->production_loss, ok), ok);
    return object;
}

static json_t *pool_json(const struct esp_drift_pool *pool, bool *ok)
{
    if (pool->n_windows == 0)
        return json_null();
    const struct esp_task_report *figures = &pool->figures;
    json_t *object = json_object();
    put(object, "windows", count_json(pool->n_windows), ok);
    put(object, "start", time_json(pool->start_us), ok);
    put(object, "end", time_json(pool->end_us), ok);
    put(object, "examples", count_json(figures->examples), ok);
    put(object, "positives", count_json(figures->positives), ok);
    put(object, "least_share", json_real(pool->least_share), ok);
    put(object, "log_loss", figure_json(&figures->log_loss, ok), ok);
    put(object, "normalised_entropy", figure_json(&figures->normalised_entropy, ok), ok);
    put(object, "calibration", figure_json(&figures->calibration, ok), ok);
    put(object, "mean_roc_auc", mean_json(&figures->roc_auc), ok);
    put(object, "mean_pr_auc", mean_json(&figures->pr_auc), ok);
    put(object, "drift_loss", figure_json(&pool->drift_loss, ok), ok);
    put(object, "production", production_json(pool, ok), ok);
    return object;
}

static json_t *curve_json(const struct esp_drift_entry *entry, bool *ok)
{
    const struct esp_drift_curve *curve = &entry->curve;
    json_t *object = json_object(), *points = json_array();
    put(object, "whole_days", count_json(curve->n_days), ok);
    put(object, "ages_left_out", count_json(curve->n_older), ok);
    for (size_t i = 0; i < curve->n_points; i++) {
        json_t *point = pool_json(&curve->points[i].pool, ok);
        if (json_is_null(point))
            continue;
        put(point, "age", json_integer(curve->points[i].age), ok);
        put(point, "age_seconds", seconds_json(curve->points[i].age_us), ok);
        append(points, point, ok);
    }
    put(object, "points", points, ok);
    return object;
}

static json_t *days_json(const struct esp_drift_entry *entry, bool *ok)
{
    json_t *days = json_array();
    for (size_t i = 0; i < entry->days.n; i++) {
        const struct esp_drift_period *period = &entry->days.periods[i];
        json_t *day = json_object(), *ages = json_array();
        put(day, "start", time_json(period->start_us), ok);
        put(day, "end", time_json(period->end_us), ok);
        put(day, entry->is_production ? "production" : "up_to_date", pool_json(&period->fresh, ok),
            ok);
        if (!entry->is_production)
            put(day, "progressive", pool_json(&period->progressive, ok), ok);
        for (size_t age = 0; age < entry->n_ages; age++) {
            json_t *one = json_object();
            put(one, "age", json_integer(entry->series[age].age), ok);
            put(one, "drift_loss", figure_json(&period->drift_loss[age], ok), ok);
            append(ages, one, ok);
        }
        put(day, "drift", ages, ok);
        append(days, day, ok);
    }
    return days;
}

/* What both forms say of an entry. */
static json_t *entry_json(const struct esp_drift_report *report,
                          const struct esp_drift_entry *entry, bool *ok)
{
    char text[DRIFT_TEXT_SIZE];
    json_t *object = json_object();
    put(object, "task", json_string(esp_drift_task_name(entry->task)), ok);
    put(object, "model", text_json(entry->model), ok);
    put(object, "run", text_json(entry->run), ok);
    put(object, "setup", text_json(entry->setup), ok);
    put(object, "window_seconds", seconds_json(entry->window_us), ok);
    put(object, "is_production", json_boolean(entry->is_production), ok);
    put(object, "conclusion", json_string(drift_conclusion(entry, text)), ok);
    put(object, "curve", curve_json(entry, ok), ok);
    put(object, "is_common", json_boolean(report->is_common[entry->task]), ok);
    put(object, "side_by_side", pool_json(&entry->common, ok), ok);
    put(object, "side_by_side_progressive", pool_json(&entry->progressive, ok), ok);
    return object;
}

static json_t *report_json(const struct esp_drift_report *report, json_t *entries, bool *ok)
{
    json_t *root = json_object();
    put(root, "start", time_json(report->start_us), ok);
    put(root, "end", time_json(report->end_us), ok);
    put(root, "entries", entries, ok);
    if (*ok)
        return root;
    json_decref(root);
    return NULL;
}

json_t *drift_pooled_json(const struct esp_drift_report *report)
{
    bool ok = true;
    json_t *entries = json_array();
    for (size_t e = 0; e < report->n_entries; e++) {
        const struct esp_drift_entry *entry = &report->entries[e];
        json_t *one = entry_json(report, entry, &ok);
        put(one, "days", days_json(entry, &ok), &ok);
        append(entries, one, &ok);
    }
    return report_json(report, entries, &ok);
}

/* ---- the page -------------------------------------------------------------------------------- */

static json_t *drift_columns(const struct esp_drift_entry *entry,
                             const struct esp_drift_period *periods, size_t n, bool *ok)
{
    json_t *ages = json_array();
    for (size_t age = 0; age < entry->n_ages; age++) {
        json_t *column = json_array();
        for (size_t i = 0; i < n; i++)
            append(column, short_figure_json(&periods[i].drift_loss[age], ok), ok);
        append(ages, column, ok);
    }
    return ages;
}

/* Columns over time: an array each, an item a period. */
static json_t *columns_json(const struct esp_drift_entry *entry,
                            const struct esp_drift_period *periods, size_t n, bool *ok)
{
    json_t *object = json_object();
    json_t *start = json_array(), *loss = json_array(), *calibration = json_array();
    json_t *progressive = json_array(), *examples = json_array(), *positives = json_array();
    for (size_t i = 0; i < n; i++) {
        const struct esp_task_report *fresh = &periods[i].fresh.figures;
        append(start, seconds_json(periods[i].start_us), ok);
        append(examples, count_json(fresh->examples), ok);
        append(positives, count_json(fresh->positives), ok);
        append(loss, short_figure_json(&fresh->log_loss, ok), ok);
        append(calibration, short_figure_json(&fresh->calibration, ok), ok);
        append(progressive, short_figure_json(&periods[i].progressive.figures.log_loss, ok), ok);
    }
    put(object, "start", start, ok);
    put(object, "examples", examples, ok);
    put(object, "positives", positives, ok);
    put(object, "loss", loss, ok);
    put(object, "calibration", calibration, ok);
    put(object, "progressive", progressive, ok);
    put(object, "drift", drift_columns(entry, periods, n, ok), ok);
    return object;
}

static json_t *page_entry_json(const struct esp_drift_report *report,
                               const struct esp_drift_entry *entry, bool *ok)
{
    char text[DRIFT_TEXT_SIZE];
    json_t *object = entry_json(report, entry, ok), *ages = json_array();
    size_t n_windows = entry->windows.n < PAGE_WINDOWS ? entry->windows.n : PAGE_WINDOWS;
    put(object, "label", json_string(drift_label(report, entry, text)), ok);
    put(object, "drift_decimals", json_integer(drift_difference_decimals(entry)), ok);
    put(object, "basis", json_string(drift_basis(entry, text)), ok);
    for (size_t age = 0; age < entry->n_ages; age++)
        append(ages, seconds_json(entry->series[age].age_us), ok);
    put(object, "ages", ages, ok);
    const struct esp_drift_point *telling = esp_drift_telling_point(&entry->curve);
    put(object, "telling_age", telling == NULL ? json_null() : seconds_json(telling->age_us), ok);
    put(object, "days", columns_json(entry, entry->days.periods, entry->days.n, ok), ok);
    put(object, "windows",
        columns_json(entry, entry->windows.periods + entry->windows.n - n_windows, n_windows, ok),
        ok);
    put(object, "windows_left_out", count_json(entry->windows.n - n_windows), ok);
    return object;
}

static json_t *tasks_json(bool *ok)
{
    json_t *tasks = json_array();
    for (int task = 0; task < ESP_N_DRIFT_TASKS; task++) {
        json_t *one = json_object();
        put(one, "task", json_string(esp_drift_task_name((enum esp_drift_task)task)), ok);
        put(one, "title", json_string(drift_task_title((enum esp_drift_task)task)), ok);
        put(one, "noun", json_string(drift_task_noun((enum esp_drift_task)task)), ok);
        append(tasks, one, ok);
    }
    return tasks;
}

json_t *drift_page_json(const struct esp_drift_report *report)
{
    bool ok = true;
    json_t *entries = json_array(), *words = json_array();
    for (size_t e = 0; e < report->n_entries; e++)
        append(entries, page_entry_json(report, &report->entries[e], &ok), &ok);
    json_t *root = report_json(report, entries, &ok);
    if (root == NULL) {
        json_decref(words);
        return NULL;
    }
    for (size_t i = 0; drift_explanation[i] != NULL; i++)
        append(words, json_string(drift_explanation[i]), &ok);
    put(root, "explanation", words, &ok);
    put(root, "tasks", tasks_json(&ok), &ok);
    put(root, "program", json_string("espalier " ESP_BUILD_VERSION), &ok);
    if (ok)
        return root;
    json_decref(root);
    return NULL;
}
