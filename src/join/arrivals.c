/*
 * arrivals.c - an event comes in: late, dead, held, or stored. See joiner_state.h.
 *
 * The clock of the event's partition rules first, by content alone. What it accepts may still lie
 * behind W, but only where the partition had been idle, or was added after W had come so far: that
 * is late too, and counted apart.
 */
#include "join/joiner_state.h"

/* One event and where it stands. */
struct arrival {
    enum esp_event_kind kind;
    uint32_t partition;
    const struct esp_header *header;
};

static enum esp_status turn_away(struct esp_joiner *joiner, const struct arrival *arrival,
                                 enum esp_verdict verdict, enum esp_reject reject, bool behind_idle,
                                 struct esp_error *err)
{
    const struct esp_header *header = arrival->header;
    struct esp_join_counters *counters = &joiner->counters[arrival->kind];
    if (verdict == ESP_VERDICT_LATE) {
        counters->late++;
        counters->behind_idle += behind_idle;
    } else {
        counters->dead++;
        counters->dead_by_reason[reject]++;
    }
    struct esp_turned_away item = {
        .kind = arrival->kind,
        .partition = arrival->partition,
        .verdict = (uint8_t)verdict,
        .reject = (uint8_t)reject,
        .behind_idle = behind_idle,
        .offset = header->offset,
        /* The decoder sets the time of nothing that it rejects. */
        .time_us = header->reject == ESP_REJECT_NONE ? header->time_us : ESP_TIME_NONE,
        .log_time_us = header->log_time_us,
        .raw = header->raw,
    };
    return esp_outcasts_add(&joiner->outcasts, &item, err);
}

/* ---- storing ---- */

static enum esp_status store_impression(struct esp_joiner *joiner, const struct esp_header *header,
                                        struct esp_error *err)
{
    uint32_t ref;
    enum esp_status status =
        esp_stored_append(&joiner->ring, ESP_LANE_IMPRESSIONS, NULL, header->time_us,
                          header->payload, header->id, header->writer, &ref, err);
    if (status == ESP_OK)
        status = esp_calendar_add(&joiner->due, header->time_us, ref, err);
    if (status == ESP_OK && !esp_id_index_add_apart(&joiner->pending, header->id_hash, ref))
        status = esp_pairing_enroll(joiner, ref, header->id_hash, err);
    if (status != ESP_OK)
        return status;
    joiner->n_stored++;
    joiner->record_bytes += header->payload.size;
    return ESP_OK;
}

static enum esp_status store_waiting(struct esp_joiner *joiner, enum esp_event_kind kind,
                                     const struct esp_header *header, struct esp_error *err)
{
    struct esp_bytes click_id = joiner->config.installs_by_click && joiner->has_installs
                                    ? header->click_id
                                    : esp_bytes(NULL, 0);
    uint32_t ref;
    enum esp_status status = esp_stored_append(&joiner->ring, ESP_LANE_WAITING, NULL,
                                               header->time_us, click_id, header->id, 0, &ref, err);
    if (status == ESP_OK)
        status = esp_calendar_add(kind == ESP_CLICK ? &joiner->clicks : &joiner->installs,
                                  header->time_us, ref, err);
    return status;
}

/* An event that its partition accepts. */
static enum esp_status admit(struct esp_joiner *joiner, const struct arrival *arrival,
                             struct esp_error *err)
{
    const struct esp_header *header = arrival->header;
    if (header->time_us < joiner->watermark_us)
        return turn_away(joiner, arrival, ESP_VERDICT_LATE, ESP_REJECT_NONE, true, err);
    joiner->counters[arrival->kind].pending++;
    return arrival->kind == ESP_IMPRESSION ? store_impression(joiner, header, err)
                                           : store_waiting(joiner, arrival->kind, header, err);
}

/* ---- holding ---- */

static struct esp_bytes copy_bytes(uint8_t **at, struct esp_bytes bytes)
{
    if (bytes.data == NULL)
        return bytes;
    if (bytes.size > 0)
        memcpy(*at, bytes.data, bytes.size);
    bytes.data = *at;
    *at += bytes.size;
    return bytes;
}

static enum esp_status hold(struct esp_joiner *joiner, struct esp_join_partition *partition,
                            enum esp_event_kind kind, const struct esp_header *header,
                            struct esp_error *err)
{
    if (partition->held == NULL) {
        partition->held = calloc(ESP_MAX_HELD, sizeof *partition->held);
        if (partition->held == NULL)
            return esp_fail(err, ESP_ENOMEM, "out of memory for held events");
    }
    size_t n_bytes =
        header->id.size + header->click_id.size + header->payload.size + header->raw.size;
    struct esp_held held = {.header = *header, .bytes = malloc(n_bytes + 1), .n_bytes = n_bytes};
    if (held.bytes == NULL)
        return esp_fail(err, ESP_ENOMEM, "out of memory for a held event of %zu bytes", n_bytes);
    uint8_t *at = held.bytes;
    held.header.id = copy_bytes(&at, header->id);
    held.header.click_id = copy_bytes(&at, header->click_id);
    held.header.payload = copy_bytes(&at, header->payload);
    held.header.raw = copy_bytes(&at, header->raw);
    joiner->held_bytes += n_bytes;
    joiner->counters[kind].pending++;
    partition->held[partition->n_held++] = held;
    return ESP_OK;
}

