/*
 * intake.c - see intake.h.
 *
 * WHERE A PARTITION STANDS is its own watermark in the joiner, since the smallest of these is W,
 * and reading it is what lets labels leave. One without an accepted event counts as where W is, or,
 * before there is one, as where the first of the others began: so a topic that stays empty does not
 * let the others run away from it unboundedly, nor stop them at once.
 *
 * WHO IS READ  The one furthest behind (one without an event before all others), of those that are
 * ready: not paused, not ended, and not asked in vain just now. Where none is ready, the one
 * furthest behind is asked with a wait until the next would be. A partition at its end is ready
 * again ASK_US after it gave nothing, and goes first then, so that a backlog elsewhere does not
 * keep it from being heard.
 *
 * PAUSED is who stands more than the skew ahead of the furthest behind. The furthest behind is
 * taken over all that have not ended, an idle one standing where the joiner has it stand. Silence
 * is counted while a partition is asked, so one that is paused is not idle.
 *
 * NEW  A partition that is added to a running join may have records that W has not passed yet, so
 * it holds W like any other until they are read. Whether it has any is known as soon as it was
 * asked at its confirmed end: nobody need wait for idle_after, as its silence ends none that was
 * speech. From its first record on it is like the others.
 */
#include "join/intake.h"

#include <assert.h>

enum {
    ASK_US = 100 * 1000, /* at the end and silent: asked that often */
    DRY_US = 1000,       /* not at the end, but nothing came: another may have something */
};

struct source {
    enum esp_event_kind kind;
    uint32_t partition;
    bool has_ended, is_idle, is_paused;
    bool is_new;             /* was added to a running join, and has given no record yet */
    bool has_reached;        /* its end, at some time */
    bool has_spoken;         /* has a watermark of its own */
    bool was_silent;         /* at its confirmed end, and the last read gave nothing */
    int64_t ready_us;        /* not before */
    int64_t silent_since_us; /* if was_silent */
    int64_t position_us;     /* where it stands, as of the last call of place_all() */
};

struct esp_intake {
    struct esp_intake_config config;
    struct esp_joiner *joiner; /* borrowed */
    struct source *sources;
    size_t n_sources, n_idle, n_paused, n_ended, n_reached;
    size_t first[ESP_N_EVENT_KINDS];
    int64_t start_us; /* the smallest watermark that a partition began with; ESP_TIME_NONE: none */
};

enum esp_status esp_intake_new(const struct esp_intake_config *config, struct esp_joiner *joiner,
                               struct esp_intake **out, struct esp_error *err)
{
    struct esp_intake *intake = calloc(1, sizeof *intake);
    if (intake == NULL)
        return esp_fail(err, ESP_ENOMEM, "out of memory for the intake");
    intake->config = *config;
    intake->joiner = joiner;
    intake->start_us = ESP_TIME_NONE;
    for (size_t kind = 0; kind < ESP_N_EVENT_KINDS; kind++) {
        intake->first[kind] = intake->n_sources;
        intake->n_sources += config->n_partitions[kind];
    }
    intake->sources = calloc(intake->n_sources + 1, sizeof *intake->sources);
    if (intake->sources == NULL) {
        free(intake);
        return esp_fail(err, ESP_ENOMEM, "out of memory for the intake");
    }
    for (size_t kind = 0; kind < ESP_N_EVENT_KINDS; kind++)
        for (size_t i = 0; i < config->n_partitions[kind]; i++)
            intake->sources[intake->first[kind] + i] = (struct source){
                .kind = (enum esp_event_kind)kind, .partition = (uint32_t)i, .ready_us = INT64_MIN};
    *out = intake;
    return ESP_OK;
}

