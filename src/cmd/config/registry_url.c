/* registry_url.c - see registry_url.h. */
#include "cmd/config/registry_url.h"

#include <curl/curl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A part as a copy of ours; NULL: there is none, or no memory for it (then *failed is set). */
static char *take_part(CURLU *url, CURLUPart part, unsigned flags, bool *failed)
{
    char *text = NULL;
    CURLUcode code = curl_url_get(url, part, &text, flags);
    char *copy = code == CURLUE_OK ? strdup(text) : NULL;
    *failed = *failed || code == CURLUE_OUT_OF_MEMORY || (code == CURLUE_OK && copy == NULL);
    curl_free(text);
    return copy;
}

static enum esp_status check_parts(CURLU *url, struct esp_error *err)
{
    bool failed = false;
    char *scheme = take_part(url, CURLUPART_SCHEME, 0, &failed);
    char *query = take_part(url, CURLUPART_QUERY, 0, &failed);
    char *fragment = take_part(url, CURLUPART_FRAGMENT, 0, &failed);
    enum esp_status status = ESP_OK;
    if (failed || scheme == NULL)
        status = esp_fail(err, ESP_ENOMEM, "out of memory for an address");
    else if (strcmp(scheme, "http") != 0 && strcmp(scheme, "https") != 0)
        status =
            esp_fail(err, ESP_ECONFIG,
                     "\"%.20s\" is no scheme of a registry; write http:// or https://", scheme);
    else if (query != NULL || fragment != NULL)
        status =
            esp_fail(err, ESP_ECONFIG, "an address with ? or #; write it as far as its path alone");
    free(scheme);
    free(query);
    free(fragment);
    return status;
}

enum esp_status registry_url_parse(const char *text, struct registry_url *out,
                                   struct esp_error *err)
{
    struct registry_url parts = {0};
    bool failed = false;
    CURLU *url = curl_url();
    CURLUcode code = url == NULL ? CURLUE_OUT_OF_MEMORY
                                 : curl_url_set(url, CURLUPART_URL, text, CURLU_NON_SUPPORT_SCHEME);
    enum esp_status status = ESP_OK;
    if (code == CURLUE_OUT_OF_MEMORY)
        status = esp_fail(err, ESP_ENOMEM, "out of memory for an address");
    else if (code != CURLUE_OK)
        status = esp_fail(err, ESP_ECONFIG, "not an address (%s); write http://host:8081",
                          curl_url_strerror(code));
    else
        status = check_parts(url, err);
    if (status != ESP_OK)
        goto out;
    parts.user = take_part(url, CURLUPART_USER, CURLU_URLDECODE, &failed);
    parts.password = take_part(url, CURLUPART_PASSWORD, CURLU_URLDECODE, &failed);
    curl_url_set(url, CURLUPART_USER, NULL, 0);
    curl_url_set(url, CURLUPART_PASSWORD, NULL, 0);
    parts.base = take_part(url, CURLUPART_URL, 0, &failed);
    if (failed || parts.base == NULL) {
        status = esp_fail(err, ESP_ENOMEM, "out of memory for an address");
        goto out;
    }
    for (size_t n = strlen(parts.base); n > 0 && parts.base[n - 1] == '/'; n--)
        parts.base[n - 1] = '\0';
    *out = parts;
    parts = (struct registry_url){0}; /* moved to the caller */
out:
    registry_url_release(&parts);
    curl_url_cleanup(url);
    return status;
}

void registry_url_release(struct registry_url *url)
{
    if (url->password != NULL)
        explicit_bzero(url->password, strlen(url->password));
    free(url->base);
    free(url->user);
    free(url->password);
    *url = (struct registry_url){0};
}

const char *registry_url_mask(const char *text, char *out, size_t size)
{
    /* The last @: a password may hold others, and an address that is wrong may be anything. */
    const char *at = strrchr(text, '@');
    int n_kept = strncasecmp(text, "http://", 7) == 0    ? 7
                 : strncasecmp(text, "https://", 8) == 0 ? 8
                                                         : 0;
    if (at == NULL)
        snprintf(out, size, "%s", text);
    else
        snprintf(out, size, "%.*s***%s", n_kept, text, at);
    return out;
}
