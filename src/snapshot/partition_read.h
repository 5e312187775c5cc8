/* partition_read.h - goes once over a partition, from an offset to what its end is now. */
#ifndef ESP_SNAPSHOT_PARTITION_READ_H
#define ESP_SNAPSHOT_PARTITION_READ_H

#include "log/log.h"

/* When to give up. */
struct esp_patience {
    bool (*stop)(void *context); /* asked between reads, a second apart at most; NULL: never */
    void *context;
    int64_t silence_us; /* a broker that gives nothing for so long is taken for away; 0: 60 s */
};

static inline bool esp_patience_stop(const struct esp_patience *patience)
{
    return patience->stop != NULL && patience->stop(patience->context);
}

enum esp_read_end {
    ESP_READ_END,     /* everything was visited */
    ESP_READ_ENOUGH,  /* the visitor had enough */
    ESP_READ_STOPPED, /* it was told to stop */
};

/* *out_enough = true ends the reading behind this record. */
typedef enum esp_status esp_visit(void *context, const struct esp_record *record, bool *out_enough,
                                  struct esp_error *err);

/*
 * Visits the records of one partition. Opens a reader and closes it.
 *
 * offset  where to begin, or ESP_OFFSET_EARLIEST; then where the reading would go on
 * Errors: as esp_log_reader_new() and esp_log_read(), ESP_EBROKER (silence), the visitor's.
 */
enum esp_status esp_partition_read(struct esp_log *log, const char *topic, size_t partition,
                                   int64_t *offset, const struct esp_patience *patience,
                                   esp_visit *visit, void *context, enum esp_read_end *out,
                                   struct esp_error *err);

#endif
