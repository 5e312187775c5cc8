/* display.c - see display.h. */
#include "cmd/train/display.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cmd/run/figures.h"
#include "cmd/run/grid.h"
#include "core/logger.h"

static const int64_t redraw_every_us = 250 * ESP_MS;
static const int64_t log_every_us = 10 * ESP_SECOND;

/* What is shown, copied under the run's lock. */
struct view {
    struct ingest_status ingest;
    uint64_t events, dead;
};

static struct view take_view(struct run *run)
{
    struct view view = {0};
    pthread_mutex_lock(&run->lock);
    view.ingest = run->ingest;
    pthread_mutex_unlock(&run->lock);
    for (int kind = 0; kind < ESP_N_EVENT_KINDS; kind++) {
        view.events += view.ingest.counters[kind].read;
        view.dead += view.ingest.counters[kind].dead;
    }
    return view;
}

/* "13:20Z" on the day that the wall clock shows, "2024-05-01 13:20Z" on others. */
static const char *watermark_text(int64_t watermark_us, char text[FIGURE_TEXT_SIZE])
{
    if (watermark_us == ESP_TIME_NONE || watermark_us == ESP_TIME_END) {
        snprintf(text, FIGURE_TEXT_SIZE, watermark_us == ESP_TIME_NONE ? "-" : "closed");
        return text;
    }
    time_t seconds = (time_t)(watermark_us / ESP_SECOND), now = time(NULL);
    struct tm at;
    gmtime_r(&seconds, &at);
    strftime(text, FIGURE_TEXT_SIZE, now / 86400 == seconds / 86400 ? "%H:%MZ" : "%Y-%m-%d %H:%MZ",
             &at);
    return text;
}

static void write_head(const struct display *display, const struct view *view, FILE *out)
{
    const struct config *config = display->run->config;
    size_t n_topics = 0, n_partitions = 0;
    for (int kind = 0; kind < ESP_N_EVENT_KINDS; kind++) {
        n_topics += view->ingest.n_partitions[kind] > 0;
        n_partitions += view->ingest.n_partitions[kind];
    }
    fprintf(out, "%zu topics, %zu partitions; model%s ", n_topics, n_partitions,
            config->n_models == 1 ? "" : "s");
    for (size_t i = 0; i < config->n_models; i++)
        fprintf(out, "%s%s %s", i == 0 ? "" : ", ", config->models[i].name,
                esp_setup_get(config->models[i].setup)->name);
    fprintf(out, ", %zu feature%s\n", config->n_features, config->n_features == 1 ? "" : "s");
}

static void write_flow(const struct display *display, const struct view *view, FILE *out)
{
    char events[FIGURE_TEXT_SIZE], rate[FIGURE_TEXT_SIZE], watermark[FIGURE_TEXT_SIZE],
        pending[FIGURE_TEXT_SIZE], lag[FIGURE_TEXT_SIZE];
    fprintf(out, "%s events  %s/s  watermark %s", figure_short((double)view->events, events),
            figure_short(display->rate, rate),
            watermark_text(view->ingest.watermark_us, watermark));
    if (display->follow && view->ingest.watermark_us != ESP_TIME_NONE &&
        view->ingest.watermark_us != ESP_TIME_END)
        fprintf(out, "  lag %s",
                figure_span((int64_t)time(NULL) * ESP_SECOND - view->ingest.watermark_us, lag));
    fprintf(out, "  pending %s  dead %" PRIu64,
            figure_short((double)view->ingest.usage.pending, pending), view->dead);
    if (view->ingest.n_idle > 0)
        fprintf(out, "  idle %zu", view->ingest.n_idle);
    if (view->ingest.damaged_files > 0)
        fprintf(out, "  damaged files %" PRIu64, view->ingest.damaged_files);
    fputc('\n', out);
}

static const char *const task_words[ESP_N_TASKS] = {"click", "install|click", "install"};

