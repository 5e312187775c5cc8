/*
 * stop.h - SIGINT and SIGTERM ask for an end; a second one kills.
 *
 * From the first one on a clock runs that all who wait share, so that waits one after the other do
 * not add up:
 *
 *     0                          signal: what is under way is finished
 *     STOP_PATIENCE              nobody waits for a broker any more: what it has not taken is
 *                                counted and said
 *     STOP_LEAVES_AFTER          whatever still hangs (a disk, a full pipe, a resolver of names) is
 *                                left behind: one line, exit code 75
 *     25 s                       the least that the supervisor of a service should allow
 *
 * Leaving at any moment, by the guard or by a second signal, is as safe as a power cut: a file
 * becomes visible by a rename once it is whole.
 */
#ifndef ESP_CMD_RUN_STOP_H
#define ESP_CMD_RUN_STOP_H

#include <stdbool.h>
#include <stdint.h>

#include "core/status.h"

#define STOP_PATIENCE     (10 * ESP_SECOND)
#define STOP_LEAVES_AFTER (22 * ESP_SECOND)

/* Installs the handlers and starts the guard. Before any other thread. Errors: ESP_ENOMEM. */
enum esp_status stop_install(struct esp_error *err);

/* A signal has come. From any thread. */
bool stop_asked(void);

/* An end is wanted for another reason, a failure: the clock starts, if it does not run; no guard.
 * From any thread. */
void stop_begin(void);

/* How long waits for a broker may still take, all of them together: INT64_MAX as long as nobody
 * wants an end, 0: no longer. From any thread. */
int64_t stop_left_us(void);

#endif
