/* http.c - see http.h. */
#include "serve/http.h"

#include <errno.h>
#include <microhttpd.h>
#include <netdb.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/timespan.h"
#include "serve/visitors.h"

#define TEXT_TYPE "text/plain; charset=utf-8"

struct esp_http {
    struct MHD_Daemon *daemon;
    struct esp_http_config config; /* with the defaults filled in; its address is not kept */
    uint16_t port;
    struct esp_visitors *visitors; /* owned */
    atomic_size_t unread_bytes;    /* of bodies that libmicrohttpd holds */
    atomic_uint_least64_t ok, not_found, wrong_method, failed, unavailable;
};

/* ---- answers --------------------------------------------------------------------------------- */

/* A body on loan to libmicrohttpd, until the client has read it or is gone. */
struct body {
    struct esp_http *http;
    uint8_t *data; /* owned */
    size_t size;
};

static void free_body(void *context)
{
    struct body *body = context;
    atomic_fetch_sub(&body->http->unread_bytes, body->size);
    free(body->data);
    free(body);
}

static void count(struct esp_http *http, unsigned code)
{
    atomic_uint_least64_t *counter = code == 404   ? &http->not_found
                                     : code == 405 ? &http->wrong_method
                                     : code == 500 ? &http->failed
                                     : code == 503 ? &http->unavailable
                                                   : &http->ok;
    atomic_fetch_add(counter, 1);
}

