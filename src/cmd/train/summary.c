/* summary.c - see summary.h. Its shape is described in docs/summary.md. */
#include "cmd/train/summary.h"

#include <cblas.h>
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/run/json_file.h"
#include "core/version.h"
#include "model/product.h"

/* jansson's *_new setters take NULL values as failures, so one check at the end covers them all:
 * `ok` turns false once. */
static void put(json_t *object, const char *key, json_t *value, bool *ok)
{
    if (json_object_set_new(object, key, value) != 0)
        *ok = false;
}

static void put_count(json_t *object, const char *key, uint64_t value, bool *ok)
{
    put(object, key, json_integer((json_int_t)value), ok);
}

/* null where it is not finite: JSON has no such numbers, and a null says so. */
static void put_real(json_t *object, const char *key, double value, bool *ok)
{
    put(object, key, isfinite(value) ? json_real(value) : json_null(), ok);
}

static void put_figure(json_t *object, const char *key, const struct esp_figure *figure, bool *ok)
{
    if (!figure->defined) {
        put(object, key, json_null(), ok);
        return;
    }
    json_t *value = json_object();
    put_real(value, "value", figure->value, ok);
    if (figure->has_interval) {
        put_real(value, "low", figure->low, ok);
        put_real(value, "high", figure->high, ok);
    }
    put(object, key, value, ok);
}

static void put_time(json_t *object, const char *key, int64_t time_us, bool *ok)
{
    char text[ESP_TIME_TEXT_SIZE];
    bool real = time_us != ESP_TIME_NONE && time_us != ESP_TIME_END;
    put(object, key, real ? json_string(esp_time_format(time_us, text)) : json_null(), ok);
}

static json_t *counters_json(const struct ingest_status *ingest, const struct inputs *inputs,
                             bool *ok)
{
    json_t *all = json_object();
    for (int kind = 0; kind < ESP_N_EVENT_KINDS; kind++) {
        const struct esp_join_counters *c = &ingest->counters[kind];
        if (inputs->kinds[kind].n_partitions == 0)
            continue;
        json_t *one = json_object();
        put_count(one, "read", c->read, ok);
        put_count(one, "labelled", c->labelled, ok);
        put_count(one, "duplicate", c->duplicate, ok);
        put_count(one, "unmatched", c->unmatched, ok);
        put_count(one, "late", c->late, ok);
        put_count(one, "dead", c->dead, ok);
        put_count(one, "pending", c->pending, ok);
        put_count(one, "behind_idle", c->behind_idle, ok);
        json_t *reasons = json_object();
        for (size_t i = 0; i < ESP_N_REJECTS; i++) {
            if (c->dead_by_reason[i] > 0)
                put_count(reasons, esp_reject_text((enum esp_reject)i), c->dead_by_reason[i], ok);
        }
        put(one, "dead_by_reason", reasons, ok);
        put(all, inputs->config->options.inputs[kind].topic, one, ok);
    }
    return all;
}

static json_t *join_json(const struct esp_joiner_usage *usage, bool *ok)
{
    json_t *join = json_object();
    put_count(join, "paged_bytes", usage->paged_bytes, ok);
    put_count(join, "paged_out_bytes", usage->paged_out_bytes, ok);
    put_count(join, "paging_failures", usage->paging_failures, ok);
    return join;
}

static json_t *task_json(const struct esp_task_report *report, bool *ok)
{
    json_t *task = json_object();
    put_count(task, "examples", report->examples, ok);
    put_count(task, "positives", report->positives, ok);
    put_real(task, "weight", report->weight, ok);
    put_figure(task, "log_loss", &report->log_loss, ok);
    put_figure(task, "normalised_entropy", &report->normalised_entropy, ok);
    put_figure(task, "calibration", &report->calibration, ok);
    put_figure(task, "roc_auc", &report->roc_auc, ok);
    put_figure(task, "pr_auc", &report->pr_auc, ok);
    return task;
}

static json_t *tasks_json(const struct esp_learner_report *report,
                          const struct esp_task_report tasks[ESP_N_TASKS], bool *ok)
{
    json_t *all = json_object();
    for (int task = 0; task < ESP_N_TASKS; task++) {
        if (report->has_task[task])
            put(all, esp_task_name((enum esp_task)task), task_json(&tasks[task], ok), ok);
    }
    return all;
}

static json_t *sums_json(const struct esp_task_sums *sums, bool *ok)
{
    json_t *one = json_object();
    put_count(one, "n", sums->n, ok);
    put_count(one, "n_positive", sums->n_positive, ok);
    put_real(one, "w", sums->w, ok);
    put_real(one, "wl", sums->wl, ok);
    put_real(one, "wp", sums->wp, ok);
    put_real(one, "wy", sums->wy, ok);
    return one;
}

static json_t *windows_json(const struct esp_learner *learner,
                            const struct esp_learner_report *report, bool *ok)
{
    size_t n = 0;
    const struct esp_progress_window *windows = esp_learner_windows(learner, &n);
    json_t *all = json_array();
    for (size_t i = 0; i < n; i++) {
        json_t *one = json_object(), *holdout = json_object();
        put_time(one, "start", windows[i].start_us, ok);
        put(one, "complete", json_boolean(windows[i].complete), ok);
        for (int task = 0; task < ESP_N_TASKS; task++) {
            const char *name = esp_task_name((enum esp_task)task);
            if (!report->has_task[task])
                continue;
            put(one, name, sums_json(&windows[i].train[task], ok), ok);
            put(holdout, name, sums_json(&windows[i].holdout[task], ok), ok);
        }
        put(one, "holdout", holdout, ok);
        if (json_array_append_new(all, one) != 0)
            *ok = false;
    }
    return all;
}

