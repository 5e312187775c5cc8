/* visitors.c - see visitors.h. */
#include "serve/visitors.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

#include "core/timespan.h"

struct esp_visitor {
    struct esp_visitor **link, *next; /* where it hangs */
    int fd;
    int64_t since_us; /* monotonic */
    bool is_cut;
};

struct esp_visitors {
    int64_t limit_us, look_every_us;
    pthread_t thread;
    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t ends;
    bool is_ending;
    struct esp_visitor *first;
    uint64_t n_cut;
};

static int64_t clock_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * ESP_SECOND + now.tv_nsec / 1000;
}

/* The server's threads find the connection closed. Under the lock: until it has left its descriptor
 * is nobody else's. */
static void cut_slow_ones(struct esp_visitors *visitors)
{
    int64_t now_us = clock_us();
    for (struct esp_visitor *visitor = visitors->first; visitor != NULL; visitor = visitor->next) {
        if (visitor->is_cut || now_us - visitor->since_us < visitors->limit_us)
            continue;
        visitor->is_cut = true;
        visitors->n_cut++;
        shutdown(visitor->fd, SHUT_RDWR);
    }
}

static void *look_main(void *context)
{
    struct esp_visitors *visitors = context;
    pthread_mutex_lock(&visitors->lock);
    while (!visitors->is_ending) {
        int64_t until_us = clock_us() + visitors->look_every_us;
        const struct timespec until = {.tv_sec = until_us / ESP_SECOND,
                                       .tv_nsec = until_us % ESP_SECOND * 1000};
        pthread_cond_timedwait(&visitors->ends, &visitors->lock, &until);
        cut_slow_ones(visitors);
    }
    pthread_mutex_unlock(&visitors->lock);
    return NULL;
}

enum esp_status esp_visitors_new(int64_t limit_us, struct esp_visitors **out, struct esp_error *err)
{
    struct esp_visitors *visitors = calloc(1, sizeof *visitors);
    if (visitors == NULL)
        return esp_fail(err, ESP_ENOMEM, "out of memory for visitors");
    visitors->limit_us = limit_us;
    visitors->look_every_us = limit_us / 8 < ESP_SECOND ? limit_us / 8 : ESP_SECOND;
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&visitors->lock, NULL);
    pthread_cond_init(&visitors->ends, &monotonic);
    pthread_condattr_destroy(&monotonic);
    if (pthread_create(&visitors->thread, NULL, look_main, visitors) != 0) {
        pthread_cond_destroy(&visitors->ends);
        pthread_mutex_destroy(&visitors->lock);
        free(visitors);
        return esp_fail(err, ESP_ENOMEM, "a thread for visitors cannot be started");
    }
    *out = visitors;
    return ESP_OK;
}

void esp_visitors_free(struct esp_visitors *visitors)
{
    if (visitors == NULL)
        return;
    pthread_mutex_lock(&visitors->lock);
    visitors->is_ending = true;
    pthread_cond_signal(&visitors->ends);
    pthread_mutex_unlock(&visitors->lock);
    pthread_join(visitors->thread, NULL);
    pthread_cond_destroy(&visitors->ends);
    pthread_mutex_destroy(&visitors->lock);
    free(visitors);
}

struct esp_visitor *esp_visitors_enter(struct esp_visitors *visitors, int fd)
{
    struct esp_visitor *visitor = malloc(sizeof *visitor);
    if (visitor == NULL)
        return NULL;
    pthread_mutex_lock(&visitors->lock);
    *visitor = (struct esp_visitor){
        .link = &visitors->first, .next = visitors->first, .fd = fd, .since_us = clock_us()};
    if (visitor->next != NULL)
        visitor->next->link = &visitor->next;
    visitors->first = visitor;
    pthread_mutex_unlock(&visitors->lock);
    return visitor;
}

void esp_visitors_begin_again(struct esp_visitors *visitors, struct esp_visitor *visitor)
{
    if (visitor == NULL)
        return;
    pthread_mutex_lock(&visitors->lock);
    visitor->since_us = clock_us();
    pthread_mutex_unlock(&visitors->lock);
}

void esp_visitors_leave(struct esp_visitors *visitors, struct esp_visitor *visitor)
{
    if (visitor == NULL)
        return;
    pthread_mutex_lock(&visitors->lock);
    *visitor->link = visitor->next;
    if (visitor->next != NULL)
        visitor->next->link = visitor->link;
    pthread_mutex_unlock(&visitors->lock);
    free(visitor);
}

uint64_t esp_visitors_n_cut(struct esp_visitors *visitors)
{
    pthread_mutex_lock(&visitors->lock);
    uint64_t n_cut = visitors->n_cut;
    pthread_mutex_unlock(&visitors->lock);
    return n_cut;
}
