/* score_pages.c - see score_pages.h. */
#include "cmd/score/score_pages.h"

#include <inttypes.h>
#include <string.h>

#include "cmd/run/figures.h"
#include "cmd/run/metrics_page.h"
#include "cmd/run/serving.h"
#include "core/version.h"
#include "serve/html.h"

/* What is shown, copied under the locks. */
struct score_view {
    struct score_status status;
    struct esp_snapshot_source_stats source;
    int64_t fetch_us;
    struct score_model_view models[SCORE_MAX_MODELS];
    size_t n_models;
};

static struct score_view look(struct score_pages *pages)
{
    struct run *run = pages->loop->run;
    struct score_view view = {.n_models = 0};
    pthread_mutex_lock(&run->lock);
    view.status = pages->loop->shown;
    view.source = pages->watch->shown;
    view.fetch_us = pages->watch->fetch_us;
    pthread_mutex_unlock(&run->lock);
    view.n_models = score_models_look(pages->models, view.models);
    return view;
}

enum state { WAITING, READY, STOPPING };

static enum state state_of(const struct score_pages *pages, const struct score_status *status)
{
    if (atomic_load(&pages->loop->run->stop))
        return STOPPING;
    return status->is_waiting || !status->has_begun ? WAITING : READY;
}

static const char *const state_lines[] = {"waiting for a snapshot", "ready", "stopping"};

static void write_events(const struct score_status *status, char *text, size_t size)
{
    char scored[FIGURE_TEXT_SIZE], dead[FIGURE_TEXT_SIZE];
    snprintf(text, size, "%s scored, %s dead", figure_exact(status->scored, scored),
             figure_exact(status->dead, dead));
}

bool score_pages_look(const struct score_pages *pages, char *text, size_t size)
{
    struct run *run = pages->loop->run;
    pthread_mutex_lock(&run->lock);
    struct score_status status = pages->loop->shown;
    pthread_mutex_unlock(&run->lock);
    enum state state = state_of(pages, &status);
    if (state == WAITING)
        snprintf(text, size, "%s", state_lines[state]);
    else
        write_events(&status, text, size);
    return state == READY;
}

/* ---- metrics --------------------------------------------------------------------------------- */

static void one_count(struct esp_exposition *x, enum esp_family_type type, const char *name,
                      const char *help, uint64_t value)
{
    esp_exposition_family(x, type, name, help);
    esp_exposition_count(x, value, NULL);
}

static void impressions(struct esp_exposition *x, const struct score_status *status)
{
    static const char kind[] = "impression";
    esp_exposition_family(x, ESP_COUNTER, "espalier_events_read_total",
                          "Events read; the sum of espalier_events_total.");
    esp_exposition_count(x, status->read, "topic_kind", kind, NULL);
    esp_exposition_family(x, ESP_COUNTER, "espalier_events_total",
                          "Events by what became of them.");
    esp_exposition_count(x, status->scored, "topic_kind", kind, "fate", "scored", NULL);
    esp_exposition_count(x, status->dead, "topic_kind", kind, "fate", "dead", NULL);
    esp_exposition_family(x, ESP_COUNTER, "espalier_dead_letters_total",
                          "Dead events by the reason that their dead letter gives.");
    for (int reason = ESP_REJECT_NONE + 1; reason < ESP_N_REJECTS; reason++)
        esp_exposition_count(x, status->dead_by_reason[reason], "topic_kind", kind, "reason",
                             esp_reject_text((enum esp_reject)reason), NULL);
    one_count(x, ESP_COUNTER, "espalier_read_bytes_total", "Bytes of the records read.",
              status->bytes);
    one_count(x, ESP_COUNTER, "espalier_damaged_files_total",
              "Container files that could not be read to their end.", status->damaged_files);
    one_count(x, ESP_COUNTER, "espalier_skipped_bytes_total",
              "Bytes of damaged files that were passed over.", status->skipped_bytes);
    one_count(x, ESP_COUNTER, "espalier_scores_written_total",
              "Score records written: one an impression and model.", status->records);
    esp_exposition_family(x, ESP_GAUGE, "espalier_scored_timestamp_seconds",
                          "The largest event time that was scored, Unix time; absent before the "
                          "first impression.");
    if (status->time_us != ESP_TIME_NONE)
        esp_exposition_sample(x, (double)status->time_us / (double)ESP_SECOND, NULL);
}

