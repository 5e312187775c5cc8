/* score_models.c - see score_models.h. */
#include "cmd/score/score_models.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/logger.h"
#include "core/timespan.h"

void score_models_init(struct score_models *models)
{
    *models = (struct score_models){.n = 0};
    pthread_mutex_init(&models->lock, NULL);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&models->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
}

void score_models_release(struct score_models *models)
{
    score_models_close_retired(models);
    for (size_t i = 0; i < models->n; i++) {
        score_snapshot_close(models->list[i].waiting);
        score_snapshot_close(models->list[i].in_use);
    }
    for (size_t i = 0; i < models->n_fields; i++)
        esp_fields_free(models->fields[i].fields);
    pthread_cond_destroy(&models->changed);
    pthread_mutex_destroy(&models->lock);
}

size_t score_models_look(struct score_models *models,
                         struct score_model_view views[SCORE_MAX_MODELS])
{
    pthread_mutex_lock(&models->lock);
    size_t n = models->n;
    for (size_t i = 0; i < n; i++) {
        const struct score_model *model = &models->list[i];
        views[i] = (struct score_model_view){.number = model->number,
                                             .boundary_us = model->boundary_us,
                                             .n_taken = model->n_taken,
                                             .n_refused = model->n_refused};
        memcpy(views[i].name, model->name, sizeof views[i].name);
        memcpy(views[i].run, model->run, sizeof views[i].run);
    }
    pthread_mutex_unlock(&models->lock);
    return n;
}

/* ---- snapshots ------------------------------------------------------------------------------- */

static enum esp_status make_workspaces(struct score_snapshot *snapshot, struct esp_error *err)
{
    size_t n = snapshot->n_workers;
    snapshot->scorers = calloc(n, sizeof *snapshot->scorers);
    snapshot->batches = calloc(n, sizeof *snapshot->batches);
    if (snapshot->scorers == NULL || snapshot->batches == NULL)
        return esp_fail(err, ESP_ENOMEM, "out of memory for %zu workspaces", n);
    enum esp_status status = ESP_OK;
    for (size_t i = 0; i < n; i++)
        esp_feature_batch_init(&snapshot->batches[i], snapshot->manifest->n_features);
    for (size_t i = 0; status == ESP_OK && i < n; i++)
        status = esp_scorer_new(snapshot->forward->network, &snapshot->scorers[i], err);
    return status;
}

enum esp_status score_snapshot_open(const char *path, size_t n_workers, struct score_snapshot **out,
                                    struct esp_error *err)
{
    struct score_snapshot *snapshot = calloc(1, sizeof *snapshot);
    if (snapshot == NULL)
        return esp_fail(err, ESP_ENOMEM, "out of memory for a snapshot");
    snapshot->n_workers = n_workers;
    enum esp_status status =
        esp_snapshot_open(path, ESP_SNAPSHOT_CHECKSUM, &snapshot->snapshot, err);
    if (status == ESP_OK) {
        snapshot->manifest = esp_snapshot_manifest(snapshot->snapshot);
        snapshot->forward = esp_snapshot_model(snapshot->snapshot);
        status = make_workspaces(snapshot, err);
    }
    if (status == ESP_OK) {
        *out = snapshot;
        snapshot = NULL; /* moved to the caller */
    }
    score_snapshot_close(snapshot);
    return status;
}

void score_snapshot_close(struct score_snapshot *snapshot)
{
    if (snapshot == NULL)
        return;
    for (size_t i = 0; i < snapshot->n_workers; i++) {
        if (snapshot->scorers != NULL)
            esp_scorer_free(snapshot->scorers[i]);
        if (snapshot->batches != NULL)
            esp_feature_batch_release(&snapshot->batches[i]);
    }
    free(snapshot->scorers);
    free(snapshot->batches);
    esp_snapshot_close(snapshot->snapshot);
    free(snapshot);
}

/* ---- the list -------------------------------------------------------------------------------- */

static size_t count(struct score_models *models)
{
    pthread_mutex_lock(&models->lock);
    size_t n = models->n;
    pthread_mutex_unlock(&models->lock);
    return n;
}

/* The model of a name, new if need be; NULL: there are too many. Under the lock. */
static struct score_model *model_of(struct score_models *models, const char *name)
{
    size_t i = 0;
    while (i < models->n && strcmp(models->list[i].name, name) != 0)
        i++;
    if (i < models->n || models->n == SCORE_MAX_MODELS)
        return i < models->n ? &models->list[i] : NULL;
    struct score_model *model = &models->list[models->n++];
    snprintf(model->name, sizeof model->name, "%s", name);
    return model;
}

enum esp_status score_models_offer(struct score_models *models, struct score_snapshot *snapshot,
                                   struct esp_error *err)
{
    pthread_mutex_lock(&models->lock);
    struct score_model *model = model_of(models, snapshot->manifest->model);
    struct score_snapshot *replaced = snapshot;
    if (model != NULL) {
        replaced = model->waiting;
        model->waiting = snapshot;
        pthread_cond_broadcast(&models->changed);
    }
    pthread_mutex_unlock(&models->lock);
    enum esp_status status =
        model != NULL ? ESP_OK
                      : esp_fail(err, ESP_ELIMIT,
                                 "more than %d models; name those to score with in [score] models",
                                 SCORE_MAX_MODELS);
    score_snapshot_close(replaced);
    return status;
}

