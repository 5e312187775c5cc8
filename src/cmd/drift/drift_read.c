/* drift_read.c - see drift_read.h. */
#include "cmd/drift/drift_read.h"

#include <inttypes.h>
#include <string.h>

#include "core/logger.h"

enum { READ_BATCH = 512 };
static const int64_t broker_patience_us = 10 * ESP_SECOND;

/* One reading of a topic. */
struct reading {
    struct esp_log *log;
    const char *topic;
    struct esp_drift_reader reader;
    struct drift_store *store;
    struct drift_counts *counts;
};

static enum esp_status take_record(struct reading *reading, const struct esp_record *record,
                                   size_t partition, struct esp_error *err)
{
    struct drift_counts *counts = reading->counts;
    struct esp_drift_record drift;
    struct esp_error why = {0};
    counts->records++;
    if (record->value.data == NULL) {
        drift_store_remove(reading->store, record->key);
        return ESP_OK;
    }
    enum esp_status status = esp_drift_reader_decode(&reading->reader, record, &drift, &why);
    if (status == ESP_OK)
        return drift_store_put(reading->store, &drift, err);
    if (status == ESP_ESCHEMA) {
        if (counts->unknown_records++ == 0)
            counts->unknown = why;
        return ESP_OK;
    }
    if (counts->malformed++ == 0)
        esp_logf(ESP_WARN,
                 "topic %s, partition %zu, offset %" PRId64
                 ": %s; it is skipped, and so are others that come",
                 reading->topic, partition, record->offset, why.text);
    return ESP_OK;
}

static enum esp_status read_partition(struct reading *reading, size_t partition,
                                      struct esp_error *err)
{
    struct esp_log_reader *reader = NULL;
    struct esp_record records[READ_BATCH];
    struct esp_log_reader_stats stats;
    enum esp_log_position position = ESP_LOG_MORE;
    enum esp_status status =
        esp_log_reader_new(reading->log, reading->topic, partition, ESP_OFFSET_EARLIEST, false,
                           &reading->reader.framer, &reader, err);
    while (status == ESP_OK && position != ESP_LOG_ENDED) {
        size_t n = 0;
        status = esp_log_read(reader, records, READ_BATCH, ESP_SECOND, &n, &position, err);
        for (size_t i = 0; status == ESP_OK && i < n; i++)
            status = take_record(reading, &records[i], partition, err);
    }
    if (reader != NULL) {
        esp_log_reader_stats(reader, &stats);
        reading->counts->damaged_files += stats.damaged_files;
    }
    esp_log_reader_free(reader);
    return status;
}

/* Files of an unknown version were reported by name as they were met. */
static void say_unknown(const struct drift_counts *counts)
{
    if (counts->unknown_records > 0)
        esp_logf(ESP_WARN,
                 "skipped %" PRIu64 " record%s of an unknown version, the first is %s; a newer "
                 "espalier reads them",
                 counts->unknown_records, counts->unknown_records == 1 ? "" : "s",
                 counts->unknown.text);
    if (counts->unknown_files > 0)
        esp_logf(ESP_WARN,
                 "skipped %" PRIu64 " file%s of an unknown version; a newer espalier reads them",
                 counts->unknown_files, counts->unknown_files == 1 ? "" : "s");
}

enum esp_status drift_read(struct esp_log *log, const char *topic, struct drift_store *store,
                           struct drift_counts *counts, struct esp_error *err)
{
    struct reading reading = {.log = log, .topic = topic, .store = store, .counts = counts};
    size_t n = 0;
    *counts = (struct drift_counts){0};
    enum esp_status status = esp_drift_reader_init(&reading.reader, err);
    if (status == ESP_OK)
        status = esp_log_partitions(log, topic, broker_patience_us, &n, err);
    if (status == ESP_OK && n == 0)
        status = esp_fail(err, ESP_ECONFIG,
                          "there is no topic %s; `espalier train` writes it once a window of the "
                          "holdout is complete",
                          topic);
    for (size_t p = 0; status == ESP_OK && p < n; p++)
        status = read_partition(&reading, p, err);
    counts->unknown_files = reading.reader.n_unknown;
    counts->damaged_files -= counts->unknown_files < counts->damaged_files ? counts->unknown_files
                                                                           : counts->damaged_files;
    if (status == ESP_OK)
        say_unknown(counts);
    return status;
}