static void models(struct esp_exposition *x, const struct score_view *view)
{
    esp_exposition_family(x, ESP_GAUGE, "espalier_score_snapshot_info",
                          "Always 1; the run of the snapshot that each model scores with.");
    for (size_t i = 0; i < view->n_models; i++)
        if (view->models[i].run[0] != '\0')
            esp_exposition_count(x, 1, "model", view->models[i].name, "run", view->models[i].run,
                                 NULL);
    esp_exposition_family(x, ESP_GAUGE, "espalier_score_snapshot_boundary_timestamp_seconds",
                          "The event time that it stands for, Unix time.");
    for (size_t i = 0; i < view->n_models; i++)
        if (view->models[i].run[0] != '\0')
            esp_exposition_sample(x, (double)view->models[i].boundary_us / (double)ESP_SECOND,
                                  "model", view->models[i].name, NULL);
    esp_exposition_family(x, ESP_COUNTER, "espalier_score_snapshots_total",
                          "Snapshots by whether scoring took or refused them.");
    for (size_t i = 0; i < view->n_models; i++) {
        const struct score_model_view *model = &view->models[i];
        esp_exposition_count(x, model->n_taken, "model", model->name, "fate", "taken", NULL);
        esp_exposition_count(x, model->n_refused, "model", model->name, "fate", "refused", NULL);
    }
}

static void source(struct esp_exposition *x, const struct score_view *view)
{
    const struct esp_snapshot_source_stats *stats = &view->source;
    one_count(x, ESP_COUNTER, "espalier_score_snapshots_fetched_total",
              "Snapshots fetched from their topic.", stats->fetched);
    one_count(x, ESP_COUNTER, "espalier_score_snapshot_fetched_bytes_total", "Bytes of these.",
              stats->bytes);
    one_count(x, ESP_COUNTER, "espalier_score_snapshots_passed_over_total",
              "Files and manifests that are none of ours, or cannot be read.",
              stats->bad_files + stats->manifests.unknown_version + stats->manifests.malformed);
    esp_exposition_family(x, ESP_GAUGE, "espalier_score_snapshot_fetch_seconds",
                          "How long the last snapshot took to be fetched, verified and opened.");
    esp_exposition_sample(x, (double)view->fetch_us / (double)ESP_SECOND, NULL);
}

static enum esp_status render_metrics(void *context, struct esp_buf *out, unsigned *code,
                                      struct esp_error *err)
{
    struct score_pages *pages = context;
    const struct run *run = pages->loop->run;
    struct score_view view = look(pages);
    struct esp_exposition x;
    (void)code;
    esp_exposition_begin(&x, out);
    metrics_build(&x);
    impressions(&x, &view.status);
    models(&x, &view);
    source(&x, &view);
    metrics_health(&x, state_of(pages, &view.status) == READY, run->pulses, N_SCORE_THREADS,
                   run_clock_us());
    struct esp_http *http = atomic_load(&pages->http);
    struct esp_http_stats answers = {0};
    if (http != NULL)
        esp_http_stats(http, &answers);
    metrics_http(&x, &answers);
    struct process_figures process;
    process_read(&process);
    metrics_process(&x, &process, pages->start_s);
    return esp_exposition_end(&x, err);
}

/* ---- health and readiness -------------------------------------------------------------------- */

static enum esp_status render_health(void *context, struct esp_buf *out, unsigned *code,
                                     struct esp_error *err)
{
    const struct run *run = ((struct score_pages *)context)->loop->run;
    return serving_health(run->config, run->pulses, N_SCORE_THREADS, run_clock_us(), out, code,
                          err);
}

