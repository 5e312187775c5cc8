/* train_pages.c - see train_pages.h. */
#include "cmd/train/train_pages.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cmd/run/figures.h"
#include "cmd/run/metrics_page.h"
#include "cmd/run/serving.h"
#include "core/timespan.h"
#include "core/version.h"
#include "serve/file_page.h"
#include "serve/html.h"

/* ---- state ----------------------------------------------------------------------------------- */

enum state { STARTING, READY, STOPPING };

static enum state state_of(struct run *run, const struct run_view *view)
{
    if (atomic_load(&run->stop) || view->has_ended)
        return STOPPING;
    return view->ingest.is_ready ? READY : STARTING;
}

bool train_is_ready(struct run *run, const struct run_view *view)
{
    return state_of(run, view) == READY;
}

static const char *const state_lines[] = {
    "starting: waits for first records, or to hear that there are none",
    "ready",
    "stopping",
};

/* ---- the pages ------------------------------------------------------------------------------- */

static enum esp_status render_metrics(void *context, struct esp_buf *out, unsigned *code,
                                      struct esp_error *err)
{
    struct train_pages *pages = context;
    struct run *run = pages->run;
    struct run_view view;
    (void)code;
    enum esp_status status = run_look(run, &view, err);
    if (status != ESP_OK)
        return status;
    struct esp_exposition x;
    esp_exposition_begin(&x, out);
    metrics_build(&x);
    metrics_events(&x, run->config, &view.ingest);
    metrics_watermark(&x, &view.ingest, run_wall_us());
    metrics_join(&x, &view);
    metrics_models(&x, run->config, &view);
    metrics_snapshots(&x, run->config, &view);
    metrics_drift(&x, &view);
    metrics_checkpoints(&x, run->config, &view.checkpoints);
    metrics_health(&x, state_of(run, &view) == READY, run->pulses, N_RUN_THREADS, run_clock_us());
    struct esp_http *http = atomic_load(&pages->http);
    struct esp_http_stats answers = {0};
    if (http != NULL)
        esp_http_stats(http, &answers);
    metrics_http(&x, &answers);
    struct process_figures process;
    process_read(&process);
    metrics_process(&x, &process, pages->start_s);
    run_view_release(&view);
    return esp_exposition_end(&x, err);
}

static enum esp_status render_health(void *context, struct esp_buf *out, unsigned *code,
                                     struct esp_error *err)
{
    struct run *run = ((struct train_pages *)context)->run;
    return serving_health(run->config, run->pulses, N_RUN_THREADS, run_clock_us(), out, code, err);
}

static enum esp_status render_readiness(void *context, struct esp_buf *out, unsigned *code,
                                        struct esp_error *err)
{
    struct run *run = ((struct train_pages *)context)->run;
    struct run_view view;
    enum esp_status status = run_look(run, &view, err);
    if (status != ESP_OK)
        return status;
    enum state state = state_of(run, &view);
    run_view_release(&view);
    *code = state == READY ? 200 : 503;
    status = esp_html_raw(out, state_lines[state], err);
    return status == ESP_OK ? esp_html_raw(out, "\n", err) : status;
}

/* ---- the page for people --------------------------------------------------------------------- */

enum { ROW_SIZE = 256, FIXED_ROWS = 5 };

static void write_watermark(const struct run_view *view, char text[ROW_SIZE])
{
    char time[ESP_TIME_TEXT_SIZE], lag[FIGURE_TEXT_SIZE];
    int64_t watermark_us = view->ingest.watermark_us;
    if (watermark_us == ESP_TIME_NONE || watermark_us == ESP_TIME_END)
        snprintf(text, ROW_SIZE, "%s", watermark_us == ESP_TIME_END ? "closed" : "none yet");
    else
        snprintf(text, ROW_SIZE, "%s, %s behind the clock", esp_time_format(watermark_us, time),
                 figure_span(run_wall_us() - watermark_us, lag));
}

static void write_events(const struct run_view *view, char text[ROW_SIZE])
{
    uint64_t n_read = 0, n_late = 0, n_dead = 0;
    for (int kind = 0; kind < ESP_N_EVENT_KINDS; kind++) {
        n_read += view->ingest.counters[kind].read;
        n_late += view->ingest.counters[kind].late;
        n_dead += view->ingest.counters[kind].dead;
    }
    char all[FIGURE_TEXT_SIZE], late[FIGURE_TEXT_SIZE], dead[FIGURE_TEXT_SIZE],
        pending[FIGURE_TEXT_SIZE];
    snprintf(text, ROW_SIZE, "%s read, %s late, %s dead; %s impressions pending",
             figure_exact(n_read, all), figure_exact(n_late, late), figure_exact(n_dead, dead),
             figure_exact(view->ingest.usage.pending, pending));
}

