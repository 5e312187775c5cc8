/*
 * ledger.h - what a join makes of the events, by its definition (docs/design.md, section 2), and
 * what the best possible predictor loses on the labels.
 *
 * It can be exact because it knows which events belong together: each journey is settled by
 * itself, when its last event has been delivered. Only lateness needs the order of a whole
 * partition, and that is noted on delivery.
 */
#ifndef ESP_SIM_LEDGER_H
#define ESP_SIM_LEDGER_H

#include <stdint.h>

#include "journey.h"

struct sim_ledger_config {
    int64_t start_us;  /* where window 0 begins, rounded down to a whole window */
    int64_t window_us; /* width of the report's windows, > 0 */
    int64_t click_window_us, install_window_us, grace_us;
    uint32_t n_partitions[ESP_N_EVENT_KINDS];
};

/* The tasks in the trainer's names: click, install_given_click, install. */
enum sim_task { SIM_TASK_CLICK, SIM_TASK_INSTALL_GIVEN_CLICK, SIM_TASK_INSTALL, SIM_N_TASKS };
extern const char *const sim_task_names[SIM_N_TASKS];

/* Sums over the labelled impressions of a window, in nats. */
struct sim_task_truth {
    uint64_t n, n_positive;
    double p;        /* sum of true probabilities */
    double expected; /* sum of their entropies: the loss that the best predictor expects */
    double realised; /* its loss on the labels as they came out */
};

struct sim_window {
    struct sim_task_truth tasks[SIM_N_TASKS];
};

struct sim_ledger {
    struct sim_ledger_config config;
    int64_t *largest_us[ESP_N_EVENT_KINDS];               /* (partitions) owned */
    uint64_t verdicts[ESP_N_EVENT_KINDS][SIM_N_VERDICTS]; /* of settled journeys */
    struct sim_window *windows;                           /* by impression time; owned */
    size_t n_windows, capacity;
    struct sim_window total, new_ads;
};

/* Errors: ESP_ENOMEM. */
enum esp_status sim_ledger_init(struct sim_ledger *ledger, const struct sim_ledger_config *config,
                                struct esp_error *err);
void sim_ledger_release(struct sim_ledger *ledger);

/* Notes that an event was delivered to a partition, in that partition's order: late, dead, or
 * arrived. */
void sim_ledger_deliver(struct sim_ledger *ledger, struct sim_event *event, uint32_t partition);

/*
 * Decides on the events of a journey once no more of them will be delivered.
 * Errors: ESP_ENOMEM.
 */
enum esp_status sim_ledger_settle(struct sim_ledger *ledger, struct sim_journey *journey,
                                  struct esp_error *err);

/* The time at which a window begins. */
int64_t sim_ledger_window_start(const struct sim_ledger *ledger, size_t window);

#endif
