/*
 * train_state.h - the whole state of a training run, as the sections of a checkpoint.
 */
#ifndef ESP_CMD_TRAIN_TRAIN_STATE_H
#define ESP_CMD_TRAIN_TRAIN_STATE_H

#include "state/checkpoint_writer.h"

struct train;

/*
 * At a standstill, before the state is written: what the state names outside of it (the places of
 * outputs, snapshots' files) is noted, and begins its way to the disk or the broker.
 * Errors: ESP_EIO, ESP_EBROKER, ESP_ENOMEM.
 */
enum esp_status train_state_settle(struct train *train, struct esp_error *err);

/*
 * Whether all that train_state_settle() noted has arrived: then a checkpoint that was written may
 * count. Does not wait for a broker. From the ingest thread.
 * Errors: ESP_EIO, ESP_EBROKER, ESP_EDATA.
 */
enum esp_status train_state_settled(struct train *train, bool *out_done, struct esp_error *err);

/* The first of drift's windows that a run may score that goes on from here; INT64_MAX: no drift. */
int64_t train_state_first_window(const struct train *train);

/* Writes all sections: an esp_checkpoint_content, context the struct train. */
enum esp_status train_state_write(void *train, struct esp_checkpoint_writer *writer,
                                  struct esp_error *err);

/*
 * Fills the stages from a checkpoint, in two steps: where the inputs stand and which schemas were
 * met, before readers are opened; and everything else, after.
 *
 * Errors: ESP_EDATA (the line names the file and the section), ESP_ENOMEM; the stages can only be
 * released then.
 */
enum esp_status train_state_read_inputs(struct train *train, const struct esp_checkpoint *from,
                                        struct esp_error *err);
enum esp_status train_state_read(struct train *train, const struct esp_checkpoint *from,
                                 struct esp_error *err);

#endif
