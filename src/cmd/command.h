/*
 * command.h - the table of commands.
 */
#ifndef ESP_CMD_COMMAND_H
#define ESP_CMD_COMMAND_H

#include <stddef.h>

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

#endif
