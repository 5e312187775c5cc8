/*
 * metrics_page.h - a run's figures as families of metrics. One function a group; a command's page
 * calls those that it has something for. docs/serving.md has the table of all of them.
 *
 * Labels are few and fixed: kinds of topics, fates, reasons, stages, models, tasks.
 */
#ifndef ESP_CMD_RUN_METRICS_PAGE_H
#define ESP_CMD_RUN_METRICS_PAGE_H

#include "cmd/run/process.h"
#include "cmd/run/pulse.h"
#include "cmd/run/run.h"
#include "serve/exposition.h"
#include "serve/http.h"

/* What is built: version, kernels. */
void metrics_build(struct esp_exposition *x);

/* Events by fate, dead letters by reason, bytes, damaged files. */
void metrics_events(struct esp_exposition *x, const struct config *config,
                    const struct ingest_status *ingest);

/* The watermark, and how far it is behind the wall clock. */
void metrics_watermark(struct esp_exposition *x, const struct ingest_status *ingest,
                       int64_t wall_us);

/* What the join holds, partitions that it does not read, labels that left it, and what sampling
 * made of them. */
void metrics_join(struct esp_exposition *x, const struct run_view *view);

/* Learning by model: steps, rows, and progressive metrics by task. */
void metrics_models(struct esp_exposition *x, const struct config *config,
                    const struct run_view *view);

/* Snapshots by model, and what became of them. */
void metrics_snapshots(struct esp_exposition *x, const struct config *config,
                       const struct run_view *view);

/* Holdout examples on their way into drift records. */
void metrics_drift(struct esp_exposition *x, const struct run_view *view);

/* Checkpoints; nothing where there are none. */
void metrics_checkpoints(struct esp_exposition *x, const struct config *config,
                         const struct checkpoint_status *checkpoints);

/* Readiness, and how long each thread has not gone round. now_us is monotonic. */
void metrics_health(struct esp_exposition *x, bool is_ready, const struct pulse *pulses,
                    size_t n_pulses, int64_t now_us);

/* Answers of the HTTP server. */
void metrics_http(struct esp_exposition *x, const struct esp_http_stats *stats);

/* The conventional process_* families. start_s: when it was started, Unix seconds; the same for
 * every call, for its change means a restart. */
void metrics_process(struct esp_exposition *x, const struct process_figures *process,
                     double start_s);

#endif