static void add_task(struct grid *grid, const char *model, int task,
                     const struct esp_learner_report *report)
{
    const struct esp_task_report *total = &report->total[task];
    char text[FIGURE_TEXT_SIZE];
    grid_add(grid, model);
    grid_add(grid, task_words[task]);
    grid_add(grid, figure_value(&total->log_loss, 4, text));
    grid_add(grid, figure_value(&total->normalised_entropy, 3, text));
    grid_add(grid, figure_value(&total->roc_auc, 3, text));
    grid_add(grid, figure_value(&total->calibration, 3, text));
    grid_add(grid, figure_value(&report->window[task].normalised_entropy, 3, text));
}

/* As narrow as to fit 80 columns, beyond which a terminal's lines are cut. */
static void write_models(const struct display *display, FILE *out)
{
    static const char *const head[] = {"model", "task",        "log loss",       "NE",
                                       "AUC",   "calibration", "last window NE", NULL};
    struct run *run = display->run;
    struct grid grid;
    struct esp_error err = {0};
    grid_init(&grid, head, 2);
    for (size_t i = 0; i < run->config->n_models; i++) {
        pthread_mutex_lock(&run->lock);
        struct esp_learner_report report = run->learn.models[i];
        pthread_mutex_unlock(&run->lock);
        const char *name = run->config->models[i].name;
        for (int task = 0; task < ESP_N_TASKS; task++) {
            if (!report.has_task[task])
                continue;
            add_task(&grid, name, task, &report);
            name = "";
        }
    }
    if (grid_print(&grid, out, &err) != ESP_OK)
        fprintf(out, "%s\n", err.text);
}

static void write_counters(const struct view *view, FILE *out)
{
    for (int kind = 0; kind < ESP_N_EVENT_KINDS; kind++) {
        if (view->ingest.n_partitions[kind] == 0)
            continue;
        const struct esp_join_counters *c = &view->ingest.counters[kind];
        const struct {
            uint64_t n;
            const char *word;
        } parts[] = {
            {c->labelled, "labelled"}, {c->duplicate, "duplicate"}, {c->unmatched, "unmatched"},
            {c->late, "late"},         {c->dead, "dead"},           {c->pending, "pending"},
        };
        char text[FIGURE_TEXT_SIZE];
        fprintf(out, "%ss: %s read =", esp_event_kind_name((enum esp_event_kind)kind),
                figure_exact(c->read, text));
        const char *plus = " ";
        for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
            if (parts[i].n == 0 && i > 0)
                continue;
            fprintf(out, "%s%s %s", plus, figure_exact(parts[i].n, text), parts[i].word);
            plus = " + ";
        }
        fputc('\n', out);
    }
}

/* Snapshots of all models, and what drift has written. */
static void write_outputs(const struct display *display, FILE *out)
{
    struct run *run = display->run;
    uint64_t n_taken = 0, n_lost = 0;
    int64_t newest_us = ESP_TIME_NONE;
    if (run->config->options.snapshot_every_us == 0)
        return;
    pthread_mutex_lock(&run->lock);
    for (size_t i = 0; i < run->config->n_models; i++) {
        const struct snapshot_status *snapshots = &run->learn.snapshots[i];
        n_taken += snapshots->n_taken;
        n_lost += snapshots->n_refused + snapshots->n_given_up;
        if (snapshots->n_taken > 0 && snapshots->newest_us > newest_us)
            newest_us = snapshots->newest_us;
    }
    uint64_t n_records = run->learn.drift_records;
    pthread_mutex_unlock(&run->lock);
    char text[FIGURE_TEXT_SIZE];
    fprintf(out, "snapshots: %s taken", figure_exact(n_taken, text));
    if (n_taken > 0)
        fprintf(out, ", the newest of %s", watermark_text(newest_us, text));
    if (n_lost > 0)
        fprintf(out, ", %s not published", figure_exact(n_lost, text));
    if (run->config->has_drift)
        fprintf(out, "; drift: %s records", figure_exact(n_records, text));
    fputc('\n', out);
}

