/* commands.c - see command.h. */
#include "cmd/command.h"

const struct command commands[] = {
    {"train", cmd_train, "join, sample and learn from the topics"},
    {"score", cmd_score, "score impressions with the newest snapshots"},
    {"drift", cmd_drift, "show how the loss grows with the model's age; write it as a page"},
    {"check", cmd_check, "say what a run would read, write and learn from; make missing outputs"},
    {"snapshot", cmd_snapshot, "list, show, fetch, verify or export published snapshots"},
    {"manual", cmd_manual, "print every option of the configuration file, as Markdown"},
};
const size_t n_commands = sizeof commands / sizeof commands[0];
