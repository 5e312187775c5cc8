/*
 * sim_main.c - espalier-sim: simulates a campaign with a known truth, and compares what a trainer
 * reached with it.
 */
#include <stdio.h>
#include <string.h>

#include "sim_compare.h"
#include "sim_options.h"
#include "simulate.h"
#include "truth_report.h"

static enum esp_status simulate(int argc, char **argv, struct esp_error *err)
{
    struct sim_options options = {0};
    struct sim_ledger ledger = {0};
    struct sim_outcome outcome;
    enum esp_status status = sim_options_parse(argc, argv, &options, err);
    if (status == ESP_OK)
        status = sim_run(&options, &ledger, &outcome, err);
    if (status == ESP_OK && options.truth_path != NULL)
        status = sim_truth_write(&options, &ledger, &outcome, err);
    if (status == ESP_OK)
        sim_truth_print(&ledger, &outcome, stdout);
    sim_ledger_release(&ledger);
    sim_options_release(&options);
    return status;
}

int main(int argc, char **argv)
{
    struct esp_error err = {0};
    enum esp_status status;
    if (argc > 1 && strcmp(argv[1], "compare") == 0)
        status = sim_compare(argc - 1, argv + 1, stdout, &err);
    else
        status = simulate(argc, argv, &err);
    if (status == ESP_OK)
        return 0;
    fprintf(stderr, "espalier-sim: %s\n", err.text);
    return esp_status_exit_code(status);
}
