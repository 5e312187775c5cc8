/* event_queue.c - see event_queue.h. */
#include "event_queue.h"

#include <stdlib.h>

#include "core/buf.h"

void sim_event_queue_release(struct sim_event_queue *queue)
{
    for (size_t kind = 0; kind < ESP_N_EVENT_KINDS; kind++)
        free(queue->heaps[kind].items);
    free(queue->journeys);
    free(queue->free_slots);
    *queue = (struct sim_event_queue){0};
}

static bool before(const struct sim_due *a, const struct sim_due *b)
{
    return a->due_us != b->due_us ? a->due_us < b->due_us : a->order < b->order;
}

static enum esp_status heap_push(struct sim_heap *heap, struct sim_due due, struct esp_error *err)
{
    enum esp_status status = esp_array_grow((void **)&heap->items, &heap->capacity, heap->n + 1,
                                            sizeof *heap->items, err);
    if (status != ESP_OK)
        return status;
    size_t at = heap->n++;
    while (at > 0 && before(&due, &heap->items[(at - 1) / 2])) {
        heap->items[at] = heap->items[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    heap->items[at] = due;
    return ESP_OK;
}

static struct sim_due heap_pop(struct sim_heap *heap)
{
    struct sim_due first = heap->items[0];
    struct sim_due last = heap->items[--heap->n];
    size_t at = 0;
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= heap->n)
            break;
        if (child + 1 < heap->n && before(&heap->items[child + 1], &heap->items[child]))
            child++;
        if (!before(&heap->items[child], &last))
            break;
        heap->items[at] = heap->items[child];
        at = child;
    }
    heap->items[at] = last;
    return first;
}

/* A slot of the pool to put a journey in. */
static enum esp_status take_slot(struct sim_event_queue *queue, uint32_t *out,
                                 struct esp_error *err)
{
    if (queue->n_free > 0) {
        *out = queue->free_slots[--queue->n_free];
        return ESP_OK;
    }
    if (queue->n_journeys == UINT32_MAX)
        return esp_fail(err, ESP_ELIMIT, "more than 2^32 impressions are under way at once");
    enum esp_status status = esp_array_grow((void **)&queue->journeys, &queue->capacity,
                                            queue->n_journeys + 1, sizeof *queue->journeys, err);
    if (status == ESP_OK)
        *out = (uint32_t)queue->n_journeys++;
    return status;
}

enum esp_status sim_event_queue_push(struct sim_event_queue *queue,
                                     const struct sim_journey *journey, struct esp_error *err)
{
    uint32_t slot = 0;
    enum esp_status status = take_slot(queue, &slot, err);
    if (status != ESP_OK)
        return status;
    queue->journeys[slot] = *journey;
    for (uint32_t e = 0; e < journey->n_events && status == ESP_OK; e++) {
        const struct sim_event *event = &journey->events[e];
        struct sim_due due = {event->due_us, queue->order++, slot, e};
        status = heap_push(&queue->heaps[event->kind], due, err);
    }
    return status;
}

/* The heap whose first event is next, or NULL. Kinds break ties. */
static const struct sim_heap *next_heap(const struct sim_event_queue *queue)
{
    const struct sim_heap *next = NULL;
    for (size_t kind = 0; kind < ESP_N_EVENT_KINDS; kind++) {
        const struct sim_heap *heap = &queue->heaps[kind];
        if (heap->n > 0 && (next == NULL || heap->items[0].due_us < next->items[0].due_us))
            next = heap;
    }
    return next;
}

int64_t sim_event_queue_next_us(const struct sim_event_queue *queue)
{
    const struct sim_heap *heap = next_heap(queue);
    return heap == NULL ? ESP_TIME_END : heap->items[0].due_us;
}

struct sim_journey *sim_event_queue_pop(struct sim_event_queue *queue, struct sim_event **out_event)
{
    size_t kind = (size_t)(next_heap(queue) - queue->heaps);
    struct sim_due due = heap_pop(&queue->heaps[kind]);
    struct sim_journey *journey = &queue->journeys[due.journey];
    *out_event = &journey->events[due.event];
    return journey;
}

enum esp_status sim_event_queue_drop(struct sim_event_queue *queue, struct sim_journey *journey,
                                     struct esp_error *err)
{
    enum esp_status status = esp_array_grow((void **)&queue->free_slots, &queue->free_capacity,
                                            queue->n_free + 1, sizeof *queue->free_slots, err);
    if (status != ESP_OK)
        return status;
    journey->n_events = 0;
    queue->free_slots[queue->n_free++] = (uint32_t)(journey - queue->journeys);
    return ESP_OK;
}
