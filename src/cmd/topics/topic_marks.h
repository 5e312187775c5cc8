/*
 * topic_marks.h - where one output topic stood at some moment, in each of its partitions, so that
 * what was written after it can be taken away (log.h, esp_log_cut_back()). For logs of files.
 */
#ifndef ESP_CMD_TOPICS_TOPIC_MARKS_H
#define ESP_CMD_TOPICS_TOPIC_MARKS_H

#include "log/log.h"

/* { 0 } can be released. */
struct topic_marks {
    char *topic;                /* owned */
    struct esp_log_mark *marks; /* (n), owned */
    size_t n;
};

/* The topic as it would be before its first record: all that is there will stay.
 * Errors: ESP_ENOMEM. */
enum esp_status topic_marks_empty(struct topic_marks *marks, const char *topic, size_t n,
                                  struct esp_error *err);

/* The topic as it is now, while nobody writes to it. Errors: ESP_ENOMEM, as esp_log_bounds(). */
enum esp_status topic_marks_find(struct topic_marks *marks, struct esp_log *log, const char *topic,
                                 size_t n, struct esp_error *err);

/* Takes over where a writer stands in the partitions that it has appended to. writer may be NULL.
 */
void topic_marks_update(struct topic_marks *marks, const struct esp_log_writer *writer);

/* Errors: as esp_log_cut_back(). */
enum esp_status topic_marks_cut_back(const struct topic_marks *marks, struct esp_log *log,
                                     struct esp_error *err);

/* n  how many partitions it must have; only the ends, and so for marks that no writer has changed
 */
void topic_marks_archive(struct esp_archive *archive, struct topic_marks *marks, size_t n);

void topic_marks_release(struct topic_marks *marks);

#endif
