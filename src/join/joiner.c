/*
 * joiner.c - pairs impressions, clicks and installs inside their windows.
 *
 * DEFINITION  Take the events that are not late, sort them by (time, impression < click < install,
 * id, bytes), and join in that order (docs/design.md, section 2). The code below does that as
 * literally as it can while events still come in, in any order.
 *
 * TIME  Everything moves by W, the watermark, and nothing else. Once W > t no event of time t can
 * come any more that is not late. So whatever depends on an order waits until W has passed it:
 *
 *     what                  waits until W passes   then
 *     click, install        its own time           finds its impression, or is unmatched
 *     contender             its own time           duplicate, or gets the id that is free now
 *     impression            t_i + W_c              its click label leaves
 *     clicked impression    max(t_i + W_c,         its install label leaves
 *                               t_c + W_z)
 *     a wanted impression   t_i + W_c + W_z        its whole label leaves
 *
 * departures.c takes these in one merged order: before a label of maturity m leaves, every waiting
 * event of time <= m is applied, and after it left, events of time > m are. So at each step the
 * state is what the definition says at that point of the sorted order, however events came in and
 * however often push and advance were called in between.
 *
 * ONE ID, ONE IMPRESSION  Most impressions never meet another of their id, so an impression gets
 * its id when it arrives, without waiting. When a second of the same id arrives, the later of the
 * two in the sorted order is a contender: it waits for its own time, at which the definition
 * decides. An earlier-timed one that arrives later simply takes the slot, and the one that had
 * it is the contender; that one cannot have been clicked, for then W would have passed its time,
 * and what is earlier still would be late. The same goes for a contender whose time has come while
 * a later one, which arrived when the id was free, has the slot.
 *
 *     (arrives) --esp_pairing_enroll--> [holder] <------------------.
 *         '-----esp_pairing_enroll--> [contender] --its time passed, id free
 *                                          '--its time passed, id taken by an earlier one-->
 * duplicate [holder] --a click counts--> [holder, clicked] [holder] --click stage, nothing
 * follows--> labelled [holder] --click stage, more follows--> [long] --last label--> labelled
 *
 * MEMORY  A record of lane IMPRESSIONS stays exactly until its click stage, whatever became of it,
 * so segments empty in about the order they were filled. What lives longer is copied to lane LONG
 * at that point. A pending impression costs its record, 20 bytes and padding, 8 in a calendar and
 * 12 to 13.5 in the index; in lane LONG 16 more.
 * Past the cap segments become mapped files (paging.c): records are read alike, and no result
 * depends on where they are.
 *
 * INVARIANTS (esp_joiner_check() asserts each by number)
 *  (1) W never falls below the position: no label has left, and no event was applied, whose time
 *      W has not passed.
 *  (2) An id has at most one slot in `pending`, it is filed under its hash, and leads to a live
 *      record of that id.
 *  (3) Every record of lane IMPRESSIONS is in `due` once; every impression of lane LONG is in
 *      `later` once and holds its id; every clicked entry is held by one slot.
 *  (4) read == labelled + duplicate + unmatched + late + dead + pending, per topic.
 *  (5) pending == held + stored impressions, and held + waiting clicks or installs.
 *  (6) Stored impressions are the holders of ids and the contenders, and record_bytes their sum.
 *  (7) Nothing waits, and no label is due, before the position.
 *  (8) A segment's count of live records is the number of calendar entries that lead into it.
 *  (9) An event is held if and only if its partition's clock holds its time.
 * (10) A reference leads to a whole record, of the kind and time that its entry says, and each
 *      record has one entry that keeps it.
 * (11) A calendar is in order.
 * (12) A click before the position is an impression's own: one with a click, or whose click stage
 *      has passed, is not later than the position.
 */
#include "join/joiner.h"

#include "join/joiner_state.h"

enum {
    DEFAULT_SEGMENT = 16 << 20,
    MIN_SHIFT = 20, /* a bucket is at least a second wide */
    MAX_SHIFT = 32,
    BUCKETS = 1024, /* about as many are filled at a time */
};

/* ---- how the calendars order entries of equal time ---- */

static struct esp_bytes impression_key(const void *context, uint32_t ref)
{
    return esp_stored_id(esp_impression_record(context, ref & ~(uint32_t)ESP_REF_WHOLE));
}

