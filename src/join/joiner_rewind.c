/*
 * joiner_rewind.c - where to read again from, so that labels come out as they did.
 *
 * HOW FAR BACK  A run that begins anew and learns what is due at B or later needs the events that
 * decide these labels. An impression's last label is due at t_i + W_c + W_z at most (installs: at
 * max(t_i + W_c, t_c + W_z), where t_c <= t_i + W_c), so those impressions have t_i >= B - W_c -
 * W_z, and what is joined to one of them is no earlier than itself. So all that is needed are the
 * accepted events of B - W_c - W_z and later, of each topic alike: the reach is W_c + W_z. No grace
 * comes in: a point's largest time bounds the times of all that stands before it, late or not.
 *
 * Grace counts for the log alone. The records behind a point of largest time L have times down to
 * L - grace of the topic (the late ones further down), and L lies up to a bucket, or a gap in the
 * partition, below B - reach. So a log must keep
 *
 *     W_c + W_z + grace + one bucket (a 32nd of the reach, at least a second)
 *
 * of event time before B, and how far the log runs ahead of B.
 *
 * WHAT IS THE SAME  Each partition's clock starts as it stood (partition_rewinds.h), so every event
 * from the point on is accepted, late, held or dead as it was. W begins anew, as the smallest
 * watermark of the points, from which no partition will accept anything that lies behind it; W says
 * when a label leaves, and never which or in what order. Labels due before B leave too, and may be
 * wrong, as what they depend on may not be read: they are not to be learned.
 *
 * WHAT IS NOT  An impression is a duplicate if its id is pending, and a click id may be another's
 * still, because of events that are not read again: ids that are repeated across the start may give
 * other labels. Counters, and tickets, begin anew; nothing depends on a ticket but which labels are
 * one impression's, and that they rise.
 */
#include "join/joiner_state.h"

enum {
    MIN_SHIFT = 20, /* a bucket is at least a second wide */
    BUCKETS = 32,   /* about as many make up the reach */
};

int64_t esp_joiner_reach_us(const struct esp_joiner *joiner)
{
    return joiner->config.click_window_us + joiner->config.install_window_us;
}

void esp_rewind_init(const struct esp_joiner *joiner, struct esp_join_partition *partition)
{
    unsigned shift = MIN_SHIFT;
    while (INT64_C(1) << shift < esp_joiner_reach_us(joiner) / BUCKETS)
        shift++;
    esp_rewinds_init(&partition->rewinds, shift,
                     (struct esp_rewind){ESP_OFFSET_EARLIEST, ESP_TIME_NONE});
}

void esp_rewind_note(struct esp_joiner *joiner, struct esp_join_partition *partition,
                     struct esp_rewind point)
{
    int64_t needed_us = joiner->left_us;
    if (needed_us != ESP_TIME_NONE) /* for the labels due up to a reach before that one */
        needed_us -= 2 * esp_joiner_reach_us(joiner);
    esp_rewinds_note(&partition->rewinds, point, partition->clock.largest_us, needed_us);
}

bool esp_joiner_rewind_point(const struct esp_joiner *joiner, enum esp_event_kind kind,
                             uint32_t partition, int64_t before_us, struct esp_rewind *out)
{
    const struct esp_rewind *found =
        esp_rewinds_find(&joiner->partitions[joiner->first[kind] + partition].rewinds, before_us);
    if (found == NULL)
        return false;
    *out = *found;
    return true;
}
