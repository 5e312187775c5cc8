/*
 * supervise.h - tells the service manager that started the program how it goes: sd_notify(3), by
 * libsystemd. Where NOTIFY_SOCKET is not set nobody wants to know, and nothing is done.
 *
 *     READY=1      once, when the run is ready: when /readyz says so
 *     WATCHDOG=1   twice in the time that the manager allows (WATCHDOG_USEC), as long as the
 * threads go round: as long as /healthz says so STATUS=      a line for people, and which thread
 * hangs STOPPING=1   once, when an end is wanted
 *
 * All of it comes from the main thread, so that its own hanging shows, too.
 */
#ifndef ESP_CMD_RUN_SUPERVISE_H
#define ESP_CMD_RUN_SUPERVISE_H

#include "cmd/run/run.h"

enum { SUPERVISE_TEXT_SIZE = 256 };

/* What is asked of the run. All of it is borrowed. */
struct supervise_config {
    struct run *run;
    size_t n_threads; /* of the run's pulses, the first ones */
    /* Is it ready, and how far is it? One line without a newline. */
    bool (*look)(void *context, char text[SUPERVISE_TEXT_SIZE]);
    void *context;
};

struct supervise {
    struct supervise_config config;
    bool is_on;
    bool said_ready, said_stopping;
    int64_t every_us;                /* between signs of life */
    int64_t looked_us, said_life_us; /* monotonic */
};

/* Whoever supervises is asked for; config.run may not be ready to be looked at yet. */
void supervise_init(struct supervise *supervise, const struct supervise_config *config);

/* Says what is due. From the main thread, many times a second. */
void supervise_tick(struct supervise *supervise);

/* The program is about to leave, with this exit code. A run that has ended well was ready. */
void supervise_end(struct supervise *supervise, int exit_code);

#endif