enum esp_status esp_intake_add_partitions(struct esp_intake *intake, enum esp_event_kind kind,
                                          size_t n, struct esp_error *err)
{
    size_t *now = &intake->config.n_partitions[kind];
    size_t at = intake->first[kind] + *now, n_all = intake->n_sources + n;
    struct source *sources = realloc(intake->sources, (n_all + 1) * sizeof *sources);
    if (sources == NULL)
        return esp_fail(err, ESP_ENOMEM, "out of memory for %zu partitions", n_all);
    intake->sources = sources;
    enum esp_status status = esp_joiner_add_partitions(intake->joiner, kind, n, err);
    if (status != ESP_OK)
        return status;
    memmove(sources + at + n, sources + at, (intake->n_sources - at) * sizeof *sources);
    for (size_t i = 0; i < n; i++)
        sources[at + i] = (struct source){
            .kind = kind, .partition = (uint32_t)(*now + i), .is_new = true, .ready_us = INT64_MIN};
    *now += n;
    intake->n_sources = n_all;
    for (int behind = kind + 1; behind < ESP_N_EVENT_KINDS; behind++)
        intake->first[behind] += n;
    return ESP_OK;
}

void esp_intake_free(struct esp_intake *intake)
{
    if (intake == NULL)
        return;
    free(intake->sources);
    free(intake);
}

static void set_idle(struct esp_intake *intake, struct source *source, bool idle)
{
    if (source->is_idle == idle)
        return;
    source->is_idle = idle;
    if (idle)
        intake->n_idle++;
    else
        intake->n_idle--;
    esp_joiner_set_idle(intake->joiner, source->kind, source->partition, idle);
}

/* Brings position_us and is_paused of all sources up to date. */
static void place_all(struct esp_intake *intake)
{
    int64_t w_us = esp_joiner_watermark(intake->joiner), behind_us = ESP_TIME_END;
    for (size_t i = 0; i < intake->n_sources; i++) {
        struct source *source = &intake->sources[i];
        if (source->has_ended)
            continue;
        int64_t own_us =
            esp_joiner_partition_watermark(intake->joiner, source->kind, source->partition);
        source->has_spoken = own_us != ESP_TIME_NONE;
        if (!source->has_spoken)
            own_us = w_us > intake->start_us ? w_us : intake->start_us;
        /* W itself is at or below where any idle one stands: near enough to judge others by. */
        if (source->is_idle && w_us > own_us)
            own_us = w_us;
        source->position_us = own_us;
        if (own_us < behind_us)
            behind_us = own_us;
    }
    intake->n_paused = 0;
    for (size_t i = 0; i < intake->n_sources; i++) {
        struct source *source = &intake->sources[i];
        source->is_paused = !source->has_ended && behind_us != ESP_TIME_NONE &&
                            source->position_us - behind_us > intake->config.skew_us;
        if (source->is_paused) {
            source->was_silent = false; /* what it would have said is not known */
            set_idle(intake, source, false);
        }
        intake->n_paused += source->is_paused;
    }
}

/* Is a better to read than b? Both are neither ended nor paused. */
static bool is_better(const struct source *a, const struct source *b, int64_t now_us)
{
    bool a_ready = a->ready_us <= now_us, b_ready = b->ready_us <= now_us;
    if (a_ready != b_ready)
        return a_ready;
    bool a_asks = a_ready && a->was_silent, b_asks = b_ready && b->was_silent;
    if (a_asks != b_asks)
        return a_asks;
    if (a->has_spoken != b->has_spoken)
        return b->has_spoken;
    return a->position_us < b->position_us;
}

enum esp_intake_step esp_intake_next(struct esp_intake *intake, int64_t now_us,
                                     enum esp_event_kind *out_kind, uint32_t *out_partition,
                                     int64_t *out_wait_us)
{
    if (intake->n_ended == intake->n_sources)
        return ESP_INTAKE_DONE;
    place_all(intake);
    const struct source *best = NULL;
    int64_t next_ready_us = INT64_MAX;
    for (size_t i = 0; i < intake->n_sources; i++) {
        const struct source *source = &intake->sources[i];
        if (source->has_ended || source->is_paused)
            continue;
        if (source->ready_us < next_ready_us)
            next_ready_us = source->ready_us;
        if (best == NULL || is_better(source, best, now_us))
            best = source;
    }
    assert(best != NULL); /* the furthest behind is never paused */
    *out_kind = best->kind;
    *out_partition = best->partition;
    *out_wait_us = next_ready_us > now_us ? next_ready_us - now_us : 0;
    return ESP_INTAKE_READ;
}

