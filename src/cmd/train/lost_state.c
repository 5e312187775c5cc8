/* lost_state.c - see lost_state.h. */
#include "cmd/train/lost_state.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/topics/snapshot_topic.h"
#include "cmd/train/train.h"
#include "core/logger.h"
#include "snapshot/follower.h"
#include "snapshot/resume.h"

static const int64_t list_patience_us = ESP_MINUTE;
static const int64_t topic_patience_us = 10 * ESP_SECOND;

void lost_state_release(struct lost_state *lost)
{
    free(lost->numbers);
    rewinds_release(&lost->rewinds);
    *lost = (struct lost_state){.boundary_us = ESP_TIME_NONE};
}

/* ---- what is there --------------------------------------------------------------------------- */

static enum esp_status list(struct esp_snapshot_source *source, struct esp_error *err)
{
    bool at_end = false, changed;
    enum esp_status status = ESP_OK;
    for (int64_t waited_us = 0; status == ESP_OK && !at_end; waited_us += ESP_SECOND) {
        if (waited_us >= list_patience_us)
            return esp_fail(err, ESP_EBROKER, "the broker gives no end of the list of snapshots");
        status = esp_snapshot_source_poll(source, ESP_SECOND, &changed, &at_end, err);
    }
    return status;
}

/* *out stays NULL where the place does not exist. */
static enum esp_status open_place(struct train *train, struct esp_snapshot_source **out,
                                  struct esp_error *err)
{
    char place[PATH_MAX];
    const struct config *config = &train->config;
    struct esp_snapshot_source_config source = {
        .log = config->options.files_root == NULL ? train->inputs.log : NULL,
        .place = snapshot_place(config, place, sizeof place),
        .report = report_log_event,
    };
    size_t n = 1;
    enum esp_status status = ESP_OK;
    if (source.log != NULL)
        status = esp_log_partitions(source.log, source.place, topic_patience_us, &n, err);
    if (status != ESP_OK || n == 0)
        return status;
    status = esp_snapshot_source_open(&source, out, err);
    return status == ESP_OK ? list(*out, err) : status;
}

/* A model's, sound or not: items [*begin, end) of the live set, ascending. Returns end. */
static size_t series_of(const struct esp_snapshot_source *source, const struct train *train,
                        size_t m, size_t *begin)
{
    struct esp_snapshot_id id = {0};
    snprintf(id.model, sizeof id.model, "%s", train->config.models[m].name);
    snprintf(id.run, sizeof id.run, "%s", train->learning.snapshots.models[m].run);
    return esp_live_set_series(esp_snapshot_source_live(source), &id, begin);
}

/* The one that stands for a model at a boundary: the newest until then. NULL: there is none, or it
 * is not sound, and the one before it lacks what was learned in between. */
static const struct esp_live_snapshot *standing_at(const struct esp_snapshot_source *source,
                                                   const struct train *train, size_t m,
                                                   int64_t boundary_us)
{
    const struct esp_live_set *live = esp_snapshot_source_live(source);
    size_t begin = 0, end = series_of(source, train, m, &begin);
    while (end > begin && live->items[end - 1].manifest.boundary_us > boundary_us)
        end--;
    return end > begin && !live->items[end - 1].is_refused ? &live->items[end - 1] : NULL;
}

/* exact  all were taken at the boundary itself */
static bool all_stand_at(const struct esp_snapshot_source *source, const struct train *train,
                         int64_t boundary_us, bool exact)
{
    for (size_t m = 0; m < train->config.n_models; m++) {
        const struct esp_live_snapshot *one = standing_at(source, train, m, boundary_us);
        if (one == NULL || (exact && one->manifest.boundary_us != boundary_us))
            return false;
    }
    return true;
}

/* The newest boundary of a sound snapshot of a model, below a time; ESP_TIME_NONE: none. */
static int64_t newest_below(const struct esp_snapshot_source *source, const struct train *train,
                            size_t m, int64_t below_us)
{
    const struct esp_live_set *live = esp_snapshot_source_live(source);
    size_t begin = 0, end = series_of(source, train, m, &begin);
    while (end > begin && (live->items[end - 1].is_refused ||
                           live->items[end - 1].manifest.boundary_us >= below_us))
        end--;
    return end > begin ? live->items[end - 1].manifest.boundary_us : ESP_TIME_NONE;
}

/* The newest boundary up to a time at which all models' stand; ESP_TIME_NONE: none. */
static int64_t newest_for_all(const struct esp_snapshot_source *source, const struct train *train,
                              int64_t until_us, bool exact)
{
    int64_t boundary_us = until_us;
    while (boundary_us != ESP_TIME_NONE && !all_stand_at(source, train, boundary_us, exact)) {
        int64_t next_us = ESP_TIME_NONE;
        for (size_t m = 0; m < train->config.n_models; m++) {
            int64_t one_us = newest_below(source, train, m, boundary_us);
            if (one_us > next_us)
                next_us = one_us;
        }
        boundary_us = next_us;
    }
    return boundary_us;
}

