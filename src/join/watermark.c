/* watermark.c - see watermark.h. */
#include "join/watermark.h"

static bool counts(const struct esp_watermark_source *source)
{
    return !source->is_out && !(source->is_ended && source->watermark_us == ESP_TIME_NONE);
}

/* Where idle partitions stand. (The largest of all serves for "the largest of the others": for the
 * partition that has it, it less the lag is no more than its own.) */
static int64_t idle_position(const struct esp_watermark_source *sources, size_t n,
                             int64_t idle_lag_us)
{
    int64_t largest_us = ESP_TIME_NONE;
    for (size_t i = 0; i < n; i++)
        if (counts(&sources[i]) && sources[i].watermark_us > largest_us)
            largest_us = sources[i].watermark_us;
    return largest_us == ESP_TIME_NONE ? ESP_TIME_NONE : largest_us - idle_lag_us;
}

int64_t esp_watermark_raise(int64_t now_us, const struct esp_watermark_source *sources, size_t n,
                            int64_t idle_lag_us)
{
    int64_t idle_us = idle_position(sources, n, idle_lag_us), smallest_us = ESP_TIME_END;
    for (size_t i = 0; i < n; i++) {
        if (!counts(&sources[i]))
            continue;
        int64_t at_us = sources[i].watermark_us;
        if (sources[i].is_idle && idle_us > at_us)
            at_us = idle_us;
        if (at_us < smallest_us)
            smallest_us = at_us;
    }
    return smallest_us == ESP_TIME_END || smallest_us < now_us ? now_us : smallest_us;
}
