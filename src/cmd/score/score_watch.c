/* score_watch.c - see score_watch.h. */
#include "cmd/score/score_watch.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cmd/config/arguments.h"
#include "cmd/score/score_loop.h"
#include "cmd/topics/inputs.h"
#include "cmd/topics/snapshot_topic.h"
#include "core/logger.h"

static const int64_t look_us = 200 * ESP_MS;
static const int64_t pause_us = ESP_SECOND; /* after a failure */
static const int64_t say_every_us = 60 * ESP_SECOND;

/* Whoever waits asks this at least once a second, so it is the thread's pulse, too. */
static bool is_stopping(void *context)
{
    struct score_watch *watch = context;
    pulse_beat(&watch->run->pulses[SCORE_WATCHING], run_clock_us());
    return atomic_load(&watch->stop) || atomic_load(&watch->run->stop);
}

/* It writes nothing that could be lost. */
static int64_t time_left(void *context)
{
    return is_stopping(context) ? 0 : INT64_MAX;
}

/* ---- set-up ---------------------------------------------------------------------------------- */

static bool is_topic(const struct score_watch *watch)
{
    return watch->config.path == NULL && watch->run->config->options.files_root == NULL;
}

/* Where snapshots are: the path that was given, or where the trainer publishes them. */
static enum esp_status find_place(struct score_watch *watch, struct esp_error *err)
{
    char text[1024];
    const struct config *config = watch->run->config;
    const char *path = watch->config.path;
    watch->place = strdup(path != NULL ? path : snapshot_place(config, text, sizeof text));
    if (asprintf(&watch->cache, "%s/score-snapshots", config->options.state_folder) < 0)
        watch->cache = NULL;
    return watch->place != NULL && watch->cache != NULL
               ? ESP_OK
               : esp_fail(err, ESP_ENOMEM, "out of memory");
}

enum esp_status score_watch_init(struct score_watch *watch, const struct score_watch_config *config,
                                 struct run *run, struct score_models *models,
                                 struct esp_error *err)
{
    *watch = (struct score_watch){.config = *config, .run = run, .models = models};
    atomic_init(&watch->stop, false);
    enum esp_status status = find_place(watch, err);
    /* A client of its own: what it waits for never holds up the impressions. */
    if (status == ESP_OK && is_topic(watch))
        status = inputs_open_log(run->config, report_log_event, NULL, &watch->log, err);
    if (status == ESP_OK && watch->log != NULL)
        esp_log_set_stop(watch->log, time_left, watch);
    return status;
}

void score_watch_release(struct score_watch *watch)
{
    esp_snapshot_source_free(watch->source);
    esp_log_free(watch->log);
    free(watch->place);
    free(watch->cache);
    *watch = (struct score_watch){.place = NULL};
}

const char *score_watch_place(const struct score_watch *watch)
{
    return watch->place;
}

void score_watch_stop(struct score_watch *watch)
{
    atomic_store(&watch->stop, true);
}

/* ---- failures -------------------------------------------------------------------------------- */

/* What may pass by itself is said once a minute and tried again. */
static void note_failure(struct score_watch *watch, const struct esp_error *why)
{
    int64_t now_us = run_clock_us();
    watch->is_behind = true;
    if (watch->said_us == 0 || now_us - watch->said_us >= say_every_us) {
        watch->said_us = now_us;
        esp_log(ESP_WARN, "snapshots cannot be read; trying again", "reason", why->text, NULL);
    }
    struct timespec pause = {.tv_nsec = 20 * 1000000};
    for (int64_t until_us = now_us + pause_us; run_clock_us() < until_us && !is_stopping(watch);)
        nanosleep(&pause, NULL);
}

static bool may_pass(const struct score_watch *watch, enum esp_status status)
{
    return status == ESP_EBROKER || status == ESP_EIO ||
           (watch->config.follow && status == ESP_ECONFIG && watch->source == NULL);
}

/* ---- choosing -------------------------------------------------------------------------------- */

static bool is_wanted(const struct score_watch *watch, const char *model)
{
    const struct esp_setting_list *names = &watch->run->config->options.score_models;
    bool wanted = names->n_items == 0;
    for (size_t i = 0; i < names->n_items; i++)
        wanted |= strcmp(names->items[i], model) == 0;
    return wanted;
}

static struct score_choice *choice_of(struct score_watch *watch, const char *model)
{
    for (size_t i = 0; i < watch->n_choices; i++)
        if (strcmp(watch->choices[i].id.model, model) == 0)
            return &watch->choices[i];
    return NULL;
}

/* True if a snapshot comes after the one that was last tried. */
static bool is_newer(const struct esp_snapshot_manifest_record *manifest,
                     const struct score_choice *choice)
{
    if (choice == NULL)
        return true;
    if (strcmp(manifest->id.run, choice->id.run) != 0)
        return manifest->created_us >= choice->created_us;
    if (manifest->id.number != choice->id.number)
        return manifest->id.number > choice->id.number;
    return manifest->size != choice->size || manifest->checksum != choice->checksum;
}

static void choose(struct score_watch *watch, const struct score_choice *choice)
{
    struct score_choice *old = choice_of(watch, choice->id.model);
    if (old == NULL && watch->n_choices < SCORE_MAX_MODELS)
        old = &watch->choices[watch->n_choices++];
    if (old != NULL)
        *old = *choice;
}

