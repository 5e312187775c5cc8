/*
 * pooled.c - see pooled.h.
 *
 * Sorting by (task, model, run, window length, kind, age, time) makes every series a run of
 * records, and every entry a run of series; the rest is walking along them.
 */
#include "drift/pooled.h"

#include <stdlib.h>

#include "core/buf.h"
#include "core/timespan.h"
#include "drift/record_sums.h"

/* ---- sorting and grouping -------------------------------------------------------------------- */

static int compare_longs(int64_t a, int64_t b)
{
    return (a > b) - (a < b);
}

static int64_t length_us(const struct esp_drift_record *record)
{
    return record->window_end_us - record->window_start_us;
}

/* By entry: task, model, run, window length. */
static int compare_entries(const struct esp_drift_record *a, const struct esp_drift_record *b)
{
    int order = compare_longs(a->task, b->task);
    if (order == 0) /* others' scores come after the models */
        order = compare_longs(a->kind == ESP_DRIFT_PRODUCTION, b->kind == ESP_DRIFT_PRODUCTION);
    if (order == 0)
        order = esp_bytes_compare(a->model, b->model);
    if (order == 0)
        order = esp_bytes_compare(a->run, b->run);
    return order != 0 ? order : compare_longs(length_us(a), length_us(b));
}

static int compare_series(const struct esp_drift_record *a, const struct esp_drift_record *b)
{
    int order = compare_longs(a->kind, b->kind);
    return order != 0 ? order : compare_longs(a->age, b->age);
}

static int compare_records(const void *left, const void *right)
{
    const struct esp_drift_record *a = left, *b = right;
    int order = compare_entries(a, b);
    if (order == 0)
        order = compare_series(a, b);
    return order != 0 ? order : compare_longs(a->window_start_us, b->window_start_us);
}

