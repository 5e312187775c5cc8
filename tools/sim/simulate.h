/*
 * simulate.h - runs a campaign: makes journeys, delivers their events in order, keeps the ledger.
 */
#ifndef ESP_SIM_SIMULATE_H
#define ESP_SIM_SIMULATE_H

#include "ledger.h"
#include "outlet.h"

struct sim_outcome {
    uint64_t n_made; /* impressions */
    uint64_t n_records, n_bytes;
    bool interrupted;
};

/*
 * Delivers the whole campaign, or what is due before options->stop_after_us, or until SIGINT or
 * SIGTERM; then settles everything.
 *
 * ledger  initialised here; released by the caller, also after a failure
 * Errors: of the outlet and of the linear model, ESP_ENOMEM.
 */
enum esp_status sim_run(const struct sim_options *options, struct sim_ledger *ledger,
                        struct sim_outcome *out, struct esp_error *err);

#endif
