/*
 * train_state.h - the whole state of a training run, as the sections of a checkpoint.
 */
#ifndef ESP_CMD_TRAIN_STATE_H
#define ESP_CMD_TRAIN_STATE_H

#include "state/checkpoint_writer.h"

struct train;

/*
 * At a standstill, before the state is written: what the state names outside of it (the places of
 * outputs, snapshots' files) is noted, and begins its way to the disk or the broker.
 * Errors: ESP_EIO, ESP_EBROKER, ESP_ENOMEM.
 */
enum esp_status train_state_settle(struct train *train, struct esp_error *err);

/* True once everything that train_state_settle() noted has arrived. Does not wait. */
bool train_state_is_settled(struct train *train);

/* Writes all sections: an esp_checkpoint_content, context the struct train. */
enum esp_status train_state_write(void *train, struct esp_checkpoint_writer *writer,
                                  struct esp_error *err);

/* The checkpoint that was written last has its name. */
void train_state_saved(struct train *train);

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
