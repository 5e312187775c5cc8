/* summary.h - every counter, final metric and weight hash of a run as one JSON file. */
#ifndef ESP_CMD_TRAIN_SUMMARY_H
#define ESP_CMD_TRAIN_SUMMARY_H

#include "cmd/run/run.h"
#include "cmd/topics/inputs.h"
#include "cmd/train/learning.h"

/*
 * Writes the file whole or not at all (a temporary name, then a rename), with keys in a fixed
 * order and nothing that depends on the wall clock: equal runs write equal files.
 * After the threads have ended. Errors: ESP_EIO, ESP_ENOMEM.
 */
enum esp_status summary_write(const char *path, const struct run *run, const struct inputs *inputs,
                              const struct learning *learning, struct esp_error *err);

#endif
