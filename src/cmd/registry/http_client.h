/*
 * http_client.h - GET requests to one server, one at a time, with a limit on everything.
 *
 * Redirects are not followed: they would carry the password elsewhere. libcurl takes a proxy from
 * the environment (https_proxy, no_proxy), as its users expect.
 */
#ifndef ESP_CMD_REGISTRY_HTTP_CLIENT_H
#define ESP_CMD_REGISTRY_HTTP_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/buf.h"
#include "core/status.h"

struct http_config {
    const char *user, *password; /* basic authentication; user NULL: none */
    const char *ca_file;         /* NULL: the system's */
    const char *accept;          /* the value of the header Accept */
    int64_t timeout_us;          /* of a request as a whole */
    size_t max_body_bytes;
    bool (*stopped)(void *context); /* ends a request early; NULL: never asked */
    void *stopped_context;
};

enum http_outcome {
    HTTP_ANSWERED,
    HTTP_TOO_LARGE, /* the body passes the limit */
    HTTP_FAILED,    /* no connection, no answer in time, an answer that breaks off */
    HTTP_UNTRUSTED, /* TLS: the certificate, or the CA file, does not do */
};

struct http_reply {
    enum http_outcome outcome;
    long status;            /* ANSWERED */
    int64_t retry_after_us; /* ANSWERED: when the server wants to be asked again; 0: it says not */
    struct esp_bytes body;  /* ANSWERED; borrowed until the next request */
    struct esp_error why;   /* not ANSWERED: what went wrong; status is not used */
};

struct http_client;

/* Copies the configuration. Before any thread is started. Errors: ESP_ENOMEM. */
enum esp_status http_client_new(const struct http_config *config, struct http_client **out,
                                struct esp_error *err);
void http_client_free(struct http_client *client); /* NULL is fine */

/* Asks for an address. From one thread at a time. */
void http_get(struct http_client *client, const char *url, struct http_reply *reply);

#endif
