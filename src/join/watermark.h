/*
 * watermark.h - W, the event time that the whole input has passed: the smallest watermark over the
 * partitions that count. It never falls.
 */
#ifndef ESP_JOIN_WATERMARK_H
#define ESP_JOIN_WATERMARK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/timespan.h"

/* One partition, as W sees it. */
struct esp_watermark_source {
    int64_t watermark_us; /* its own, ESP_TIME_NONE before its first accepted event */
    bool is_idle;         /* stands at the largest watermark of all less the lag, if that is more */
    bool is_ended;        /* without a watermark: does not count */
    bool is_out;          /* does not count: it ended and its time was closed */
};

/*
 * W after the sources have moved, at least now_us. Unchanged while a partition that counts has not
 * spoken, and where none counts.
 */
int64_t esp_watermark_raise(int64_t now_us, const struct esp_watermark_source *sources, size_t n,
                            int64_t idle_lag_us);

#endif