/* The first record of the series' that starts at or after a time. */
static size_t first_from(const struct esp_drift_series *series, int64_t start_us)
{
    size_t low = 0, high = series->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (series->records[middle].window_start_us < start_us)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static const struct esp_drift_record *find_window(const struct esp_drift_series *series,
                                                  int64_t start_us)
{
    size_t i = first_from(series, start_us);
    return i < series->n && series->records[i].window_start_us == start_us ? &series->records[i]
                                                                           : NULL;
}

static enum esp_status add_series(struct esp_drift_entry *entry, size_t *capacity,
                                  const struct esp_drift_record *records, size_t n,
                                  struct esp_error *err)
{
    enum esp_status status = esp_array_grow((void **)&entry->series, capacity, entry->n_series + 1,
                                            sizeof *entry->series, err);
    if (status != ESP_OK)
        return status;
    bool has_age = records->age != ESP_DRIFT_NO_AGE;
    entry->series[entry->n_series++] = (struct esp_drift_series){
        .kind = records->kind,
        .age = records->age,
        .age_us = has_age ? records->age * length_us(records) : 0,
        .records = records,
        .n = n,
    };
    entry->n_ages += has_age;
    return ESP_OK;
}

/* Fills an entry from its run of records. */
static enum esp_status group_entry(struct esp_drift_entry *entry,
                                   const struct esp_drift_record *records, size_t n,
                                   struct esp_error *err)
{
    size_t capacity = 0;
    *entry = (struct esp_drift_entry){
        .run = records->run,
        .model = records->model,
        .setup = records->setup,
        .task = records->task,
        .window_us = length_us(records),
        .is_production = records->kind == ESP_DRIFT_PRODUCTION,
    };
    for (size_t i = 0, end; i < n; i = end) {
        for (end = i + 1; end < n && compare_series(&records[i], &records[end]) == 0;)
            end++;
        enum esp_status status = add_series(entry, &capacity, &records[i], end - i, err);
        if (status != ESP_OK)
            return status;
    }
    return ESP_OK;
}

/* ---- pooling --------------------------------------------------------------------------------- */

/* What is added up before figures are made of it. */
struct adder {
    struct esp_drift_pool pool;
    struct esp_task_sums sums;
    struct esp_paired_sums paired;
    double roc_auc, pr_auc; /* sums over windows */
    size_t n_roc_auc, n_pr_auc;
};

static void add_record(struct adder *adder, const struct esp_drift_record *record)
{
    struct esp_drift_pool *pool = &adder->pool;
    struct esp_task_sums sums = esp_drift_record_sums(record);
    esp_task_sums_merge(&adder->sums, &sums);
    if (record->paired.is_set) {
        struct esp_paired_sums paired = esp_drift_paired_sums(&record->paired);
        esp_paired_sums_merge(&adder->paired, &paired);
    }
    if (record->production.is_set) {
        struct esp_paired_sums paired = esp_drift_paired_sums(&record->production);
        esp_paired_sums_merge(&pool->with_production, &paired);
        pool->n_clipped += (uint64_t)record->production.clipped;
    }
    adder->roc_auc += record->roc_auc.is_set ? record->roc_auc.value : 0;
    adder->n_roc_auc += record->roc_auc.is_set;
    adder->pr_auc += record->pr_auc.is_set ? record->pr_auc.value : 0;
    adder->n_pr_auc += record->pr_auc.is_set;
    if (pool->n_windows == 0 || record->window_start_us < pool->start_us)
        pool->start_us = record->window_start_us;
    if (pool->n_windows == 0 || record->window_end_us > pool->end_us)
        pool->end_us = record->window_end_us;
    if (pool->n_windows == 0 || record->share < pool->least_share)
        pool->least_share = record->share;
    pool->n_windows++;
}

static struct esp_figure mean(double sum, size_t n)
{
    return (struct esp_figure){.defined = n > 0, .value = n > 0 ? sum / (double)n : 0};
}

static struct esp_drift_pool added_up(const struct adder *adder)
{
    struct esp_drift_pool pool = adder->pool;
    esp_task_sums_report(&adder->sums, &pool.figures);
    pool.figures.roc_auc = mean(adder->roc_auc, adder->n_roc_auc);
    pool.figures.pr_auc = mean(adder->pr_auc, adder->n_pr_auc);
    pool.drift_loss = esp_paired_loss(&adder->paired);
    pool.production_loss = esp_paired_loss(&pool.with_production);
    return pool;
}

/* ---- by age ---------------------------------------------------------------------------------- */

/* depth[i]: how many ages, from 0 on without a gap, have the window of age 0's record i. */
static void measure_depths(const struct esp_drift_entry *entry, size_t *depth)
{
    const struct esp_drift_series *fresh = &entry->series[0];
    for (size_t i = 0; i < fresh->n; i++) {
        depth[i] = 1;
        while (depth[i] < entry->n_ages &&
               find_window(&entry->series[depth[i]], fresh->records[i].window_start_us) != NULL)
            depth[i]++;
    }
}

/* The least distance of two windows of a series: older ages may be measured at every 2nd, 4th, ...
 * window only. */
static int64_t stride_us(const struct esp_drift_series *series, int64_t window_us)
{
    int64_t least = series->n > 1 ? INT64_MAX : window_us;
    for (size_t i = 1; i < series->n; i++) {
        int64_t gap = series->records[i].window_start_us - series->records[i - 1].window_start_us;
        least = gap < least ? gap : least;
    }
    return least;
}

static int64_t day_of(int64_t time_us)
{
    return time_us >= 0 ? time_us / ESP_DAY : -((ESP_DAY - 1 - time_us) / ESP_DAY);
}

/* Windows that the sparsest of the first n ages has in a whole day. */
static size_t windows_a_day(const struct esp_drift_entry *entry, size_t n)
{
    int64_t stride = 1;
    for (size_t i = 0; i < n; i++) {
        int64_t one = stride_us(&entry->series[i], entry->window_us);
        stride = one > stride ? one : stride;
    }
    return stride < ESP_DAY ? (size_t)(ESP_DAY / stride) : 1;
}

/*
 * Windows of a day in which the model was measured at the first n ages, and this task had no
 * example: there are no records of those, and the day is whole all the same. `clicks` is the
 * model's entry for clicks, which every impression is an example of; NULL: not known.
 */
static size_t empty_windows(const struct esp_drift_entry *entry,
                            const struct esp_drift_entry *clicks, size_t n, int64_t day)
{
    if (clicks == NULL || clicks->n_ages < n ||
        clicks->series[n - 1].age != entry->series[n - 1].age)
        return 0;
    const struct esp_drift_series *fresh = &clicks->series[0];
    size_t n_empty = 0;
    for (size_t i = first_from(fresh, day * ESP_DAY);
         i < fresh->n && day_of(fresh->records[i].window_start_us) == day; i++) {
        int64_t start_us = fresh->records[i].window_start_us;
        bool is_empty = find_window(&entry->series[0], start_us) == NULL;
        for (size_t age = 1; is_empty && age < n; age++)
            is_empty = find_window(&clicks->series[age], start_us) != NULL;
        n_empty += is_empty;
    }
    return n_empty;
}

/* What decides which windows a curve takes. */
struct selection {
    const struct esp_drift_entry *entry, *clicks; /* see empty_windows() */
    size_t *depth;                                /* of each window of age 0: measure_depths() */
    bool *chosen;                                 /* of each */
    size_t n_days;                                /* whole ones among the chosen */
};

/* Chooses of the windows that have the first n ages those of whole days; all of them if there is no
 * whole day. Returns how many. */
static size_t choose_windows(struct selection *selection, size_t n)
{
    const struct esp_drift_entry *entry = selection->entry, *clicks = selection->clicks;
    const struct esp_drift_series *fresh = &entry->series[0];
    bool has_clicks = clicks != NULL && clicks->n_ages >= n;
    size_t needed = windows_a_day(has_clicks ? clicks : entry, n), n_all = 0, n_whole = 0;
    selection->n_days = 0;
    for (size_t i = 0, end; i < fresh->n; i = end) {
        int64_t day = day_of(fresh->records[i].window_start_us);
        size_t n_day = 0;
        for (end = i; end < fresh->n && day_of(fresh->records[end].window_start_us) == day; end++)
            n_day += selection->depth[end] >= n;
        bool is_whole = n_day > 0 && n_day + empty_windows(entry, clicks, n, day) >= needed;
        for (size_t k = i; k < end; k++)
            selection->chosen[k] = is_whole && selection->depth[k] >= n;
        selection->n_days += is_whole;
        n_whole += is_whole ? n_day : 0;
        n_all += n_day;
    }
    for (size_t i = 0; n_whole == 0 && i < fresh->n; i++)
        selection->chosen[i] = selection->depth[i] >= n;
    return n_whole > 0 ? n_whole : n_all;
}

static void pool_curve(struct esp_drift_entry *entry, const bool *chosen)
{
    const struct esp_drift_series *fresh = &entry->series[0];
    for (size_t k = 0; k < entry->curve.n_points; k++) {
        const struct esp_drift_series *series = &entry->series[k];
        struct adder adder = {0};
        for (size_t i = 0; i < fresh->n; i++) {
            if (chosen[i])
                add_record(&adder, find_window(series, fresh->records[i].window_start_us));
        }
        entry->curve.points[k] = (struct esp_drift_point){
            .age = series->age, .age_us = series->age_us, .pool = added_up(&adder)};
    }
}

/*
 * The oldest age that can be reached with whole days decides which windows count; if no whole day
 * has even the second age, the oldest that any window has.
 */
static size_t choose_ages(struct selection *selection)
{
    size_t n = selection->entry->n_ages;
    for (; n > 1; n--) {
        if (choose_windows(selection, n) > 0 && selection->n_days > 0)
            return n;
    }
    for (n = selection->entry->n_ages; n > 1; n--) {
        if (choose_windows(selection, n) > 0)
            return n;
    }
    choose_windows(selection, n);
    return n;
}

static enum esp_status make_curve(struct esp_drift_entry *entry,
                                  const struct esp_drift_entry *clicks, struct esp_error *err)
{
    if (entry->n_ages == 0 || entry->series[0].age != 0)
        return ESP_OK;
    enum esp_status status = ESP_OK;
    size_t n_fresh = entry->series[0].n;
    struct selection selection = {
        .entry = entry,
        .clicks = clicks,
        .depth = calloc(n_fresh, sizeof *selection.depth),
        .chosen = calloc(n_fresh, sizeof *selection.chosen),
    };
    entry->curve.points = calloc(entry->n_ages, sizeof *entry->curve.points);
    if (selection.depth == NULL || selection.chosen == NULL || entry->curve.points == NULL) {
        status = esp_fail(err, ESP_ENOMEM, "out of memory");
        goto out;
    }
    measure_depths(entry, selection.depth);
    entry->curve.n_points = choose_ages(&selection);
    entry->curve.n_days = selection.n_days;
    entry->curve.n_older = entry->n_ages - entry->curve.n_points;
    pool_curve(entry, selection.chosen);
out:
    free(selection.depth);
    free(selection.chosen);
    return status;
}

const struct esp_drift_point *esp_drift_telling_point(const struct esp_drift_curve *curve)
{
    const struct esp_drift_point *telling = NULL;
    for (size_t i = 1; i < curve->n_points; i++) {
        const struct esp_drift_point *point = &curve->points[i];
        if (point->pool.drift_loss.defined && (telling == NULL || point->age_us <= ESP_DAY))
            telling = point;
    }
    return telling;
}

/* ---- by time --------------------------------------------------------------------------------- */

static int compare_periods(const void *left, const void *right)
{
    const struct esp_drift_period *a = left, *b = right;
    return compare_longs(a->start_us, b->start_us);
}

/* The distinct windows of all series, or their days, in the order of time. */
static enum esp_status list_periods(const struct esp_drift_entry *entry, bool by_day,
                                    struct esp_drift_periods *out, struct esp_error *err)
{
    size_t n = 0, capacity = 0, kept = 0;
    for (size_t s = 0; s < entry->n_series; s++)
        n += entry->series[s].n;
    enum esp_status status =
        esp_array_grow((void **)&out->periods, &capacity, n, sizeof *out->periods, err);
    if (status != ESP_OK)
        return status;
    n = 0;
    for (size_t s = 0; s < entry->n_series; s++) {
        for (size_t i = 0; i < entry->series[s].n; i++) {
            const struct esp_drift_record *record = &entry->series[s].records[i];
            int64_t day_us = day_of(record->window_start_us) * ESP_DAY;
            out->periods[n++] = (struct esp_drift_period){
                .start_us = by_day ? day_us : record->window_start_us,
                .end_us = by_day ? day_us + ESP_DAY : record->window_end_us};
        }
    }
    qsort(out->periods, n, sizeof *out->periods, compare_periods);
    for (size_t i = 0; i < n; i++) {
        if (kept == 0 || out->periods[kept - 1].start_us != out->periods[i].start_us)
            out->periods[kept++] = out->periods[i];
    }
    out->n = kept;
    return ESP_OK;
}

/* Pools the series' records of each period. */
static void fill_periods(struct esp_drift_periods *out, const struct esp_drift_series *series,
                         size_t index)
{
    size_t at = 0;
    for (size_t p = 0; p < out->n; p++) {
        struct esp_drift_period *period = &out->periods[p];
        struct adder adder = {0};
        int64_t next_us = p + 1 < out->n ? out->periods[p + 1].start_us : INT64_MAX;
        for (; at < series->n && series->records[at].window_start_us < next_us; at++)
            add_record(&adder, &series->records[at]);
        struct esp_drift_pool pool = added_up(&adder);
        if (series->kind == ESP_DRIFT_PROGRESSIVE)
            period->progressive = pool;
        else if (series->kind == ESP_DRIFT_PRODUCTION || series->age == 0)
            period->fresh = pool;
        if (series->kind == ESP_DRIFT_HOLDOUT)
            period->drift_loss[index] = pool.drift_loss;
    }
}

static enum esp_status make_periods(struct esp_drift_entry *entry, struct esp_error *err)
{
    enum esp_status status = list_periods(entry, false, &entry->windows, err);
    if (status == ESP_OK)
        status = list_periods(entry, true, &entry->days, err);
    if (status != ESP_OK)
        return status;
    size_t n = entry->windows.n + entry->days.n;
    entry->figures = calloc(n, (entry->n_ages > 0 ? entry->n_ages : 1) * sizeof *entry->figures);
    if (entry->figures == NULL)
        return esp_fail(err, ESP_ENOMEM, "out of memory");
    struct esp_figure *at = entry->figures;
    for (size_t i = 0; i < entry->windows.n; i++, at += entry->n_ages)
        entry->windows.periods[i].drift_loss = at;
    for (size_t i = 0; i < entry->days.n; i++, at += entry->n_ages)
        entry->days.periods[i].drift_loss = at;
    for (size_t s = 0; s < entry->n_series; s++) {
        fill_periods(&entry->windows, &entry->series[s], s);
        fill_periods(&entry->days, &entry->series[s], s);
    }
    return ESP_OK;
}

/* ---- side by side ---------------------------------------------------------------------------- */

/* What an entry is compared by: age 0, or others' scores. NULL: progressive records alone. */
static const struct esp_drift_series *compared(const struct esp_drift_entry *entry)
{
    const struct esp_drift_series *first = &entry->series[0];
    bool is_fresh = first->kind == ESP_DRIFT_HOLDOUT && first->age == 0;
    return is_fresh || entry->is_production ? first : NULL;
}

/* True if every model of the task has the window. Others' scores need not. */
static bool all_have(const struct esp_drift_report *report, enum esp_drift_task task,
                     int64_t start_us)
{
    for (size_t e = 0; e < report->n_entries; e++) {
        const struct esp_drift_entry *entry = &report->entries[e];
        const struct esp_drift_series *series = compared(entry);
        if (entry->task == task && !entry->is_production && series != NULL &&
            find_window(series, start_us) == NULL)
            return false;
    }
    return true;
}

static struct esp_drift_pool pool_common(const struct esp_drift_report *report,
                                         enum esp_drift_task task,
                                         const struct esp_drift_series *series, bool common_only)
{
    struct adder adder = {0};
    for (size_t i = 0; series != NULL && i < series->n; i++) {
        if (!common_only || all_have(report, task, series->records[i].window_start_us))
            add_record(&adder, &series->records[i]);
    }
    return added_up(&adder);
}

static const struct esp_drift_series *progressive(const struct esp_drift_entry *entry)
{
    for (size_t s = 0; s < entry->n_series; s++) {
        if (entry->series[s].kind == ESP_DRIFT_PROGRESSIVE)
            return &entry->series[s];
    }
    return NULL;
}

static void make_common(struct esp_drift_report *report)
{
    for (size_t e = 0; e < report->n_entries; e++) {
        struct esp_drift_entry *entry = &report->entries[e];
        entry->common = pool_common(report, entry->task, compared(entry), true);
        if (entry->common.n_windows > 0 && !entry->is_production)
            report->is_common[entry->task] = true;
    }
    for (size_t e = 0; e < report->n_entries; e++) {
        struct esp_drift_entry *entry = &report->entries[e];
        bool is_common = report->is_common[entry->task];
        if (!is_common)
            entry->common = pool_common(report, entry->task, compared(entry), false);
        entry->progressive = pool_common(report, entry->task, progressive(entry), is_common);
    }
}

/* ---- the whole ------------------------------------------------------------------------------- */

/* The entry for clicks of the same model, if it has come: clicks come first. NULL: none, or it is
 * this one. */
static const struct esp_drift_entry *clicks_of(const struct esp_drift_report *report,
                                               const struct esp_drift_entry *entry)
{
    for (size_t e = 0; e < report->n_entries; e++) {
        const struct esp_drift_entry *other = &report->entries[e];
        if (other != entry && other->task == ESP_DRIFT_CLICK && other->curve.points != NULL &&
            other->window_us == entry->window_us && esp_bytes_equal(other->model, entry->model) &&
            esp_bytes_equal(other->run, entry->run))
            return other;
    }
    return NULL;
}

static enum esp_status add_entry(struct esp_drift_report *report, size_t *capacity,
                                 const struct esp_drift_record *records, size_t n,
                                 struct esp_error *err)
{
    enum esp_status status = esp_array_grow((void **)&report->entries, capacity,
                                            report->n_entries + 1, sizeof *report->entries, err);
    if (status != ESP_OK)
        return status;
    struct esp_drift_entry *entry = &report->entries[report->n_entries++];
    status = group_entry(entry, records, n, err);
    if (status == ESP_OK)
        status = make_curve(entry, clicks_of(report, entry), err);
    return status == ESP_OK ? make_periods(entry, err) : status;
}

enum esp_status esp_drift_report_init(struct esp_drift_report *report,
                                      struct esp_drift_record *records, size_t n,
                                      struct esp_error *err)
{
    size_t capacity = 0;
    *report = (struct esp_drift_report){0};
    if (n > 0)
        qsort(records, n, sizeof *records, compare_records);
    for (size_t i = 0, end; i < n; i = end) {
        for (end = i; end < n && compare_entries(&records[i], &records[end]) == 0; end++) {
            const struct esp_drift_record *record = &records[end];
            if (end == 0 || record->window_start_us < report->start_us)
                report->start_us = record->window_start_us;
            if (end == 0 || record->window_end_us > report->end_us)
                report->end_us = record->window_end_us;
        }
        enum esp_status status = add_entry(report, &capacity, &records[i], end - i, err);
        if (status != ESP_OK) {
            esp_drift_report_release(report);
            return status;
        }
    }
    make_common(report);
    return ESP_OK;
}

static void release_entry(struct esp_drift_entry *entry)
{
    free(entry->series);
    free(entry->curve.points);
    free(entry->windows.periods);
    free(entry->days.periods);
    free(entry->figures);
}

void esp_drift_report_keep_task(struct esp_drift_report *report, enum esp_drift_task task)
{
    size_t kept = 0;
    for (size_t e = 0; e < report->n_entries; e++) {
        struct esp_drift_entry *entry = &report->entries[e];
        if (entry->task != task) {
            release_entry(entry);
            continue;
        }
        const struct esp_drift_periods *windows = &entry->windows;
        int64_t start_us = windows->periods[0].start_us;
        int64_t end_us = windows->periods[windows->n - 1].end_us;
        report->start_us = kept == 0 || start_us < report->start_us ? start_us : report->start_us;
        report->end_us = kept == 0 || end_us > report->end_us ? end_us : report->end_us;
        report->entries[kept++] = *entry;
    }
    report->n_entries = kept;
}

void esp_drift_report_release(struct esp_drift_report *report)
{
    for (size_t e = 0; e < report->n_entries; e++)
        release_entry(&report->entries[e]);
    free(report->entries);
    *report = (struct esp_drift_report){0};
}
