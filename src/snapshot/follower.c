/* follower.c - what all kinds of sources have in common. See follower.h. */
#include "snapshot/follower.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>

#include "snapshot/follower_ops.h"

void esp_source_say(const struct esp_snapshot_source *source, const char *format, ...)
{
    char text[ESP_ERROR_TEXT_SIZE];
    if (source->report == NULL)
        return;
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    source->report(source->report_context, &(struct esp_log_event){ESP_LOG_PROBLEM, text});
}

enum esp_status esp_snapshot_source_open(const struct esp_snapshot_source_config *config,
                                         struct esp_snapshot_source **out, struct esp_error *err)
{
    struct esp_snapshot_source *source = NULL;
    enum esp_status status = config->log != NULL ? esp_topic_source_new(config, &source, err)
                                                 : esp_files_source_new(config, &source, err);
    if (status != ESP_OK)
        return status;
    source->patience = config->patience;
    source->report = config->report;
    source->report_context = config->report_context;
    source->place = strdup(config->place);
    if (source->place == NULL) {
        esp_snapshot_source_free(source);
        return esp_fail(err, ESP_ENOMEM, "out of memory for a source of snapshots");
    }
    *out = source;
    return ESP_OK;
}

void esp_snapshot_source_free(struct esp_snapshot_source *source)
{
    if (source == NULL)
        return;
    esp_live_set_release(&source->live);
    free(source->place);
    source->ops->free(source);
}

enum esp_status esp_snapshot_source_poll(struct esp_snapshot_source *source, int64_t timeout_us,
                                         bool *changed, bool *at_end, struct esp_error *err)
{
    *changed = false;
    *at_end = false;
    return source->ops->poll(source, timeout_us, changed, at_end, err);
}

const struct esp_live_set *esp_snapshot_source_live(const struct esp_snapshot_source *source)
{
    return &source->live;
}

/* True if b stands for its run better than a, or its run is the newer one. */
static bool is_newer(const struct esp_snapshot_manifest_record *a,
                     const struct esp_snapshot_manifest_record *b)
{
    if (strcmp(a->id.run, b->id.run) == 0)
        return b->id.number > a->id.number;
    return b->created_us > a->created_us;
}

const struct esp_live_snapshot *esp_snapshot_source_newest(const struct esp_snapshot_source *source,
                                                           const char *model, const char *run)
{
    const struct esp_live_snapshot *of_run = NULL, *best = NULL;
    for (size_t i = 0; i < source->live.n; i++) {
        const struct esp_live_snapshot *item = &source->live.items[i];
        if (item->is_refused || strcmp(item->manifest.id.model, model) != 0 ||
            (run != NULL && strcmp(item->manifest.id.run, run) != 0))
            continue;
        /* Items of a run stand together, ascending: the last of them stands for it. */
        if (of_run != NULL && strcmp(of_run->manifest.id.run, item->manifest.id.run) != 0 &&
            (best == NULL || is_newer(&best->manifest, &of_run->manifest)))
            best = of_run;
        of_run = item;
    }
    if (of_run != NULL && (best == NULL || is_newer(&best->manifest, &of_run->manifest)))
        best = of_run;
    return best;
}

static enum esp_status find_live(const struct esp_snapshot_source *source,
                                 const struct esp_snapshot_id *id, struct esp_live_snapshot **out,
                                 struct esp_error *err)
{
    *out = esp_live_set_find(&source->live, id);
    if (*out != NULL)
        return ESP_OK;
    return esp_fail(err, ESP_EDATA, "%s: snapshot %" PRId64 " of model %s, run %s, is not there",
                    source->place, id->number, id->model, id->run);
}

/* Says which snapshot failed and why, and notes that it is not to be believed. */
static enum esp_status refuse(struct esp_snapshot_source *source, struct esp_live_snapshot *live,
                              enum esp_status status, const struct esp_error *why,
                              struct esp_error *err)
{
    const struct esp_snapshot_id *id = &live->manifest.id;
    if (status == ESP_EDATA) {
        source->stats.refused += !live->is_refused;
        live->is_refused = true;
    }
    return esp_fail(err, status, "%s: snapshot %" PRId64 " of model %s, run %s: %s", source->place,
                    id->number, id->model, id->run, why->text);
}

enum esp_status esp_snapshot_source_fetch(struct esp_snapshot_source *source,
                                          const struct esp_snapshot_id *id, char **out,
                                          struct esp_error *err)
{
    struct esp_live_snapshot *live = NULL;
    struct esp_error why = {0};
    *out = NULL;
    enum esp_status status = find_live(source, id, &live, err);
    if (status != ESP_OK)
        return status;
    status = source->ops->fetch(source, live, out, &why);
    return status == ESP_OK ? ESP_OK : refuse(source, live, status, &why, err);
}

enum esp_status esp_snapshot_source_fetch_to(struct esp_snapshot_source *source,
                                             const struct esp_snapshot_id *id, const char *path,
                                             bool *stopped, struct esp_error *err)
{
    struct esp_live_snapshot *live = NULL;
    struct esp_error why = {0};
    *stopped = false;
    enum esp_status status = find_live(source, id, &live, err);
    if (status != ESP_OK)
        return status;
    status = source->ops->fetch_to(source, live, path, stopped, &why);
    return status == ESP_OK ? ESP_OK : refuse(source, live, status, &why, err);
}

void esp_snapshot_source_stats(const struct esp_snapshot_source *source,
                               struct esp_snapshot_source_stats *out)
{
    *out = source->stats;
}
