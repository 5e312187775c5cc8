/*
 * http_test.c - the server as a client sees it, over a raw socket: what it answers, what it
 * refuses, and that no client holds up the others.
 */
#include "serve/http.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "testkit.h"

enum {
    DEADLINE_MS = 30000,
    BIG_BYTES = 1 << 20,
    HUGE_BYTES = 32 << 20, /* more than the sockets between two programs hold */
};

/* ---- the pages ------------------------------------------------------------------------------- */

static enum esp_status render_hello(void *context, struct esp_buf *out, unsigned *code,
                                    struct esp_error *err)
{
    (void)code;
    return esp_buf_append(out, context, strlen(context), err);
}

static enum esp_status render_ill(void *context, struct esp_buf *out, unsigned *code,
                                  struct esp_error *err)
{
    (void)context;
    *code = 503;
    return esp_buf_append(out, "ill\n", 4, err);
}

static enum esp_status render_failure(void *context, struct esp_buf *out, unsigned *code,
                                      struct esp_error *err)
{
    (void)context, (void)code;
    esp_buf_append(out, "half a page", 11, NULL);
    return esp_fail(err, ESP_EBUG, "this page fails");
}

static enum esp_status render_big(void *context, struct esp_buf *out, unsigned *code,
                                  struct esp_error *err)
{
    const size_t *size = context;
    (void)code;
    enum esp_status status = esp_buf_reserve(out, *size, err);
    if (status == ESP_OK) {
        memset(out->data, 'b', *size);
        out->size = *size;
    }
    return status;
}

static enum esp_status render_nothing(void *context, struct esp_buf *out, unsigned *code,
                                      struct esp_error *err)
{
    (void)context, (void)out, (void)code, (void)err;
    return ESP_OK;
}

static char hello[] = "hello\n";
static size_t big_bytes = BIG_BYTES, huge_bytes = HUGE_BYTES;
static const struct esp_page pages[] = {
    {"/", "text/plain", NULL, render_hello, hello},
    {"/ill", "text/plain", NULL, render_ill, NULL},
    {"/failure", "text/plain", NULL, render_failure, NULL},
    {"/big", "text/plain", NULL, render_big, &big_bytes},
    {"/huge", "text/plain", NULL, render_big, &huge_bytes},
    {"/nothing", "text/plain", NULL, render_nothing, NULL},
};

/* ---- the client ------------------------------------------------------------------------------ */

static struct esp_http *start_with(struct esp_http_config config)
{
    struct esp_http *http = NULL;
    struct esp_error err = {0};
    config.address = "127.0.0.1";
    config.pages = pages;
    config.n_pages = G_N_ELEMENTS(pages);
    esp_http_start(&config, &http, &err);
    g_assert_cmpstr(err.text, ==, "");
    return http;
}

static int connect_to(const struct esp_http *http)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(esp_http_port(http)),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    g_assert_cmpint(connect(fd, (struct sockaddr *)&address, sizeof address), ==, 0);
    return fd;
}

/* A server that has had enough may close while a client still sends. */
static void send_bytes(int fd, const char *bytes, size_t n)
{
    while (n > 0) {
        ssize_t sent = send(fd, bytes, n, MSG_NOSIGNAL);
        if (sent <= 0)
            return;
        bytes += sent;
        n -= (size_t)sent;
    }
}

static void send_text(int fd, const char *text)
{
    send_bytes(fd, text, strlen(text));
}

/* Appends what comes next; false: the server has closed, or nothing came for DEADLINE_MS. */
static bool receive(int fd, GString *got)
{
    char bytes[65536];
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    if (poll(&ready, 1, DEADLINE_MS) <= 0) {
        g_test_fail_printf("the server neither answers nor closes");
        return false;
    }
    ssize_t n = recv(fd, bytes, sizeof bytes, 0);
    if (n > 0)
        g_string_append_len(got, bytes, n);
    return n > 0;
}

/* All that comes until the server closes. The caller frees the text. */
static char *receive_all(int fd)
{
    GString *got = g_string_new(NULL);
    while (receive(fd, got))
        continue;
    close(fd);
    return g_string_free(got, FALSE);
}

static char *ask(const struct esp_http *http, const char *request)
{
    int fd = connect_to(http);
    send_text(fd, request);
    return receive_all(fd);
}

static const char *body_of(const char *answer)
{
    const char *end = strstr(answer, "\r\n\r\n");
    return end == NULL ? "(no body)" : end + 4;
}

