/*
 * progress.c - progressive validation. See progress.h; saving is in progress_archive.c.
 *
 * INVARIANTS
 *  (1) Windows are in order of their start, and no two have the same.
 *  (2) The sum of n_waiting over windows is at most the predictions that wait.
 *  (3) A complete window waits for nothing, and at most windows_kept complete ones are first.
 */
#include "learn/progress.h"

#include "core/timespan.h"
#include "model/task_logit.h"

enum esp_status esp_progress_init(struct esp_progress *progress, const struct esp_setup *setup,
                                  int64_t window_us, size_t windows_kept, struct esp_error *err)
{
    *progress = (struct esp_progress){.setup = *setup,
                                      .window_us = window_us,
                                      .windows_kept = windows_kept > 0 ? windows_kept : 1,
                                      .newest_us = INT64_MIN,
                                      .whole_from_us = INT64_MIN};
    enum esp_status status = ESP_OK;
    for (enum esp_task task = 0; task < ESP_N_TASKS && status == ESP_OK; task++) {
        progress->has_task[task] = esp_setup_has_task(setup, task);
        if (!progress->has_task[task])
            continue;
        status = esp_task_metric_init(&progress->total[task], true, err);
        if (status == ESP_OK)
            status = esp_task_metric_init(&progress->holdout[task], true, err);
    }
    return status;
}

void esp_progress_release(struct esp_progress *progress)
{
    for (enum esp_task task = 0; task < ESP_N_TASKS; task++) {
        esp_task_metric_release(&progress->total[task]);
        esp_task_metric_release(&progress->holdout[task]);
        for (size_t i = 0; i < progress->n_windows; i++)
            esp_task_metric_release(&progress->metrics[i].train[task]);
    }
    esp_waiting_release(&progress->waiting);
    free(progress->windows);
    free(progress->metrics);
    *progress = (struct esp_progress){0};
}

/*
 * The window of an impression time: its index, or n_windows; *out_start is its start, *out_place
 * the number of windows that start before it.
 */
static size_t find_window(const struct esp_progress *progress, int64_t time_us, int64_t *out_start,
                          size_t *out_place)
{
    int64_t start = time_us / progress->window_us;
    start -= time_us % progress->window_us < 0;
    start *= progress->window_us;
    size_t i = progress->n_windows;
    while (i > 0 && progress->windows[i - 1].start_us >= start)
        i--;
    *out_start = start;
    *out_place = i;
    return i < progress->n_windows && progress->windows[i].start_us == start ? i
                                                                             : progress->n_windows;
}

/* Inserts a window as the place-th; the windows before it start earlier, the others later. */
static enum esp_status add_window(struct esp_progress *progress, size_t place, int64_t start_us,
                                  struct esp_error *err)
{
    void *windows = progress->windows, *metrics = progress->metrics;
    size_t n = progress->n_windows, capacity = progress->capacity, metrics_capacity = capacity;
    enum esp_status status =
        esp_array_grow(&windows, &capacity, n + 1, sizeof(*progress->windows), err);
    if (status == ESP_OK)
        status =
            esp_array_grow(&metrics, &metrics_capacity, n + 1, sizeof(*progress->metrics), err);
    progress->windows = windows;
    progress->metrics = metrics;
    if (status != ESP_OK)
        return status;
    progress->capacity = capacity;
    struct esp_progress_window *window = &progress->windows[place];
    struct esp_window_metrics *metric = &progress->metrics[place];
    memmove(window + 1, window, (n - place) * sizeof(*window));
    memmove(metric + 1, metric, (n - place) * sizeof(*metric));
    *window = (struct esp_progress_window){.start_us = start_us};
    *metric = (struct esp_window_metrics){0};
    progress->n_windows++;
    for (enum esp_task task = 0; task < ESP_N_TASKS && status == ESP_OK; task++)
        if (progress->has_task[task])
            status = esp_task_metric_init(&metric->train[task], n < ESP_MAX_AUC_WINDOWS, err);
    return status;
}

