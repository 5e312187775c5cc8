/* snapshot_topic.h - where the configuration publishes snapshots, and whether that place will do.
 */
#ifndef ESP_CMD_TOPICS_SNAPSHOT_TOPIC_H
#define ESP_CMD_TOPICS_SNAPSHOT_TOPIC_H

#include "cmd/config/config.h"
#include "log/log.h"

/* The topic; in files the folder below files.root. Returns text. */
const char *snapshot_place(const struct config *config, char *text, size_t size);

/*
 * Says what the topic is like, a line on stdout each; makes it if it is missing and that is
 * wanted: two partitions at least, compacted, of small segments.
 *
 * n_missing  gets one more where it is missing
 * Errors: ESP_ECONFIG (it will not do: what to change), ESP_EBROKER.
 */
enum esp_status snapshot_topic_check(const struct config *config, struct esp_log *log, bool create,
                                     size_t *n_missing, struct esp_error *err);

#endif
