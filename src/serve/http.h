/*
 * http.h - a small HTTP server of pages: a table of paths, each with a function that writes its
 * body. libmicrohttpd does the protocol, on threads of its own.
 *
 * It answers GET and HEAD; other methods get 405, other paths 404, each with a line of text.
 * Requests carry no input but their path: a query is passed over, a body is not read.
 *
 * What a client can make it hold is bounded: connections, bytes of a request's head a connection,
 * seconds of silence and of a request as a whole, bytes of one page, and bytes of all pages that
 * clients have yet to read.
 */
#ifndef ESP_SERVE_HTTP_H
#define ESP_SERVE_HTTP_H

#include <stdint.h>

#include "core/buf.h"

/*
 * One path. render is called from the server's threads, several at once, and must not wait for
 * anything that may take long.
 *
 * out   empty; what is appended is the body
 * code  200; to be set where the page says that something is wrong (503)
 * A failure is answered with 500 and its text.
 */
struct esp_page {
    const char *path;         /* "/metrics" */
    const char *content_type; /* "text/html; charset=utf-8" */
    const char *title;        /* for a page of links; NULL: it is not linked */
    enum esp_status (*render)(void *context, struct esp_buf *out, unsigned *code,
                              struct esp_error *err);
    void *context;
};

struct esp_http_config {
    const char *address;          /* numeric, IPv4 or IPv6 (without brackets) */
    uint16_t port;                /* 0: any that is free, see esp_http_port() */
    const struct esp_page *pages; /* borrowed until the stop; paths differ */
    size_t n_pages;
    /* 0 takes the default of each */
    unsigned n_threads;       /* 2: a page that takes long does not hold up a probe */
    unsigned max_connections; /* 64; more wait in the backlog */
    unsigned silence_s;       /* 10; then a connection is closed */
    unsigned request_s;       /* 30: of a request as a whole, its answer's reading included */
    size_t max_request_bytes; /* 16 KiB: of a request's head */
    size_t max_page_bytes;    /* 8 MiB */
    size_t max_unread_bytes;  /* 64 MiB: over it pages are answered with 503 */
};

struct esp_http;

/*
 * Binds, listens and starts to answer.
 *
 * Errors: ESP_ECONFIG (address is none), ESP_EIO (it cannot be bound: says address, port and why),
 * ESP_ENOMEM.
 */
enum esp_status esp_http_start(const struct esp_http_config *config, struct esp_http **out,
                               struct esp_error *err);

/* Closes what is open and waits for the threads; no page is rendered afterwards. NULL is fine. */
void esp_http_stop(struct esp_http *http);

/* The port that it listens on. */
uint16_t esp_http_port(const struct esp_http *http);

/* Is this an address that esp_http_start() takes? */
bool esp_http_is_address(const char *address);

/* Answers so far, by code; for counters. */
struct esp_http_stats {
    uint64_t ok, not_found, wrong_method, failed, unavailable; /* 200, 404, 405, 500, 503 */
    uint64_t cut; /* connections whose request took too long */
};
void esp_http_stats(struct esp_http *http, struct esp_http_stats *out);

enum { ESP_HTTP_URL_SIZE = 96 };

/* "http://127.0.0.1:9464/", "http://[::1]:9464/" of an address; returns text. */
const char *esp_http_url(const char *address, uint16_t port, char text[ESP_HTTP_URL_SIZE]);

#endif
