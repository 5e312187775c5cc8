/* pool_test.c - every task runs once, results do not depend on the threads, nobody is left over. */
#include "core/pool.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

#include "testkit.h"

enum { MAX_TASKS = 300 };

struct work {
    atomic_int n_runs[MAX_TASKS];
    atomic_int n_inside[64]; /* by worker: 1 while it runs a task */
    atomic_bool bad_worker;
    size_t n_workers;
    double results[MAX_TASKS];
};

static double spin(size_t task, size_t n_steps)
{
    double sum = 1;
    for (size_t i = 0; i < n_steps; i++)
        sum = sum * 0.999 + (double)task / (double)(i + 1);
    return sum;
}

static void run_one(void *context, size_t task, size_t worker)
{
    struct work *work = context;
    if (worker >= work->n_workers || atomic_fetch_add(&work->n_inside[worker], 1) != 0)
        atomic_store(&work->bad_worker, true);
    atomic_fetch_add(&work->n_runs[task], 1);
    work->results[task] = spin(task, 20 + task % 7 * 30);
    atomic_fetch_sub(&work->n_inside[worker % 64], 1);
}

struct row {
    const char *name;
    size_t n_threads; /* 0: no pool */
    int n_rounds;
};

static const struct row rows[] = {
    {"without a pool, everything runs in the caller", 0, 200},
    {"one thread", 1, 200},
    {"two threads", 2, 2000},
    {"five threads", 5, 1000},
};

/* Rounds of 0, 1, 2, ... tasks one right after the other, with rests between some: the workers are
 * met watching, sleeping and on their way to either. */
static void test_row(gconstpointer data)
{
    const struct row *row = data;
    struct esp_pool *pool = NULL;
    static struct work work;
    if (row->n_threads > 0)
        g_assert_cmpint(esp_pool_new(row->n_threads, &pool, NULL), ==, ESP_OK);
    for (int round = 0; round < row->n_rounds && !g_test_failed(); round++) {
        size_t n_tasks = round % 10 == 9 ? MAX_TASKS : (size_t)round % 10;
        memset(&work, 0, sizeof work);
        work.n_workers = esp_pool_size(pool);
        esp_pool_run(pool, n_tasks, run_one, &work);
        g_assert_false(work.bad_worker);
        for (size_t i = 0; i < MAX_TASKS; i++) {
            if (work.n_runs[i] != (i < n_tasks))
                g_test_fail_printf("round %d: task %zu of %zu ran %d times", round, i, n_tasks,
                                   work.n_runs[i]);
            if (i < n_tasks && work.results[i] != spin(i, 20 + i % 7 * 30))
                g_test_fail_printf("round %d: another result of task %zu", round, i);
        }
        if (round % 50 == 0)
            spin(1, 200000); /* longer than any worker watches */
    }
    esp_pool_free(pool);
}

static void test_sizes(void)
{
    struct esp_pool *pool = NULL;
    struct esp_error err = {0};
    g_assert_cmpint(esp_pool_new(0, &pool, &err), ==, ESP_EINVAL);
    g_assert_cmpint(esp_pool_new(257, &pool, NULL), ==, ESP_EINVAL);
    g_assert_null(pool);
    g_assert_cmpuint(esp_pool_size(NULL), ==, 1);
    g_assert_cmpint(esp_pool_new(3, &pool, NULL), ==, ESP_OK);
    g_assert_cmpuint(esp_pool_size(pool), ==, 3);
    esp_pool_free(pool);
    esp_pool_free(NULL);
}

static void wait_for_other(void *context, size_t task, size_t worker)
{
    atomic_int *n_here = context;
    (void)task, (void)worker;
    atomic_fetch_add(n_here, 1);
    gint64 deadline = g_get_monotonic_time() + 30 * G_USEC_PER_SEC;
    while (atomic_load(n_here) < 2 && g_get_monotonic_time() < deadline)
        g_thread_yield();
}

/* Two tasks that wait for each other can only end on two threads. */
static void test_parallel(void)
{
    struct esp_pool *pool = NULL;
    esp_pool_new(2, &pool, NULL);
    atomic_int n_here = 0;
    esp_pool_run(pool, 2, wait_for_other, &n_here);
    g_assert_cmpint(n_here, ==, 2);
    esp_pool_free(pool);
}

int main(int argc, char **argv)
{
    test_start(&argc, &argv);
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        char *path = g_strdup_printf("/pool/every task runs once/%s", rows[i].name);
        g_test_add_data_func(path, &rows[i], test_row);
        g_free(path);
    }
    g_test_add_func("/pool/a pool has 1 to 256 threads", test_sizes);
    g_test_add_func("/pool/two tasks run at the same time", test_parallel);
    return g_test_run();
}