/*
 * Up to the oldest of the models' newest, as nobody knows what was not published yet. One that all
 * were taken at is sure: elsewhere a model's last one may stand because nothing was learned since,
 * or because the next was not published, as newer ones were waiting. So that is taken only where
 * there is no boundary in common.
 */
static int64_t choose_boundary(const struct esp_snapshot_source *source, const struct train *train)
{
    int64_t until_us = INT64_MAX;
    bool any = false;
    for (size_t m = 0; m < train->config.n_models; m++) {
        int64_t newest_us = newest_below(source, train, m, INT64_MAX);
        any |= newest_us != ESP_TIME_NONE;
        if (newest_us < until_us)
            until_us = newest_us;
    }
    int64_t boundary_us = newest_for_all(source, train, until_us, true);
    if (boundary_us == ESP_TIME_NONE)
        boundary_us = newest_for_all(source, train, until_us, false);
    if (any && boundary_us == ESP_TIME_NONE)
        esp_log(ESP_WARN,
                "there are snapshots of this run, but no boundary that all its models have one "
                "for: beginning with the first record",
                NULL);
    return boundary_us;
}

/* ---- fetching -------------------------------------------------------------------------------- */

/* The configuration's own name of a topic, which outlives the live set's; NULL: none of its. */
static const char *name_of(const struct train *train, struct esp_bytes topic)
{
    for (int kind = 0; kind < ESP_N_EVENT_KINDS; kind++) {
        const char *name = train->config.options.inputs[kind].topic;
        if (train->inputs.kinds[kind].n_partitions > 0 &&
            esp_bytes_equal(topic, esp_bytes_of(name)))
            return name;
    }
    return NULL;
}

/* The points of the snapshot that was taken at the boundary itself. */
static enum esp_status take_rewinds(struct lost_state *lost, const struct train *train,
                                    const struct esp_live_snapshot *live, struct esp_error *err)
{
    const struct rewinds given = {live->manifest.rewinds, live->manifest.n_rewinds};
    if (live->manifest.boundary_us != lost->boundary_us || lost->rewinds.n > 0)
        return ESP_OK;
    enum esp_status status = rewinds_copy(&given, &lost->rewinds, err);
    size_t n = 0;
    for (size_t i = 0; i < lost->rewinds.n; i++) {
        const char *name = name_of(train, lost->rewinds.items[i].topic);
        if (name == NULL)
            continue;
        lost->rewinds.items[n] = lost->rewinds.items[i];
        lost->rewinds.items[n++].topic = esp_bytes_of(name);
    }
    lost->rewinds.n = n;
    return status;
}

/* *is_bad: it is not sound, and the source passes over it from now on. */
static enum esp_status fetch(struct lost_state *lost, struct train *train,
                             struct esp_snapshot_source *source, size_t m, bool *is_bad,
                             struct esp_error *err)
{
    struct esp_error why = {0};
    bool stopped = false;
    const struct esp_live_snapshot *live = standing_at(source, train, m, lost->boundary_us);
    *is_bad = false;
    lost->numbers[m] = live->manifest.id.number;
    enum esp_status status = take_rewinds(lost, train, live, err);
    if (status != ESP_OK)
        return status;
    char *path = snapshots_path(&train->learning.snapshots, m, lost->numbers[m]);
    if (path == NULL)
        return esp_fail(err, ESP_ENOMEM, "out of memory");
    status = esp_snapshot_source_fetch_to(source, &live->manifest.id, path, &stopped, &why);
    free(path);
    *is_bad = status == ESP_EDATA;
    if (*is_bad)
        esp_log(ESP_WARN, "a snapshot is not sound, and is passed over", "why", why.text, NULL);
    return status == ESP_OK || *is_bad ? ESP_OK : esp_fail(err, status, "%s", why.text);
}

static enum esp_status fetch_all(struct lost_state *lost, struct train *train,
                                 struct esp_snapshot_source *source, struct esp_error *err)
{
    enum esp_status status = ESP_OK;
    bool is_bad = true;
    while (status == ESP_OK && is_bad) {
        rewinds_release(&lost->rewinds);
        lost->boundary_us = choose_boundary(source, train);
        is_bad = false;
        if (lost->boundary_us == ESP_TIME_NONE)
            return ESP_OK;
        for (size_t m = 0; status == ESP_OK && !is_bad && m < train->config.n_models; m++)
            status = fetch(lost, train, source, m, &is_bad, err);
    }
    return status;
}

