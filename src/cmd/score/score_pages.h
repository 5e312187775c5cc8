/*
 * score_pages.h - what `espalier score` shows of itself over HTTP: /metrics, /healthz, /readyz, and
 * / for people. docs/scoring.md has the table of metrics.
 */
#ifndef ESP_CMD_SCORE_SCORE_PAGES_H
#define ESP_CMD_SCORE_SCORE_PAGES_H

#include "cmd/score/score_loop.h"
#include "cmd/score/score_watch.h"
#include "serve/http.h"

enum { N_SCORE_PAGES = 4 };

struct score_pages {
    struct score_loop *loop; /* borrowed, as the next two are */
    struct score_watch *watch;
    struct score_models *models;
    struct esp_page pages[N_SCORE_PAGES]; /* their context is this struct: it must not move */
    double start_s;                       /* of the process, Unix seconds */
    _Atomic(struct esp_http *) http;      /* NULL: nothing is served */
};

/* Errors: as serving_start(). */
enum esp_status score_pages_start(struct score_pages *pages, struct score_loop *loop,
                                  struct score_watch *watch, struct score_models *models,
                                  struct esp_error *err);

/* Before what it shows is released. { 0 } is fine. */
void score_pages_stop(struct score_pages *pages);

/* True if the run is ready, as /readyz says; how far it is, as one line. */
bool score_pages_look(const struct score_pages *pages, char *text, size_t size);

#endif
