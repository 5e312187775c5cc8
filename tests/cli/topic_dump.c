/*
 * topic_dump.c - a program for tests: prints what a topic of a broker holds.
 *
 *   topic-dump HOST:PORT TOPIC      a line a record, in the order of partitions and offsets:
 *                                   PARTITION OFFSET KEY BYTES HASH
 *
 * KEY is the key's text ("-" if there is none, other bytes than printable ones as %XX), HASH the
 * XXH3 of the value; a tombstone has "-" for both. A topic that does not exist holds nothing.
 */
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>

#include "core/hash.h"
#include "log/log.h"

enum { READ_BATCH = 512 };
static const int64_t patience_us = 10 * ESP_SECOND;

static void print_record(size_t partition, const struct esp_record *record)
{
    printf("%zu %" PRId64 " ", partition, record->offset);
    for (size_t i = 0; i < record->key.size; i++) {
        int c = record->key.data[i];
        printf(c > ' ' && c < 127 && c != '%' ? "%c" : "%%%02X", c);
    }
    printf(record->key.size == 0 ? "-" : "");
    if (record->value.data == NULL)
        printf(" - -\n");
    else
        printf(" %zu %016" PRIx64 "\n", record->value.size, esp_hash(record->value));
}

static enum esp_status dump_partition(struct esp_log *log, const char *topic, size_t partition,
                                      struct esp_error *err)
{
    struct esp_log_reader *reader = NULL;
    struct esp_record records[READ_BATCH];
    enum esp_log_position position = ESP_LOG_MORE;
    enum esp_status status =
        esp_log_reader_new(log, topic, partition, ESP_OFFSET_EARLIEST, false, NULL, &reader, err);
    while (status == ESP_OK && position != ESP_LOG_ENDED) {
        size_t n = 0;
        status = esp_log_read(reader, records, READ_BATCH, patience_us, &n, &position, err);
        for (size_t i = 0; status == ESP_OK && i < n; i++)
            print_record(partition, &records[i]);
    }
    esp_log_reader_free(reader);
    return status;
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: topic-dump HOST:PORT TOPIC\n");
        return 64;
    }
    struct esp_error err = {0};
    struct esp_log *log = NULL;
    struct esp_log_property property = {
        .name = "bootstrap.servers", .value = argv[1], .where = "command line"};
    size_t n_partitions = 0;
    enum esp_status status = esp_log_open_kafka(&property, 1, NULL, NULL, &log, &err);
    if (status == ESP_OK)
        status = esp_log_partitions(log, argv[2], patience_us, &n_partitions, &err);
    for (size_t p = 0; status == ESP_OK && p < n_partitions; p++)
        status = dump_partition(log, argv[2], p, &err);
    esp_log_free(log);
    if (status == ESP_OK && fflush(stdout) != 0)
        status = esp_fail(&err, ESP_EIO, "standard output cannot be written");
    if (status != ESP_OK)
        fprintf(stderr, "topic-dump: %s: %s\n", argv[2], err.text);
    return status == ESP_OK ? 0 : 1;
}
