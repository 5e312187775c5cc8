/* http_client.c - see http_client.h. */
#include "cmd/registry/http_client.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>

#include "core/timespan.h"
#include "core/version.h"

struct http_client {
    CURL *curl;
    struct curl_slist *headers;
    struct esp_buf body;
    bool is_too_large;
    bool (*stopped)(void *context);
    void *stopped_context;
    char error[CURL_ERROR_SIZE]; /* libcurl's words on the last request */
};

static size_t take_body(char *data, size_t item_size, size_t n_items, void *context)
{
    struct http_client *client = context;
    size_t size = item_size * n_items; /* libcurl: item_size is 1 */
    enum esp_status status = esp_buf_append(&client->body, data, size, NULL);
    client->is_too_large = status == ESP_ELIMIT;
    return status == ESP_OK ? size : 0;
}

static int look_for_stop(void *context, curl_off_t down_total, curl_off_t down, curl_off_t up_total,
                         curl_off_t up)
{
    struct http_client *client = context;
    (void)down_total;
    (void)down;
    (void)up_total;
    (void)up;
    return client->stopped != NULL && client->stopped(client->stopped_context);
}

/* All options that stay. */
static bool set_up(struct http_client *client, const struct http_config *config)
{
    CURL *curl = client->curl;
    long timeout_ms = (long)((config->timeout_us + ESP_MS - 1) / ESP_MS);
    CURLcode code = curl_easy_setopt(curl, CURLOPT_HTTPHEADER, client->headers);
#define SET(option, value) \
    if (code == CURLE_OK)  \
    code = curl_easy_setopt(curl, CURLOPT_##option, value)
    SET(PROTOCOLS_STR, "http,https");
    SET(NOSIGNAL, 1L);   /* signals are the main thread's */
    SET(QUICK_EXIT, 1L); /* a stop does not wait for the resolver of names */
    SET(FOLLOWLOCATION, 0L);
    SET(USERAGENT, "espalier/" ESP_VERSION);
    SET(CONNECTTIMEOUT_MS, timeout_ms);
    SET(TIMEOUT_MS, timeout_ms);
    SET(ERRORBUFFER, client->error);
    SET(WRITEFUNCTION, take_body);
    SET(WRITEDATA, client);
    SET(XFERINFOFUNCTION, look_for_stop);
    SET(XFERINFODATA, client);
    SET(NOPROGRESS, 0L);
    if (config->ca_file != NULL)
        SET(CAINFO, config->ca_file);
    if (config->user != NULL) {
        SET(HTTPAUTH, CURLAUTH_BASIC);
        SET(USERNAME, config->user);
        SET(PASSWORD, config->password == NULL ? "" : config->password);
    }
#undef SET
    return code == CURLE_OK;
}

enum esp_status http_client_new(const struct http_config *config, struct http_client **out,
                                struct esp_error *err)
{
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return esp_fail(err, ESP_ENOMEM, "libcurl cannot be started");
    struct http_client *client = calloc(1, sizeof *client);
    if (client == NULL) {
        curl_global_cleanup();
        return esp_fail(err, ESP_ENOMEM, "out of memory for requests");
    }
    char accept[256];
    snprintf(accept, sizeof accept, "Accept: %s", config->accept);
    client->stopped = config->stopped;
    client->stopped_context = config->stopped_context;
    esp_buf_init(&client->body, config->max_body_bytes);
    client->curl = curl_easy_init();
    client->headers = curl_slist_append(NULL, accept);
    if (client->curl == NULL || client->headers == NULL || !set_up(client, config)) {
        http_client_free(client);
        return esp_fail(err, ESP_ENOMEM, "out of memory for requests");
    }
    *out = client;
    return ESP_OK;
}

void http_client_free(struct http_client *client)
{
    if (client == NULL)
        return;
    curl_easy_cleanup(client->curl);
    curl_slist_free_all(client->headers);
    esp_buf_release(&client->body);
    free(client);
    curl_global_cleanup();
}

static enum http_outcome outcome_of(const struct http_client *client, CURLcode code)
{
    switch (code) {
    case CURLE_OK:
        return HTTP_ANSWERED;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
        return HTTP_UNTRUSTED;
    default:
        return client->is_too_large ? HTTP_TOO_LARGE : HTTP_FAILED;
    }
}

void http_get(struct http_client *client, const char *url, struct http_reply *reply)
{
    curl_off_t retry_after_s = 0;
    *reply = (struct http_reply){0};
    esp_buf_clear(&client->body);
    client->is_too_large = false;
    client->error[0] = '\0';
    CURLcode code = curl_easy_setopt(client->curl, CURLOPT_URL, url);
    if (code == CURLE_OK)
        code = curl_easy_perform(client->curl);
    reply->outcome = outcome_of(client, code);
    if (reply->outcome == HTTP_TOO_LARGE)
        esp_fail(&reply->why, ESP_ELIMIT, "an answer of over %zu bytes", client->body.cap);
    else if (reply->outcome != HTTP_ANSWERED)
        esp_fail(&reply->why, ESP_EBROKER, "%s",
                 client->error[0] != '\0' ? client->error : curl_easy_strerror(code));
    if (reply->outcome != HTTP_ANSWERED)
        return;
    curl_easy_getinfo(client->curl, CURLINFO_RESPONSE_CODE, &reply->status);
    curl_easy_getinfo(client->curl, CURLINFO_RETRY_AFTER, &retry_after_s);
    reply->retry_after_us = retry_after_s > 3600 ? ESP_HOUR : (int64_t)retry_after_s * ESP_SECOND;
    reply->body = esp_buf_bytes(&client->body);
}
