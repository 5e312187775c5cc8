/* panel.h - figures that are refreshed in place on a terminal, with log lines above them. */
#ifndef ESP_CMD_RUN_PANEL_H
#define ESP_CMD_RUN_PANEL_H

#include <stdbool.h>
#include <stdio.h>

struct panel {
    void (*write)(void *context, FILE *out); /* the figures as lines */
    void *context;
    bool in_place; /* stderr is a terminal; else nothing is drawn */
    int n_lines;   /* that stand on the terminal now */
};

/* Decides by stderr. The panel must not move until panel_end(). */
void panel_init(struct panel *panel, void (*write)(void *context, FILE *out), void *context);

/* Draws the figures over those that stand there. */
void panel_draw(struct panel *panel);

/* Takes them off the terminal and gives it back to the logger. */
void panel_end(struct panel *panel);

#endif