static int impression_compare(const void *context, uint32_t a, uint32_t b)
{
    return esp_bytes_compare(esp_stored_payload(esp_impression_record(context, a)),
                             esp_stored_payload(esp_impression_record(context, b)));
}

/* By stage: one impression's install and whole label may be due together. */
static int later_compare(const void *context, uint32_t a, uint32_t b)
{
    (void)context;
    bool a_whole = (a & (uint32_t)ESP_REF_WHOLE) != 0, b_whole = (b & (uint32_t)ESP_REF_WHOLE) != 0;
    return a_whole - b_whole;
}

static struct esp_bytes waiting_key(const void *context, uint32_t ref)
{
    return esp_stored_id(esp_plain_record(context, ref));
}

/* Clicks (installs) of equal time and id are interchangeable: any order gives the same result. */
static int no_compare(const void *context, uint32_t a, uint32_t b)
{
    (void)context, (void)a, (void)b;
    return 0;
}

static struct esp_bytes no_key(const void *context, uint32_t ref)
{
    (void)context, (void)ref;
    return esp_bytes(NULL, 0);
}

/* The width of buckets for entries that lie about `span` in the calendar. */
static unsigned shift_for(int64_t span_us)
{
    unsigned shift = MIN_SHIFT;
    while (shift < MAX_SHIFT && (INT64_C(1) << shift) < span_us / BUCKETS)
        shift++;
    return shift;
}

static void init_calendars(struct esp_joiner *joiner)
{
    const struct esp_joiner_config *config = &joiner->config;
    struct esp_calendar_order impressions = {impression_key, impression_compare, joiner};
    struct esp_calendar_order later = {impression_key, later_compare, joiner};
    struct esp_calendar_order waiting = {waiting_key, no_compare, joiner};
    struct esp_calendar_order none = {no_key, no_compare, joiner};
    int64_t grace_us = 0;
    for (size_t kind = 0; kind < ESP_N_EVENT_KINDS; kind++)
        grace_us = config->grace_us[kind] > grace_us ? config->grace_us[kind] : grace_us;
    unsigned short_shift = shift_for(config->click_window_us + grace_us);
    unsigned long_shift = shift_for(config->install_window_us);
    esp_calendar_init(&joiner->due, short_shift, impressions);
    esp_calendar_init(&joiner->later, long_shift, later);
    esp_calendar_init(&joiner->contenders, short_shift, impressions);
    esp_calendar_init(&joiner->clicks, shift_for(grace_us), waiting);
    esp_calendar_init(&joiner->installs, shift_for(grace_us), waiting);
    esp_calendar_init(&joiner->click_ends, long_shift, none);
}

/* ---- making and freeing ---- */

static bool is_span(int64_t span_us)
{
    return span_us >= 0 && span_us <= ESP_JOIN_MAX_US;
}

static enum esp_status validate(const struct esp_joiner_config *config, struct esp_error *err)
{
    bool good = is_span(config->click_window_us) && is_span(config->install_window_us) &&
                is_span(config->future_us) && is_span(config->ahead_us) &&
                is_span(config->idle_lag_us);
    for (size_t kind = 0; kind < ESP_N_EVENT_KINDS; kind++)
        good = good && is_span(config->grace_us[kind]) && config->n_partitions[kind] <= UINT32_MAX;
    if (!good)
        return esp_fail(err, ESP_EINVAL, "a window or span of the join is negative or too long");
    if (config->n_partitions[ESP_IMPRESSION] == 0)
        return esp_fail(err, ESP_EINVAL, "the join needs a partition of impressions");
    return ESP_OK;
}

