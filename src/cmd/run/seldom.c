/* seldom.c - see seldom.h. */
#include "cmd/run/seldom.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "cmd/run/run.h"
#include "core/timespan.h"

void seldom_say(struct seldom *seldom, esp_log_report *report, void *context, const char *format,
                ...)
{
    int64_t now_us = run_clock_us();
    if (seldom->was_said && now_us < seldom->next_us) {
        seldom->n_held_back++;
        return;
    }
    char text[ESP_ERROR_TEXT_SIZE * 2], more[64] = "", line[sizeof text + sizeof more];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (seldom->n_held_back > 0)
        snprintf(more, sizeof more, " (and %" PRIu64 " like it before)", seldom->n_held_back);
    snprintf(line, sizeof line, "%s%s", text, more);
    *seldom = (struct seldom){.was_said = true, .next_us = now_us + ESP_MINUTE};
    report(context, &(struct esp_log_event){ESP_LOG_PROBLEM, line});
}
