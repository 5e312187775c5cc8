/* rewinds.c - see rewinds.h. */
#include "cmd/run/rewinds.h"

#include <stdlib.h>
#include <string.h>

#include "log/log.h"

enum { POINT_BYTES = 1 + 4 + 8 + 8 };

void rewinds_release(struct rewinds *rewinds)
{
    free(rewinds->items);
    *rewinds = (struct rewinds){0};
}

enum esp_status rewinds_copy(const struct rewinds *from, struct rewinds *to, struct esp_error *err)
{
    *to = (struct rewinds){0};
    if (from->n == 0)
        return ESP_OK;
    to->items = calloc(from->n, sizeof *to->items);
    if (to->items == NULL)
        return esp_fail(err, ESP_ENOMEM, "out of memory");
    memcpy(to->items, from->items, from->n * sizeof *to->items);
    to->n = from->n;
    return ESP_OK;
}

/* A topic stands as the kind of event that is in it. */
static void archive_topic(struct esp_archive *archive, struct esp_bytes *topic,
                          const struct config *config)
{
    uint8_t kind = 0;
    while (!esp_archive_reads(archive) && kind < ESP_N_EVENT_KINDS &&
           (const char *)topic->data != config->options.inputs[kind].topic)
        kind++;
    esp_archive_u8(archive, &kind);
    if (esp_archive_check(archive,
                          kind < ESP_N_EVENT_KINDS && config->options.inputs[kind].topic != NULL,
                          "the topic of a point to read again from"))
        *topic = esp_bytes_of(config->options.inputs[kind].topic);
}

static void archive_point(struct esp_archive *archive, struct esp_rewind_offset *point,
                          const struct config *config)
{
    uint32_t partition = (uint32_t)point->partition;
    archive_topic(archive, &point->topic, config);
    esp_archive_u32(archive, &partition);
    esp_archive_i64(archive, &point->offset);
    esp_archive_i64(archive, &point->largest_us);
    if (esp_archive_check(archive,
                          partition <= INT32_MAX &&
                              (point->offset >= 0 || point->offset == ESP_OFFSET_EARLIEST),
                          "a point to read again from"))
        point->partition = (int32_t)partition;
}

void rewinds_archive(struct esp_archive *archive, struct rewinds *rewinds,
                     const struct config *config)
{
    esp_archive_count(archive, &rewinds->n, POINT_BYTES);
    if (esp_archive_reads(archive) && rewinds->n > 0) {
        rewinds->items = calloc(rewinds->n, sizeof *rewinds->items);
        if (rewinds->items == NULL) {
            esp_archive_fail(archive, ESP_ENOMEM, "out of memory");
            rewinds->n = 0;
        }
    }
    for (size_t i = 0; i < rewinds->n && esp_archive_is_ok(archive); i++)
        archive_point(archive, &rewinds->items[i], config);
}
