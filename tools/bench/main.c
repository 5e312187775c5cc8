/*
 * main.c - espalier-bench: measures a stage by itself. The whole, from files to a trained model,
 * is measured by tools/bench/run, which also runs these.
 */
#include "bench.h"

#include <stdio.h>
#include <string.h>

struct command {
    const char *name, *what;
    int (*run)(int argc, char **argv);
};

static const struct command commands[] = {
    {"join", "the join alone: events a second, bytes a pending impression", bench_join},
    {"learn", "the learner alone: examples a second", bench_learn},
    {"metric", "the figures of a drift window: ms", bench_metric},
    {"score", "scoring with a snapshot: scores a second", bench_score},
    {"snapshot", "a snapshot of 1 GB: write, copy, open; fetch and swap", bench_snapshot},
};
enum { N_COMMANDS = sizeof commands / sizeof commands[0] };

static void write_usage(FILE *out)
{
    fprintf(out, "usage: espalier-bench COMMAND [OPTIONS]\n");
    for (int i = 0; i < N_COMMANDS; i++)
        fprintf(out, "  %-8s %s\n", commands[i].name, commands[i].what);
}

int main(int argc, char **argv)
{
    if (argc >= 2 && strcmp(argv[1], "--help") == 0) {
        write_usage(stdout);
        return 0;
    }
    for (int i = 0; argc >= 2 && i < N_COMMANDS; i++) {
        if (strcmp(argv[1], commands[i].name) == 0)
            return commands[i].run(argc - 1, argv + 1);
    }
    write_usage(stderr);
    return 64;
}