/* The point of a partition; *out { EARLIEST } where there is none. */
static void point_of(const struct lost_state *lost, const char *topic, size_t partition,
                     struct esp_rewind *out)
{
    *out = (struct esp_rewind){ESP_OFFSET_EARLIEST, ESP_TIME_NONE};
    for (size_t i = 0; i < lost->rewinds.n; i++) {
        const struct esp_rewind_offset *point = &lost->rewinds.items[i];
        if ((size_t)point->partition == partition &&
            esp_bytes_equal(point->topic, esp_bytes_of(topic)))
            *out = (struct esp_rewind){point->offset, point->largest_us};
    }
}

static void place_inputs(const struct lost_state *lost, struct train *train)
{
    for (int kind = 0; kind < ESP_N_EVENT_KINDS; kind++) {
        struct input *input = &train->inputs.kinds[kind];
        for (size_t p = 0; p < input->n_partitions; p++) {
            struct esp_rewind point;
            point_of(lost, train->config.options.inputs[kind].topic, p, &point);
            input->next[p] = esp_log_place_at(point.offset);
        }
    }
}

enum esp_status lost_state_find(struct lost_state *lost, struct train *train, struct esp_error *err)
{
    struct esp_snapshot_source *source = NULL;
    *lost = (struct lost_state){.boundary_us = ESP_TIME_NONE};
    const struct options *options = &train->config.options;
    if (options->state_lost != LOST_REWIND || options->snapshot_every_us == 0)
        return ESP_OK;
    lost->numbers = calloc(train->config.n_models, sizeof *lost->numbers);
    if (lost->numbers == NULL)
        return esp_fail(err, ESP_ENOMEM, "out of memory");
    enum esp_status status = open_place(train, &source, err);
    if (status == ESP_OK && source != NULL)
        status = fetch_all(lost, train, source, err);
    if (status == ESP_OK)
        place_inputs(lost, train);
    esp_snapshot_source_free(source);
    return status;
}

/* ---- going on -------------------------------------------------------------------------------- */

static enum esp_status resume_model(const struct lost_state *lost, struct train *train, size_t m,
                                    const char **out_restarts, struct esp_error *err)
{
    struct learning *learning = &train->learning;
    struct esp_snapshot *snapshot = NULL;
    const struct esp_resume_of of = {
        .run = learning->snapshots.models[m].run,
        .model = train->config.models[m].name,
        .click_window_us = train->config.options.click_window_us,
    };
    char *path = snapshots_path(&learning->snapshots, m, lost->numbers[m]);
    if (path == NULL)
        return esp_fail(err, ESP_ENOMEM, "out of memory");
    enum esp_status status = esp_snapshot_open(path, ESP_SNAPSHOT_CHECKSUM, &snapshot, err);
    if (status == ESP_OK)
        status = esp_resume(snapshot, &of, learning->learners[m],
                            m == 0 ? learning->features : NULL, err);
    if (status == ESP_OK)
        status = snapshots_adopt(&learning->snapshots, m, path, snapshot, learning->learners[m],
                                 learning->features, err);
    if (status == ESP_OK)
        *out_restarts = esp_resume_restarts(snapshot);
    esp_snapshot_close(snapshot);
    free(path);
    return status;
}

static enum esp_status begin_join(const struct lost_state *lost, struct train *train,
                                  struct esp_error *err)
{
    enum esp_status status = ESP_OK;
    for (int kind = 0; status == ESP_OK && kind < ESP_N_EVENT_KINDS; kind++) {
        const char *topic = train->config.options.inputs[kind].topic;
        size_t n = train->inputs.kinds[kind].n_partitions;
        for (size_t p = 0; status == ESP_OK && p < n; p++) {
            struct esp_rewind point;
            point_of(lost, topic, p, &point);
            if (point.offset != ESP_OFFSET_EARLIEST)
                status = esp_joiner_begin_at(train->ingest.joiner, (enum esp_event_kind)kind,
                                             (uint32_t)p, &point, err);
        }
    }
    train->ingest.learned_before_us = lost->boundary_us;
    return status;
}

enum esp_status lost_state_resume(const struct lost_state *lost, struct train *train,
                                  struct esp_error *err)
{
    const char *restarts = "";
    enum esp_status status = ESP_OK;
    if (lost->boundary_us == ESP_TIME_NONE)
        return ESP_OK;
    for (size_t m = 0; status == ESP_OK && m < train->config.n_models; m++)
        status = resume_model(lost, train, m, &restarts, err);
    if (status == ESP_OK)
        status = begin_join(lost, train, err);
    if (status != ESP_OK)
        return status;
    measuring_begin_at(&train->learning.measuring, lost->boundary_us);
    char boundary[ESP_TIME_TEXT_SIZE];
    esp_log(ESP_WARN,
            "the state folder holds no checkpoint: going on from the newest snapshot, and reading "
            "again what the join needs; with [state] lost = restart it would begin anew",
            "boundary", esp_time_format(lost->boundary_us, boundary), "restarts", restarts,
            "restarts_too", "counters and drift's history", NULL);
    return ESP_OK;
}
