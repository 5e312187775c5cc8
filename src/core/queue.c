/* queue.c - a ring under one lock, see queue.h. Batches pass through it, a few thousand a second,
 * so the lock is not what anything waits for. */
#include "core/queue.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

struct esp_queue {
    pthread_mutex_t lock; /* of all below */
    pthread_cond_t item_came, room_came;
    size_t capacity, first, length; /* items[(first + i) % capacity], i < length */
    bool closed;
    void *items[];
};

enum esp_status esp_queue_new(size_t capacity, struct esp_queue **out, struct esp_error *err)
{
    struct esp_queue *queue = NULL;
    if (capacity == 0)
        return esp_fail(err, ESP_EINVAL, "a queue holds at least one item");
    if (capacity <= (SIZE_MAX - sizeof *queue) / sizeof queue->items[0])
        queue = calloc(1, sizeof *queue + capacity * sizeof queue->items[0]);
    if (queue == NULL)
        return esp_fail(err, ESP_ENOMEM, "out of memory for a queue of %zu items", capacity);
    queue->capacity = capacity;
    pthread_mutex_init(&queue->lock, NULL);
    pthread_cond_init(&queue->room_came, NULL);
    pthread_condattr_t monotonic; /* so that setting the wall clock does not stretch a wait */
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&queue->item_came, &monotonic);
    pthread_condattr_destroy(&monotonic);
    *out = queue;
    return ESP_OK;
}

void esp_queue_free(struct esp_queue *queue)
{
    if (queue == NULL)
        return;
    pthread_cond_destroy(&queue->item_came);
    pthread_cond_destroy(&queue->room_came);
    pthread_mutex_destroy(&queue->lock);
    free(queue);
}

bool esp_queue_push(struct esp_queue *queue, void *item)
{
    pthread_mutex_lock(&queue->lock);
    while (queue->length == queue->capacity && !queue->closed)
        pthread_cond_wait(&queue->room_came, &queue->lock);
    bool taken = !queue->closed;
    if (taken) {
        queue->items[(queue->first + queue->length) % queue->capacity] = item;
        queue->length++;
        pthread_cond_signal(&queue->item_came);
    }
    pthread_mutex_unlock(&queue->lock);
    return taken;
}

/* The first item, or NULL if there is none. The lock is held. */
static void *take_first(struct esp_queue *queue)
{
    if (queue->length == 0)
        return NULL;
    void *item = queue->items[queue->first];
    queue->first = (queue->first + 1) % queue->capacity;
    queue->length--;
    pthread_cond_signal(&queue->room_came);
    return item;
}

void *esp_queue_pop(struct esp_queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    while (queue->length == 0 && !queue->closed)
        pthread_cond_wait(&queue->item_came, &queue->lock);
    void *item = take_first(queue);
    pthread_mutex_unlock(&queue->lock);
    return item;
}

/* When a wait that begins now and may last timeout_us ends. */
static struct timespec deadline_after(int64_t timeout_us)
{
    struct timespec deadline;
    clock_gettime(CLOCK_MONOTONIC, &deadline);
    int64_t ns = deadline.tv_nsec + timeout_us % 1000000 * 1000;
    deadline.tv_sec += timeout_us / 1000000 + ns / 1000000000;
    deadline.tv_nsec = ns % 1000000000;
    return deadline;
}

void *esp_queue_pop_within(struct esp_queue *queue, int64_t timeout_us)
{
    struct timespec deadline = {0, 0};
    bool waits = timeout_us > 0;
    if (waits)
        deadline = deadline_after(timeout_us);
    pthread_mutex_lock(&queue->lock);
    while (waits && queue->length == 0 && !queue->closed)
        waits = pthread_cond_timedwait(&queue->item_came, &queue->lock, &deadline) != ETIMEDOUT;
    void *item = take_first(queue);
    pthread_mutex_unlock(&queue->lock);
    return item;
}

void esp_queue_close(struct esp_queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    queue->closed = true;
    pthread_cond_broadcast(&queue->item_came);
    pthread_cond_broadcast(&queue->room_came);
    pthread_mutex_unlock(&queue->lock);
}

size_t esp_queue_length(struct esp_queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    size_t length = queue->length;
    pthread_mutex_unlock(&queue->lock);
    return length;
}
