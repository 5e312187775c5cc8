/* score_display.c - see score_display.h; the JSON file is in score_summary.c. */
#include "cmd/score/score_display.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cmd/run/figures.h"
#include "cmd/run/grid.h"
#include "core/logger.h"

static const int64_t redraw_every_us = 250 * ESP_MS;
static const int64_t log_every_us = 10 * ESP_SECOND;

static struct score_status take_status(struct score_display *display)
{
    pthread_mutex_lock(&display->run->lock);
    struct score_status status = display->loop->shown;
    pthread_mutex_unlock(&display->run->lock);
    return status;
}

/* As narrow as to fit 80 columns, beyond which a terminal's lines are cut. */
static void write_models(const struct score_model_view *views, size_t n, FILE *out)
{
    static const char *const head[] = {"model", "run",     "snapshot", "boundary",
                                       "taken", "refused", NULL};
    struct grid grid;
    struct esp_error err = {0};
    char text[ESP_TIME_TEXT_SIZE];
    grid_init(&grid, head, 2);
    for (size_t i = 0; i < n; i++) {
        const struct score_model_view *view = &views[i];
        bool has_one = view->run[0] != '\0';
        grid_add(&grid, view->name);
        grid_add(&grid, has_one ? view->run : "-");
        snprintf(text, sizeof text, "%" PRId64, view->number);
        grid_add(&grid, has_one ? text : "-");
        grid_add(&grid, has_one ? esp_time_format(view->boundary_us, text) : "-");
        snprintf(text, sizeof text, "%" PRIu64, view->n_taken);
        grid_add(&grid, text);
        snprintf(text, sizeof text, "%" PRIu64, view->n_refused);
        grid_add(&grid, text);
    }
    if (grid_print(&grid, out, &err) != ESP_OK)
        fprintf(out, "%s\n", err.text);
}

void score_display_write(struct score_display *display, FILE *out)
{
    struct score_status status = take_status(display);
    struct score_model_view views[SCORE_MAX_MODELS];
    size_t n = score_models_look(display->models, views);
    char scored[FIGURE_TEXT_SIZE], rate[FIGURE_TEXT_SIZE], time[ESP_TIME_TEXT_SIZE];
    fprintf(out, "%s impressions scored  %s/s  event time %s%s\n",
            figure_short((double)status.scored, scored), figure_short(display->rate, rate),
            status.time_us == ESP_TIME_NONE ? "-" : esp_time_format(status.time_us, time),
            status.is_waiting ? "  waiting for a snapshot" : "");
    if (n > 0)
        write_models(views, n, out);
    fprintf(out, "read %" PRIu64 " = scored %" PRIu64 " + dead %" PRIu64 "  records %" PRIu64,
            status.read, status.scored, status.dead, status.records);
    if (status.damaged_files > 0)
        fprintf(out, "  damaged files %" PRIu64, status.damaged_files);
    fputc('\n', out);
    for (size_t i = 0; i < ESP_N_REJECTS; i++)
        if (status.dead_by_reason[i] > 0)
            fprintf(out, "  dead: %s %" PRIu64 "\n", esp_reject_text((enum esp_reject)i),
                    status.dead_by_reason[i]);
}

static void write_panel(void *context, FILE *out)
{
    score_display_write(context, out);
}

static void log_state(const struct score_display *display, const struct score_status *status)
{
    char scored[32], dead[32], rate[32], time[ESP_TIME_TEXT_SIZE];
    snprintf(scored, sizeof scored, "%" PRIu64, status->scored);
    snprintf(dead, sizeof dead, "%" PRIu64, status->dead);
    snprintf(rate, sizeof rate, "%.0f", display->rate);
    esp_log(ESP_INFO, "progress", "scored", scored, "scored_per_s", rate, "event_time",
            status->time_us == ESP_TIME_NONE ? "-" : esp_time_format(status->time_us, time), "dead",
            dead, NULL);
}

void score_display_init(struct score_display *display, struct run *run, struct score_loop *loop,
                        struct score_watch *watch, struct score_models *models)
{
    *display = (struct score_display){
        .run = run, .loop = loop, .watch = watch, .models = models, .started_us = run_clock_us()};
    display->shown_us = display->started_us;
    panel_init(&display->panel, write_panel, display);
}

void score_display_refresh(struct score_display *display)
{
    int64_t now_us = run_clock_us(), since_us = now_us - display->shown_us;
    if (since_us < (display->panel.in_place ? redraw_every_us : log_every_us))
        return;
    struct score_status status = take_status(display);
    double rate = (double)(status.scored - display->shown_scored) / ((double)since_us / 1e6);
    display->rate = display->shown_scored == 0 ? rate : 0.7 * display->rate + 0.3 * rate;
    display->shown_us = now_us;
    display->shown_scored = status.scored;
    if (display->panel.in_place)
        panel_draw(&display->panel);
    else if (!status.is_waiting) /* waiting is said by who waits */
        log_state(display, &status);
}

void score_display_end(struct score_display *display)
{
    panel_end(&display->panel);
    struct score_status status = take_status(display);
    int64_t took_us = run_clock_us() - display->started_us;
    display->rate = took_us > 0 ? (double)status.scored / ((double)took_us / 1e6) : 0;
}
