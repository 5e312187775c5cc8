/* queue_test.c - order, waiting, closing: between threads. */
#include "core/queue.h"

#include <pthread.h>
#include <stdatomic.h>

#include "testkit.h"

static int items[4096];

static void test_order(void)
{
    struct esp_queue *queue = NULL;
    g_assert_cmpint(esp_queue_new(3, &queue, NULL), ==, ESP_OK);
    int next_in = 0, next_out = 0;
    for (int round = 0; round < 20; round++) { /* around the ring's end at every fill */
        for (int i = 0; i <= round % 3; i++)
            g_assert_true(esp_queue_push(queue, &items[next_in++]));
        g_assert_cmpuint(esp_queue_length(queue), ==, (size_t)(next_in - next_out));
        while (esp_queue_length(queue) > 0)
            g_assert_true(esp_queue_pop(queue) == &items[next_out++]);
    }
    g_assert_null(esp_queue_pop_within(queue, 0));
    esp_queue_free(queue);
}

static void test_close(void)
{
    struct esp_queue *queue = NULL;
    esp_queue_new(4, &queue, NULL);
    esp_queue_push(queue, &items[0]);
    esp_queue_push(queue, &items[1]);
    esp_queue_close(queue);
    esp_queue_close(queue);
    g_assert_false(esp_queue_push(queue, &items[2]));
    g_assert_true(esp_queue_pop(queue) == &items[0]);
    g_assert_true(esp_queue_pop_within(queue, 1000000) == &items[1]);
    g_assert_null(esp_queue_pop(queue));
    g_assert_null(esp_queue_pop_within(queue, G_MAXINT64)); /* returns at once */
    esp_queue_free(queue);
}

static void test_timeout(void)
{
    struct esp_queue *queue = NULL;
    esp_queue_new(1, &queue, NULL);
    gint64 before = g_get_monotonic_time();
    g_assert_null(esp_queue_pop_within(queue, 2000));
    g_assert_cmpint(g_get_monotonic_time() - before, >=, 2000);
    esp_queue_free(queue);
}

static void test_sizes(void)
{
    struct esp_queue *queue = NULL;
    g_assert_cmpint(esp_queue_new(0, &queue, NULL), ==, ESP_EINVAL);
    g_assert_cmpint(esp_queue_new(SIZE_MAX / sizeof(void *), &queue, NULL), ==, ESP_ENOMEM);
    g_assert_null(queue);
    esp_queue_free(NULL);
}

struct side {
    struct esp_queue *queue;
    atomic_int n_done;
    bool in_order;
};

static void *push_all(void *context)
{
    struct side *side = context;
    for (size_t i = 0; i < G_N_ELEMENTS(items); i++) {
        if (!esp_queue_push(side->queue, &items[i]))
            break;
        atomic_fetch_add(&side->n_done, 1);
    }
    return NULL;
}

static void *pop_all(void *context)
{
    struct side *side = context;
    side->in_order = true;
    for (void *item; (item = esp_queue_pop(side->queue)) != NULL;)
        side->in_order &= item == &items[atomic_fetch_add(&side->n_done, 1)];
    return NULL;
}

static void test_threads(void)
{
    struct side in = {0}, out = {0};
    pthread_t pusher, popper;
    esp_queue_new(2, &in.queue, NULL);
    out.queue = in.queue;
    pthread_create(&pusher, NULL, push_all, &in);
    pthread_create(&popper, NULL, pop_all, &out);
    pthread_join(pusher, NULL);
    esp_queue_close(in.queue);
    pthread_join(popper, NULL);
    g_assert_cmpint(in.n_done, ==, G_N_ELEMENTS(items));
    g_assert_cmpint(out.n_done, ==, G_N_ELEMENTS(items));
    g_assert_true(out.in_order);
    esp_queue_free(in.queue);
}

/* A push into a full queue waits; closing sends it home without its item. */
static void test_full(void)
{
    struct side in = {0};
    pthread_t pusher;
    esp_queue_new(3, &in.queue, NULL);
    pthread_create(&pusher, NULL, push_all, &in);
    gint64 deadline = g_get_monotonic_time() + 30 * G_USEC_PER_SEC;
    while (atomic_load(&in.n_done) < 3 && g_get_monotonic_time() < deadline)
        g_thread_yield();
    g_assert_cmpuint(esp_queue_length(in.queue), ==, 3);
    esp_queue_close(in.queue);
    pthread_join(pusher, NULL);
    g_assert_cmpint(in.n_done, ==, 3);
    g_assert_cmpuint(esp_queue_length(in.queue), ==, 3);
    esp_queue_free(in.queue);
}

int main(int argc, char **argv)
{
    test_start(&argc, &argv);
    g_test_add_func("/queue/items come out as they went in", test_order);
    g_test_add_func("/queue/a closed queue takes nothing and is drained", test_close);
    g_test_add_func("/queue/a wait ends after its time, not before", test_timeout);
    g_test_add_func("/queue/a queue has at least one place", test_sizes);
    g_test_add_func("/queue/between two threads nothing is lost or swapped", test_threads);
    g_test_add_func("/queue/a full queue makes push wait until it is closed", test_full);
    return g_test_run();
}
