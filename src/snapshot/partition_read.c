/* partition_read.c - see partition_read.h. */
#include "snapshot/partition_read.h"

enum { BATCH = 64 };

static const int64_t step_us = ESP_SECOND, default_silence_us = 60 * ESP_SECOND;

static enum esp_status visit_all(const struct esp_record *records, size_t n, int64_t *offset,
                                 esp_visit *visit, void *context, bool *enough,
                                 struct esp_error *err)
{
    enum esp_status status = ESP_OK;
    for (size_t i = 0; i < n && status == ESP_OK && !*enough; i++) {
        status = visit(context, &records[i], enough, err);
        *offset = records[i].offset + 1;
    }
    return status;
}

enum esp_status esp_partition_read(struct esp_log *log, const char *topic, size_t partition,
                                   int64_t *offset, const struct esp_patience *patience,
                                   esp_visit *visit, void *context, enum esp_read_end *out,
                                   struct esp_error *err)
{
    struct esp_log_reader *reader = NULL;
    struct esp_record records[BATCH];
    enum esp_log_position position = ESP_LOG_MORE;
    int64_t silence_us = patience->silence_us > 0 ? patience->silence_us : default_silence_us;
    int64_t silent_us = 0;
    bool enough = false, stopped = false;
    enum esp_status status =
        esp_log_reader_new(log, topic, partition, *offset, false, NULL, &reader, err);
    while (status == ESP_OK && !enough && position != ESP_LOG_ENDED) {
        size_t n = 0;
        if ((stopped = esp_patience_stop(patience)))
            break;
        status = esp_log_read(reader, records, BATCH, step_us, &n, &position, err);
        if (status == ESP_OK)
            status = visit_all(records, n, offset, visit, context, &enough, err);
        silent_us = n > 0 ? 0 : silent_us + step_us;
        if (status == ESP_OK && position != ESP_LOG_ENDED && silent_us >= silence_us)
            status =
                esp_fail(err, ESP_EBROKER, "%s [%zu]: the broker gives nothing", topic, partition);
    }
    if (status == ESP_OK && position == ESP_LOG_ENDED && !enough) {
        struct esp_log_reader_stats stats;
        esp_log_reader_stats(reader, &stats);
        *offset = stats.next_offset; /* behind what compaction has left no record of */
    }
    esp_log_reader_free(reader);
    *out = stopped ? ESP_READ_STOPPED : enough ? ESP_READ_ENOUGH : ESP_READ_END;
    return status;
}