/* Fails unless the server still greets. */
static void assert_well(const struct esp_http *http)
{
    char *answer = ask(http, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    g_assert_true(g_str_has_prefix(answer, "HTTP/1.1 200 "));
    g_assert_cmpstr(body_of(answer), ==, hello);
    g_free(answer);
}

/* ---- what is answered ------------------------------------------------------------------------ */

#define END " HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"

static const struct answer_row {
    const char *name, *request, *status, *header, *body;
} answer_rows[] = {
    {"GET gives the page", "GET /" END, "200 OK", "Content-Type: text/plain\r\n", "hello\n"},
    {"and its length", "GET /" END, "200 OK", "Content-Length: 6\r\n", "hello\n"},
    {"a query is passed over", "GET /?a=1&b=%00" END, "200 OK", "", "hello\n"},
    {"HEAD gives the length and no body", "HEAD /" END, "200 OK", "Content-Length: 6\r\n", ""},
    {"a page may be empty", "GET /nothing" END, "200 OK", "Content-Length: 0\r\n", ""},
    {"a page may say that something is wrong", "GET /ill" END, "503 ", "", "ill\n"},
    {"no page is cached", "GET /ill" END, "503 ", "Cache-Control: no-store\r\n", "ill\n"},
    {"a page that fails says why", "GET /failure" END, "500 ", "text/plain", "this page fails\n"},
    {"an unknown page is told", "GET /missing" END, "404 ", "",
     "no such page; / has links to all\n"},
    {"a page is not its folder", "GET /ill/" END, "404 ", "", "no such page; / has links to all\n"},
    {"dots lead nowhere", "GET /../../etc/passwd" END, "404 ", "",
     "no such page; / has links to all\n"},
    {"HEAD of an unknown page has no body", "HEAD /missing" END, "404 ", "", ""},
    {"DELETE is refused", "DELETE /" END, "405 ", "Allow: GET, HEAD\r\n",
     "this server answers GET and HEAD alone\n"},
    {"an unheard-of method is refused", "BREW /" END, "405 ", "Allow: GET, HEAD\r\n",
     "this server answers GET and HEAD alone\n"},
    {"POST is refused before its body has come",
     "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\n\r\nabc", "405 ",
     "Allow: GET, HEAD\r\n", "this server answers GET and HEAD alone\n"},
    {"a GET with a body is answered without it",
     "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\n\r\nabc", "200 OK",
     "Connection: close\r\n", "hello\n"},
    {"a client of version 1.0 is served", "GET / HTTP/1.0\r\n\r\n", "200 OK", "", "hello\n"},
};

static void test_answer(gconstpointer data)
{
    const struct answer_row *row = data;
    struct esp_http *http = start_with((struct esp_http_config){0});
    if (http == NULL)
        return;
    char *answer = ask(http, row->request);
    char *status = g_strdup_printf("HTTP/1.1 %s", row->status);
    if (!g_str_has_prefix(answer, status) || strstr(answer, row->header) == NULL)
        g_test_fail_printf("%s", answer);
    g_assert_cmpstr(body_of(answer), ==, row->body);
    assert_well(http);
    esp_http_stop(http);
    g_free(status);
    g_free(answer);
}

/* What is not HTTP is refused with a code of 400 or more, or the connection is closed. */
static const struct malformed_row {
    const char *name, *request;
    size_t n_zeros; /* that many '0' follow, then an empty line */
} malformed_rows[] = {
    {"no method", "\r\n\r\n\r\n\r\n", 0},
    {"one word", "GET\r\n\r\n", 0},
    {"no version", "GET /\r\n\r\n", 0},
    {"another protocol", "GET / SMTP/1.1\r\nHost: a\r\n\r\n", 0},
    {"a later major version", "GET / HTTP/9.9\r\nHost: a\r\n\r\n", 0},
    {"no host", "GET / HTTP/1.1\r\n\r\n", 0},
    {"a header without a colon", "GET / HTTP/1.1\r\nHost: a\r\nnonsense\r\n\r\n", 0},
    {"a length that is no number", "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: many\r\n\r\n", 0},
    {"a greeting of TLS", "\x16\x03\x01\x02\x01\x01\x01\xfc\x03\x03\r\n\r\n", 0},
    {"a path longer than may be", "GET /", 100000},
    {"a header longer than may be", "GET / HTTP/1.1\r\nHost: a\r\nCookie: ", 100000},
};

static void test_malformed(gconstpointer data)
{
    const struct malformed_row *row = data;
    struct esp_http *http = start_with((struct esp_http_config){.silence_s = 1});
    if (http == NULL)
        return;
    char *zeros = g_strnfill(row->n_zeros, '0');
    int fd = connect_to(http);
    send_text(fd, row->request);
    send_bytes(fd, zeros, row->n_zeros);
    send_text(fd, "\r\n\r\n");
    char *answer = receive_all(fd);
    if (*answer != '\0' && !g_str_has_prefix(answer, "HTTP/1.1 4") &&
        !g_str_has_prefix(answer, "HTTP/1.0 4") && !g_str_has_prefix(answer, "HTTP/1.1 5"))
        g_test_fail_printf("%s", answer);
    assert_well(http);
    esp_http_stop(http);
    g_free(zeros);
    g_free(answer);
}

/* ---- connections ----------------------------------------------------------------------------- */

static void test_keep_alive(void)
{
    struct esp_http *http = start_with((struct esp_http_config){0});
    if (http == NULL)
        return;
    /* Two at once, the second asked for before the first is read. */
    char *answer = ask(http, "GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /ill" END);
    char *second = strstr(body_of(answer), "HTTP/1.1 503 ");
    g_assert_true(g_str_has_prefix(answer, "HTTP/1.1 200 "));
    g_assert_nonnull(second);
    g_free(answer);
    esp_http_stop(http);
}

static void test_slow_client(void)
{
    struct esp_http *http = start_with((struct esp_http_config){.silence_s = 1});
    if (http == NULL)
        return;
    int silent = connect_to(http), half = connect_to(http);
    send_text(half, "GET / HTTP/1.1\r\nHo");
    for (int i = 0; i < 20; i++)
        assert_well(http);
    char *nothing = receive_all(silent);
    g_assert_cmpstr(nothing, ==, "");
    char *answer = receive_all(half); /* closed, with or without a 408 */
    g_assert_null(strstr(answer, "200 OK"));
    g_free(nothing);
    g_free(answer);
    esp_http_stop(http);
}

/* True once the server has closed; looks for a moment. */
static bool is_closed(int fd)
{
    char bytes[1024];
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    return poll(&ready, 1, 50) == 1 && recv(fd, bytes, sizeof bytes, 0) <= 0;
}

/* Never silent, never done: a byte of a header now and then. */
static void test_dribbling_client(void)
{
    struct esp_http *http = start_with((struct esp_http_config){.request_s = 1});
    if (http == NULL)
        return;
    int fds[8];
    for (size_t i = 0; i < G_N_ELEMENTS(fds); i++) {
        fds[i] = connect_to(http);
        send_text(fds[i], "GET / HTTP/1.1\r\nX-Long: ");
    }
    int n_bytes = 0;
    while (!is_closed(fds[0]) && n_bytes < DEADLINE_MS / 50) {
        for (size_t i = 0; i < G_N_ELEMENTS(fds); i++)
            send_text(fds[i], "a");
        n_bytes++;
    }
    g_assert_cmpint(n_bytes, <, DEADLINE_MS / 50); /* far fewer than a head may have */
    assert_well(http);
    for (size_t i = 0; i < G_N_ELEMENTS(fds); i++)
        close(fds[i]);
    struct esp_http_stats stats;
    esp_http_stats(http, &stats);
    g_assert_cmpuint(stats.cut, >, 0);
    g_assert_cmpuint(stats.cut, <=, G_N_ELEMENTS(fds));
    esp_http_stop(http);
}

/* The limit is of a request, not of a connection that makes one after the other. */
static void test_busy_client(void)
{
    struct esp_http *http = start_with((struct esp_http_config){.request_s = 1});
    if (http == NULL)
        return;
    int fd = connect_to(http);
    GString *got = g_string_new(NULL);
    int64_t until_us = g_get_monotonic_time() + 2 * G_USEC_PER_SEC;
    while (!g_test_failed() && g_get_monotonic_time() < until_us) {
        g_string_truncate(got, 0);
        send_text(fd, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        while (!g_str_has_suffix(got->str, hello)) {
            if (!receive(fd, got)) {
                g_test_fail_printf("a client that asks again and again was cut off");
                break;
            }
        }
    }
    struct esp_http_stats stats;
    esp_http_stats(http, &stats);
    g_assert_cmpuint(stats.cut, ==, 0);
    g_string_free(got, TRUE);
    close(fd);
    esp_http_stop(http);
}

static void test_many_connections(void)
{
    struct esp_http *http =
        start_with((struct esp_http_config){.max_connections = 8, .silence_s = 1});
    if (http == NULL)
        return;
    int fds[24];
    for (size_t i = 0; i < G_N_ELEMENTS(fds); i++) {
        fds[i] = connect_to(http);
        send_text(fds[i], "GET / HTTP/1.1\r\n"); /* the rest never comes */
    }
    assert_well(http); /* once its turn has come */
    for (size_t i = 0; i < G_N_ELEMENTS(fds); i++)
        close(fds[i]);
    assert_well(http);
    esp_http_stop(http);
}

struct asker {
    const struct esp_http *http;
    int n_whole;
};

static void *ask_often(void *context)
{
    struct asker *asker = context;
    for (int i = 0; i < 50; i++) {
        char *answer = ask(asker->http, i % 10 == 0 ? "GET /big" END : "GET /" END);
        size_t want = i % 10 == 0 ? BIG_BYTES : strlen(hello);
        asker->n_whole += strlen(body_of(answer)) == want;
        g_free(answer);
    }
    return NULL;
}

static void test_many_at_once(void)
{
    struct esp_http *http = start_with((struct esp_http_config){0});
    if (http == NULL)
        return;
    struct asker askers[8];
    pthread_t threads[8];
    for (int i = 0; i < 8; i++) {
        askers[i] = (struct asker){http, 0};
        pthread_create(&threads[i], NULL, ask_often, &askers[i]);
    }
    for (int i = 0; i < 8; i++) {
        pthread_join(threads[i], NULL);
        g_assert_cmpint(askers[i].n_whole, ==, 50);
    }
    struct esp_http_stats stats;
    esp_http_stats(http, &stats);
    g_assert_cmpuint(stats.ok, ==, 400);
    esp_http_stop(http);
}

static void test_stop(void)
{
    struct esp_http *http = start_with((struct esp_http_config){.max_page_bytes = HUGE_BYTES});
    if (http == NULL)
        return;
    int idle = connect_to(http), reading = connect_to(http);
    GString *got = g_string_new(NULL);
    send_text(reading, "GET /huge" END);
    receive(reading, got);
    esp_http_stop(http);
    while (receive(reading, got))
        continue;
    g_assert_cmpuint(got->len, <, HUGE_BYTES);
    close(idle);
    close(reading);
    g_string_free(got, TRUE);
    esp_http_stop(NULL);
}

/* ---- limits ---------------------------------------------------------------------------------- */

static void test_page_limit(void)
{
    struct esp_http *http = start_with((struct esp_http_config){.max_page_bytes = BIG_BYTES - 1});
    if (http == NULL)
        return;
    char *answer = ask(http, "GET /big" END);
    g_assert_true(g_str_has_prefix(answer, "HTTP/1.1 500 "));
    g_assert_nonnull(strstr(body_of(answer), "would pass its cap"));
    g_free(answer);
    assert_well(http);
    esp_http_stop(http);
}

/* A client that asks for a page and does not read it holds its share, and no more than that. */
static void test_unread_limit(void)
{
    struct esp_http *http = start_with((struct esp_http_config){
        .max_page_bytes = HUGE_BYTES, .max_unread_bytes = HUGE_BYTES + 100});
    if (http == NULL)
        return;
    int reading = connect_to(http);
    GString *got = g_string_new(NULL);
    send_text(reading, "GET /huge" END);
    receive(reading, got); /* it is under way, and far more than sockets hold */
    char *refused = ask(http, "GET /big" END);
    g_assert_true(g_str_has_prefix(refused, "HTTP/1.1 503 "));
    g_assert_cmpstr(body_of(refused), ==,
                    "too many pages wait for their readers; try again later\n");
    assert_well(http); /* small pages have room */
    while (receive(reading, got))
        continue;
    g_assert_cmpuint(strlen(body_of(got->str)), ==, HUGE_BYTES);
    close(reading);
    g_string_free(got, TRUE);
    g_free(refused);
    /* Its share is free again, soon after the last byte has left. */
    gint64 deadline = g_get_monotonic_time() + DEADLINE_MS * G_TIME_SPAN_MILLISECOND;
    bool whole = false;
    while (!whole && g_get_monotonic_time() < deadline) {
        char *answer = ask(http, "GET /big" END);
        whole = g_str_has_prefix(answer, "HTTP/1.1 200 ");
        g_free(answer);
    }
    g_assert_true(whole);
    esp_http_stop(http);
}

static void test_stats(void)
{
    struct esp_http *http = start_with((struct esp_http_config){0});
    if (http == NULL)
        return;
    static const char *const requests[] = {
        "GET /" END,    "HEAD /" END,       "GET /x" END,       "POST /" END,
        "GET /ill" END, "GET /failure" END, "GET /failure" END,
    };
    for (size_t i = 0; i < G_N_ELEMENTS(requests); i++)
        g_free(ask(http, requests[i]));
    struct esp_http_stats stats;
    esp_http_stats(http, &stats);
    g_assert_cmpuint(stats.ok, ==, 2);
    g_assert_cmpuint(stats.not_found, ==, 1);
    g_assert_cmpuint(stats.wrong_method, ==, 1);
    g_assert_cmpuint(stats.unavailable, ==, 1);
    g_assert_cmpuint(stats.failed, ==, 2);
    esp_http_stop(http);
}

/* ---- addresses ------------------------------------------------------------------------------- */

static void test_port_in_use(void)
{
    struct esp_http *first = start_with((struct esp_http_config){0}), *second = NULL;
    if (first == NULL)
        return;
    struct esp_http_config config = {.address = "127.0.0.1", .port = esp_http_port(first)};
    struct esp_error err = {0};
    g_assert_cmpint(esp_http_start(&config, &second, &err), ==, ESP_EIO);
    char *want = g_strdup_printf("cannot listen on http://127.0.0.1:%u/: Address already in use",
                                 (unsigned)config.port);
    g_assert_cmpstr(err.text, ==, want);
    g_assert_null(second);
    g_free(want);
    assert_well(first);
    esp_http_stop(first);
    /* Free again as soon as it is left. */
    g_assert_cmpint(esp_http_start(&config, &second, NULL), ==, ESP_OK);
    esp_http_stop(second);
}

static void test_addresses(void)
{
    static const char *const bad[] = {"", "localhost", "127.0.0.1:80", "[::1]", "300.1.1.1", "a b"};
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        struct esp_http *http = NULL;
        struct esp_http_config config = {.address = bad[i]};
        struct esp_error err = {0};
        g_assert_false(esp_http_is_address(bad[i]));
        g_assert_cmpint(esp_http_start(&config, &http, &err), ==, ESP_ECONFIG);
        g_assert_nonnull(strstr(err.text, "is not an IPv4 or IPv6 address"));
    }
    static const char *const good[] = {"127.0.0.1", "0.0.0.0", "::1", "::"};
    for (size_t i = 0; i < G_N_ELEMENTS(good); i++)
        g_assert_true(esp_http_is_address(good[i]));
    char text[ESP_HTTP_URL_SIZE];
    g_assert_cmpstr(esp_http_url("127.0.0.1", 80, text), ==, "http://127.0.0.1:80/");
    g_assert_cmpstr(esp_http_url("::1", 9464, text), ==, "http://[::1]:9464/");
}

static void test_v6(void)
{
    struct esp_http *http = NULL;
    struct esp_http_config config = {
        .address = "::1", .pages = pages, .n_pages = G_N_ELEMENTS(pages)};
    struct esp_error err = {0};
    if (esp_http_start(&config, &http, &err) == ESP_EIO) {
        g_test_skip("no IPv6 here");
        return;
    }
    struct sockaddr_in6 address = {.sin6_family = AF_INET6,
                                   .sin6_port = htons(esp_http_port(http)),
                                   .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    g_assert_cmpint(connect(fd, (struct sockaddr *)&address, sizeof address), ==, 0);
    send_text(fd, "GET /" END);
    char *answer = receive_all(fd);
    g_assert_cmpstr(body_of(answer), ==, hello);
    g_free(answer);
    esp_http_stop(http);
}

static void add_rows(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(answer_rows); i++) {
        char *path = g_strdup_printf("/http/answers/%s", answer_rows[i].name);
        g_test_add_data_func(path, &answer_rows[i], test_answer);
        g_free(path);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(malformed_rows); i++) {
        char *path = g_strdup_printf("/http/malformed/%s", malformed_rows[i].name);
        g_test_add_data_func(path, &malformed_rows[i], test_malformed);
        g_free(path);
    }
}

int main(int argc, char **argv)
{
    test_start(&argc, &argv);
    add_rows();
    g_test_add_func("/http/one connection asks more than once", test_keep_alive);
    g_test_add_func("/http/a client that falls silent holds up nobody and is closed",
                    test_slow_client);
    g_test_add_func("/http/a client that dribbles is cut off", test_dribbling_client);
    g_test_add_func("/http/a client that asks again and again is not", test_busy_client);
    g_test_add_func("/http/connections over the limit wait for their turn", test_many_connections);
    g_test_add_func("/http/many at once get whole pages", test_many_at_once);
    g_test_add_func("/http/a stop does not wait for clients", test_stop);
    g_test_add_func("/http/a page over its limit is refused", test_page_limit);
    g_test_add_func("/http/pages that nobody reads are bounded", test_unread_limit);
    g_test_add_func("/http/answers are counted by code", test_stats);
    g_test_add_func("/http/a port in use is named", test_port_in_use);
    g_test_add_func("/http/addresses are numeric", test_addresses);
    g_test_add_func("/http/it listens on IPv6", test_v6);
    return g_test_run();
}
