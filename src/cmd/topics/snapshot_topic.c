/*
 * snapshot_topic.c - see snapshot_topic.h.
 *
 * What retiring leaves is removed by compaction, which leaves the segment that is written to alone:
 * segments of the broker's default size, 1 GiB, would keep that much of retired snapshots.
 */
#include "cmd/topics/snapshot_topic.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "snapshot/chunks.h"

#define SEGMENT_TEXT "67108864"

static const int64_t broker_patience_us = 10 * ESP_SECOND;
/* Of a chunk's record: its data, and key, fields and framing around it. */
static const int64_t least_message_bytes = ESP_CHUNK_BYTES + 1024;
static const int64_t large_segment_bytes = INT64_C(256) << 20;

const char *snapshot_place(const struct config *config, char *text, size_t size)
{
    const struct options *options = &config->options;
    if (options->files_root == NULL)
        snprintf(text, size, "%s", options->snapshot_topic);
    else
        snprintf(text, size, "%s/%s", options->files_root, options->snapshot_topic);
    return text;
}

static enum esp_status make_topic(const struct config *config, struct esp_log *log,
                                  struct esp_error *err)
{
    static const char *const properties[] = {"cleanup.policy",
                                             "compact",
                                             "segment.bytes",
                                             SEGMENT_TEXT,
                                             "min.cleanable.dirty.ratio",
                                             "0.1",
                                             NULL};
    int64_t n = config->options.output_partitions;
    return esp_log_create_topic(log, config->options.snapshot_topic, n < 2 ? 2 : (size_t)n,
                                properties, err);
}

/* A number of bytes; a property that the broker does not tell is no obstacle. */
static int64_t bytes_of(const struct esp_topic_property *property, int64_t unknown)
{
    char *end = NULL;
    int64_t value = strtoll(property->value, &end, 10);
    return property->value[0] == '\0' || *end != '\0' ? unknown : value;
}

static enum esp_status check_properties(const struct config *config, struct esp_log *log,
                                        struct esp_error *err)
{
    const char *topic = config->options.snapshot_topic;
    struct esp_topic_property properties[] = {
        {.name = "cleanup.policy"}, {.name = "max.message.bytes"}, {.name = "segment.bytes"}};
    enum esp_status status = esp_log_topic_properties(log, topic, properties, 3, err);
    if (status != ESP_OK)
        return status;
    int64_t message = bytes_of(&properties[1], INT64_MAX), segment = bytes_of(&properties[2], 0);
    if (strcmp(properties[0].value, "compact") != 0)
        return esp_fail(err, ESP_ECONFIG,
                        "topic %s: cleanup.policy is %s, and live snapshots would be deleted by "
                        "age or retired ones never; set it to compact",
                        topic, properties[0].value);
    if (message < least_message_bytes)
        return esp_fail(err, ESP_ECONFIG,
                        "topic %s: max.message.bytes is %" PRId64 ", and a chunk of a snapshot "
                        "takes %" PRId64 "; raise it to 1048588, the default",
                        topic, message, least_message_bytes);
    if (segment > large_segment_bytes)
        printf("%-14s note: its segment.bytes is %" PRId64
               "; retired snapshots stay on the disk until so much is written after them: "
               "set it to " SEGMENT_TEXT "\n",
               "", segment);
    return ESP_OK;
}

enum esp_status snapshot_topic_check(const struct config *config, struct esp_log *log, bool create,
                                     size_t *n_missing, struct esp_error *err)
{
    const struct options *options = &config->options;
    char place[1024];
    size_t n = 0;
    if (options->files_root != NULL) {
        printf("%-14s %s: made with the first snapshot\n", "snapshots",
               snapshot_place(config, place, sizeof place));
        return ESP_OK;
    }
    enum esp_status status =
        esp_log_partitions(log, options->snapshot_topic, broker_patience_us, &n, err);
    bool made = status == ESP_OK && n == 0 && create;
    if (made)
        status = make_topic(config, log, err);
    if (status != ESP_OK)
        return status;
    *n_missing += n == 0 && !made;
    printf("%-14s topic %s%s\n", "snapshots", options->snapshot_topic,
           made     ? ": made"
           : n == 0 ? ": missing; run again with --create-topics"
                    : "");
    if (n == 0)
        return ESP_OK;
    if (n < 2)
        return esp_fail(err, ESP_ECONFIG,
                        "topic %s has one partition; snapshots need two at least, one for "
                        "manifests, others for chunks: add one",
                        options->snapshot_topic);
    return check_properties(config, log, err);
}