/* Makes room for n partitions at `at`, moves those behind, and begins the new ones. */
static enum esp_status insert_partitions(struct esp_joiner *joiner, enum esp_event_kind kind,
                                         size_t at, size_t n, struct esp_error *err)
{
    const struct esp_joiner_config *config = &joiner->config;
    size_t n_all = joiner->n_partitions + n, n_behind = joiner->n_partitions - at;
    struct esp_join_partition *partitions =
        realloc(joiner->partitions, (n_all + 1) * sizeof *partitions);
    if (partitions != NULL)
        joiner->partitions = partitions;
    struct esp_watermark_source *sources = realloc(joiner->sources, (n_all + 1) * sizeof *sources);
    if (sources != NULL)
        joiner->sources = sources;
    if (partitions == NULL || sources == NULL)
        return esp_fail(err, ESP_ENOMEM, "out of memory for %zu partitions", n_all);
    memmove(partitions + at + n, partitions + at, n_behind * sizeof *partitions);
    memmove(sources + at + n, sources + at, n_behind * sizeof *sources);
    for (size_t i = at; i < at + n; i++) {
        partitions[i] = (struct esp_join_partition){.held = NULL};
        esp_partition_clock_init(&partitions[i].clock, config->grace_us[kind], config->future_us,
                                 config->ahead_us);
        esp_rewind_init(joiner, &partitions[i]);
        sources[i] = (struct esp_watermark_source){.watermark_us = ESP_TIME_NONE};
    }
    joiner->n_partitions = n_all;
    return ESP_OK;
}

static enum esp_status make_partitions(struct esp_joiner *joiner, struct esp_error *err)
{
    enum esp_status status = ESP_OK;
    for (int kind = 0; kind < ESP_N_EVENT_KINDS && status == ESP_OK; kind++) {
        joiner->first[kind] = joiner->n_partitions;
        status = insert_partitions(joiner, (enum esp_event_kind)kind, joiner->n_partitions,
                                   joiner->config.n_partitions[kind], err);
    }
    return status;
}

enum esp_status esp_joiner_new(const struct esp_joiner_config *config, struct esp_joiner **out,
                               struct esp_error *err)
{
    enum esp_status status = validate(config, err);
    if (status != ESP_OK)
        return status;
    struct esp_joiner *joiner = calloc(1, sizeof *joiner);
    if (joiner == NULL)
        return esp_fail(err, ESP_ENOMEM, "out of memory for the join");
    joiner->config = *config;
    joiner->has_installs = config->n_partitions[ESP_INSTALL] > 0;
    joiner->watermark_us = joiner->position_us = joiner->left_us = ESP_TIME_NONE;
    esp_outcasts_init(&joiner->outcasts);
    init_calendars(joiner);
    status = esp_ring_init(&joiner->ring,
                           config->segment_bytes > 0 ? config->segment_bytes : DEFAULT_SEGMENT,
                           config->store == NULL ? config->max_store_bytes : 0, err);
    if (status == ESP_OK && config->store != NULL)
        esp_ring_lend(&joiner->ring, config->store);
    if (status == ESP_OK)
        status = make_partitions(joiner, err);
    if (status != ESP_OK)
        goto out;
    *out = joiner;
    joiner = NULL; /* moved to the caller */
out:
    esp_joiner_free(joiner);
    return status;
}

void esp_joiner_free(struct esp_joiner *joiner)
{
    if (joiner == NULL)
        return;
    struct esp_calendar *calendars[] = {&joiner->due,    &joiner->later,    &joiner->contenders,
                                        &joiner->clicks, &joiner->installs, &joiner->click_ends};
    for (size_t i = 0; i < sizeof calendars / sizeof *calendars; i++)
        esp_calendar_release(calendars[i]);
    for (size_t i = 0; joiner->partitions != NULL && i < joiner->n_partitions; i++)
        esp_arrivals_release(&joiner->partitions[i]);
    free(joiner->partitions);
    free(joiner->sources);
    esp_clicked_table_release(&joiner->clicked);
    esp_id_index_release(&joiner->pending);
    esp_id_index_release(&joiner->click_ids);
    esp_ring_release_all(&joiner->ring);
    esp_outcasts_release(&joiner->outcasts);
    free(joiner);
}

/* ---- finding impressions ---- */

size_t esp_pending_find(const struct esp_joiner *joiner, uint64_t hash, struct esp_bytes id)
{
    size_t slot = esp_id_index_first(&joiner->pending, hash);
    for (; slot != ESP_NO_SLOT; slot = esp_id_index_next(&joiner->pending, slot)) {
        uint32_t ref = esp_slot_record(joiner, slot);
        if (esp_bytes_equal(id, esp_stored_id(esp_impression_record(joiner, ref))))
            break;
    }
    return slot;
}

size_t esp_pending_find_record(const struct esp_joiner *joiner, uint64_t hash, uint32_t ref)
{
    size_t slot = esp_id_index_at_home(&joiner->pending, hash, ref);
    if (slot != ESP_NO_SLOT)
        return slot;
    slot = esp_id_index_first(&joiner->pending, hash);
    while (slot != ESP_NO_SLOT && esp_slot_record(joiner, slot) != ref)
        slot = esp_id_index_next(&joiner->pending, slot);
    return slot;
}

