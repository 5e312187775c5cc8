/* topic_marks.c - see topic_marks.h. */
#include "cmd/topics/topic_marks.h"

#include <stdlib.h>
#include <string.h>

enum esp_status topic_marks_empty(struct topic_marks *marks, const char *topic, size_t n,
                                  struct esp_error *err)
{
    *marks = (struct topic_marks){
        .topic = strdup(topic), .marks = calloc(n, sizeof *marks->marks), .n = n};
    if (marks->topic == NULL || marks->marks == NULL) {
        topic_marks_release(marks);
        return esp_fail(err, ESP_ENOMEM, "out of memory for %zu marks of %s", n, topic);
    }
    for (size_t p = 0; p < n; p++)
        marks->marks[p].file = -1;
    return ESP_OK;
}

enum esp_status topic_marks_find(struct topic_marks *marks, struct esp_log *log, const char *topic,
                                 size_t n, struct esp_error *err)
{
    enum esp_status status = topic_marks_empty(marks, topic, n, err);
    for (size_t p = 0; status == ESP_OK && p < n; p++) {
        int64_t first = 0;
        status = esp_log_bounds(log, topic, p, &first, &marks->marks[p].end, err);
    }
    return status;
}

void topic_marks_update(struct topic_marks *marks, const struct esp_log_writer *writer)
{
    for (size_t p = 0; writer != NULL && p < marks->n; p++)
        esp_log_writer_mark(writer, p, &marks->marks[p]);
}

enum esp_status topic_marks_cut_back(const struct topic_marks *marks, struct esp_log *log,
                                     struct esp_error *err)
{
    enum esp_status status = ESP_OK;
    for (size_t p = 0; status == ESP_OK && p < marks->n; p++)
        status = esp_log_cut_back(log, marks->topic, p, &marks->marks[p], err);
    return status;
}

void topic_marks_archive(struct esp_archive *archive, struct topic_marks *marks, size_t n)
{
    esp_archive_text(archive, &marks->topic);
    esp_archive_same(archive, n, "[output] partitions");
    if (esp_archive_reads(archive) &&
        esp_archive_check(archive, marks->topic != NULL, "no topic")) {
        marks->marks = calloc(n, sizeof *marks->marks);
        marks->n = marks->marks == NULL ? 0 : n;
        if (marks->marks == NULL)
            esp_archive_fail(archive, ESP_ENOMEM, "out of memory for %zu marks", n);
    }
    for (size_t p = 0; p < marks->n; p++) {
        marks->marks[p].file = -1;
        esp_archive_i64(archive, &marks->marks[p].end);
        esp_archive_check(archive, marks->marks[p].end >= 0, "where an output began");
    }
}

void topic_marks_release(struct topic_marks *marks)
{
    free(marks->topic);
    free(marks->marks);
    *marks = (struct topic_marks){0};
}
