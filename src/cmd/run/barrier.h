/*
 * barrier.h - one thread brings another to a standstill at a point of the order between them.
 *
 *     ingest                                     learning
 *     barrier_close(...)                         (takes what stands before the mark in the queue)
 *       puts the mark into the queue             meets the mark: barrier_stand() waits
 *       waits for the other to stand
 *     ... both stand still here ...
 *     barrier_open()  ---------------------->    goes on
 */
#ifndef ESP_CMD_RUN_BARRIER_H
#define ESP_CMD_RUN_BARRIER_H

#include <pthread.h>
#include <stdbool.h>

#include "core/queue.h"

struct barrier {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool stands; /* the other thread is at the mark */
    bool left;   /* the other thread has ended, and will never stand */
};

void barrier_init(struct barrier *barrier);
void barrier_release(struct barrier *barrier);

/* What the other thread finds in the queue; no item of another kind. */
static inline void *barrier_mark(struct barrier *barrier)
{
    return barrier;
}

/* Returns once the other thread stands at the mark. False: it has ended, there is nothing to wait
 * for. */
bool barrier_close(struct barrier *barrier, struct esp_queue *queue);

/* Lets the other thread go on. */
void barrier_open(struct barrier *barrier);

/* The other thread, at the mark: waits until barrier_open(). */
void barrier_stand(struct barrier *barrier);

/* The other thread's end. */
void barrier_leave(struct barrier *barrier);

#endif