static enum esp_status render_readiness(void *context, struct esp_buf *out, unsigned *code,
                                        struct esp_error *err)
{
    struct score_pages *pages = context;
    struct score_view view = look(pages);
    enum state state = state_of(pages, &view.status);
    *code = state == READY ? 200 : 503;
    enum esp_status status = esp_html_raw(out, state_lines[state], err);
    return status == ESP_OK ? esp_html_raw(out, "\n", err) : status;
}

/* ---- the page for people --------------------------------------------------------------------- */

enum { ROW_SIZE = 256, FIXED_ROWS = 5 };

static void write_model(const struct score_model_view *model, char text[ROW_SIZE])
{
    char boundary[ESP_TIME_TEXT_SIZE];
    if (model->run[0] == '\0')
        snprintf(text, ROW_SIZE, "no snapshot; %" PRIu64 " refused", model->n_refused);
    else
        snprintf(text, ROW_SIZE,
                 "snapshot %" PRId64 " of %s, run %s; %" PRIu64 " taken, %" PRIu64 " refused",
                 model->number, esp_time_format(model->boundary_us, boundary), model->run,
                 model->n_taken, model->n_refused);
}

static enum esp_status render_index(void *context, struct esp_buf *out, unsigned *code,
                                    struct esp_error *err)
{
    struct score_pages *pages = context;
    struct score_view view = look(pages);
    struct esp_index_row rows[FIXED_ROWS + SCORE_MAX_MODELS];
    char texts[SCORE_MAX_MODELS][ROW_SIZE], time[ESP_TIME_TEXT_SIZE], events[ROW_SIZE];
    (void)code;
    write_events(&view.status, events, sizeof events);
    const struct esp_index_row fixed[FIXED_ROWS] = {
        {"version", ESP_BUILD_VERSION},
        {"configuration", pages->loop->run->config->path},
        {"state", state_lines[state_of(pages, &view.status)]},
        {"event time", view.status.time_us == ESP_TIME_NONE
                           ? "none yet"
                           : esp_time_format(view.status.time_us, time)},
        {"impressions", events},
    };
    memcpy(rows, fixed, sizeof fixed);
    for (size_t i = 0; i < view.n_models; i++) {
        write_model(&view.models[i], texts[i]);
        rows[FIXED_ROWS + i] = (struct esp_index_row){view.models[i].name, texts[i]};
    }
    return esp_html_index(out, "espalier score", rows, FIXED_ROWS + view.n_models, pages->pages,
                          N_SCORE_PAGES, err);
}

/* ---- start and stop -------------------------------------------------------------------------- */

enum esp_status score_pages_start(struct score_pages *pages, struct score_loop *loop,
                                  struct score_watch *watch, struct score_models *models_in_use,
                                  struct esp_error *err)
{
    static const char text[] = "text/plain; charset=utf-8";
    *pages = (struct score_pages){
        .loop = loop,
        .watch = watch,
        .models = models_in_use,
        .pages =
            {
                {"/", ESP_HTML_TYPE, NULL, render_index, pages},
                {"/metrics", ESP_EXPOSITION_TYPE, "metrics for Prometheus", render_metrics, pages},
                {"/healthz", text, "health: do the threads go on", render_health, pages},
                {"/readyz", text, "readiness: is there a snapshot", render_readiness, pages},
            },
    };
    struct process_figures process;
    if (process_read(&process))
        pages->start_s = (double)run_wall_us() / (double)ESP_SECOND - process.up_seconds;
    struct esp_http *http = NULL;
    enum esp_status status =
        serving_start(loop->run->config, pages->pages, N_SCORE_PAGES, &http, err);
    atomic_store(&pages->http, http);
    return status;
}

void score_pages_stop(struct score_pages *pages)
{
    esp_http_stop(atomic_load(&pages->http));
    atomic_store(&pages->http, NULL);
}
