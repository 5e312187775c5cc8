/*
 * long_run.h - what the commands that go on until their input ends or a signal comes have in
 * common: train and score.
 */
#ifndef ESP_CMD_RUN_LONG_RUN_H
#define ESP_CMD_RUN_LONG_RUN_H

#include "cmd/config/arguments.h"
#include "cmd/run/run.h"

struct run_arguments {
    struct common_arguments common;
    const char *summary_path; /* NULL: none */
    bool follow;
    size_t read_batch; /* records a read; before parsing the command's own default */
};

/* An argp child for them, those of every command included; its input is a struct run_arguments,
 * { 0 } before but for read_batch. */
extern const struct argp run_argp;

/* What a run writes only at its end must not fail only there. Errors: ESP_ECONFIG. */
enum esp_status run_check_summary(const struct run_arguments *arguments, struct esp_error *err);

/* Whether a signal came or a thread failed. From any thread; context: the struct run. */
bool run_wants_end(void *run);

/* What is left of the time to leave in, for esp_log_set_stop(): see stop.h. context: not used. */
int64_t run_time_left(void *context);

/*
 * Asks until the broker is there: one that is away when the run starts is waited for, as one that
 * goes away later is. Errors: ask's, ESP_EBROKER only once a signal has come.
 */
enum esp_status run_when_broker_is_there(enum esp_status (*ask)(void *context,
                                                                struct esp_error *err),
                                         void *context, struct esp_error *err);

/* Waits until all threads have ended, passes a signal on to them, and has the figures refreshed.
 * From the main thread. */
void run_until_ended(struct run *run, void (*refresh)(void *display), void *display);

#endif
