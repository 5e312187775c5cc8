/* long_run.c - see long_run.h. */
#include "cmd/run/long_run.h"

#include <argp.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/run/stop.h"
#include "core/atomic_file.h"
#include "core/logger.h"
#include "core/timespan.h"

enum { KEY_SUMMARY = 1000, KEY_READ_BATCH };
enum { MOST_READ_BATCH = 65536 };

static const struct argp_option run_options[] = {
    {"follow", 'f', NULL, 0, "Go on when the end of the input is reached, until a signal comes", 0},
    {"summary", KEY_SUMMARY, "FILE", 0, "Write every counter and figure of the run as JSON", 0},
    {"read-batch", KEY_READ_BATCH, "N", OPTION_HIDDEN, "Records a read (the result is the same)",
     0},
    {0},
};

static error_t parse_read_batch(struct run_arguments *arguments, const char *text,
                                struct argp_state *state)
{
    char *end = NULL;
    long n = strtol(text, &end, 10);
    if (*end != '\0' || n < 1 || n > MOST_READ_BATCH)
        argp_error(state, "--read-batch %s: write a number from 1 to %d", text, MOST_READ_BATCH);
    else
        arguments->read_batch = (size_t)n;
    return 0;
}

static error_t parse_run(int key, char *text, struct argp_state *state)
{
    struct run_arguments *arguments = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &arguments->common;
        return 0;
    case 'f':
        arguments->follow = true;
        return 0;
    case KEY_SUMMARY:
        arguments->summary_path = text;
        return 0;
    case KEY_READ_BATCH:
        return parse_read_batch(arguments, text, state);
    case ARGP_KEY_ARG:
        argp_error(state, "\"%s\" is no option; the configuration is given with --config", text);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_child run_children[] = {{&common_argp, 0, NULL, 0}, {0}};
const struct argp run_argp = {
    .options = run_options, .parser = parse_run, .children = run_children};

enum esp_status run_check_summary(const struct run_arguments *arguments, struct esp_error *err)
{
    const char *path = arguments->summary_path;
    int fd = path == NULL ? -1 : open(path, O_WRONLY | O_CREAT | O_CLOEXEC, ESP_FILE_MODE);
    if (path != NULL && fd < 0)
        return esp_fail(err, ESP_ECONFIG,
                        "--summary %s: cannot be written: %s; name a file in a folder that can",
                        path, strerror(errno));
    if (fd >= 0)
        close(fd);
    return ESP_OK;
}

bool run_wants_end(void *context)
{
    const struct run *run = context;
    return stop_asked() || atomic_load(&run->stop);
}

int64_t run_time_left(void *context)
{
    (void)context;
    return stop_left_us();
}

enum esp_status run_when_broker_is_there(enum esp_status (*ask)(void *context,
                                                                struct esp_error *err),
                                         void *context, struct esp_error *err)
{
    for (;;) {
        struct esp_error why = {0};
        enum esp_status status = ask(context, &why);
        if (status == ESP_OK)
            return ESP_OK;
        if (status != ESP_EBROKER || stop_asked())
            return esp_fail(err, status, "%s", why.text);
    }
}

void run_until_ended(struct run *run, void (*refresh)(void *display), void *display)
{
    bool said = false;
    while (!run_wait(run, 50 * ESP_MS)) {
        if (stop_asked() && !said) {
            said = true;
            esp_log(ESP_INFO, "stopping: the batch under way is finished", NULL);
            atomic_store(&run->stop, true);
        }
        refresh(display);
    }
}
