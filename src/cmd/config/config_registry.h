/*
 * config_registry.h - what [schema] says of a Schema Registry, checked.
 */
#ifndef ESP_CMD_CONFIG_CONFIG_REGISTRY_H
#define ESP_CMD_CONFIG_CONFIG_REGISTRY_H

#include "cmd/config/options.h"
#include "cmd/config/registry_url.h"
#include "core/status.h"

/* { 0 } can be released. */
struct config_registry {
    struct registry_url url; /* url.base NULL: no registry; user and password: those to use */
};

/*
 * out_key  ESP_ECONFIG: the key of [schema] that is at fault
 * Errors: ESP_ECONFIG (what is wrong and the mend, without the key or any secret), ESP_ENOMEM.
 */
enum esp_status config_registry_load(struct config_registry *registry,
                                     const struct registry_options *options, const char **out_key,
                                     struct esp_error *err);
void config_registry_release(struct config_registry *registry);

#endif
