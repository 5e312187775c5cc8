/*
 * registry_fetch.h - asks a Schema Registry for a schema until it answers, and for what the schema
 * refers to. Remembers nothing between two calls.
 */
#ifndef ESP_CMD_REGISTRY_REGISTRY_FETCH_H
#define ESP_CMD_REGISTRY_REGISTRY_FETCH_H

#include "cmd/registry/registry.h"
#include "cmd/registry/registry_answer.h"

/* What a fetch came to. */
struct registry_fetched {
    enum registry_verdict verdict; /* SCHEMA, UNKNOWN or UNUSABLE */
    char *json;                    /* SCHEMA: self-contained; free()d by the caller */
    struct esp_error why;          /* the others; status is not used */
};

struct registry_fetcher;

/* Copies the configuration; its folder, retries and forget_us are not used. Errors: ESP_ENOMEM. */
enum esp_status registry_fetcher_new(const struct registry_config *config,
                                     struct registry_fetcher **out, struct esp_error *err);
void registry_fetcher_free(struct registry_fetcher *fetcher); /* NULL is fine */

/* As registry_set_end(). */
void registry_fetcher_set_end(struct registry_fetcher *fetcher, bool (*stopped)(void *context),
                              void *context, int64_t patience_us);

/*
 * retries  how often the registry is asked again for what it does not know
 * Errors: as registry_look_up().
 */
enum esp_status registry_fetch(struct registry_fetcher *fetcher, uint32_t id, unsigned retries,
                               struct registry_fetched *out, struct esp_error *err);

/* As registry_ping(). */
enum esp_status registry_fetcher_ping(struct registry_fetcher *fetcher, struct esp_error *err);

/* The address, owned by the fetcher. */
const char *registry_fetcher_address(const struct registry_fetcher *fetcher);

#endif
