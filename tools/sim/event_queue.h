/*
 * event_queue.h - journeys under way and their events in the order of delivery.
 *
 * A binary heap by (due time, order of insertion) over a pool of journeys; one heap a kind of
 * event, since the installs that wait for days would only make the impressions' heap deep.
 */
#ifndef ESP_SIM_EVENT_QUEUE_H
#define ESP_SIM_EVENT_QUEUE_H

#include "journey.h"

struct sim_due {
    int64_t due_us;
    uint64_t order;   /* of insertion */
    uint32_t journey; /* in the pool */
    uint32_t event;   /* in the journey */
};

struct sim_heap {
    struct sim_due *items; /* owned */
    size_t n, capacity;
};

/*
 * INVARIANTS
 *  (1) A pool slot is in the free list if and only if its journey has no events.
 *  (2) Every undelivered event of a journey is in the heap of its kind, once.
 */
struct sim_event_queue {
    struct sim_heap heaps[ESP_N_EVENT_KINDS];
    struct sim_journey *journeys; /* the pool, owned; moves when it grows */
    size_t n_journeys, capacity;
    uint32_t *free_slots; /* (n_free) owned */
    size_t n_free, free_capacity;
    uint64_t order; /* of the next insertion */
};

void sim_event_queue_release(struct sim_event_queue *queue);

/* Takes a copy of a journey and all its events. Errors: ESP_ENOMEM. */
enum esp_status sim_event_queue_push(struct sim_event_queue *queue,
                                     const struct sim_journey *journey, struct esp_error *err);

/* When the next event is due; ESP_TIME_END: there is none. */
int64_t sim_event_queue_next_us(const struct sim_event_queue *queue);

/* Takes the next event out; there is one. *out_event is one of the journey's. Both stay valid until
 * the next push. */
struct sim_journey *sim_event_queue_pop(struct sim_event_queue *queue,
                                        struct sim_event **out_event);

/* Frees the slot of a journey that is settled. Errors: ESP_ENOMEM. */
enum esp_status sim_event_queue_drop(struct sim_event_queue *queue, struct sim_journey *journey,
                                     struct esp_error *err);

#endif