/* ---- the public face ---- */

static size_t partition_index(const struct esp_joiner *joiner, enum esp_event_kind kind,
                              uint32_t partition)
{
    return joiner->first[kind] + partition;
}

static enum esp_status check_partition(const struct esp_joiner *joiner, enum esp_event_kind kind,
                                       uint32_t partition, struct esp_error *err)
{
    if ((size_t)kind >= ESP_N_EVENT_KINDS || partition >= joiner->config.n_partitions[kind])
        return esp_fail(err, ESP_EINVAL, "partition %u of kind %d is not part of the join",
                        (unsigned)partition, (int)kind);
    if (joiner->sources[partition_index(joiner, kind, partition)].is_ended)
        return esp_fail(err, ESP_EINVAL, "partition %u of kind %d has ended", (unsigned)partition,
                        (int)kind);
    return ESP_OK;
}

static void raise_watermark(struct esp_joiner *joiner)
{
    joiner->watermark_us = esp_watermark_raise(joiner->watermark_us, joiner->sources,
                                               joiner->n_partitions, joiner->config.idle_lag_us);
}

static void note_partition(struct esp_joiner *joiner, size_t index)
{
    const struct esp_partition_clock *clock = &joiner->partitions[index].clock;
    struct esp_watermark_source *source = &joiner->sources[index];
    source->watermark_us = esp_partition_clock_watermark(clock);
    /* One that ended with nothing but held events: whichever of them a later run accepts is at or
     * after this. */
    if (source->is_ended && source->watermark_us == ESP_TIME_NONE)
        source->watermark_us = esp_partition_clock_held_watermark(clock);
    raise_watermark(joiner);
}

enum esp_status esp_joiner_add_partitions(struct esp_joiner *joiner, enum esp_event_kind kind,
                                          size_t n, struct esp_error *err)
{
    size_t *now = &joiner->config.n_partitions[kind];
    if (*now == 0 || n > UINT32_MAX - *now || joiner->is_closed)
        return esp_fail(err, ESP_EINVAL,
                        "%zu partitions cannot be added to the %zu of kind %d while the join runs",
                        n, *now, (int)kind);
    enum esp_status status = insert_partitions(joiner, kind, joiner->first[kind] + *now, n, err);
    if (status != ESP_OK)
        return status;
    *now += n;
    for (int behind = kind + 1; behind < ESP_N_EVENT_KINDS; behind++)
        joiner->first[behind] += n;
    return ESP_OK;
}

enum esp_status esp_joiner_begin_at(struct esp_joiner *joiner, enum esp_event_kind kind,
                                    uint32_t partition, const struct esp_rewind *point,
                                    struct esp_error *err)
{
    enum esp_status status = check_partition(joiner, kind, partition, err);
    if (status != ESP_OK)
        return status;
    size_t index = partition_index(joiner, kind, partition);
    struct esp_join_partition *own = &joiner->partitions[index];
    bool is_time = point->largest_us >= -ESP_JOIN_MAX_US && point->largest_us <= ESP_JOIN_MAX_US;
    if ((point->largest_us != ESP_TIME_NONE && !is_time) ||
        own->clock.largest_us != ESP_TIME_NONE || own->n_held > 0)
        return esp_fail(err, ESP_EINVAL, "partition %u of kind %d cannot begin at this point",
                        (unsigned)partition, (int)kind);
    own->clock.largest_us = point->largest_us;
    esp_rewinds_init(&own->rewinds, own->rewinds.shift, *point);
    note_partition(joiner, index);
    return ESP_OK;
}

/* Fetches what the first n_here headers need beyond their home lines, which were fetched the time
 * before, and the home lines of those behind them. */
static void look_ahead(const struct esp_joiner *joiner, const struct esp_header *headers,
                       size_t n_here, size_t n)
{
    for (size_t i = n_here; i < n && i < n_here + ESP_AHEAD; i++)
        esp_id_index_prefetch(&joiner->pending, headers[i].id_hash);
    for (size_t i = 0; i < n_here; i++)
        esp_id_index_prefetch_next(&joiner->pending, headers[i].id_hash);
}

