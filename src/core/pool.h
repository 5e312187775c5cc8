/*
 * pool.h - a fixed set of worker threads for stages that can use several cores.
 *
 * A stage never starts a thread; it is handed a pool (NULL: everything runs inline in the caller).
 * Which worker runs which task is not determined, so a task may depend on its index only: results
 * are then the same for any number of threads.
 */
#ifndef ESP_CORE_POOL_H
#define ESP_CORE_POOL_H

#include <stddef.h>

#include "core/status.h"

struct esp_pool;

/*
 * Starts n_threads - 1 workers; the caller of esp_pool_run() is the remaining one. The workers
 * block all signals but those that a fault of their own raises.
 * Errors: ESP_EINVAL (n_threads 0 or over 256), ESP_ENOMEM.
 */
enum esp_status esp_pool_new(size_t n_threads, struct esp_pool **out, struct esp_error *err);

/* Joins the workers. NULL is fine. No esp_pool_run() may be under way. */
void esp_pool_free(struct esp_pool *pool);

/* Threads that work, the caller included; 1 for NULL. */
size_t esp_pool_size(const struct esp_pool *pool);

/* task  0 .. n_tasks-1; worker  0 .. esp_pool_size()-1, for scratch memory that is reused */
typedef void esp_pool_task(void *context, size_t task, size_t worker);

/* Runs every task once and returns when all have ended. One caller at a time. */
void esp_pool_run(struct esp_pool *pool, size_t n_tasks, esp_pool_task *task, void *context);

#endif
