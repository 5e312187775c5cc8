/* main.c - the program: finds the command and runs it. */
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "cmd/command.h"
#include "cmd/run/mapped_fault.h"
#include "core/settings.h"
#include "core/version.h"

static void print_usage(FILE *out)
{
    fputs("Usage: espalier COMMAND [OPTION...]\n\n"
          "Click and install models that learn from event topics.\n\n"
          "Commands:\n",
          out);
    for (size_t i = 0; i < n_commands; i++)
        fprintf(out, "  %-8s %s\n", commands[i].name, commands[i].summary);
    fputs("\n`espalier COMMAND --help` tells of its options, `espalier manual` of the\n"
          "configuration file, `espalier --version` of the version.\n",
          out);
}

static int unknown_command(const char *word)
{
    const char *names[16];
    size_t n = 0;
    for (; n < n_commands && n < sizeof names / sizeof names[0]; n++)
        names[n] = commands[n].name;
    const char *nearest = esp_nearest_word(word, names, n);
    fprintf(stderr, "espalier: no command \"%s\"%s%s; `espalier --help` lists them\n", word,
            nearest == NULL ? "" : "; did you mean ", nearest == NULL ? "" : nearest);
    return EX_USAGE;
}

/* argp names the program in its messages by argv[0]. */
static int run_command(const struct command *command, int argc, char **argv)
{
    char name[32];
    snprintf(name, sizeof name, "espalier %s", command->name);
    argv[0] = name;
    mapped_fault_install();
    return command->run(argc, argv);
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        print_usage(stderr);
        return EX_USAGE;
    }
    const char *word = argv[1];
    if (strcmp(word, "--version") == 0 || strcmp(word, "-V") == 0) {
        printf("espalier %s\n", ESP_BUILD_VERSION);
        return EX_OK;
    }
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "-?") == 0 ||
        strcmp(word, "help") == 0) {
        print_usage(stdout);
        return EX_OK;
    }
    for (size_t i = 0; i < n_commands; i++) {
        if (strcmp(commands[i].name, word) == 0)
            return run_command(&commands[i], argc - 1, argv + 1);
    }
    return unknown_command(word);
}
