/* metrics_page.c - see metrics_page.h. */
#include "cmd/run/metrics_page.h"

#include <cblas.h>

#include "core/timespan.h"
#include "core/version.h"
#include "model/product.h"

static void one_count(struct esp_exposition *x, enum esp_family_type type, const char *name,
                      const char *help, uint64_t value)
{
    esp_exposition_family(x, type, name, help);
    esp_exposition_count(x, value, NULL);
}

void metrics_build(struct esp_exposition *x)
{
    esp_exposition_family(x, ESP_GAUGE, "espalier_build_info",
                          "Always 1; what is built, and whose instructions compute.");
    esp_exposition_count(x, 1, "version", ESP_BUILD_VERSION, "kernels", esp_product_kernels(),
                         "openblas_core", openblas_get_corename(), NULL);
}

/* ---- events ---------------------------------------------------------------------------------- */

/* The first kind that is read and those after it: for (kind = 0; kind < n; kind++). */
static int n_kinds(const struct config *config)
{
    return config->has_installs ? ESP_N_EVENT_KINDS : ESP_INSTALL;
}

static void fates(struct esp_exposition *x, const char *kind, const struct esp_join_counters *c)
{
    const struct {
        const char *fate;
        uint64_t n;
    } rows[] = {
        {"labelled", c->labelled}, {"duplicate", c->duplicate}, {"unmatched", c->unmatched},
        {"late", c->late},         {"dead", c->dead},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        esp_exposition_count(x, rows[i].n, "topic_kind", kind, "fate", rows[i].fate, NULL);
}

/* A family with one whole number a topic kind. */
static void by_kind(struct esp_exposition *x, enum esp_family_type type, const char *name,
                    const char *help, const struct config *config,
                    const struct ingest_status *ingest, size_t offset)
{
    esp_exposition_family(x, type, name, help);
    for (int kind = 0; kind < n_kinds(config); kind++) {
        const char *counters = (const char *)&ingest->counters[kind];
        esp_exposition_count(x, *(const uint64_t *)(counters + offset), "topic_kind",
                             esp_event_kind_name((enum esp_event_kind)kind), NULL);
    }
}

static void dead_letters(struct esp_exposition *x, const struct config *config,
                         const struct ingest_status *ingest)
{
    esp_exposition_family(x, ESP_COUNTER, "espalier_dead_letters_total",
                          "Dead events by the reason that their dead letter gives.");
    for (int kind = 0; kind < n_kinds(config); kind++) {
        for (int reason = ESP_REJECT_NONE + 1; reason < ESP_N_REJECTS; reason++)
            esp_exposition_count(x, ingest->counters[kind].dead_by_reason[reason], "topic_kind",
                                 esp_event_kind_name((enum esp_event_kind)kind), "reason",
                                 esp_reject_text((enum esp_reject)reason), NULL);
    }
}

void metrics_events(struct esp_exposition *x, const struct config *config,
                    const struct ingest_status *ingest)
{
    by_kind(x, ESP_COUNTER, "espalier_events_read_total",
            "Events read; the sum of espalier_events_total and espalier_events_pending.", config,
            ingest, offsetof(struct esp_join_counters, read));
    esp_exposition_family(x, ESP_COUNTER, "espalier_events_total",
                          "Events by what became of them in the end.");
    for (int kind = 0; kind < n_kinds(config); kind++)
        fates(x, esp_event_kind_name((enum esp_event_kind)kind), &ingest->counters[kind]);
    by_kind(x, ESP_GAUGE, "espalier_events_pending",
            "Events read whose fate is open: what the join holds.", config, ingest,
            offsetof(struct esp_join_counters, pending));
    by_kind(x, ESP_COUNTER, "espalier_events_behind_idle_total",
            "Late events that are late only because their partition had been idle.", config, ingest,
            offsetof(struct esp_join_counters, behind_idle));
    dead_letters(x, config, ingest);
    one_count(x, ESP_COUNTER, "espalier_read_bytes_total", "Bytes of the records read.",
              ingest->bytes);
    one_count(x, ESP_COUNTER, "espalier_damaged_files_total",
              "Container files that could not be read to their end.", ingest->damaged_files);
    one_count(x, ESP_COUNTER, "espalier_skipped_bytes_total",
              "Bytes of damaged files that were passed over.", ingest->skipped_bytes);
    one_count(x, ESP_COUNTER, "espalier_gap_records_total",
              "Offsets that were passed over because the log no longer had them.",
              ingest->gap_records);
}

/* ---- time and the join ----------------------------------------------------------------------- */

void metrics_watermark(struct esp_exposition *x, const struct ingest_status *ingest,
                       int64_t wall_us)
{
    int64_t watermark_us = ingest->watermark_us;
    bool is_time = watermark_us != ESP_TIME_NONE && watermark_us != ESP_TIME_END;
    esp_exposition_family(x, ESP_GAUGE, "espalier_watermark_timestamp_seconds",
                          "The event time that the join has reached, Unix time; absent before all "
                          "partitions have spoken.");
    if (is_time)
        esp_exposition_sample(x, (double)watermark_us / (double)ESP_SECOND, NULL);
    esp_exposition_family(x, ESP_GAUGE, "espalier_watermark_lag_seconds",
                          "How far the watermark is behind the wall clock; absent as the watermark "
                          "is.");
    if (is_time)
        esp_exposition_sample(x, (double)(wall_us - watermark_us) / (double)ESP_SECOND, NULL);
}

static void partitions(struct esp_exposition *x, const struct ingest_status *ingest)
{
    esp_exposition_family(x, ESP_GAUGE, "espalier_input_partitions",
                          "Input partitions that are not read as they come: idle at their end, or "
                          "paused because they are ahead.");
    esp_exposition_count(x, ingest->n_idle, "state", "idle", NULL);
    esp_exposition_count(x, ingest->n_paused, "state", "paused", NULL);
}

static void sampling(struct esp_exposition *x, const struct ingest_status *ingest)
{
    static const char *const stages[] = {"click", "install", "whole"};
    esp_exposition_family(x, ESP_COUNTER, "espalier_labels_total", "Labels that left the join.");
    for (int stage = 0; stage < 3; stage++)
        esp_exposition_count(x, ingest->labels[stage], "stage", stages[stage], NULL);
    esp_exposition_family(x, ESP_COUNTER, "espalier_impressions_total",
                          "Labelled impressions by what sampling made of them; the sum is that of "
                          "click labels.");
    esp_exposition_count(x, ingest->kept - ingest->holdout, "sample", "training", NULL);
    esp_exposition_count(x, ingest->holdout, "sample", "holdout", NULL);
    esp_exposition_count(x, ingest->sampled_out, "sample", "sampled_out", NULL);
}

void metrics_join(struct esp_exposition *x, const struct run_view *view)
{
    const struct ingest_status *ingest = &view->ingest;
    one_count(x, ESP_GAUGE, "espalier_join_pending_impressions",
              "Impressions with a label still to leave.", ingest->usage.pending);
    one_count(x, ESP_GAUGE, "espalier_join_waiting_events",
              "Clicks and installs that wait for the watermark.", ingest->usage.waiting);
    one_count(x, ESP_GAUGE, "espalier_join_record_bytes", "Records of the pending impressions.",
              ingest->usage.record_bytes);
    one_count(x, ESP_GAUGE, "espalier_join_memory_bytes", "All memory of the join.",
              ingest->usage.memory_bytes);
    one_count(x, ESP_GAUGE, "espalier_join_paged_bytes",
              "Records that wait on files rather than in memory.", ingest->usage.paged_bytes);
    one_count(x, ESP_COUNTER, "espalier_join_paged_out_bytes_total",
              "Written to files to stay below join.memory.", ingest->usage.paged_out_bytes);
    one_count(x, ESP_COUNTER, "espalier_join_paging_failures_total",
              "Writes to files that failed: what they were of stays in memory.",
              ingest->usage.paging_failures);
    partitions(x, ingest);
    sampling(x, ingest);
    one_count(x, ESP_COUNTER, "espalier_examples_total",
              "Examples handed to learning, holdout and all stages.", view->examples);
    one_count(x, ESP_COUNTER, "espalier_examples_written_total", "Examples written to their topic.",
              view->examples_written);
}

/* ---- models ---------------------------------------------------------------------------------- */

#define COUNT(type_, name_, member, help_)                               \
    {                                                                    \
        type_, name_, help_, offsetof(struct esp_learner_report, member) \
    }

static const struct model_family {
    enum esp_family_type type;
    const char *name, *help;
    size_t offset; /* of a uint64_t in the report */
} model_families[] = {
    COUNT(ESP_COUNTER, "espalier_model_steps_total", steps, "Steps of the optimizer."),
    COUNT(ESP_COUNTER, "espalier_model_examples_learned_total", examples_learned,
          "Examples in these steps."),
    COUNT(ESP_COUNTER, "espalier_model_dense_steps_clipped_total", dense_clipped,
          "Steps whose gradient of the dense weights was bounded."),
    COUNT(ESP_COUNTER, "espalier_model_row_steps_clipped_total", rows_clipped,
          "Updates of embedding rows whose gradient was bounded."),
    COUNT(ESP_GAUGE, "espalier_model_rows", rows, "Rows of the embedding tables."),
    COUNT(ESP_COUNTER, "espalier_model_rows_admitted_total", rows_admitted,
          "Rows that were ever admitted."),
    COUNT(ESP_COUNTER, "espalier_model_rows_evicted_total", rows_evicted,
          "Rows that left because memory was full."),
    COUNT(ESP_GAUGE, "espalier_model_table_bytes", table_bytes,
          "Memory of the embedding tables, optimizer slots included."),
    COUNT(ESP_GAUGE, "espalier_model_predictions_waiting", waiting,
          "Predictions that wait for their labels."),
};

#define FIGURE(name_, member, help_)                           \
    {                                                          \
        name_, help_, offsetof(struct esp_task_report, member) \
    }

static const struct figure_family {
    const char *name, *help;
    size_t offset; /* of a struct esp_figure in the task's report */
} figure_families[] = {
    FIGURE("espalier_model_log_loss_nats", log_loss, "Weighted mean log loss, in nats."),
    FIGURE("espalier_model_normalised_entropy_ratio", normalised_entropy,
           "Log loss over the entropy of the base rate; below 1 is better than guessing."),
    FIGURE("espalier_model_calibration_ratio", calibration,
           "Sum of predictions over sum of labels; 1 is right on average."),
    FIGURE("espalier_model_roc_auc_ratio", roc_auc, "Area under the ROC curve."),
    FIGURE("espalier_model_pr_auc_ratio", pr_auc, "Area under the precision-recall curve."),
};

/* The sets of examples that progressive metrics are over. */
enum { OVER_TOTAL, OVER_LAST_WINDOW, OVER_HOLDOUT, N_OVER };
static const char *const over_words[N_OVER] = {"total", "last_window", "holdout"};

static const struct esp_task_report *report_over(const struct esp_learner_report *model, int over,
                                                 int task)
{
    return over == OVER_TOTAL         ? &model->total[task]
           : over == OVER_LAST_WINDOW ? &model->window[task]
                                      : &model->holdout[task];
}

/* Calls write for every model, task that it has, and set of examples. */
static void for_each_task(struct esp_exposition *x, const struct config *config,
                          const struct run_view *view, size_t offset,
                          void (*write)(struct esp_exposition *x, const char *model,
                                        const char *task, const char *over, const void *value))
{
    for (size_t i = 0; i < config->n_models; i++) {
        const struct esp_learner_report *model = &view->models[i];
        for (int task = 0; task < ESP_N_TASKS; task++) {
            for (int over = 0; model->has_task[task] && over < N_OVER; over++)
                write(x, config->models[i].name, esp_task_name((enum esp_task)task),
                      over_words[over], (const char *)report_over(model, over, task) + offset);
        }
    }
}

static void write_task_count(struct esp_exposition *x, const char *model, const char *task,
                             const char *over, const void *value)
{
    esp_exposition_count(x, *(const uint64_t *)value, "model", model, "task", task, "over", over,
                         NULL);
}

static void write_task_figure(struct esp_exposition *x, const char *model, const char *task,
                              const char *over, const void *value)
{
    const struct esp_figure *figure = value;
    if (figure->defined)
        esp_exposition_sample(x, figure->value, "model", model, "task", task, "over", over, NULL);
}

static void model_tasks(struct esp_exposition *x, const struct config *config,
                        const struct run_view *view)
{
    esp_exposition_family(x, ESP_GAUGE, "espalier_model_scored_examples",
                          "Examples that the metrics below are over: total from the start, "
                          "last_window of the last complete window, holdout never trained on.");
    for_each_task(x, config, view, offsetof(struct esp_task_report, examples), write_task_count);
    esp_exposition_family(x, ESP_GAUGE, "espalier_model_scored_positives",
                          "Those with a click or an install.");
    for_each_task(x, config, view, offsetof(struct esp_task_report, positives), write_task_count);
    for (size_t f = 0; f < sizeof figure_families / sizeof figure_families[0]; f++) {
        esp_exposition_family(x, ESP_GAUGE, figure_families[f].name, figure_families[f].help);
        for_each_task(x, config, view, figure_families[f].offset, write_task_figure);
    }
    esp_exposition_family(x, ESP_GAUGE, "espalier_model_window_start_timestamp_seconds",
                          "When the last complete window begins, Unix time.");
    for (size_t i = 0; i < config->n_models; i++) {
        const struct esp_learner_report *model = &view->models[i];
        for (int task = 0; task < ESP_N_TASKS; task++) {
            if (model->has_task[task] && model->window_start_us[task] != ESP_TIME_NONE)
                esp_exposition_sample(x, (double)model->window_start_us[task] / (double)ESP_SECOND,
                                      "model", config->models[i].name, "task",
                                      esp_task_name((enum esp_task)task), NULL);
        }
    }
}

void metrics_models(struct esp_exposition *x, const struct config *config,
                    const struct run_view *view)
{
    esp_exposition_family(x, ESP_GAUGE, "espalier_model_info",
                          "Always 1; the set-up of each model.");
    for (size_t i = 0; i < config->n_models; i++)
        esp_exposition_count(x, 1, "model", config->models[i].name, "setup",
                             esp_setup_get(config->models[i].setup)->name, NULL);
    for (size_t f = 0; f < sizeof model_families / sizeof model_families[0]; f++) {
        const struct model_family *family = &model_families[f];
        esp_exposition_family(x, family->type, family->name, family->help);
        for (size_t i = 0; i < config->n_models; i++) {
            const char *report = (const char *)&view->models[i];
            esp_exposition_count(x, *(const uint64_t *)(report + family->offset), "model",
                                 config->models[i].name, NULL);
        }
    }
    model_tasks(x, config, view);
}

/* ---- snapshots and drift --------------------------------------------------------------------- */

static void snapshot_count(struct esp_exposition *x, const char *name, const char *help,
                           const struct config *config, const struct run_view *view, size_t offset)
{
    esp_exposition_family(x, ESP_COUNTER, name, help);
    for (size_t i = 0; i < config->n_models; i++) {
        const char *status = (const char *)&view->snapshots[i];
        esp_exposition_count(x, *(const uint64_t *)(status + offset), "model",
                             config->models[i].name, NULL);
    }
}

static void snapshot_fates(struct esp_exposition *x, const char *model,
                           const struct snapshot_status *status)
{
    const struct {
        const char *fate;
        uint64_t n;
    } rows[] = {{"published", status->n_published},
                {"outdated", status->n_outdated},
                {"refused", status->n_refused},
                {"given_up", status->n_given_up}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        esp_exposition_count(x, rows[i].n, "model", model, "fate", rows[i].fate, NULL);
}

void metrics_snapshots(struct esp_exposition *x, const struct config *config,
                       const struct run_view *view)
{
    snapshot_count(x, "espalier_snapshots_taken_total", "Snapshots written to files.", config, view,
                   offsetof(struct snapshot_status, n_taken));
    snapshot_count(x, "espalier_snapshot_bytes_total", "Bytes of these files.", config, view,
                   offsetof(struct snapshot_status, n_bytes));
    esp_exposition_family(x, ESP_COUNTER, "espalier_snapshots_total",
                          "Snapshots by what became of them on their way to the topic.");
    for (size_t i = 0; i < config->n_models; i++)
        snapshot_fates(x, config->models[i].name, &view->snapshots[i]);
    esp_exposition_family(x, ESP_GAUGE, "espalier_snapshot_boundary_timestamp_seconds",
                          "The event time that the newest snapshot stands for, Unix time; absent "
                          "before the first.");
    for (size_t i = 0; i < config->n_models; i++) {
        const struct snapshot_status *status = &view->snapshots[i];
        if (status->n_taken > 0)
            esp_exposition_sample(x, (double)status->newest_us / (double)ESP_SECOND, "model",
                                  config->models[i].name, NULL);
    }
}

void metrics_drift(struct esp_exposition *x, const struct run_view *view)
{
    const struct esp_drift_usage *drift = &view->drift;
    one_count(x, ESP_COUNTER, "espalier_drift_records_total", "Records written to the drift topic.",
              view->drift_records);
    one_count(x, ESP_COUNTER, "espalier_drift_examples_scored_total",
              "Holdout examples that windows were measured on.", drift->scored);
    one_count(x, ESP_COUNTER, "espalier_drift_examples_thinned_total",
              "Holdout examples that were left out to bound memory.", drift->thinned);
    one_count(x, ESP_GAUGE, "espalier_drift_windows_waiting",
              "Windows whose labels are not all in.", drift->windows);
    one_count(x, ESP_GAUGE, "espalier_drift_examples_waiting", "Holdout examples of these windows.",
              drift->examples);
    one_count(x, ESP_GAUGE, "espalier_drift_memory_bytes", "Memory of the holdout that waits.",
              drift->memory_bytes);
}

static void one_span(struct esp_exposition *x, const char *name, const char *help, int64_t span_us)
{
    esp_exposition_family(x, ESP_GAUGE, name, help);
    esp_exposition_sample(x, (double)span_us / (double)ESP_SECOND, NULL);
}

void metrics_checkpoints(struct esp_exposition *x, const struct config *config,
                         const struct checkpoint_status *checkpoints)
{
    if (!config->has_checkpoints)
        return;
    one_count(x, ESP_COUNTER, "espalier_checkpoints_total", "Checkpoints written.",
              checkpoints->n_written);
    one_count(x, ESP_COUNTER, "espalier_checkpoint_failures_total",
              "Checkpoints that could not be written; training went on.", checkpoints->n_failed);
    one_count(x, ESP_GAUGE, "espalier_checkpoint_bytes", "Size of the newest.", checkpoints->bytes);
    one_span(x, "espalier_checkpoint_write_seconds",
             "From its begin until the newest had its name; training went on meanwhile.",
             checkpoints->write_us);
    one_span(x, "espalier_checkpoint_pause_seconds",
             "How long training stood still for the newest.", checkpoints->pause_us);
    esp_exposition_family(x, ESP_GAUGE, "espalier_checkpoint_timestamp_seconds",
                          "When the newest was written, Unix time; absent before the first.");
    if (checkpoints->n_written > 0)
        esp_exposition_sample(x, (double)checkpoints->written_us / (double)ESP_SECOND, NULL);
}

/* ---- the program ----------------------------------------------------------------------------- */

void metrics_health(struct esp_exposition *x, bool is_ready, const struct pulse *pulses,
                    size_t n_pulses, int64_t now_us)
{
    one_count(x, ESP_GAUGE, "espalier_ready", "1 if /readyz says so.", is_ready);
    esp_exposition_family(x, ESP_GAUGE, "espalier_thread_silence_seconds",
                          "How long a thread has not gone round its loop; 0 while it waits for "
                          "another.");
    for (size_t i = 0; i < n_pulses; i++)
        esp_exposition_sample(x, (double)pulse_silence_us(&pulses[i], now_us) / (double)ESP_SECOND,
                              "thread", pulses[i].thread, NULL);
}

void metrics_http(struct esp_exposition *x, const struct esp_http_stats *stats)
{
    const struct {
        const char *code;
        uint64_t n;
    } rows[] = {{"200", stats->ok},
                {"404", stats->not_found},
                {"405", stats->wrong_method},
                {"500", stats->failed},
                {"503", stats->unavailable}};
    esp_exposition_family(x, ESP_COUNTER, "espalier_http_answers_total",
                          "Answers of this server before this one.");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        esp_exposition_count(x, rows[i].n, "code", rows[i].code, NULL);
    esp_exposition_family(x, ESP_COUNTER, "espalier_http_cut_connections_total",
                          "Connections that were cut because their request took too long.");
    esp_exposition_count(x, stats->cut, NULL);
}

void metrics_process(struct esp_exposition *x, const struct process_figures *process,
                     double start_s)
{
    esp_exposition_family(x, ESP_COUNTER, "process_cpu_seconds_total",
                          "Processor time of all threads, user and system.");
    esp_exposition_sample(x, process->cpu_seconds, NULL);
    esp_exposition_family(x, ESP_GAUGE, "process_start_time_seconds",
                          "When the process was started, Unix time.");
    esp_exposition_sample(x, start_s, NULL);
    one_count(x, ESP_GAUGE, "process_resident_memory_bytes", "Memory in use.",
              process->resident_bytes);
    one_count(x, ESP_GAUGE, "process_virtual_memory_bytes", "Address space in use.",
              process->virtual_bytes);
    one_count(x, ESP_GAUGE, "process_open_fds", "Open file descriptors.", process->open_fds);
    esp_exposition_family(x, ESP_GAUGE, "process_max_fds",
                          "How many it may open; absent without a limit.");
    if (process->max_fds > 0)
        esp_exposition_count(x, process->max_fds, NULL);
}