void train_state_line(const struct run_view *view, char *text, size_t size)
{
    char watermark[ROW_SIZE], events[ROW_SIZE];
    write_events(view, events);
    write_watermark(view, watermark);
    snprintf(text, size, "%.120s; watermark %.100s", events, watermark);
}

static void write_model(const struct esp_learner_report *report, char text[ROW_SIZE])
{
    char steps[FIGURE_TEXT_SIZE], rows[FIGURE_TEXT_SIZE];
    int n = snprintf(text, ROW_SIZE, "%s steps, %s rows", figure_exact(report->steps, steps),
                     figure_exact(report->rows, rows));
    for (int task = 0; task < ESP_N_TASKS; task++) {
        char entropy[FIGURE_TEXT_SIZE];
        if (report->has_task[task] && n > 0 && n < ROW_SIZE)
            n += snprintf(text + n, (size_t)(ROW_SIZE - n), "; NE of %s %s",
                          esp_task_name((enum esp_task)task),
                          figure_value(&report->total[task].normalised_entropy, 4, entropy));
    }
}

static enum esp_status write_index(const struct train_pages *pages, const struct run_view *view,
                                   struct esp_index_row *rows, char (*texts)[ROW_SIZE],
                                   struct esp_buf *out, struct esp_error *err)
{
    const struct config *config = pages->run->config;
    char watermark[ROW_SIZE], events[ROW_SIZE];
    write_watermark(view, watermark);
    write_events(view, events);
    const struct esp_index_row fixed[FIXED_ROWS] = {
        {"version", ESP_BUILD_VERSION},
        {"configuration", config->path},
        {"state", state_lines[state_of(pages->run, view)]},
        {"watermark", watermark},
        {"events", events},
    };
    memcpy(rows, fixed, sizeof fixed);
    for (size_t i = 0; i < config->n_models; i++) {
        write_model(&view->models[i], texts[i]);
        rows[FIXED_ROWS + i] = (struct esp_index_row){config->models[i].name, texts[i]};
    }
    return esp_html_index(out, "espalier train", rows, FIXED_ROWS + config->n_models, pages->pages,
                          pages->n_pages, err);
}

static enum esp_status render_index(void *context, struct esp_buf *out, unsigned *code,
                                    struct esp_error *err)
{
    const struct train_pages *pages = context;
    size_t n_models = pages->run->config->n_models;
    struct run_view view;
    (void)code;
    enum esp_status status = run_look(pages->run, &view, err);
    if (status != ESP_OK)
        return status;
    struct esp_index_row *rows = calloc(FIXED_ROWS + n_models, sizeof *rows);
    char(*texts)[ROW_SIZE] = calloc(n_models, sizeof *texts);
    status = rows == NULL || texts == NULL ? esp_fail(err, ESP_ENOMEM, "out of memory")
                                           : write_index(pages, &view, rows, texts, out, err);
    free(texts);
    free(rows);
    run_view_release(&view);
    return status;
}

/* ---- start and stop -------------------------------------------------------------------------- */

enum esp_status train_pages_start(struct train_pages *pages, struct run *run, struct esp_error *err)
{
    static const char text[] = "text/plain; charset=utf-8";
    *pages = (struct train_pages){
        .run = run,
        .pages =
            {
                {"/", ESP_HTML_TYPE, NULL, render_index, pages},
                {"/metrics", ESP_EXPOSITION_TYPE, "metrics for Prometheus", render_metrics, pages},
                {"/healthz", text, "health: do the threads go on", render_health, pages},
                {"/readyz", text, "readiness: is there input", render_readiness, pages},
            },
        .n_pages = 4,
    };
    const char *dashboard = run->config->options.serve_dashboard;
    if (dashboard != NULL)
        pages->pages[pages->n_pages++] = (struct esp_page){"/dashboard", ESP_HTML_TYPE, "dashboard",
                                                           esp_file_page, (char *)dashboard};
    struct process_figures process;
    if (process_read(&process))
        pages->start_s = (double)run_wall_us() / (double)ESP_SECOND - process.up_seconds;
    struct esp_http *http = NULL;
    enum esp_status status = serving_start(run->config, pages->pages, pages->n_pages, &http, err);
    atomic_store(&pages->http, http);
    return status;
}

void train_pages_stop(struct train_pages *pages)
{
    esp_http_stop(atomic_load(&pages->http));
    atomic_store(&pages->http, NULL);
}
