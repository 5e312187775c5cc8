/*
 * publisher.c - decides what is published and what is retired, whatever the place.
 *
 *     publish --live with these bytes--------> before
 *             --live with others-------------> refused
 *             --`keep` newer ones are live---> outdated
 *             --else: tidy (once a run and model), put--> published --> retire the oldest
 *
 * INVARIANTS
 *  (1) A number is never made live twice with different bytes, as far as the place remembers.
 *  (2) After a success no more than `keep` snapshots of the run and model are live.
 */
#include "snapshot/publisher.h"

#include <inttypes.h>
#include <stdlib.h>

#include "core/buf.h"
#include "core/hash.h"
#include "snapshot/chunks.h"
#include "snapshot/publisher_ops.h"

uint32_t esp_chunk_partition(const char *model, size_t n_partitions)
{
    return 1 + (uint32_t)(esp_hash(esp_bytes_of(model)) % (n_partitions - 1));
}

enum esp_status esp_publisher_new(const struct esp_publisher_config *config,
                                  struct esp_publisher **out, struct esp_error *err)
{
    if (config->keep < ESP_KEEP_AT_LEAST)
        return esp_fail(err, ESP_EINVAL, "%zu snapshots are kept, at least %d have to be",
                        config->keep, ESP_KEEP_AT_LEAST);
    if (config->chunk_bytes > ESP_CHUNK_MAX_BYTES)
        return esp_fail(err, ESP_EINVAL, "chunks of %zu bytes", config->chunk_bytes);
    struct esp_publisher *publisher = NULL;
    enum esp_status status = config->log != NULL
                                 ? esp_topic_publisher_new(config, &publisher, err)
                                 : esp_folder_publisher_new(config, &publisher, err);
    if (status != ESP_OK)
        return status;
    bool stopped = false;
    publisher->keep = config->keep;
    publisher->patience = config->patience;
    publisher->place = strdup(config->place);
    if (publisher->place == NULL)
        status = esp_fail(err, ESP_ENOMEM, "out of memory for a publisher");
    if (status == ESP_OK)
        status = publisher->ops->refresh(publisher, &stopped, err);
    if (status != ESP_OK) {
        esp_publisher_free(publisher);
        return status;
    }
    *out = publisher;
    return ESP_OK;
}

void esp_publisher_free(struct esp_publisher *publisher)
{
    if (publisher == NULL)
        return;
    esp_live_set_release(&publisher->live);
    free(publisher->tidied);
    free(publisher->place);
    publisher->ops->free(publisher);
}

void esp_publisher_stats(const struct esp_publisher *publisher, struct esp_publisher_stats *out)
{
    *out = publisher->stats;
}

static enum esp_status tidy_once(struct esp_publisher *publisher, const struct esp_snapshot_id *id,
                                 bool *stopped, struct esp_error *err)
{
    for (size_t i = 0; i < publisher->n_tidied; i++) {
        if (strcmp(publisher->tidied[i].run, id->run) == 0 &&
            strcmp(publisher->tidied[i].model, id->model) == 0)
            return ESP_OK;
    }
    enum esp_status status =
        esp_array_grow((void **)&publisher->tidied, &publisher->tidied_capacity,
                       publisher->n_tidied + 1, sizeof *publisher->tidied, err);
    if (status == ESP_OK)
        status = publisher->ops->tidy(publisher, id, stopped, err);
    if (status != ESP_OK || *stopped)
        return status;
    struct esp_tidied *tidied = &publisher->tidied[publisher->n_tidied++];
    memcpy(tidied->run, id->run, sizeof tidied->run);
    memcpy(tidied->model, id->model, sizeof tidied->model);
    return ESP_OK;
}

/* Retires the oldest of a run and model until as many are live as are kept. */
static enum esp_status retire_old(struct esp_publisher *publisher, const struct esp_snapshot_id *id,
                                  struct esp_error *err)
{
    bool stopped = false;
    size_t begin;
    while (!stopped) {
        size_t end = esp_live_set_series(&publisher->live, id, &begin);
        if (end - begin <= publisher->keep)
            break;
        struct esp_snapshot_id oldest = publisher->live.items[begin].manifest.id;
        enum esp_status status = publisher->ops->retire(publisher, &oldest, &stopped, err);
        if (status != ESP_OK)
            return status;
        publisher->stats.retired += !stopped;
    }
    return ESP_OK;
}

/* Snapshots of the run and model that are live and newer. */
static size_t count_newer(const struct esp_publisher *publisher, const struct esp_snapshot_id *id)
{
    size_t begin, n = 0, end = esp_live_set_series(&publisher->live, id, &begin);
    for (size_t i = begin; i < end; i++)
        n += publisher->live.items[i].manifest.id.number > id->number;
    return n;
}

static enum esp_status compare(struct esp_publisher *publisher,
                               const struct esp_live_snapshot *live,
                               const struct esp_publication *publication, struct esp_error *err)
{
    const struct esp_snapshot_id *id = &publication->id;
    bool is_same = false;
    enum esp_status status = publisher->ops->is_same(publisher, live, publication, &is_same, err);
    if (status != ESP_OK || is_same)
        return status;
    return esp_fail(err, ESP_EDATA,
                    "%s: snapshot %" PRId64 " of model %s, run %s, is there with other bytes than "
                    "%s; two trainers that differ share a run: give one a model name or seed of "
                    "its own",
                    publisher->place, id->number, id->model, id->run, publication->path);
}

enum esp_status esp_publisher_publish(struct esp_publisher *publisher,
                                      const struct esp_publication *publication,
                                      enum esp_publish_result *out, struct esp_error *err)
{
    const struct esp_snapshot_id *id = &publication->id;
    bool stopped = false;
    *out = ESP_PUBLISH_STOPPED;
    enum esp_status status = esp_snapshot_id_check(id, err);
    if (status == ESP_OK)
        status = publisher->ops->refresh(publisher, &stopped, err);
    if (status != ESP_OK || stopped)
        return status;
    const struct esp_live_snapshot *live = esp_live_set_find(&publisher->live, id);
    if (live != NULL) {
        status = compare(publisher, live, publication, err);
        if (status != ESP_OK)
            return status;
        *out = ESP_PUBLISHED_BEFORE;
        publisher->stats.before++;
        return retire_old(publisher, id, err);
    }
    if (count_newer(publisher, id) >= publisher->keep) {
        *out = ESP_PUBLISH_OUTDATED;
        publisher->stats.outdated++;
        return ESP_OK;
    }
    status = tidy_once(publisher, id, &stopped, err);
    if (status == ESP_OK && !stopped)
        status = publisher->ops->put(publisher, publication, &stopped, err);
    if (status != ESP_OK || stopped)
        return status;
    *out = ESP_PUBLISHED;
    publisher->stats.published++;
    return retire_old(publisher, id, err);
}

enum esp_status esp_publisher_retire(struct esp_publisher *publisher,
                                     const struct esp_snapshot_id *id, bool *stopped,
                                     struct esp_error *err)
{
    *stopped = false;
    enum esp_status status = publisher->ops->refresh(publisher, stopped, err);
    if (status != ESP_OK || *stopped)
        return status;
    if (esp_live_set_find(&publisher->live, id) == NULL)
        return esp_fail(err, ESP_EDATA,
                        "%s: snapshot %" PRId64 " of model %s, run %s, is not there",
                        publisher->place, id->number, id->model, id->run);
    status = publisher->ops->retire(publisher, id, stopped, err);
    publisher->stats.retired += status == ESP_OK && !*stopped;
    return status;
}
