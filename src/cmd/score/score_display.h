/* score_display.h - the state of a scoring run for people, and as a JSON file for programs. */
#ifndef ESP_CMD_SCORE_SCORE_DISPLAY_H
#define ESP_CMD_SCORE_SCORE_DISPLAY_H

#include "cmd/run/panel.h"
#include "cmd/score/score_loop.h"
#include "cmd/score/score_watch.h"

struct score_display {
    struct run *run; /* borrowed, as the next three are */
    struct score_loop *loop;
    struct score_watch *watch;
    struct score_models *models;
    struct panel panel;           /* on a terminal */
    int64_t started_us, shown_us; /* monotonic */
    uint64_t shown_scored;        /* for the rate since then */
    double rate;                  /* impressions a second, smoothed */
};

void score_display_init(struct score_display *display, struct run *run, struct score_loop *loop,
                        struct score_watch *watch, struct score_models *models);

/* Shows the state if it is time for that: on a terminal in place, elsewhere a log line. */
void score_display_refresh(struct score_display *display);

/* Takes the figures off the terminal and restores logging. */
void score_display_end(struct score_display *display);

/* The whole state, once, as text. */
void score_display_write(struct score_display *display, FILE *out);

/*
 * Writes counters, models and a hash of all scores, whole or not at all: docs/scoring.md.
 * After the threads have ended. Errors: ESP_EIO, ESP_ENOMEM.
 */
enum esp_status score_summary_write(const char *path, struct score_display *display,
                                    struct esp_error *err);

#endif
