/*
 * truth_report.h - truth.json: what a join must count and what the best predictor loses. Its shape
 * is documented in docs/simulator.md.
 */
#ifndef ESP_SIM_TRUTH_REPORT_H
#define ESP_SIM_TRUTH_REPORT_H

#include <stdio.h>

#include "ledger.h"
#include "simulate.h"

/* Writes the report to options->truth_path. Errors: ESP_EIO, ESP_ENOMEM. */
enum esp_status sim_truth_write(const struct sim_options *options, const struct sim_ledger *ledger,
                                const struct sim_outcome *outcome, struct esp_error *err);

/* Prints counts and the best predictor's normalised entropies for a person. */
void sim_truth_print(const struct sim_ledger *ledger, const struct sim_outcome *outcome, FILE *out);

/* The entropy of a base rate in nats: what predicting it for everybody loses. */
double sim_base_entropy(double rate);

#endif
