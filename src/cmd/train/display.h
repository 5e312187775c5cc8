/*
 * display.h - the state of a run for people: refreshed in place on a terminal, a plain log line now
 * and then elsewhere, and the last word on stdout.
 */
#ifndef ESP_CMD_TRAIN_DISPLAY_H
#define ESP_CMD_TRAIN_DISPLAY_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "cmd/run/panel.h"
#include "cmd/run/run.h"

struct display {
    struct run *run; /* borrowed */
    bool follow;
    struct panel panel;           /* on a terminal */
    int64_t started_us, shown_us; /* monotonic */
    uint64_t shown_events;        /* for the rate since then */
    double rate;                  /* events a second, smoothed */
};

/* Decides by stderr how to show; on a terminal, log lines step around the figures. */
void display_init(struct display *display, struct run *run, bool follow);

/* Shows the state if it is time for that. */
void display_refresh(struct display *display);

/* Takes the figures off the terminal and restores logging. */
void display_end(struct display *display);

/* The whole state, once, as text. */
void display_write(struct display *display, FILE *out);

#endif
