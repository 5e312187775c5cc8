/*
 * registry.h - schemas by id: from memory, from the state folder, or from a Schema Registry.
 *
 * It lives here because a lookup waits: it reads the clock, watches the run's stop flag and says
 * what it waits for.
 *
 *     the registry says         what becomes of the lookup
 *     here it is                kept in the state folder for good, and given
 *     no such schema            asked again `retries` times, then unknown for `forget_us`
 *     it is no Avro schema      unusable for `forget_us`
 *     (away, 5xx, nonsense)     asked again, ever more slowly, until it answers or the run stops
 *     wrong password, moved     the lookup fails: ESP_ECONFIG
 *
 * So a record is a dead letter only where the registry itself has said that its schema is not to be
 * had. References are followed and put into the schema: see event/schema_inline.h.
 */
#ifndef ESP_CMD_REGISTRY_REGISTRY_H
#define ESP_CMD_REGISTRY_REGISTRY_H

#include <stdbool.h>
#include <stdint.h>

#include "core/status.h"
#include "event/event.h"
#include "log/log.h"

struct registry_config {
    const char *address;         /* as registry_url_parse() gives it: without credentials */
    const char *user, *password; /* user NULL: none */
    const char *ca_file;         /* NULL: the system's */
    const char *state_folder;
    int64_t timeout_us;     /* of one request */
    unsigned retries;       /* of an id that is unknown */
    int64_t forget_us;      /* how long an id stays unknown or unusable without asking again */
    int64_t first_pause_us; /* between two requests for the same; doubles each time; 0: 100 ms */
    esp_log_report *report; /* what is waited for, what was damaged: at most a line a minute each */
    void *report_context;
};

struct registry;

/*
 * Copies the configuration; asks and opens nothing yet. Before any thread is started.
 * Errors: ESP_ENOMEM.
 */
enum esp_status registry_new(const struct registry_config *config, struct registry **out,
                             struct esp_error *err);
void registry_free(struct registry *registry); /* NULL is fine */

/*
 * What ends a wait. stopped is asked about 20 times a second, from the thread that looks up; NULL:
 * never. patience_us: how long a lookup may take while the registry is away; 0: as long as it
 * takes.
 */
void registry_set_end(struct registry *registry, bool (*stopped)(void *context), void *context,
                      int64_t patience_us);

/*
 * Looks an id up: an esp_schema_source's look_up, see there. From one thread at a time.
 * Errors: ESP_EBROKER (stopped, or out of patience), ESP_ECONFIG (the registry refuses us),
 * ESP_ENOMEM.
 */
enum esp_status registry_look_up(struct registry *registry, uint32_t id, const char **out_json,
                                 enum esp_reject *out_reject, struct esp_error *err);

/*
 * Asks once for what every registry has, to see whether it answers us.
 * Errors: ESP_EBROKER (no answer, or not a registry's), ESP_ECONFIG (refused).
 */
enum esp_status registry_ping(struct registry *registry, struct esp_error *err);

/* The address. Owned by the registry. */
const char *registry_address(const struct registry *registry);

/* The folder that keeps its schemas. Owned by the registry. */
const char *registry_folder(const struct registry *registry);

#endif