static json_t *snapshots_json(const struct snapshot_status *snapshots, bool *ok)
{
    json_t *all = json_object();
    put(all, "run", json_string(snapshots->run), ok);
    put_count(all, "taken", snapshots->n_taken, ok);
    put_count(all, "bytes", snapshots->n_bytes, ok);
    put_time(all, "newest_boundary", snapshots->newest_us, ok);
    put_count(all, "refused", snapshots->n_refused, ok);
    put_count(all, "given_up", snapshots->n_given_up, ok);
    return all;
}

static json_t *drift_json(const struct learn_status *learn, bool *ok)
{
    json_t *all = json_object();
    put_count(all, "records", learn->drift_records, ok);
    put_count(all, "examples_scored", learn->drift.scored, ok);
    put_count(all, "examples_thinned_out", learn->drift.thinned, ok);
    put_count(all, "windows_waiting", learn->drift.windows, ok);
    put_count(all, "examples_waiting", learn->drift.examples, ok);
    return all;
}

static json_t *model_json(const struct esp_learner *learner,
                          const struct snapshot_status *snapshots, bool *ok)
{
    struct esp_learner_report report;
    esp_learner_report(learner, &report);
    json_t *model = json_object();
    char hash[24];
    snprintf(hash, sizeof hash, "%016" PRIx64, esp_learner_hash(learner));
    put(model, "name", json_string(report.name), ok);
    put(model, "setup", json_string(report.setup), ok);
    put(model, "weights_hash", json_string(hash), ok);
    put(model, "tasks", tasks_json(&report, report.total, ok), ok);
    put(model, "last_window", tasks_json(&report, report.window, ok), ok);
    put(model, "holdout", tasks_json(&report, report.holdout, ok), ok);
    put_count(model, "examples_learned", report.examples_learned, ok);
    put_count(model, "steps", report.steps, ok);
    put_count(model, "dense_steps_clipped", report.dense_clipped, ok);
    put_count(model, "row_steps_clipped", report.rows_clipped, ok);
    put_count(model, "rows", report.rows, ok);
    put_count(model, "rows_admitted", report.rows_admitted, ok);
    put_count(model, "rows_evicted", report.rows_evicted, ok);
    put_count(model, "table_bytes", report.table_bytes, ok);
    put_count(model, "predictions_waiting", report.waiting, ok);
    put(model, "snapshots", snapshots_json(snapshots, ok), ok);
    put(model, "windows", windows_json(learner, &report, ok), ok);
    return model;
}

static json_t *checkpoints_json(const struct checkpoint_status *checkpoints, bool *ok)
{
    json_t *all = json_object();
    put_count(all, "written", checkpoints->n_written, ok);
    put_count(all, "failed", checkpoints->n_failed, ok);
    put_count(all, "number", checkpoints->number, ok);
    put_count(all, "bytes", checkpoints->bytes, ok);
    put_count(all, "pause_us", (uint64_t)checkpoints->pause_us_sum, ok);
    put_count(all, "longest_pause_us", (uint64_t)checkpoints->most_pause_us, ok);
    put_count(all, "longest_write_us", (uint64_t)checkpoints->most_write_us, ok);
    return all;
}

static json_t *summary_json(const struct run *run, const struct inputs *inputs,
                            const struct learning *learning, bool *ok)
{
    static const char *const stages[] = {"click", "install", "whole"};
    const struct ingest_status *ingest = &run->ingest;
    json_t *root = json_object(), *labels = json_object(), *models = json_array();
    put(root, "espalier", json_string(ESP_VERSION), ok);
    put(root, "stopped", json_boolean(atomic_load(&run->stop)), ok);
    put(root, "kernels", json_string(esp_product_kernels()), ok);
    put(root, "openblas_core", json_string(openblas_get_corename()), ok);
    put_time(root, "watermark", ingest->watermark_us, ok);
    put(root, "counters", counters_json(ingest, inputs, ok), ok);
    put(root, "join", join_json(&ingest->usage, ok), ok);
    for (int stage = 0; stage < 3; stage++)
        put_count(labels, stages[stage], ingest->labels[stage], ok);
    put(root, "labels", labels, ok);
    put_count(root, "impressions_kept", ingest->kept, ok);
    put_count(root, "impressions_sampled_out", ingest->sampled_out, ok);
    put_count(root, "impressions_holdout", ingest->holdout, ok);
    put_count(root, "examples_written", run->learn.examples_written, ok);
    put_count(root, "damaged_files", ingest->damaged_files, ok);
    put_count(root, "skipped_bytes", ingest->skipped_bytes, ok);
    put_count(root, "gap_records", ingest->gap_records, ok);
    put_count(root, "labels_before", ingest->labels_before, ok);
    for (size_t i = 0; i < run->config->n_models; i++) {
        if (json_array_append_new(
                models, model_json(learning->learners[i], &run->learn.snapshots[i], ok)) != 0)
            *ok = false;
    }
    if (run->config->has_drift)
        put(root, "drift", drift_json(&run->learn, ok), ok);
    put(root, "models", models, ok);
    if (run->config->has_checkpoints)
        put(root, "checkpoints", checkpoints_json(&run->checkpoints, ok), ok);
    return root;
}

enum esp_status summary_write(const char *path, const struct run *run, const struct inputs *inputs,
                              const struct learning *learning, struct esp_error *err)
{
    bool ok = true;
    json_t *root = summary_json(run, inputs, learning, &ok);
    enum esp_status status = ok ? json_file_write(path, root, "--summary", err)
                                : esp_fail(err, ESP_ENOMEM, "out of memory for the summary");
    json_decref(root);
    return status;
}