void score_models_refuse(struct score_models *models, const char *name, const char *which,
                         const struct esp_error *why)
{
    pthread_mutex_lock(&models->lock);
    struct score_model *model = model_of(models, name);
    if (model != NULL) {
        model->n_refused++;
        model->refusal = *why;
        pthread_cond_broadcast(&models->changed);
    }
    bool has_one = model != NULL && model->run[0] != '\0';
    pthread_mutex_unlock(&models->lock);
    esp_log(ESP_WARN,
            has_one ? "snapshot refused, the one before stays in use" : "snapshot refused", "model",
            name, "snapshot", which, "reason", why->text, NULL);
}

void score_models_close_retired(struct score_models *models)
{
    pthread_mutex_lock(&models->lock);
    struct score_snapshot *snapshot = models->retired;
    models->retired = NULL;
    pthread_mutex_unlock(&models->lock);
    while (snapshot != NULL) {
        struct score_snapshot *next = snapshot->next;
        score_snapshot_close(snapshot);
        snapshot = next;
    }
}

void score_models_looked(struct score_models *models)
{
    pthread_mutex_lock(&models->lock);
    models->n_looks++;
    pthread_cond_broadcast(&models->changed);
    pthread_mutex_unlock(&models->lock);
}

/* Under the lock. */
static enum score_readiness readiness(const struct score_models *models,
                                      const struct esp_setting_list *names)
{
    size_t n_found = 0, n_usable = 0;
    for (size_t i = 0; i < models->n; i++) {
        const struct score_model *model = &models->list[i];
        bool usable = model->waiting != NULL || model->run[0] != '\0';
        n_usable += usable;
        for (size_t j = 0; j < names->n_items; j++)
            n_found +=
                strcmp(names->items[j], model->name) == 0 && (usable || model->n_refused > 0);
    }
    if (models->n_looks == 0)
        return SCORE_UNKNOWN;
    return n_usable > 0 && n_found >= names->n_items ? SCORE_READY : SCORE_NOT_READY;
}

enum score_readiness score_models_wait(struct score_models *models,
                                       const struct esp_setting_list *names, int64_t timeout_us)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    int64_t nanoseconds = until.tv_nsec + timeout_us % ESP_SECOND * 1000;
    until.tv_sec += timeout_us / ESP_SECOND + nanoseconds / 1000000000;
    until.tv_nsec = nanoseconds % 1000000000;
    pthread_mutex_lock(&models->lock);
    enum score_readiness now = readiness(models, names);
    if (now != SCORE_READY) {
        pthread_cond_timedwait(&models->changed, &models->lock, &until);
        now = readiness(models, names);
    }
    pthread_mutex_unlock(&models->lock);
    return now;
}

struct esp_error score_models_refusal(struct score_models *models)
{
    struct esp_error refusal = {0};
    pthread_mutex_lock(&models->lock);
    for (size_t i = 0; i < models->n && refusal.status == ESP_OK; i++)
        refusal = models->list[i].refusal;
    pthread_mutex_unlock(&models->lock);
    return refusal;
}

/* ---- the scoring thread ---------------------------------------------------------------------- */

static void retire(struct score_models *models, struct score_snapshot *snapshot)
{
    if (snapshot == NULL)
        return;
    pthread_mutex_lock(&models->lock);
    snapshot->next = models->retired;
    models->retired = snapshot;
    pthread_mutex_unlock(&models->lock);
}

static void refuse(struct score_models *models, struct score_snapshot *snapshot,
                   const struct esp_error *why)
{
    char which[64];
    snprintf(which, sizeof which, "run %s, snapshot %" PRId64, snapshot->manifest->run,
             snapshot->manifest->number);
    score_models_refuse(models, snapshot->manifest->model, which, why);
    retire(models, snapshot);
}

/* The list of a snapshot's fields; the last place is new if no list is equal. */
static enum esp_status find_fields(struct score_models *models, const struct esp_manifest *manifest,
                                   size_t *out, struct esp_error *err)
{
    size_t i = 0;
    while (i < models->n_fields &&
           !esp_fields_equal(models->fields[i].fields, manifest->fields, manifest->n_fields))
        i++;
    *out = i;
    if (i < models->n_fields)
        return ESP_OK;
    struct score_fields list = {.n = manifest->n_fields};
    enum esp_status status =
        esp_fields_new(manifest->fields, manifest->n_fields, &list.fields, err);
    if (status == ESP_OK)
        models->fields[models->n_fields++] = list;
    return status;
}

