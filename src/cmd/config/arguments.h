/*
 * arguments.h - what every command with a configuration does with it: options of the command line,
 * loading, the way out.
 */
#ifndef ESP_CMD_CONFIG_ARGUMENTS_H
#define ESP_CMD_CONFIG_ARGUMENTS_H

#include <stdbool.h>
#include <stddef.h>

#include "cmd/config/config.h"
#include "core/status.h"
#include "log/log.h"

/* Options that every command with a configuration takes. */
struct common_arguments {
    const char *config_path; /* "espalier.ini" by default */
    bool config_given;       /* by --config */
    char **overrides;        /* of -o; borrowed from argv */
    size_t n_overrides, capacity;
};

/* An argp child for them; its input is a struct common_arguments, { 0 } before. */
extern const struct argp common_argp;
void common_arguments_release(struct common_arguments *arguments);

/* Parses a command's line; what is wrong with that is said, and ends the process with EX_USAGE.
 * Errors: ESP_ENOMEM. */
enum esp_status parse_arguments(const struct argp *argp, int argc, char **argv, void *input,
                                struct esp_error *err);

/*
 * Loads the configuration and prints each of its problems as one line on stderr.
 * Errors: as config_load().
 */
enum esp_status load_configuration(struct config *config, const struct common_arguments *arguments,
                                   struct esp_error *err);

/* Says what failed, once, and gives the exit code. */
int exit_with(const struct esp_error *err);

/* Logs what happened in a log: lent to esp_log_open_*(). context is not used. */
void report_log_event(void *context, const struct esp_log_event *event);

#endif
