/*
 * command.h - the table of commands and what they share.
 */
#ifndef ESP_CMD_COMMAND_H
#define ESP_CMD_COMMAND_H

#include <stddef.h>

#include "cmd/config.h"
#include "core/status.h"

/* argv[0] is the command's name. Returns an exit code after sysexits.h. */
typedef int command_main(int argc, char **argv);

struct command {
    const char *name;
    command_main *run;
    const char *summary;
};

extern const struct command commands[];
extern const size_t n_commands;

command_main cmd_train, cmd_score, cmd_drift, cmd_check, cmd_snapshot, cmd_manual;

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
