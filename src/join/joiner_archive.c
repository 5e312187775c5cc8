/*
 * joiner_archive.c - the joiner in a checkpoint.
 *
 * The ring's references are places, so all that consists of them (the index, the calendars, the
 * clicked table) goes as it stands, and the joiner that is read goes on as the one that was written
 * would have, to the last bit of what it gives.
 *
 * Left out is what changes nothing of that:
 *
 *     ahead, n_clicks_ahead  what is prefetched
 *     outcasts               of the last push: the caller has them
 *     idle, ended            of the reader, not of what was read: a partition that had ended under
 *                            `hold` goes on if there is more of it, and one that is silent still is
 *                            found to be so again. W is kept, and never falls, so it is no less for
 *                            that; and all that an idle partition changes is how soon W rises, but
 *                            for what is counted behind_idle.
 *
 * What is read is held against the invariants before it is used: see joiner_check.c.
 */
#include "join/joiner_state.h"

/* Maturities, which are sums of times and spans. */
#define MAX_SUM_US (INT64_C(1) << 62)

/* ---- what the configuration fixes ------------------------------------------------------------ */

static void archive_config(struct esp_archive *archive, const struct esp_joiner_config *config)
{
    const struct {
        int64_t value;
        const char *what;
    } rows[] = {
        {config->click_window_us, "join.click_window (in us)"},
        {config->install_window_us, "join.install_window (in us)"},
        {config->grace_us[ESP_IMPRESSION], "impressions.grace (in us)"},
        {config->grace_us[ESP_CLICK], "clicks.grace (in us)"},
        {config->grace_us[ESP_INSTALL], "installs.grace (in us)"},
        {config->future_us, "time.future (in us)"},
        {config->ahead_us, "time.ahead (in us)"},
        {config->installs_by_click, "whether installs name clicks"},
        {config->n_partitions[ESP_INSTALL] > 0, "whether there are installs"},
        {config->whole_wanted != NULL, "whether whole labels are wanted"},
        {ESP_N_REJECTS, "the number of reasons for a dead letter"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        esp_archive_same(archive, (uint64_t)rows[i].value, rows[i].what);
}

/* ---- partitions ------------------------------------------------------------------------------ */

/* The parts of a held header that point into its bytes, in their order there. */
enum { N_PARTS = 4 };
static void parts_of(struct esp_header *header, struct esp_bytes *parts[N_PARTS])
{
    parts[0] = &header->id;
    parts[1] = &header->click_id;
    parts[2] = &header->payload;
    parts[3] = &header->raw;
}

/* The bytes of a held event. Those of a part that is NULL are none, and NULL again. */
static void archive_held_bytes(struct esp_archive *archive, struct esp_held *held)
{
    struct esp_bytes *parts[N_PARTS];
    size_t n_bytes = held->n_bytes, n_parts = 0;
    bool is_there[N_PARTS];
    parts_of(&held->header, parts);
    esp_archive_count(archive, &n_bytes, 1);
    for (size_t i = 0; i < N_PARTS; i++) {
        is_there[i] = parts[i]->data != NULL;
        esp_archive_bool(archive, &is_there[i]);
        esp_archive_size(archive, &parts[i]->size);
        bool is_within = is_there[i] ? parts[i]->size <= n_bytes - n_parts : parts[i]->size == 0;
        if (!esp_archive_check(archive, is_within, "the size of a held event"))
            return;
        n_parts += parts[i]->size;
    }
    if (!esp_archive_check(archive, n_parts == n_bytes, "the size of a held event"))
        return;
    if (esp_archive_reads(archive)) {
        uint8_t *at = malloc(n_bytes + 1);
        if (at == NULL) {
            esp_archive_fail(archive, ESP_ENOMEM, "out of memory for a held event");
            return;
        }
        held->bytes = at;
        held->n_bytes = n_bytes;
        for (size_t i = 0; i < N_PARTS; i++) {
            parts[i]->data = is_there[i] ? at : NULL;
            at += parts[i]->size;
        }
    }
    esp_archive_bytes(archive, held->bytes, n_bytes);
}

static void archive_held(struct esp_archive *archive, struct esp_joiner *joiner,
                         struct esp_held *held)
{
    struct esp_header *header = &held->header;
    esp_archive_i64(archive, &header->time_us);
    esp_archive_i64(archive, &header->log_time_us);
    esp_archive_i64(archive, &header->offset);
    esp_archive_u16(archive, &header->writer);
    archive_held_bytes(archive, held);
    if (!esp_archive_reads(archive) || !esp_archive_is_ok(archive))
        return;
    header->id_hash = esp_hash(header->id);
    header->click_id_hash = header->click_id.size > 0 ? esp_hash(header->click_id) : 0;
    joiner->held_bytes += held->n_bytes;
    esp_archive_check(archive, esp_arrival_reject(joiner, header) == ESP_REJECT_NONE,
                      "a held event");
}

static void archive_partition(struct esp_archive *archive, struct esp_joiner *joiner,
                              struct esp_join_partition *partition)
{
    esp_partition_clock_archive(archive, &partition->clock, ESP_JOIN_MAX_US);
    size_t n_held = partition->clock.n_held;
    if (n_held > 0)
        esp_archive_i64(archive, &partition->held_since);
    if (esp_archive_reads(archive) && n_held > 0) {
        partition->held = calloc(ESP_MAX_HELD, sizeof *partition->held);
        if (partition->held == NULL) {
            esp_archive_fail(archive, ESP_ENOMEM, "out of memory for held events");
            return;
        }
        partition->n_held = n_held;
    }
    for (size_t i = 0; i < n_held; i++)
        archive_held(archive, joiner, &partition->held[i]);
    esp_rewinds_archive(archive, &partition->rewinds, ESP_JOIN_MAX_US);
}

static void archive_partitions(struct esp_archive *archive, struct esp_joiner *joiner)
{
    for (int kind = 0; kind < ESP_N_EVENT_KINDS; kind++) {
        size_t n = joiner->config.n_partitions[kind], n_saved = n;
        esp_archive_size(archive, &n_saved);
        if (n_saved > n) {
            esp_archive_fail(archive, ESP_EDATA,
                             "the topic of %ss has %zu partitions, and had %zu when the state was "
                             "saved; a topic cannot lose any: name the one that was read",
                             esp_event_kind_name((enum esp_event_kind)kind), n, n_saved);
            return;
        }
        for (size_t i = 0; i < n_saved && esp_archive_is_ok(archive); i++)
            archive_partition(archive, joiner, &joiner->partitions[joiner->first[kind] + i]);
    }
}

/* ---- the rest -------------------------------------------------------------------------------- */

static bool is_sum(int64_t time_us)
{
    return time_us == ESP_TIME_NONE || (time_us >= -MAX_SUM_US && time_us <= MAX_SUM_US);
}

static void archive_time(struct esp_archive *archive, struct esp_joiner *joiner)
{
    esp_archive_bool(archive, &joiner->is_closed);
    esp_archive_i64(archive, &joiner->watermark_us);
    esp_archive_i64(archive, &joiner->position_us);
    esp_archive_i64(archive, &joiner->left_us);
    esp_archive_u64(archive, &joiner->next_ticket);
    bool is_possible =
        joiner->is_closed ? joiner->watermark_us == ESP_TIME_END : is_sum(joiner->watermark_us);
    esp_archive_check(archive, is_possible, "the watermark");
    esp_archive_check(archive, is_sum(joiner->position_us), "the position");
    esp_archive_check(archive, joiner->left_us <= joiner->position_us && is_sum(joiner->left_us),
                      "the time of the last label");
    esp_archive_check(archive, joiner->next_ticket <= INT64_MAX, "the number of labels");
}

static void archive_counters(struct esp_archive *archive, struct esp_joiner *joiner)
{
    for (size_t kind = 0; kind < ESP_N_EVENT_KINDS; kind++) {
        struct esp_join_counters *counters = &joiner->counters[kind];
        uint64_t *const values[] = {
            &counters->read, &counters->labelled, &counters->duplicate, &counters->unmatched,
            &counters->late, &counters->dead,     &counters->pending,   &counters->behind_idle,
        };
        for (size_t i = 0; i < sizeof values / sizeof *values; i++)
            esp_archive_u64(archive, values[i]);
        for (size_t i = 0; i < ESP_N_REJECTS; i++)
            esp_archive_u64(archive, &counters->dead_by_reason[i]);
    }
    esp_archive_u64(archive, &joiner->n_stored);
    esp_archive_u64(archive, &joiner->record_bytes);
}

static void note_writer(void *context, int64_t time_us, uint32_t entry)
{
    struct esp_joiner *joiner = context;
    uint32_t ref = entry & ~(uint32_t)ESP_REF_WHOLE;
    size_t writer = esp_impression_record(joiner, ref)->writer;
    (void)time_us;
    if (writer >= joiner->n_writers)
        joiner->n_writers = writer + 1;
}

static void note_writers(struct esp_joiner *joiner)
{
    esp_calendar_each(&joiner->due, note_writer, joiner);
    esp_calendar_each(&joiner->later, note_writer, joiner);
    for (size_t i = 0; i < joiner->config.n_partitions[ESP_IMPRESSION]; i++) {
        const struct esp_join_partition *partition = &joiner->partitions[i];
        for (size_t k = 0; k < partition->n_held; k++)
            if (partition->held[k].header.writer >= joiner->n_writers)
                joiner->n_writers = (size_t)partition->held[k].header.writer + 1;
    }
}

/* What follows from what was read, once that is found to be possible. */
static void go_on(struct esp_archive *archive, struct esp_joiner *joiner)
{
    const char *what = NULL;
    int unsound = esp_joiner_unsound(joiner, &what);
    if (unsound == ESP_UNSOUND_NO_MEMORY)
        esp_archive_fail(archive, ESP_ENOMEM, "out of memory to check the state of the join");
    else if (unsound != 0)
        esp_archive_fail(archive, ESP_EDATA, "%s in the state of the join is not possible", what);
    if (unsound != 0)
        return;
    for (size_t i = 0; i < joiner->n_partitions; i++) {
        struct esp_watermark_source *source = &joiner->sources[i];
        source->watermark_us = esp_partition_clock_watermark(&joiner->partitions[i].clock);
        source->is_ended = source->is_out = joiner->is_closed;
    }
    note_writers(joiner);
    esp_paging_restored(joiner);
}

void esp_joiner_archive(struct esp_archive *archive, struct esp_joiner *joiner)
{
    struct esp_calendar *calendars[] = {&joiner->due,    &joiner->later,    &joiner->contenders,
                                        &joiner->clicks, &joiner->installs, &joiner->click_ends};
    esp_archive_mark(archive, "joiner", 1);
    archive_config(archive, &joiner->config);
    archive_partitions(archive, joiner);
    archive_time(archive, joiner);
    archive_counters(archive, joiner);
    if (esp_archive_is_ok(archive))
        esp_ring_archive(archive, &joiner->ring);
    if (esp_archive_is_ok(archive))
        esp_clicked_table_archive(archive, &joiner->clicked);
    if (esp_archive_is_ok(archive))
        esp_id_index_archive(archive, &joiner->pending);
    if (esp_archive_is_ok(archive))
        esp_id_index_archive(archive, &joiner->click_ids);
    for (size_t i = 0; i < sizeof calendars / sizeof *calendars && esp_archive_is_ok(archive); i++)
        esp_calendar_archive(archive, calendars[i], MAX_SUM_US);
    if (esp_archive_reads(archive) && esp_archive_is_ok(archive))
        go_on(archive, joiner);
}

size_t esp_joiner_n_writers(const struct esp_joiner *joiner)
{
    return joiner->n_writers;
}
