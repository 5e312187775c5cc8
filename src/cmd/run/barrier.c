/* barrier.c - see barrier.h. */
#include "cmd/run/barrier.h"

void barrier_init(struct barrier *barrier)
{
    *barrier = (struct barrier){.stands = false};
    pthread_mutex_init(&barrier->lock, NULL);
    pthread_cond_init(&barrier->changed, NULL);
}

void barrier_release(struct barrier *barrier)
{
    pthread_cond_destroy(&barrier->changed);
    pthread_mutex_destroy(&barrier->lock);
}

bool barrier_close(struct barrier *barrier, struct esp_queue *queue)
{
    if (!esp_queue_push(queue, barrier_mark(barrier)))
        return false;
    pthread_mutex_lock(&barrier->lock);
    while (!barrier->stands && !barrier->left)
        pthread_cond_wait(&barrier->changed, &barrier->lock);
    bool stands = barrier->stands;
    pthread_mutex_unlock(&barrier->lock);
    return stands;
}

void barrier_open(struct barrier *barrier)
{
    pthread_mutex_lock(&barrier->lock);
    barrier->stands = false;
    pthread_cond_broadcast(&barrier->changed);
    pthread_mutex_unlock(&barrier->lock);
}

void barrier_stand(struct barrier *barrier)
{
    pthread_mutex_lock(&barrier->lock);
    barrier->stands = true;
    pthread_cond_broadcast(&barrier->changed);
    while (barrier->stands)
        pthread_cond_wait(&barrier->changed, &barrier->lock);
    pthread_mutex_unlock(&barrier->lock);
}

void barrier_leave(struct barrier *barrier)
{
    pthread_mutex_lock(&barrier->lock);
    barrier->left = true;
    pthread_cond_broadcast(&barrier->changed);
    pthread_mutex_unlock(&barrier->lock);
}