/* Checks a list and compiles what it lacks. */
static enum esp_status meet(struct score_fields *list, const struct esp_decoder *decoder,
                            struct esp_error *err)
{
    size_t n_writers = esp_decoder_n_writers(decoder);
    enum esp_status status = ESP_OK;
    if (!list->is_checked && n_writers > 0) {
        status = esp_fields_check(list->fields, decoder, err);
        list->is_checked = status == ESP_OK;
    }
    while (status == ESP_OK && list->n_prepared < n_writers) {
        status = esp_fields_prepare(list->fields,
                                    esp_decoder_writer(decoder, (uint16_t)list->n_prepared), err);
        list->n_prepared += status == ESP_OK;
    }
    return status;
}

/* Lists that nobody reads any more leave; the others' places change. */
static void drop_fields(struct score_models *models)
{
    size_t n = count(models);
    for (size_t i = models->n_fields; i-- > 0;) {
        bool is_read = false;
        for (size_t m = 0; m < n; m++)
            is_read |= models->list[m].in_use != NULL && models->list[m].in_use->fields == i;
        if (is_read)
            continue;
        esp_fields_free(models->fields[i].fields);
        models->fields[i] = models->fields[--models->n_fields];
        for (size_t m = 0; m < n; m++)
            if (models->list[m].in_use != NULL &&
                models->list[m].in_use->fields == models->n_fields)
                models->list[m].in_use->fields = i;
    }
}

static int by_name(const void *a, const void *b)
{
    return strcmp((*(struct score_model *const *)a)->name, (*(struct score_model *const *)b)->name);
}

/* Models that score, in the order of their names. */
static void list_active(struct score_models *models)
{
    size_t n = count(models);
    models->n_active = 0;
    for (size_t i = 0; i < n; i++)
        if (models->list[i].in_use != NULL)
            models->active_models[models->n_active++] = &models->list[i];
    qsort(models->active_models, models->n_active, sizeof *models->active_models, by_name);
    for (size_t i = 0; i < models->n_active; i++)
        models->active[i] = models->active_models[i]->in_use;
}

/* Puts one snapshot to use, if it fits. */
static enum esp_status use(struct score_models *models, struct score_model *model,
                           struct score_snapshot *snapshot, const struct esp_decoder *decoder,
                           struct esp_error *err)
{
    struct esp_error why = {0};
    drop_fields(models); /* what is left is in use, so that there is room for one more */
    enum esp_status status = find_fields(models, snapshot->manifest, &snapshot->fields, &why);
    if (status == ESP_OK)
        status = meet(&models->fields[snapshot->fields], decoder, &why);
    if (status != ESP_OK) {
        refuse(models, snapshot, &why);
        drop_fields(models);
        return status == ESP_ENOMEM ? esp_fail(err, status, "%s", why.text) : ESP_OK;
    }
    struct score_snapshot *replaced = model->in_use;
    model->in_use = snapshot;
    pthread_mutex_lock(&models->lock);
    snprintf(model->run, sizeof model->run, "%s", snapshot->manifest->run);
    model->number = snapshot->manifest->number;
    model->boundary_us = snapshot->manifest->boundary_us;
    model->n_taken++;
    pthread_mutex_unlock(&models->lock);
    char number[32], boundary[ESP_TIME_TEXT_SIZE];
    snprintf(number, sizeof number, "%" PRId64, snapshot->manifest->number);
    esp_log(ESP_INFO, "snapshot in use", "model", model->name, "run", snapshot->manifest->run,
            "snapshot", number, "boundary",
            esp_time_format(snapshot->manifest->boundary_us, boundary), NULL);
    retire(models, replaced);
    return ESP_OK;
}

enum esp_status score_models_take(struct score_models *models, const struct esp_decoder *decoder,
                                  struct esp_error *err)
{
    enum esp_status status = ESP_OK;
    bool changed = false;
    size_t n = count(models);
    for (size_t i = 0; status == ESP_OK && i < n; i++) {
        struct score_model *model = &models->list[i];
        pthread_mutex_lock(&models->lock);
        struct score_snapshot *snapshot = model->waiting;
        model->waiting = NULL;
        pthread_mutex_unlock(&models->lock);
        if (snapshot == NULL)
            continue;
        changed = true;
        status = use(models, model, snapshot, decoder, err);
    }
    if (changed) {
        drop_fields(models);
        list_active(models);
    }
    return status;
}

enum esp_status score_models_meet_writers(struct score_models *models,
                                          const struct esp_decoder *decoder, struct esp_error *err)
{
    bool changed = false;
    for (size_t i = 0; i < models->n_fields; i++) {
        struct esp_error why = {0};
        enum esp_status status = meet(&models->fields[i], decoder, &why);
        if (status == ESP_OK)
            continue;
        if (models->fields[i].is_checked || status == ESP_ENOMEM)
            return esp_fail(err, status, "%s", why.text);
        for (size_t m = 0; m < models->n_active; m++) {
            struct score_model *model = models->active_models[m];
            if (model->in_use == NULL || model->in_use->fields != i)
                continue;
            struct score_snapshot *snapshot = model->in_use;
            model->in_use = NULL;
            pthread_mutex_lock(&models->lock);
            model->run[0] = '\0';
            pthread_mutex_unlock(&models->lock);
            refuse(models, snapshot, &why);
            changed = true;
        }
    }
    if (changed) {
        drop_fields(models);
        list_active(models);
    }
    return ESP_OK;
}