static enum esp_status end_source(struct esp_intake *intake, struct source *source,
                                  struct esp_error *err)
{
    set_idle(intake, source, false);
    source->has_ended = true;
    source->was_silent = false;
    intake->n_ended++;
    return esp_joiner_end(intake->joiner, source->kind, source->partition,
                          intake->config.close_at_end, err);
}

static void note_silence(struct esp_intake *intake, struct source *source, int64_t now_us)
{
    if (!source->was_silent) {
        source->was_silent = true;
        source->silent_since_us = now_us;
    }
    source->ready_us = now_us + ASK_US;
    if (source->is_new || now_us - source->silent_since_us >= intake->config.idle_after_us)
        set_idle(intake, source, true);
}

enum esp_status esp_intake_note(struct esp_intake *intake, enum esp_event_kind kind,
                                uint32_t partition, size_t n, enum esp_log_position position,
                                int64_t now_us, struct esp_error *err)
{
    struct source *source = &intake->sources[intake->first[kind] + partition];
    int64_t own_us = esp_joiner_partition_watermark(intake->joiner, kind, partition);
    if (own_us != ESP_TIME_NONE && (intake->start_us == ESP_TIME_NONE))
        intake->start_us = own_us;
    if (position != ESP_LOG_MORE && !source->has_reached) {
        source->has_reached = true;
        intake->n_reached++;
    }
    if (position == ESP_LOG_ENDED)
        return source->has_ended ? ESP_OK : end_source(intake, source, err);
    if (n > 0) {
        set_idle(intake, source, false);
        source->is_new = false;
        source->was_silent = false;
        source->ready_us = now_us;
    } else if (position == ESP_LOG_AT_END && intake->config.follow) {
        note_silence(intake, source, now_us);
    } else {
        source->was_silent = false;
        source->ready_us = now_us + DRY_US;
    }
    return ESP_OK;
}

size_t esp_intake_n_idle(const struct esp_intake *intake)
{
    return intake->n_idle;
}

size_t esp_intake_n_paused(const struct esp_intake *intake)
{
    return intake->n_paused;
}

size_t esp_intake_n_reached(const struct esp_intake *intake)
{
    return intake->n_reached;
}

/* ---- in a checkpoint ---- */

/*
 * The clock is monotonic, and of another process: since when a partition was silent, and when it
 * may be asked again, begins anew. That changes what is read next, on which no label depends; and a
 * partition may be idle later than it would have been, for which W stands a little longer. Results
 * are claimed to be the same only where nothing is late behind an idle partition, and where nothing
 * is, it does not matter when W passed it.
 */
void esp_intake_archive(struct esp_archive *archive, struct esp_intake *intake)
{
    const int64_t max_us = INT64_C(1) << 61;
    bool is_closed = esp_joiner_is_closed(intake->joiner);
    esp_archive_mark(archive, "intake", 1);
    esp_archive_i64(archive, &intake->start_us);
    esp_archive_check(archive,
                      intake->start_us == ESP_TIME_NONE ||
                          (intake->start_us >= -max_us && intake->start_us <= max_us),
                      "where the input began");
    for (size_t kind = 0; kind < ESP_N_EVENT_KINDS; kind++) {
        size_t n = intake->config.n_partitions[kind], n_saved = n;
        esp_archive_size(archive, &n_saved);
        if (!esp_archive_check(archive, n_saved <= n, "the number of partitions"))
            return;
        for (size_t i = 0; i < n; i++) {
            struct source *source = &intake->sources[intake->first[kind] + i];
            if (i < n_saved) {
                esp_archive_bool(archive, &source->is_new);
                esp_archive_bool(archive, &source->has_reached);
            } else {
                source->is_new = true;
            }
            if (esp_archive_reads(archive)) {
                intake->n_reached += source->has_reached;
                source->has_ended = is_closed;
                intake->n_ended += is_closed;
            }
        }
    }
}
