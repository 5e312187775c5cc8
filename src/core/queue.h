/*
 * queue.h - a bounded blocking queue of pointers between two threads.
 *
 * Empty: pop waits. Full: push waits, which is how a slow stage slows the ones before it.
 * Closed: push fails, pop drains what is there and then returns NULL.
 */
#ifndef ESP_CORE_QUEUE_H
#define ESP_CORE_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/status.h"

struct esp_queue;

/* A queue of at most capacity items, which it does not own. Errors: ESP_EINVAL, ESP_ENOMEM. */
enum esp_status esp_queue_new(size_t capacity, struct esp_queue **out, struct esp_error *err);

/* Items still inside are forgotten, not freed. NULL is fine. */
void esp_queue_free(struct esp_queue *queue);

/* Waits for room. Returns false, and takes nothing, once the queue is closed. item is not NULL. */
bool esp_queue_push(struct esp_queue *queue, void *item);

/* Waits for an item. NULL: closed and empty. */
void *esp_queue_pop(struct esp_queue *queue);

/* Waits at most timeout_us (0: not at all). NULL: nothing came, or closed and empty. */
void *esp_queue_pop_within(struct esp_queue *queue, int64_t timeout_us);

/* Wakes everybody. May be called from any thread, more than once. */
void esp_queue_close(struct esp_queue *queue);

/* Items inside right now; for counters. */
size_t esp_queue_length(struct esp_queue *queue);

#endif