enum esp_status esp_joiner_push(struct esp_joiner *joiner, enum esp_event_kind kind,
                                uint32_t partition, const struct esp_header *headers, size_t n,
                                struct esp_error *err)
{
    enum esp_status status = check_partition(joiner, kind, partition, err);
    if (status != ESP_OK)
        return status;
    esp_ring_reclaim(&joiner->ring);
    esp_paging_look(joiner);
    esp_outcasts_clear(&joiner->outcasts);
    size_t index = partition_index(joiner, kind, partition);
    if (n > 0)
        joiner->sources[index].is_idle = false;
    bool looks_up = kind == ESP_IMPRESSION;
    if (looks_up)
        status = esp_id_index_reserve(&joiner->pending, n, err);
    if (looks_up && status == ESP_OK)
        look_ahead(joiner, headers, 0, n);
    for (size_t i = 0; i < n && status == ESP_OK; i++) {
        if (looks_up && i % ESP_AHEAD == 0)
            look_ahead(joiner, headers + i, n - i < ESP_AHEAD ? n - i : ESP_AHEAD, n - i);
        status = esp_arrival(joiner, kind, partition, &headers[i], err);
    }
    note_partition(joiner, index);
    esp_outcasts_seal(&joiner->outcasts);
    return status;
}

const struct esp_turned_away *esp_joiner_turned_away(const struct esp_joiner *joiner, size_t *out_n)
{
    *out_n = joiner->outcasts.n;
    return joiner->outcasts.items;
}

enum esp_status esp_joiner_advance(struct esp_joiner *joiner, struct esp_label *labels,
                                   size_t capacity, size_t *out_n, struct esp_error *err)
{
    esp_ring_reclaim(&joiner->ring);
    esp_paging_look(joiner);
    return esp_departures(joiner, labels, capacity, out_n, err);
}

void esp_joiner_set_idle(struct esp_joiner *joiner, enum esp_event_kind kind, uint32_t partition,
                         bool idle)
{
    joiner->sources[partition_index(joiner, kind, partition)].is_idle = idle;
    raise_watermark(joiner);
}

enum esp_status esp_joiner_end(struct esp_joiner *joiner, enum esp_event_kind kind,
                               uint32_t partition, bool close, struct esp_error *err)
{
    enum esp_status status = check_partition(joiner, kind, partition, err);
    if (status != ESP_OK)
        return status;
    esp_outcasts_clear(&joiner->outcasts);
    size_t index = partition_index(joiner, kind, partition);
    if (close)
        status = esp_arrivals_end(joiner, kind, partition, err);
    joiner->sources[index].is_ended = true;
    joiner->sources[index].is_out = close;
    note_partition(joiner, index);
    esp_outcasts_seal(&joiner->outcasts);
    return status;
}

enum esp_status esp_joiner_close(struct esp_joiner *joiner, struct esp_error *err)
{
    for (size_t i = 0; i < joiner->n_partitions; i++)
        if (!joiner->sources[i].is_ended)
            return esp_fail(err, ESP_EINVAL, "the join is closed before its input has ended");
    esp_outcasts_clear(&joiner->outcasts);
    enum esp_status status = ESP_OK;
    for (int kind = 0; kind < ESP_N_EVENT_KINDS; kind++)
        for (size_t i = 0; i < joiner->config.n_partitions[kind] && status == ESP_OK; i++)
            status = esp_arrivals_end(joiner, (enum esp_event_kind)kind, (uint32_t)i, err);
    esp_outcasts_seal(&joiner->outcasts);
    if (status == ESP_OK) {
        joiner->watermark_us = ESP_TIME_END;
        joiner->is_closed = true;
    }
    return status;
}

bool esp_joiner_is_closed(const struct esp_joiner *joiner)
{
    return joiner->is_closed;
}

int64_t esp_joiner_watermark(const struct esp_joiner *joiner)
{
    return joiner->watermark_us;
}

int64_t esp_joiner_partition_watermark(const struct esp_joiner *joiner, enum esp_event_kind kind,
                                       uint32_t partition)
{
    return joiner->sources[partition_index(joiner, kind, partition)].watermark_us;
}

void esp_joiner_counters(const struct esp_joiner *joiner, enum esp_event_kind kind,
                         struct esp_join_counters *out)
{
    *out = joiner->counters[kind];
}