/* Counts one label for one task: in total and in window i (n_windows: none). */
static void add(struct esp_progress *progress, size_t i, bool holdout, enum esp_task task,
                double logit, bool label, double weight)
{
    if (!progress->has_task[task])
        return;
    esp_task_metric_add(holdout ? &progress->holdout[task] : &progress->total[task], logit, label,
                        weight);
    if (i == progress->n_windows)
        return;
    struct esp_progress_window *window = &progress->windows[i];
    struct esp_task_metric *metric = &progress->metrics[i].train[task];
    if (holdout) {
        struct esp_task_metric sums = {.sums = window->holdout[task]};
        esp_task_metric_add(&sums, logit, label, weight);
        window->holdout[task] = sums.sums;
    } else {
        esp_task_metric_add(metric, logit, label, weight);
        window->train[task] = metric->sums;
    }
}

static enum esp_status count_click(struct esp_progress *progress, const struct esp_row_info *info,
                                   const float *head_logits, struct esp_error *err)
{
    double logits[ESP_N_TASKS] = {0};
    for (enum esp_task task = 0; task < ESP_N_TASKS; task++)
        if (progress->has_task[task])
            logits[task] = esp_task_logit(&progress->setup, task, head_logits);
    size_t i = progress->n_windows;
    if (progress->window_us > 0) {
        int64_t start;
        size_t place;
        i = find_window(progress, info->impression_us, &start, &place);
        if (i == progress->n_windows && start >= progress->whole_from_us) {
            /* Not always the last: holdout rows are counted before the batch they came with. */
            enum esp_status status = add_window(progress, place, start, err);
            if (status != ESP_OK)
                return status;
            i = place;
        }
    }
    progress->newest_us =
        info->impression_us > progress->newest_us ? info->impression_us : progress->newest_us;
    add(progress, i, info->holdout, ESP_TASK_CLICK, logits[ESP_TASK_CLICK], info->y, info->weight);
    if (!progress->has_task[ESP_TASK_INSTALL])
        return ESP_OK;
    if (!info->y) {
        add(progress, i, info->holdout, ESP_TASK_INSTALL, logits[ESP_TASK_INSTALL], false,
            info->weight);
        return ESP_OK;
    }
    struct esp_waiting_score score = {
        .ticket = info->ticket,
        .impression_us = info->impression_us,
        .weight = info->weight,
        .cvr_logit = (float)logits[ESP_TASK_INSTALL_GIVEN_CLICK],
        .install_logit = (float)logits[ESP_TASK_INSTALL],
        .holdout = info->holdout,
    };
    enum esp_status status = esp_waiting_put(&progress->waiting, &score, err);
    if (status == ESP_OK && i < progress->n_windows)
        progress->metrics[i].n_waiting++;
    return status;
}

static void count_install(struct esp_progress *progress, const struct esp_row_info *info)
{
    struct esp_waiting_score score;
    if (!esp_waiting_take(&progress->waiting, info->ticket, &score))
        return;
    int64_t start;
    size_t place, i = progress->n_windows;
    if (progress->window_us > 0)
        i = find_window(progress, score.impression_us, &start, &place);
    add(progress, i, score.holdout, ESP_TASK_INSTALL_GIVEN_CLICK, score.cvr_logit, info->z,
        score.weight);
    add(progress, i, score.holdout, ESP_TASK_INSTALL, score.install_logit, info->z, score.weight);
    if (i < progress->n_windows)
        progress->metrics[i].n_waiting--;
}

enum esp_status esp_progress_count(struct esp_progress *progress, const struct esp_row_info *info,
                                   const float *head_logits, struct esp_error *err)
{
    if (info->stage == ESP_STAGE_CLICK)
        return count_click(progress, info, head_logits, err);
    if (info->stage == ESP_STAGE_INSTALL)
        count_install(progress, info);
    return ESP_OK;
}