static void refuse(struct score_watch *watch, const struct esp_snapshot_id *id,
                   const struct esp_error *why)
{
    char which[96];
    snprintf(which, sizeof which, "run %s, snapshot %" PRId64, id->run, id->number);
    score_models_refuse(watch->models, id->model, which, why);
}

/* Fetches, opens and hands over. *out_again: the next best one is to be tried. */
static enum esp_status try_snapshot(struct score_watch *watch, const struct score_choice *choice,
                                    bool *out_again, struct esp_error *err)
{
    struct esp_error why = {0};
    struct score_snapshot *snapshot = NULL;
    char *path = NULL;
    int64_t began_us = run_clock_us();
    enum esp_status status = esp_snapshot_source_fetch(watch->source, &choice->id, &path, &why);
    *out_again = status == ESP_EDATA;
    if (status == ESP_OK && path == NULL)
        return ESP_OK; /* stopping */
    if (status == ESP_OK)
        status = score_snapshot_open(path, watch->config.n_workers, &snapshot, &why);
    free(path);
    if (status == ESP_EDATA || status == ESP_ELIMIT) {
        refuse(watch, &choice->id, &why);
        if (!*out_again) /* the source does not know that it is no use */
            choose(watch, choice);
        return ESP_OK;
    }
    if (status != ESP_OK)
        return esp_fail(err, status, "%s", why.text);
    choose(watch, choice);
    pthread_mutex_lock(&watch->run->lock);
    watch->fetch_us = run_clock_us() - began_us;
    pthread_mutex_unlock(&watch->run->lock);
    status = score_models_offer(watch->models, snapshot, &why);
    if (status != ESP_OK)
        refuse(watch, &choice->id, &why);
    return ESP_OK;
}

static enum esp_status consider(struct score_watch *watch, const char *model, struct esp_error *err)
{
    enum esp_status status = ESP_OK;
    bool again = true;
    while (status == ESP_OK && again && !is_stopping(watch)) {
        const struct esp_live_snapshot *live =
            esp_snapshot_source_newest(watch->source, model, NULL);
        again = false;
        if (live == NULL || !is_newer(&live->manifest, choice_of(watch, model)))
            break;
        struct score_choice choice = {.id = live->manifest.id,
                                      .created_us = live->manifest.created_us,
                                      .size = live->manifest.size,
                                      .checksum = live->manifest.checksum};
        status = try_snapshot(watch, &choice, &again, err);
    }
    return status;
}

/* Every model of the live set, once. */
static enum esp_status consider_all(struct score_watch *watch, struct esp_error *err)
{
    const struct esp_live_set *live = esp_snapshot_source_live(watch->source);
    enum esp_status status = ESP_OK;
    for (size_t i = 0; status == ESP_OK && i < live->n; i++) {
        const char *model = live->items[i].manifest.id.model;
        bool seen = !is_wanted(watch, model);
        for (size_t j = 0; j < i && !seen; j++)
            seen = strcmp(live->items[j].manifest.id.model, model) == 0;
        if (!seen)
            status = consider(watch, model, err);
    }
    return status;
}

/* ---- the thread ------------------------------------------------------------------------------ */

static enum esp_status open_source(struct score_watch *watch, struct esp_error *err)
{
    const struct esp_snapshot_source_config source = {
        .log = watch->log,
        .place = watch->place,
        .cache = watch->cache,
        .patience = {.stop = is_stopping, .context = watch},
        .report = report_log_event,
    };
    return watch->source != NULL ? ESP_OK : esp_snapshot_source_open(&source, &watch->source, err);
}

static enum esp_status look(struct score_watch *watch, struct esp_error *err)
{
    bool changed = false, at_end = false;
    enum esp_status status = open_source(watch, err);
    if (status == ESP_OK)
        status = esp_snapshot_source_poll(watch->source, look_us, &changed, &at_end, err);
    watch->is_behind |= changed;
    if (status != ESP_OK || !at_end)
        return status;
    if (watch->is_behind) {
        status = consider_all(watch, err);
        watch->is_behind = status != ESP_OK;
    }
    struct esp_snapshot_source_stats stats;
    esp_snapshot_source_stats(watch->source, &stats);
    pthread_mutex_lock(&watch->run->lock);
    watch->shown = stats;
    pthread_mutex_unlock(&watch->run->lock);
    if (status == ESP_OK)
        score_models_looked(watch->models);
    return status;
}

void *score_watch_main(void *context)
{
    struct score_watch *watch = context;
    struct esp_error fatal = {0};
    while (!is_stopping(watch) && fatal.status == ESP_OK) {
        struct esp_error why = {0};
        enum esp_status status = look(watch, &why);
        score_models_close_retired(watch->models);
        if (status != ESP_OK && may_pass(watch, status))
            note_failure(watch, &why);
        else if (status != ESP_OK)
            fatal = why;
    }
    if (fatal.status != ESP_OK)
        run_fail(watch->run, &fatal);
    pulse_leave(&watch->run->pulses[SCORE_WATCHING]);
    run_thread_ended(watch->run);
    return NULL;
}
