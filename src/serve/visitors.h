/*
 * visitors.h - who is connected to the HTTP server, and how long its request has taken by now: who
 * takes too long is cut off. Silence is libmicrohttpd's to notice; this is for a client that sends
 * a byte now and then, or reads its page as slowly, and would keep its place for days.
 */
#ifndef ESP_SERVE_VISITORS_H
#define ESP_SERVE_VISITORS_H

#include <stdint.h>

#include "core/status.h"

struct esp_visitors;
struct esp_visitor;

/*
 * Starts a thread that looks every now and then.
 *
 * limit_us  of a request, from the connection or the end of the request before to the last byte of
 *           the answer
 * Errors: ESP_ENOMEM.
 */
enum esp_status esp_visitors_new(int64_t limit_us, struct esp_visitors **out,
                                 struct esp_error *err);

/* All have left. NULL is fine. */
void esp_visitors_free(struct esp_visitors *visitors);

/* Somebody has connected; fd stays the caller's, and is open until it has left. NULL: out of
 * memory. From any thread, as all that follow. */
struct esp_visitor *esp_visitors_enter(struct esp_visitors *visitors, int fd);

/* The request is answered; the next one may begin. visitor may be NULL, here and below. */
void esp_visitors_begin_again(struct esp_visitors *visitors, struct esp_visitor *visitor);

/* The connection is about to be closed. */
void esp_visitors_leave(struct esp_visitors *visitors, struct esp_visitor *visitor);

/* How many were cut off so far. */
uint64_t esp_visitors_n_cut(struct esp_visitors *visitors);

#endif
