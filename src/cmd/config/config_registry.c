/* config_registry.c - see config_registry.h. */
#include "cmd/config/config_registry.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static enum esp_status copy(const char *text, char **out, struct esp_error *err)
{
    *out = strdup(text);
    return *out != NULL ? ESP_OK : esp_fail(err, ESP_ENOMEM, "out of memory");
}

static enum esp_status take_credentials(struct registry_url *url,
                                        const struct registry_options *options,
                                        const char **out_key, struct esp_error *err)
{
    const char *password = options->password;
    *out_key = "registry_user";
    if (options->user != NULL && url->user != NULL)
        return esp_fail(err, ESP_ECONFIG, "the address names a user too; keep one of the two");
    if (options->user != NULL && strchr(options->user, ':') != NULL)
        return esp_fail(err, ESP_ECONFIG,
                        "has a colon, which ends a user's name in basic authentication; write the "
                        "password in registry_password");
    if (options->user != NULL && copy(options->user, &url->user, err) != ESP_OK)
        return ESP_ENOMEM;
    *out_key = "registry_password";
    if (password == NULL)
        return ESP_OK;
    if (url->user == NULL)
        return esp_fail(err, ESP_ECONFIG, "a password without a user; give registry_user too");
    if (url->password != NULL)
        return esp_fail(err, ESP_ECONFIG, "the address has a password too; keep one of the two");
    return copy(password, &url->password, err);
}

enum esp_status config_registry_load(struct config_registry *registry,
                                     const struct registry_options *options, const char **out_key,
                                     struct esp_error *err)
{
    *registry = (struct config_registry){0};
    if (options->url == NULL) {
        *out_key = options->user != NULL       ? "registry_user"
                   : options->password != NULL ? "registry_password"
                                               : "registry_ca_file";
        return options->user == NULL && options->password == NULL && options->ca_file == NULL
                   ? ESP_OK
                   : esp_fail(err, ESP_ECONFIG,
                              "is given without a registry; write its address in registry");
    }
    *out_key = "registry";
    enum esp_status status = registry_url_parse(options->url, &registry->url, err);
    if (status == ESP_OK)
        status = take_credentials(&registry->url, options, out_key, err);
    if (status == ESP_OK && options->ca_file != NULL && access(options->ca_file, R_OK) != 0) {
        *out_key = "registry_ca_file";
        status =
            esp_fail(err, ESP_ECONFIG, "cannot be read: %s; name a file that can", strerror(errno));
    }
    return status;
}

void config_registry_release(struct config_registry *registry)
{
    registry_url_release(&registry->url);
}
