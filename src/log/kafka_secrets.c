/*
 * kafka_secrets.c - what must not be in any line. librdkafka keeps passwords that it knows as such
 * to itself; it repeats whatever else it cannot make sense of.
 */
#include "core/buf.h"
#include "log/kafka_log.h"

enum { LEAST_BYTES = 4 }; /* shorter ones are in every other word, and no secret */

bool esp_log_is_secret(const char *name)
{
    static const char *const parts[] = {"pass", "pasw", "secret", "key.pem", "oauthbearer.config"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        if (strstr(name, parts[i]) != NULL)
            return true;
    }
    return false;
}

static enum esp_status add(struct esp_kafka_log *kafka, const char *text, size_t n,
                           struct esp_error *err)
{
    if (n < LEAST_BYTES)
        return ESP_OK;
    void *secrets = kafka->secrets;
    enum esp_status status = esp_array_grow(&secrets, &kafka->secret_capacity, kafka->n_secrets + 1,
                                            sizeof *kafka->secrets, err);
    kafka->secrets = secrets;
    char *copy = status == ESP_OK ? strndup(text, n) : NULL;
    if (copy == NULL)
        return esp_fail(err, ESP_ENOMEM, "out of memory for a property");
    kafka->secrets[kafka->n_secrets++] = copy;
    return ESP_OK;
}

enum esp_status esp_kafka_keep_secret(struct esp_kafka_log *kafka,
                                      const struct esp_log_property *property,
                                      struct esp_error *err)
{
    if (property->is_secret || esp_log_is_secret(property->name))
        return add(kafka, property->value, strlen(property->value), err);
    /* An address: SCHEME://USER:PASSWORD@HOST. */
    const char *scheme = strstr(property->value, "://");
    const char *at = scheme == NULL ? NULL : strrchr(scheme, '@');
    return at == NULL ? ESP_OK : add(kafka, scheme + 3, (size_t)(at - scheme - 3), err);
}

void esp_kafka_hide_secrets(const struct esp_kafka_log *kafka, char *text)
{
    for (size_t i = 0; i < kafka->n_secrets; i++) {
        size_t n = strlen(kafka->secrets[i]);
        for (char *at = text; (at = strstr(at, kafka->secrets[i])) != NULL; at += 3) {
            memcpy(at, "***", 3);
            memmove(at + 3, at + n, strlen(at + n) + 1);
        }
    }
}

void esp_kafka_forget_secrets(struct esp_kafka_log *kafka)
{
    for (size_t i = 0; i < kafka->n_secrets; i++) {
        explicit_bzero(kafka->secrets[i], strlen(kafka->secrets[i]));
        free(kafka->secrets[i]);
    }
    free(kafka->secrets);
    kafka->secrets = NULL;
    kafka->n_secrets = kafka->secret_capacity = 0;
}
