/*
 * train_pages.h - what `espalier train` shows of itself over HTTP: /metrics, /healthz, /readyz, /
 * for people, and /dashboard where serve.dashboard names its file.
 *
 * A page copies what it shows under the run's lock and writes it outside, so that no client holds
 * up a thread of the run.
 */
#ifndef ESP_CMD_TRAIN_TRAIN_PAGES_H
#define ESP_CMD_TRAIN_TRAIN_PAGES_H

#include "cmd/run/run.h"
#include "serve/http.h"

enum { MAX_TRAIN_PAGES = 5 };

struct train_pages {
    struct run *run;                        /* borrowed */
    struct esp_page pages[MAX_TRAIN_PAGES]; /* their context is this struct: it must not move */
    size_t n_pages;
    double start_s;                  /* of the process, Unix seconds */
    _Atomic(struct esp_http *) http; /* NULL: nothing is served */
};

/* Errors: as serving_start(). */
enum esp_status train_pages_start(struct train_pages *pages, struct run *run,
                                  struct esp_error *err);

/* Before the run is released. { 0 } is fine. */
void train_pages_stop(struct train_pages *pages);

/* What /readyz says of a run. */
bool train_is_ready(struct run *run, const struct run_view *view);

/* How far it is, as one line: events and the watermark. */
void train_state_line(const struct run_view *view, char *text, size_t size);

#endif