/* Carries out what the clock said about the oldest held ones. */
static enum esp_status settle(struct esp_joiner *joiner, enum esp_event_kind kind, uint32_t number,
                              struct esp_join_partition *partition,
                              const struct esp_settlement *settlement, struct esp_error *err)
{
    enum esp_status status = ESP_OK;
    for (size_t i = 0; i < settlement->n_settled; i++) {
        struct esp_held *held = &partition->held[i];
        struct arrival arrival = {kind, number, &held->header};
        joiner->counters[kind].pending--;
        if (status == ESP_OK)
            status = settlement->accepted[i] ? admit(joiner, &arrival, err)
                                             : turn_away(joiner, &arrival, ESP_VERDICT_DEAD,
                                                         ESP_REJECT_AHEAD, false, err);
        joiner->held_bytes -= held->n_bytes;
        free(held->bytes);
    }
    partition->n_held -= settlement->n_settled;
    if (settlement->n_settled > 0)
        memmove(partition->held, partition->held + settlement->n_settled,
                partition->n_held * sizeof *partition->held);
    return status;
}

void esp_arrivals_release(struct esp_join_partition *partition)
{
    for (size_t i = 0; i < partition->n_held; i++)
        free(partition->held[i].bytes);
    free(partition->held);
}

/* ---- ruling ---- */

enum esp_reject esp_arrival_reject(const struct esp_joiner *joiner, const struct esp_header *header)
{
    if (header->reject != ESP_REJECT_NONE)
        return (enum esp_reject)header->reject;
    if (header->time_us < -ESP_JOIN_MAX_US || header->time_us > ESP_JOIN_MAX_US)
        return ESP_REJECT_TIME_RANGE;
    if ((header->payload.size | header->id.size | header->click_id.size) < ESP_SURELY_FITS)
        return ESP_REJECT_NONE;
    /* An impression stands with its payload, a click with its click id, which is filed by itself
     * later on. */
    if (!esp_stored_fits(&joiner->ring, header->payload, header->id) ||
        !esp_stored_fits(&joiner->ring, header->id, header->click_id))
        return ESP_REJECT_TOO_LARGE;
    return ESP_REJECT_NONE;
}

enum esp_status esp_arrival(struct esp_joiner *joiner, enum esp_event_kind kind, uint32_t partition,
                            const struct esp_header *header, struct esp_error *err)
{
    struct esp_join_partition *own = &joiner->partitions[joiner->first[kind] + partition];
    struct arrival arrival = {kind, partition, header};
    joiner->counters[kind].read++;
    enum esp_reject reject = esp_arrival_reject(joiner, header);
    if (reject != ESP_REJECT_NONE)
        return turn_away(joiner, &arrival, ESP_VERDICT_DEAD, reject, false, err);
    struct esp_rewind here = {header->offset, own->clock.largest_us};
    if (esp_partition_clock_accepts(&own->clock, header->time_us, header->log_time_us)) {
        if (own->clock.largest_us >= own->rewinds.next_us)
            esp_rewind_note(joiner, own, here);
        return admit(joiner, &arrival, err);
    }
    if (own->n_held == 0)
        own->held_since = header->offset;
    struct esp_settlement settlement;
    enum esp_ruling ruling =
        esp_partition_clock_see(&own->clock, header->time_us, header->log_time_us, &settlement);
    here.offset = own->held_since;
    if (own->clock.largest_us >= own->rewinds.next_us && own->clock.largest_us > here.largest_us)
        esp_rewind_note(joiner, own, here);
    if (settlement.n_settled > 0) {
        enum esp_status status = settle(joiner, kind, partition, own, &settlement, err);
        if (status != ESP_OK)
            return status;
    }
    switch (ruling) {
    case ESP_RULING_LATE:
        return turn_away(joiner, &arrival, ESP_VERDICT_LATE, ESP_REJECT_NONE, false, err);
    case ESP_RULING_FUTURE:
        return turn_away(joiner, &arrival, ESP_VERDICT_DEAD, ESP_REJECT_FUTURE, false, err);
    case ESP_RULING_HOLD:
        return hold(joiner, own, kind, header, err);
    case ESP_RULING_ACCEPT:
        break;
    }
    return admit(joiner, &arrival, err);
}

enum esp_status esp_arrivals_end(struct esp_joiner *joiner, enum esp_event_kind kind,
                                 uint32_t partition, struct esp_error *err)
{
    struct esp_join_partition *own = &joiner->partitions[joiner->first[kind] + partition];
    struct esp_settlement settlement;
    struct esp_rewind since = {own->held_since, own->clock.largest_us};
    esp_partition_clock_end(&own->clock, &settlement);
    if (own->clock.largest_us >= own->rewinds.next_us && own->clock.largest_us > since.largest_us)
        esp_rewind_note(joiner, own, since);
    return settle(joiner, kind, partition, own, &settlement, err);
}
