/* seldom.h - a line that is said at most once a minute, with how many were held back. */
#ifndef ESP_CMD_RUN_SELDOM_H
#define ESP_CMD_RUN_SELDOM_H

#include <stdbool.h>
#include <stdint.h>

#include "log/log.h"

/* One kind of line. { 0 } before use; from one thread at a time. */
struct seldom {
    bool was_said;
    int64_t next_us; /* of the monotonic clock */
    uint64_t n_held_back;
};

/* Formats the line and reports it as a problem, or counts it. */
void seldom_say(struct seldom *seldom, esp_log_report *report, void *context, const char *format,
                ...) __attribute__((format(printf, 4, 5)));

#endif