/* Takes the response over. */
static enum MHD_Result answer(struct esp_http *http, struct MHD_Connection *connection,
                              struct MHD_Response *response, unsigned code, const char *type)
{
    if (response == NULL)
        return MHD_NO; /* out of memory: the connection is closed */
    bool ok = MHD_add_response_header(response, "Content-Type", type) == MHD_YES &&
              MHD_add_response_header(response, "Cache-Control", "no-store") == MHD_YES &&
              MHD_add_response_header(response, "X-Content-Type-Options", "nosniff") == MHD_YES;
    if (ok && code == MHD_HTTP_METHOD_NOT_ALLOWED)
        ok = MHD_add_response_header(response, "Allow", "GET, HEAD") == MHD_YES;
    enum MHD_Result result = ok ? MHD_queue_response(connection, code, response) : MHD_NO;
    if (result == MHD_YES)
        count(http, code);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result answer_line(struct esp_http *http, struct MHD_Connection *connection,
                                   unsigned code, const char *line)
{
    char text[ESP_ERROR_TEXT_SIZE + 32];
    int n = snprintf(text, sizeof text, "%s\n", line);
    struct MHD_Response *response =
        MHD_create_response_from_buffer((size_t)n, text, MHD_RESPMEM_MUST_COPY);
    return answer(http, connection, response, code, TEXT_TYPE);
}

/* Lends what out holds to libmicrohttpd; out is empty afterwards. */
static enum MHD_Result answer_body(struct esp_http *http, struct MHD_Connection *connection,
                                   unsigned code, const char *type, struct esp_buf *out)
{
    size_t before = atomic_fetch_add(&http->unread_bytes, out->size);
    struct body *body = NULL;
    if (before + out->size <= http->config.max_unread_bytes)
        body = malloc(sizeof *body);
    if (body == NULL) {
        atomic_fetch_sub(&http->unread_bytes, out->size);
        return answer_line(http, connection, MHD_HTTP_SERVICE_UNAVAILABLE,
                           "too many pages wait for their readers; try again later");
    }
    *body = (struct body){http, out->data, out->size};
    struct MHD_Response *response = MHD_create_response_from_buffer_with_free_callback_cls(
        body->size, body->data, free_body, body);
    if (response == NULL)
        free_body(body);
    esp_buf_init(out, out->cap);
    return answer(http, connection, response, code, type);
}

static enum MHD_Result answer_page(struct esp_http *http, struct MHD_Connection *connection,
                                   const struct esp_page *page)
{
    struct esp_buf out;
    struct esp_error err = {0};
    unsigned code = MHD_HTTP_OK;
    esp_buf_init(&out, http->config.max_page_bytes);
    enum esp_status status = page->render(page->context, &out, &code, &err);
    enum MHD_Result result =
        status == ESP_OK ? answer_body(http, connection, code, page->content_type, &out)
                         : answer_line(http, connection, MHD_HTTP_INTERNAL_SERVER_ERROR, err.text);
    esp_buf_release(&out);
    return result;
}

static bool has_body(struct MHD_Connection *connection)
{
    const char *length = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Content-Length");
    return (length != NULL && strcmp(length, "0") != 0) ||
           MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Transfer-Encoding") != NULL;
}

/*
 * Called when a request's head has come, and again when all of it has. libmicrohttpd takes an
 * answer at the first call for a refusal to read on and closes the connection: what a request with
 * a body gets.
 */
static enum MHD_Result handle(void *context, struct MHD_Connection *connection, const char *url,
                              const char *method, const char *version, const char *upload,
                              size_t *upload_size, void **request)
{
    struct esp_http *http = context;
    (void)version, (void)upload, (void)upload_size;
    if (*request == NULL && !has_body(connection)) {
        *request = http; /* seen */
        return MHD_YES;
    }
    if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
        return answer_line(http, connection, MHD_HTTP_METHOD_NOT_ALLOWED,
                           "this server answers GET and HEAD alone");
    for (size_t i = 0; i < http->config.n_pages; i++) {
        if (strcmp(url, http->config.pages[i].path) == 0)
            return answer_page(http, connection, &http->config.pages[i]);
    }
    return answer_line(http, connection, MHD_HTTP_NOT_FOUND, "no such page; / has links to all");
}

/* ---- connections ----------------------------------------------------------------------------- */

static void note_connection(void *context, struct MHD_Connection *connection, void **visitor,
                            enum MHD_ConnectionNotificationCode what)
{
    struct esp_http *http = context;
    if (what == MHD_CONNECTION_NOTIFY_CLOSED) {
        esp_visitors_leave(http->visitors, *visitor);
        return;
    }
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    *visitor = info == NULL ? NULL : esp_visitors_enter(http->visitors, info->connect_fd);
}

static void note_answered(void *context, struct MHD_Connection *connection, void **request,
                          enum MHD_RequestTerminationCode why)
{
    struct esp_http *http = context;
    (void)request, (void)why;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    if (info != NULL)
        esp_visitors_begin_again(http->visitors, info->socket_context);
}

/* ---- start and stop -------------------------------------------------------------------------- */

static struct addrinfo *resolve(const char *address, uint16_t port)
{
    char service[8];
    snprintf(service, sizeof service, "%u", (unsigned)port);
    const struct addrinfo hints = {.ai_family = AF_UNSPEC,
                                   .ai_socktype = SOCK_STREAM,
                                   .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE};
    struct addrinfo *found = NULL;
    return *address != '\0' && getaddrinfo(address, service, &hints, &found) == 0 ? found : NULL;
}

bool esp_http_is_address(const char *address)
{
    struct addrinfo *found = resolve(address, 0);
    if (found == NULL)
        return false;
    freeaddrinfo(found);
    return true;
}

const char *esp_http_url(const char *address, uint16_t port, char text[ESP_HTTP_URL_SIZE])
{
    bool v6 = strchr(address, ':') != NULL;
    snprintf(text, ESP_HTTP_URL_SIZE, "http://%s%s%s:%u/", v6 ? "[" : "", address, v6 ? "]" : "",
             (unsigned)port);
    return text;
}

static uint16_t bound_port(int fd)
{
    struct sockaddr_storage name;
    socklen_t size = sizeof name;
    char service[8] = "0";
    if (getsockname(fd, (struct sockaddr *)&name, &size) == 0)
        getnameinfo((struct sockaddr *)&name, size, NULL, 0, service, sizeof service,
                    NI_NUMERICSERV);
    return (uint16_t)strtoul(service, NULL, 10);
}

/* A bound and listening socket, or -1. Our own, so that the error says what the system said. */
static int open_socket(const struct esp_http_config *config, struct esp_error *err)
{
    struct addrinfo *address = resolve(config->address, config->port);
    if (address == NULL) {
        esp_fail(err, ESP_ECONFIG, "\"%s\" is not an IPv4 or IPv6 address", config->address);
        return -1;
    }
    const int on = 1;
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    /* A port whose last owner has just left is free. */
    bool ok = fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
              bind(fd, address->ai_addr, address->ai_addrlen) == 0 && listen(fd, SOMAXCONN) == 0;
    if (!ok) {
        char url[ESP_HTTP_URL_SIZE];
        esp_fail(err, ESP_EIO, "cannot listen on %s: %s",
                 esp_http_url(config->address, config->port, url), strerror(errno));
        if (fd >= 0)
            close(fd);
        fd = -1;
    }
    freeaddrinfo(address);
    return fd;
}

static void fill_in(struct esp_http_config *config)
{
    config->n_threads = config->n_threads > 0 ? config->n_threads : 2;
    config->max_connections = config->max_connections > 0 ? config->max_connections : 64;
    config->silence_s = config->silence_s > 0 ? config->silence_s : 10;
    config->request_s = config->request_s > 0 ? config->request_s : 30;
    if (config->max_request_bytes == 0)
        config->max_request_bytes = (size_t)16 << 10;
    if (config->max_page_bytes == 0)
        config->max_page_bytes = (size_t)8 << 20;
    if (config->max_unread_bytes == 0)
        config->max_unread_bytes = (size_t)64 << 20;
}

enum esp_status esp_http_start(const struct esp_http_config *config, struct esp_http **out,
                               struct esp_error *err)
{
    struct esp_http *http = calloc(1, sizeof *http);
    if (http == NULL)
        return esp_fail(err, ESP_ENOMEM, "out of memory for the HTTP server");
    http->config = *config;
    fill_in(&http->config);
    struct esp_error why = {0};
    int fd = open_socket(config, &why);
    if (fd < 0) {
        free(http);
        return esp_fail(err, why.status, "%s", why.text);
    }
    if (esp_visitors_new(http->config.request_s * ESP_SECOND, &http->visitors, &why) != ESP_OK) {
        close(fd);
        free(http);
        return esp_fail(err, why.status, "%s", why.text);
    }
    http->config.address = NULL;
    http->port = bound_port(fd);
    http->daemon = MHD_start_daemon(
        MHD_USE_AUTO | MHD_USE_INTERNAL_POLLING_THREAD, 0, NULL, NULL, handle, http,
        MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_THREAD_POOL_SIZE, http->config.n_threads,
        MHD_OPTION_CONNECTION_LIMIT, http->config.max_connections, MHD_OPTION_CONNECTION_TIMEOUT,
        http->config.silence_s, MHD_OPTION_CONNECTION_MEMORY_LIMIT, http->config.max_request_bytes,
        MHD_OPTION_NOTIFY_CONNECTION, note_connection, http, MHD_OPTION_NOTIFY_COMPLETED,
        note_answered, http, MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_END);
    if (http->daemon == NULL) {
        /* Whether fd is closed by now depends on how far it got; the caller gives up anyway. */
        esp_visitors_free(http->visitors);
        free(http);
        return esp_fail(err, ESP_ENOMEM, "the HTTP server cannot start its threads");
    }
    *out = http;
    return ESP_OK;
}

void esp_http_stop(struct esp_http *http)
{
    if (http == NULL)
        return;
    MHD_stop_daemon(http->daemon);
    esp_visitors_free(http->visitors);
    free(http);
}

uint16_t esp_http_port(const struct esp_http *http)
{
    return http->port;
}

void esp_http_stats(struct esp_http *http, struct esp_http_stats *out)
{
    *out = (struct esp_http_stats){
        .ok = atomic_load(&http->ok),
        .not_found = atomic_load(&http->not_found),
        .wrong_method = atomic_load(&http->wrong_method),
        .failed = atomic_load(&http->failed),
        .unavailable = atomic_load(&http->unavailable),
        .cut = esp_visitors_n_cut(http->visitors),
    };
}