/* True if the window has all labels of the task. */
static bool is_complete(const struct esp_progress *progress, size_t i, enum esp_task task)
{
    const struct esp_window_metrics *metrics = &progress->metrics[i];
    return metrics->clicks_complete && (task == ESP_TASK_CLICK || metrics->n_waiting == 0);
}

/* The last window with all labels of the task, or n_windows. */
static size_t last_complete(const struct esp_progress *progress, enum esp_task task)
{
    for (size_t i = progress->n_windows; i-- > 0;)
        if (is_complete(progress, i, task))
            return i;
    return progress->n_windows;
}

static void forget_oldest(struct esp_progress *progress)
{
    for (enum esp_task task = 0; task < ESP_N_TASKS; task++)
        esp_task_metric_release(&progress->metrics[0].train[task]);
    progress->n_windows--;
    memmove(progress->windows, progress->windows + 1,
            progress->n_windows * sizeof(*progress->windows));
    memmove(progress->metrics, progress->metrics + 1,
            progress->n_windows * sizeof(*progress->metrics));
}

/* Tells of a window's tasks whose last label has come; noted also where nobody listens, so that who
 * listens later hears nothing twice. */
static void tell_done(struct esp_progress *progress, size_t i)
{
    struct esp_window_metrics *metrics = &progress->metrics[i];
    for (enum esp_task task = 0; task < ESP_N_TASKS; task++) {
        if (!progress->has_task[task] || metrics->told[task] || !is_complete(progress, i, task))
            continue;
        metrics->told[task] = true;
        if (progress->done == NULL)
            continue;
        struct esp_task_report report;
        esp_task_metric_report(&metrics->train[task], &report);
        struct esp_window_done done = {
            .start_us = progress->windows[i].start_us,
            .end_us = progress->windows[i].start_us + progress->window_us,
            .task = task,
            .sums = &progress->windows[i].train[task],
            .report = &report,
        };
        progress->done(progress->done_context, &done);
    }
}

void esp_progress_close_windows(struct esp_progress *progress)
{
    size_t n_complete = 0;
    for (size_t i = 0; i < progress->n_windows; i++) {
        struct esp_window_metrics *metrics = &progress->metrics[i];
        /* Click labels are taken in the order of t_i, and all that were taken are counted: one of
         * a later window says that all of this one are; so does the end of time. */
        metrics->clicks_complete |=
            progress->ended ||
            progress->newest_us - progress->windows[i].start_us >= progress->window_us;
        progress->windows[i].complete = metrics->clicks_complete && metrics->n_waiting == 0;
        n_complete += progress->windows[i].complete;
        tell_done(progress, i);
    }
    while (n_complete > progress->windows_kept && progress->windows[0].complete) {
        forget_oldest(progress);
        n_complete--;
    }
    for (enum esp_task task = 0; task < ESP_N_TASKS; task++) {
        size_t last = last_complete(progress, task);
        for (size_t i = 0; last < progress->n_windows && i < last; i++)
            if (is_complete(progress, i, task))
                esp_task_metric_release(&progress->metrics[i].train[task]);
    }
}

void esp_progress_report(const struct esp_progress *progress, struct esp_learner_report *out)
{
    for (enum esp_task task = 0; task < ESP_N_TASKS; task++) {
        out->has_task[task] = progress->has_task[task];
        out->window_start_us[task] = ESP_TIME_NONE;
        if (!progress->has_task[task])
            continue;
        esp_task_metric_report(&progress->total[task], &out->total[task]);
        esp_task_metric_report(&progress->holdout[task], &out->holdout[task]);
        size_t last = last_complete(progress, task);
        if (last == progress->n_windows)
            continue;
        esp_task_metric_report(&progress->metrics[last].train[task], &out->window[task]);
        out->window_start_us[task] = progress->windows[last].start_us;
    }
    out->waiting = progress->waiting.n;
}