static void write_checkpoints(const struct display *display, FILE *out)
{
    struct run *run = display->run;
    if (!run->config->has_checkpoints)
        return;
    pthread_mutex_lock(&run->lock);
    struct checkpoint_status checkpoints = run->checkpoints;
    pthread_mutex_unlock(&run->lock);
    char text[FIGURE_TEXT_SIZE];
    fprintf(out, "checkpoints: %s written", figure_exact(checkpoints.n_written, text));
    if (checkpoints.n_written > 0) {
        int64_t age_us = run_wall_us() - checkpoints.written_us;
        fprintf(out, ", number %" PRIu64 " %s ago", checkpoints.number, figure_span(age_us, text));
    }
    if (checkpoints.n_failed > 0)
        fprintf(out, ", %s failed", figure_exact(checkpoints.n_failed, text));
    fputc('\n', out);
}

void display_write(struct display *display, FILE *out)
{
    struct view view = take_view(display->run);
    write_head(display, &view, out);
    write_flow(display, &view, out);
    write_models(display, out);
    write_counters(&view, out);
    write_outputs(display, out);
    write_checkpoints(display, out);
}

/* ---- elsewhere ------------------------------------------------------------------------------- */

static void log_state(const struct display *display, const struct view *view)
{
    char events[FIGURE_TEXT_SIZE], rate[FIGURE_TEXT_SIZE], watermark[ESP_TIME_TEXT_SIZE],
        pending[FIGURE_TEXT_SIZE], dead[FIGURE_TEXT_SIZE];
    snprintf(events, sizeof events, "%" PRIu64, view->events);
    snprintf(rate, sizeof rate, "%.0f", display->rate);
    snprintf(pending, sizeof pending, "%" PRIu64, view->ingest.usage.pending);
    snprintf(dead, sizeof dead, "%" PRIu64, view->dead);
    if (view->ingest.watermark_us == ESP_TIME_NONE || view->ingest.watermark_us == ESP_TIME_END)
        snprintf(watermark, sizeof watermark, "-");
    else
        esp_time_format(view->ingest.watermark_us, watermark);
    esp_log(ESP_INFO, "progress", "events", events, "events_per_s", rate, "watermark", watermark,
            "pending", pending, "dead", dead, NULL);
    for (size_t i = 0; i < display->run->config->n_models; i++) {
        pthread_mutex_lock(&display->run->lock);
        struct esp_learner_report report = display->run->learn.models[i];
        pthread_mutex_unlock(&display->run->lock);
        for (int task = 0; task < ESP_N_TASKS; task++) {
            if (!report.has_task[task])
                continue;
            char loss[FIGURE_TEXT_SIZE], ne[FIGURE_TEXT_SIZE], auc[FIGURE_TEXT_SIZE];
            esp_log(ESP_INFO, "progressive validation", "model",
                    display->run->config->models[i].name, "task",
                    esp_task_name((enum esp_task)task), "log_loss",
                    figure_value(&report.total[task].log_loss, 5, loss), "normalised_entropy",
                    figure_value(&report.total[task].normalised_entropy, 4, ne), "roc_auc",
                    figure_value(&report.total[task].roc_auc, 4, auc), NULL);
        }
    }
}

static void write_panel(void *context, FILE *out)
{
    display_write(context, out);
}

void display_init(struct display *display, struct run *run, bool follow)
{
    *display = (struct display){
        .run = run,
        .follow = follow,
        .started_us = run_clock_us(),
    };
    display->shown_us = display->started_us;
    panel_init(&display->panel, write_panel, display);
}

void display_refresh(struct display *display)
{
    int64_t now_us = run_clock_us(), since_us = now_us - display->shown_us;
    if (since_us < (display->panel.in_place ? redraw_every_us : log_every_us))
        return;
    struct view view = take_view(display->run);
    double rate = (double)(view.events - display->shown_events) / ((double)since_us / 1e6);
    display->rate = display->shown_events == 0 ? rate : 0.7 * display->rate + 0.3 * rate;
    display->shown_us = now_us;
    display->shown_events = view.events;
    if (display->panel.in_place)
        panel_draw(&display->panel);
    else
        log_state(display, &view);
}

void display_end(struct display *display)
{
    panel_end(&display->panel);
    struct view view = take_view(display->run);
    int64_t took_us = run_clock_us() - display->started_us;
    display->rate = took_us > 0 ? (double)view.events / ((double)took_us / 1e6) : 0;
}
