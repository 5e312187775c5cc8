/*
 * progress.h - progressive validation: metrics of predictions that were made before anything of
 * the impression was learned, in total and by windows of impression time.
 *
 * A click counts at once. z = 0 of an unclicked impression counts for P(install) at once. The
 * predictions of a clicked one wait for its label of ESP_STAGE_INSTALL, and count then for
 * P(install | click) and for P(install). Metrics weigh with the example's weight; logits are those
 * of the model, without the offset of the correction.
 *
 * Memory: 64 KiB a task and window for the AUC of a window that still waits for labels or was the
 * last to complete; the sums alone for the others. Windows beyond ESP_MAX_AUC_WINDOWS have no AUC.
 */
#ifndef ESP_LEARN_PROGRESS_H
#define ESP_LEARN_PROGRESS_H

#include "learn/learner.h"
#include "learn/rows.h"
#include "learn/waiting.h"

struct esp_window_metrics {
    struct esp_task_metric train[ESP_N_TASKS];
    uint64_t n_waiting; /* predictions of the window that wait for an install label */
    bool clicks_complete;
    bool told[ESP_N_TASKS]; /* the window was done for the task */
};

struct esp_progress {
    struct esp_setup setup; /* as it is in effect */
    bool has_task[ESP_N_TASKS];
    int64_t window_us;   /* 0: no windows */
    size_t windows_kept; /* complete ones, at least 1 */
    struct esp_task_metric total[ESP_N_TASKS], holdout[ESP_N_TASKS];
    struct esp_waiting waiting;
    /* Windows oldest first; what is public of window i, and the rest of it. */
    struct esp_progress_window *windows;
    struct esp_window_metrics *metrics;
    size_t n_windows, capacity;
    int64_t newest_us;     /* the latest t_i whose click label was counted */
    bool ended;            /* no label comes any more */
    int64_t whole_from_us; /* windows that start earlier are not kept: see esp_learner_resume() */
    void (*done)(void *context, const struct esp_window_done *done); /* NULL: nobody is told */
    void *done_context;
};

enum { ESP_MAX_AUC_WINDOWS = 512 };

/* Errors: ESP_ENOMEM. */
enum esp_status esp_progress_init(struct esp_progress *progress, const struct esp_setup *setup,
                                  int64_t window_us, size_t windows_kept, struct esp_error *err);
void esp_progress_release(struct esp_progress *progress);

/*
 * Counts one label of one impression; impressions may come in any order between two calls of
 * esp_progress_close_windows().
 *
 * head_logits  (ESP_N_HEADS) of a row of ESP_STAGE_CLICK; NULL at ESP_STAGE_INSTALL
 * Labels of one impression come in order. A label without a prediction is not counted.
 * Errors: ESP_ENOMEM.
 */
enum esp_status esp_progress_count(struct esp_progress *progress, const struct esp_row_info *info,
                                   const float *head_logits, struct esp_error *err);

/*
 * Completes windows and forgets the oldest. Call only when no buffer holds a row of
 * ESP_STAGE_CLICK: a window is complete by the latest t_i that was counted, and an uncounted row
 * may be earlier.
 */
void esp_progress_close_windows(struct esp_progress *progress);

/* Writes or reads all that was gathered; reading, into one that was made with the same set-up and
 * windows. A window is told of once, before or after. */
void esp_progress_archive(struct esp_archive *archive, struct esp_progress *progress);

/* True for times whose differences and windows do not overflow: what is read is held against it. */
static inline bool esp_progress_is_time(int64_t time_us)
{
    return time_us >= INT64_MIN / 4 && time_us <= INT64_MAX / 4;
}

/* Fills the report's metrics. */
void esp_progress_report(const struct esp_progress *progress, struct esp_learner_report *out);

#endif
