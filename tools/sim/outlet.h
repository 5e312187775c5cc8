/*
 * outlet.h - where the simulated events go: four topics in files or on a broker.
 */
#ifndef ESP_SIM_OUTLET_H
#define ESP_SIM_OUTLET_H

#include "sim_options.h"
#include "sim_records.h"

struct sim_outlet {
    const struct sim_options *options; /* borrowed */
    struct esp_log *log;
    struct esp_log_writer *writers[SIM_N_TOPICS]; /* truth: NULL if there is none */
    uint32_t n_partitions[SIM_N_TOPICS];
    uint64_t fingerprints[SIM_N_TOPICS]; /* for single-object framing */
    uint64_t n_records, n_bytes;
    struct esp_buf record;
};

/*
 * Opens the log, creates missing topics (as destination_topic() does) and their writers.
 * Errors: ESP_ECONFIG (a folder that already has events, a refused property), ESP_EIO,
 *         ESP_EBROKER, ESP_ENOMEM.
 */
enum esp_status sim_outlet_open(struct sim_outlet *outlet, const struct sim_options *options,
                                struct esp_error *err);
/* NULL members are fine. What was not flushed may be lost. */
void sim_outlet_close(struct sim_outlet *outlet);

/* The partition that an event goes to. */
uint32_t sim_outlet_partition(const struct sim_outlet *outlet, const struct sim_journey *journey,
                              const struct sim_event *event);

/* Writes an event of a journey to a partition. Errors: as esp_log_append(). */
enum esp_status sim_outlet_put(struct sim_outlet *outlet, const struct sim_journey *journey,
                               const struct sim_event *event, uint32_t partition,
                               struct esp_error *err);

/* Writes the true probabilities of a journey that has an impression, unless there is no such
 * topic. Errors: as esp_log_append(). */
enum esp_status sim_outlet_put_truth(struct sim_outlet *outlet, const struct sim_journey *journey,
                                     struct esp_error *err);

/* Returns when all is safe. Errors: as esp_log_flush(). */
enum esp_status sim_outlet_flush(struct sim_outlet *outlet, struct esp_error *err);

#endif
