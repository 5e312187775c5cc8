/* partition_clock.c - see partition_clock.h. Times and spans are small enough to be added and
 * subtracted (joiner.c sees to it); a log's timestamp may be anything. */
#include "join/partition_clock.h"

enum { ROW = 3 };

void esp_partition_clock_init(struct esp_partition_clock *clock, int64_t grace_us,
                              int64_t future_us, int64_t ahead_us)
{
    *clock = (struct esp_partition_clock){.grace_us = grace_us,
                                          .future_us = future_us,
                                          .ahead_us = ahead_us,
                                          .largest_us = ESP_TIME_NONE};
}

static void raise_to(struct esp_partition_clock *clock, int64_t time_us)
{
    if (time_us > clock->largest_us)
        clock->largest_us = time_us;
}

/* Settles all that is held: accepted is what agrees with everything from low to high. */
static void settle(struct esp_partition_clock *clock, int64_t low_us, int64_t high_us,
                   struct esp_settlement *out)
{
    out->n_settled = clock->n_held;
    for (size_t i = 0; i < clock->n_held; i++) {
        int64_t held_us = clock->held_us[i];
        out->accepted[i] =
            held_us - low_us <= clock->ahead_us && high_us - held_us <= clock->ahead_us;
        if (out->accepted[i])
            raise_to(clock, held_us);
    }
    clock->n_held = 0;
}

static enum esp_ruling hold(struct esp_partition_clock *clock, int64_t time_us,
                            struct esp_settlement *out)
{
    int64_t low_us = time_us, high_us = time_us;
    size_t n = 1;
    for (; n < ROW && n <= clock->n_held; n++) {
        int64_t held_us = clock->held_us[clock->n_held - n];
        low_us = held_us < low_us ? held_us : low_us;
        high_us = held_us > high_us ? held_us : high_us;
    }
    if (n == ROW && high_us - low_us <= clock->ahead_us) {
        settle(clock, low_us, high_us, out);
        raise_to(clock, time_us);
        return ESP_RULING_ACCEPT;
    }
    if (clock->n_held == ESP_MAX_HELD) {
        out->n_settled = 1;
        out->accepted[0] = false;
        clock->n_held--;
        memmove(clock->held_us, clock->held_us + 1, clock->n_held * sizeof *clock->held_us);
    }
    clock->held_us[clock->n_held++] = time_us;
    return ESP_RULING_HOLD;
}

enum esp_ruling esp_partition_clock_see(struct esp_partition_clock *clock, int64_t time_us,
                                        int64_t log_time_us, struct esp_settlement *out)
{
    out->n_settled = 0;
    if (log_time_us != ESP_TIME_NONE) {
        int64_t latest_us;
        if (!__builtin_add_overflow(log_time_us, clock->future_us, &latest_us) &&
            time_us > latest_us)
            return ESP_RULING_FUTURE;
    } else if (clock->largest_us == ESP_TIME_NONE ||
               time_us - clock->largest_us > clock->ahead_us) {
        return hold(clock, time_us, out);
    }
    enum esp_ruling ruling =
        time_us < esp_partition_clock_watermark(clock) ? ESP_RULING_LATE : ESP_RULING_ACCEPT;
    if (clock->n_held > 0)
        settle(clock, time_us, time_us, out);
    raise_to(clock, time_us);
    return ruling;
}

void esp_partition_clock_end(struct esp_partition_clock *clock, struct esp_settlement *out)
{
    out->n_settled = clock->n_held;
    for (size_t i = 0; i < clock->n_held; i++) {
        out->accepted[i] = true;
        raise_to(clock, clock->held_us[i]);
    }
    clock->n_held = 0;
}

int64_t esp_partition_clock_watermark(const struct esp_partition_clock *clock)
{
    return clock->largest_us == ESP_TIME_NONE ? ESP_TIME_NONE : clock->largest_us - clock->grace_us;
}

int64_t esp_partition_clock_held_watermark(const struct esp_partition_clock *clock)
{
    if (clock->n_held == 0)
        return ESP_TIME_NONE;
    int64_t earliest_us = clock->held_us[0];
    for (size_t i = 1; i < clock->n_held; i++)
        earliest_us = clock->held_us[i] < earliest_us ? clock->held_us[i] : earliest_us;
    return earliest_us - clock->grace_us;
}

static bool is_time(int64_t time_us, int64_t max_us)
{
    return time_us >= -max_us && time_us <= max_us;
}

void esp_partition_clock_archive(struct esp_archive *archive, struct esp_partition_clock *clock,
                                 int64_t max_us)
{
    size_t n = clock->n_held;
    esp_archive_i64(archive, &clock->largest_us);
    esp_archive_check(archive,
                      clock->largest_us == ESP_TIME_NONE || is_time(clock->largest_us, max_us),
                      "a partition's largest time");
    esp_archive_size(archive, &n);
    if (!esp_archive_check(archive, n <= ESP_MAX_HELD, "the number of held events"))
        return;
    clock->n_held = n;
    for (size_t i = 0; i < n; i++) {
        esp_archive_i64(archive, &clock->held_us[i]);
        esp_archive_check(archive, is_time(clock->held_us[i], max_us), "the time of a held event");
    }
}
