/*
 * progress_archive.c - progressive validation in a checkpoint. See progress.h.
 *
 * Numbers that were gathered are taken as they are; checked is what progress.c computes with: times
 * that do not overflow, windows in order, and no fewer awaited labels than predictions that wait.
 */
#include "learn/progress.h"

enum { WINDOW_BYTES = 400 }; /* a window has more in an archive */

static void totals_archive(struct esp_archive *archive, struct esp_progress *progress)
{
    for (enum esp_task task = 0; task < ESP_N_TASKS; task++) {
        if (!progress->has_task[task])
            continue;
        esp_task_metric_archive(archive, &progress->total[task]);
        esp_task_metric_archive(archive, &progress->holdout[task]);
        esp_archive_check(
            archive, progress->total[task].bins != NULL && progress->holdout[task].bins != NULL,
            "a total without bins");
    }
}

static void window_archive(struct esp_archive *archive, struct esp_progress *progress, size_t i)
{
    struct esp_progress_window *window = &progress->windows[i];
    struct esp_window_metrics *metrics = &progress->metrics[i];
    esp_archive_i64(archive, &window->start_us);
    esp_archive_bool(archive, &window->complete);
    esp_archive_u64(archive, &metrics->n_waiting);
    esp_archive_bool(archive, &metrics->clicks_complete);
    for (enum esp_task task = 0; task < ESP_N_TASKS; task++) {
        if (!progress->has_task[task])
            continue;
        esp_archive_bool(archive, &metrics->told[task]);
        esp_task_sums_archive(archive, &window->train[task]);
        esp_task_sums_archive(archive, &window->holdout[task]);
        esp_task_metric_archive(archive, &metrics->train[task]);
    }
}

static bool has_bins(const struct esp_window_metrics *metrics)
{
    bool has = false;
    for (enum esp_task task = 0; task < ESP_N_TASKS; task++)
        has |= metrics->train[task].bins != NULL;
    return has;
}

/* Room for n windows, zeroed. */
static bool make_room(struct esp_archive *archive, struct esp_progress *progress, size_t n)
{
    progress->windows = calloc(n + 1, sizeof(*progress->windows));
    progress->metrics = calloc(n + 1, sizeof(*progress->metrics));
    if (!progress->windows || !progress->metrics) {
        esp_archive_fail(archive, ESP_ENOMEM, "out of memory for %zu windows of metrics", n);
        return false;
    }
    progress->capacity = n + 1;
    return true;
}

static void windows_archive(struct esp_archive *archive, struct esp_progress *progress)
{
    bool reads = esp_archive_reads(archive);
    size_t n = progress->n_windows, n_with_bins = 0;
    esp_archive_count(archive, &n, WINDOW_BYTES);
    if (!esp_archive_check(archive, n == 0 || progress->window_us > 0, "a window of metrics"))
        return;
    if (reads && n > 0 && !make_room(archive, progress, n))
        return;
    for (size_t i = 0; i < n && esp_archive_is_ok(archive); i++) {
        progress->n_windows = reads ? i + 1 : n; /* what is released if it fails */
        window_archive(archive, progress, i);
        n_with_bins += has_bins(&progress->metrics[i]);
        esp_archive_check(archive, n_with_bins <= ESP_MAX_AUC_WINDOWS,
                          "the number of windows with bins");
    }
}

/* ---- what was read --------------------------------------------------------------------------- */

static bool windows_are_sound(const struct esp_progress *progress)
{
    for (size_t i = 0; i < progress->n_windows; i++) {
        int64_t start_us = progress->windows[i].start_us;
        if (!esp_progress_is_time(start_us) || start_us % progress->window_us != 0 ||
            progress->newest_us < start_us ||
            (i > 0 && start_us <= progress->windows[i - 1].start_us))
            return false;
    }
    return progress->newest_us == INT64_MIN ? progress->n_windows == 0
                                            : esp_progress_is_time(progress->newest_us);
}

/* The window that holds a time, or n_windows. */
static size_t window_of(const struct esp_progress *progress, int64_t time_us)
{
    for (size_t i = progress->n_windows; i-- > 0;)
        if (progress->windows[i].start_us <= time_us)
            return time_us - progress->windows[i].start_us < progress->window_us
                       ? i
                       : progress->n_windows;
    return progress->n_windows;
}

/* n (n_windows + 1), all 0, gets the predictions that wait, by window. */
static bool waiting_is_sound(const struct esp_progress *progress, uint64_t *n)
{
    for (size_t i = 0; i < progress->waiting.capacity; i++) {
        const struct esp_waiting_score *score = &progress->waiting.slots[i];
        if (!score->used)
            continue;
        if (!esp_progress_is_time(score->impression_us))
            return false;
        n[window_of(progress, score->impression_us)]++;
    }
    for (size_t i = 0; i < progress->n_windows; i++)
        if (n[i] > progress->metrics[i].n_waiting)
            return false;
    return progress->waiting.n == 0 || progress->has_task[ESP_TASK_INSTALL];
}

static void check_read(struct esp_archive *archive, const struct esp_progress *progress)
{
    if (!esp_archive_is_ok(archive) ||
        !esp_archive_check(archive, windows_are_sound(progress), "a window of metrics"))
        return;
    uint64_t *n_waiting = calloc(progress->n_windows + 1, sizeof(*n_waiting));
    if (n_waiting)
        esp_archive_check(archive, waiting_is_sound(progress, n_waiting), "a waiting prediction");
    else
        esp_archive_fail(archive, ESP_ENOMEM, "out of memory for %zu windows of metrics",
                         progress->n_windows);
    free(n_waiting);
}

void esp_progress_archive(struct esp_archive *archive, struct esp_progress *progress)
{
    esp_archive_mark(archive, "progressive validation", 1);
    esp_archive_same(archive, (uint64_t)progress->window_us,
                     "the length of the windows of progressive metrics, in microseconds,");
    totals_archive(archive, progress);
    esp_waiting_archive(archive, &progress->waiting);
    esp_archive_i64(archive, &progress->newest_us);
    esp_archive_i64(archive, &progress->whole_from_us);
    esp_archive_bool(archive, &progress->ended);
    windows_archive(archive, progress);
    if (esp_archive_reads(archive))
        check_read(archive, progress);
}
