/*
 * registry.c - see registry.h.
 *
 * INVARIANTS
 *  (1) What is in the folder came whole from the registry: a schema with all that it refers to.
 *  (2) An id is missing only after the registry said in its own words that it is.
 *  (3) Nobody is asked about a missing id before its time is up, as long as it is remembered.
 */
#include "cmd/registry/registry.h"

#include <stdio.h>
#include <stdlib.h>

#include "cmd/registry/registry_cache.h"
#include "cmd/registry/registry_fetch.h"
#include "cmd/run/run.h"
#include "cmd/run/seldom.h"
#include "core/timespan.h"

enum { MAX_MISSING = 1024 };

/* An id that the registry has no schema for, or none that can be used. */
struct missing_id {
    uint32_t id;
    enum esp_reject reject;
    int64_t until_us; /* of the monotonic clock */
};

struct registry {
    struct registry_fetcher *fetcher;
    struct registry_cache cache;
    unsigned retries;
    int64_t forget_us;
    esp_log_report *report;
    void *report_context;
    char *schema;                           /* what the last lookup gave; owned */
    struct missing_id missing[MAX_MISSING]; /* n_missing; a ring: the oldest gives way */
    size_t n_missing, next_missing;
    struct seldom unknown, unusable, trouble;
};

enum esp_status registry_new(const struct registry_config *config, struct registry **out,
                             struct esp_error *err)
{
    struct registry *registry = calloc(1, sizeof *registry);
    if (registry == NULL)
        return esp_fail(err, ESP_ENOMEM, "out of memory for the schema registry");
    registry->retries = config->retries;
    registry->forget_us = config->forget_us;
    registry->report = config->report;
    registry->report_context = config->report_context;
    enum esp_status status =
        registry_cache_init(&registry->cache, config->state_folder, config->address, err);
    if (status == ESP_OK)
        status = registry_fetcher_new(config, &registry->fetcher, err);
    if (status == ESP_OK) {
        *out = registry;
        registry = NULL; /* moved to the caller */
    }
    registry_free(registry);
    return status;
}

void registry_free(struct registry *registry)
{
    if (registry == NULL)
        return;
    registry_fetcher_free(registry->fetcher);
    registry_cache_release(&registry->cache);
    free(registry->schema);
    free(registry);
}

void registry_set_end(struct registry *registry, bool (*stopped)(void *context), void *context,
                      int64_t patience_us)
{
    registry_fetcher_set_end(registry->fetcher, stopped, context, patience_us);
}

const char *registry_address(const struct registry *registry)
{
    return registry_fetcher_address(registry->fetcher);
}

const char *registry_folder(const struct registry *registry)
{
    return registry->cache.folder;
}

enum esp_status registry_ping(struct registry *registry, struct esp_error *err)
{
    return registry_fetcher_ping(registry->fetcher, err);
}

/* The entry of an id, also where its time is up; NULL: none. */
static struct missing_id *find_missing(struct registry *registry, uint32_t id)
{
    for (size_t i = 0; i < registry->n_missing; i++) {
        if (registry->missing[i].id == id)
            return &registry->missing[i];
    }
    return NULL;
}

/* An id that was asked for thoroughly once is asked for once at a time from then on; and so is a
 * new one in a flood of them, or the pauses would hold up the input for as long as it lasts. */
static unsigned retries_for(struct registry *registry, uint32_t id)
{
    int64_t now_us = run_clock_us();
    size_t n_live = 0;
    for (size_t i = 0; i < registry->n_missing; i++)
        n_live += registry->missing[i].until_us > now_us;
    return find_missing(registry, id) != NULL || n_live == MAX_MISSING ? 0 : registry->retries;
}

static enum esp_reject note_missing(struct registry *registry, uint32_t id,
                                    const struct registry_fetched *fetched)
{
    bool is_unknown = fetched->verdict == REGISTRY_UNKNOWN;
    struct missing_id *missing = find_missing(registry, id);
    if (missing == NULL) {
        missing = &registry->missing[registry->next_missing];
        registry->next_missing = (registry->next_missing + 1) % MAX_MISSING;
        registry->n_missing += registry->n_missing < MAX_MISSING;
    }
    enum esp_reject reject = is_unknown ? ESP_REJECT_UNKNOWN_SCHEMA : ESP_REJECT_UNUSABLE_SCHEMA;
    *missing = (struct missing_id){id, reject, run_clock_us() + registry->forget_us};
    char span[ESP_TIME_TEXT_SIZE];
    seldom_say(is_unknown ? &registry->unknown : &registry->unusable, registry->report,
               registry->report_context,
               "schema %lu of %s: %s; its records go to the dead letters, and it is asked for "
               "again after %s",
               (unsigned long)id, registry_address(registry), fetched->why.text,
               esp_span_format(registry->forget_us, span));
    return reject;
}

/* From the folder; NULL where it must be fetched. A file that is no good is said. */
static char *read_kept(struct registry *registry, uint32_t id)
{
    char *json = NULL;
    struct esp_error trouble = {0};
    if (registry_cache_read(&registry->cache, id, &json, &trouble) != ESP_OK)
        seldom_say(&registry->trouble, registry->report, registry->report_context,
                   "%s; the schema is fetched anew", trouble.text);
    return json;
}

static void keep(struct registry *registry, uint32_t id, const char *json)
{
    struct esp_error trouble = {0};
    if (registry_cache_write(&registry->cache, id, json, &trouble) != ESP_OK)
        seldom_say(&registry->trouble, registry->report, registry->report_context,
                   "%s; the next start fetches the schema anew", trouble.text);
}

enum esp_status registry_look_up(struct registry *registry, uint32_t id, const char **out_json,
                                 enum esp_reject *out_reject, struct esp_error *err)
{
    const struct missing_id *missing = find_missing(registry, id);
    if (missing != NULL && run_clock_us() < missing->until_us) {
        *out_json = NULL;
        *out_reject = missing->reject;
        return ESP_OK;
    }
    char *json = read_kept(registry, id);
    if (json == NULL) {
        struct registry_fetched fetched;
        enum esp_status status =
            registry_fetch(registry->fetcher, id, retries_for(registry, id), &fetched, err);
        if (status != ESP_OK)
            return status;
        json = fetched.json;
        if (json != NULL)
            keep(registry, id, json);
        else
            *out_reject = note_missing(registry, id, &fetched);
    }
    free(registry->schema);
    registry->schema = json;
    *out_json = json;
    return ESP_OK;
}
