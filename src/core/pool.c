/*
 * pool.c - worker threads that a batch's slices run on, see pool.h.
 *
 * A run is some 1 ms of work and comes a thousand times a second, so that waking a thread by the
 * kernel (tens of microseconds) would cost several percent. Workers therefore watch `open` for a
 * short while before they sleep, and the while adapts: it grows when watching paid and shrinks
 * when it did not, so that a pool that idles burns nothing.
 *
 * One run: the caller writes the job, then opens it (open = a number never used before); whoever
 * sees it open joins in and takes indices from `next` until none is left; the caller closes it
 * (open = 0) and waits until nobody is inside.
 *
 * INVARIANTS
 *  (1) task, context, n_tasks and next are written only while open == 0 and n_inside == 0.
 *  (2) A worker reads them only after it entered (n_inside += 1) and then still saw a job open.
 *      Both sides write first and look second, in one total order (seq_cst): either the worker
 *      sees the job closed, or the caller sees the worker inside.
 *  (3) Who is about to sleep says so (n_sleeping, caller_sleeps) before the last look at what it
 *      waits for, under the lock; who changes that looks for sleepers afterwards. So no wake-up
 *      is lost, and nobody takes the lock when nobody sleeps.
 */
#include "core/pool.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum {
    MAX_THREADS = 256,
    MIN_SPINS = 16,   /* looks before sleeping: well under a microsecond */
    MAX_SPINS = 4096, /* some 50 us */
    CACHE_LINE = 64,
};

struct worker {
    struct esp_pool *pool;
    size_t index; /* 1 .. n_threads-1; the caller is 0 */
    pthread_t thread;
};

struct esp_pool {
    size_t n_threads, n_started; /* workers that run: n_started <= n_threads - 1 */
    esp_pool_task *task;
    void *context;
    size_t n_tasks;
    uint64_t last_run;                             /* of the caller alone */
    alignas(CACHE_LINE) atomic_size_t next;        /* index of the next task */
    alignas(CACHE_LINE) atomic_uint_fast64_t open; /* number of the open run; 0: closed */
    atomic_bool stopping;
    alignas(CACHE_LINE) atomic_size_t n_inside; /* workers in the run */
    atomic_size_t n_sleeping;                   /* changed under the lock */
    atomic_bool caller_sleeps;                  /* changed under the lock */
    pthread_mutex_t lock;
    pthread_cond_t work_came, all_left;
    struct worker workers[];
};

/* Tells the CPU that this is a loop that waits. */
static void relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static bool something_to_do(struct esp_pool *pool, uint64_t seen)
{
    uint64_t open = atomic_load(&pool->open);
    return (open != 0 && open != seen) || atomic_load(&pool->stopping);
}

/* Waits for a run other than the one already seen, or for the end. */
static void wait_for_work(struct esp_pool *pool, uint64_t seen, int *spins)
{
    for (int i = 0; i < *spins; i++) {
        if (something_to_do(pool, seen)) {
            *spins = *spins * 2 > MAX_SPINS ? MAX_SPINS : *spins * 2;
            return;
        }
        relax();
    }
    *spins = *spins / 2 < MIN_SPINS ? MIN_SPINS : *spins / 2;
    pthread_mutex_lock(&pool->lock);
    atomic_fetch_add(&pool->n_sleeping, 1);
    while (!something_to_do(pool, seen))
        pthread_cond_wait(&pool->work_came, &pool->lock);
    atomic_fetch_sub(&pool->n_sleeping, 1);
    pthread_mutex_unlock(&pool->lock);
}

static void run_tasks(struct esp_pool *pool, size_t worker)
{
    for (;;) {
        size_t task = atomic_fetch_add_explicit(&pool->next, 1, memory_order_relaxed);
        if (task >= pool->n_tasks)
            return;
        pool->task(pool->context, task, worker);
    }
}

/* Leaves a run, and wakes the caller if it sleeps and waits for the last to leave. */
static void leave(struct esp_pool *pool)
{
    if (atomic_fetch_sub(&pool->n_inside, 1) != 1 || !atomic_load(&pool->caller_sleeps))
        return;
    pthread_mutex_lock(&pool->lock);
    pthread_cond_signal(&pool->all_left);
    pthread_mutex_unlock(&pool->lock);
}

static void *worker_main(void *argument)
{
    struct worker *worker = argument;
    struct esp_pool *pool = worker->pool;
    uint64_t seen = 0;
    int spins = MAX_SPINS;
    for (;;) {
        wait_for_work(pool, seen, &spins);
        if (atomic_load(&pool->stopping))
            return NULL;
        atomic_fetch_add(&pool->n_inside, 1);
        uint64_t open = atomic_load(&pool->open);
        if (open != 0) {
            seen = open;
            run_tasks(pool, worker->index);
        }
        leave(pool);
    }
}

/* Starts one worker with every signal blocked but those that its own faults raise: others are for
 * the threads that the command owns. Errors: ESP_ENOMEM. */
static enum esp_status start_worker(struct worker *worker, struct esp_error *err)
{
    static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS};
    sigset_t blocked, before;
    sigfillset(&blocked);
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
        sigdelset(&blocked, faults[i]);
    pthread_sigmask(SIG_SETMASK, &blocked, &before);
    int failure = pthread_create(&worker->thread, NULL, worker_main, worker);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return failure == 0
               ? ESP_OK
               : esp_fail(err, ESP_ENOMEM, "cannot start a worker thread: %s", strerror(failure));
}

enum esp_status esp_pool_new(size_t n_threads, struct esp_pool **out, struct esp_error *err)
{
    if (n_threads == 0 || n_threads > MAX_THREADS)
        return esp_fail(err, ESP_EINVAL, "a pool has 1 to %d threads, not %zu", MAX_THREADS,
                        n_threads);
    size_t n_bytes = sizeof(struct esp_pool) + (n_threads - 1) * sizeof(struct worker);
    n_bytes = (n_bytes + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE;
    struct esp_pool *pool = aligned_alloc(CACHE_LINE, n_bytes);
    if (pool == NULL)
        return esp_fail(err, ESP_ENOMEM, "out of memory for a pool of %zu threads", n_threads);
    memset(pool, 0, n_bytes);
    pool->n_threads = n_threads;
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->work_came, NULL);
    pthread_cond_init(&pool->all_left, NULL);
    enum esp_status status = ESP_OK;
    while (status == ESP_OK && pool->n_started < n_threads - 1) {
        struct worker *worker = &pool->workers[pool->n_started];
        worker->pool = pool;
        worker->index = pool->n_started + 1;
        status = start_worker(worker, err);
        pool->n_started += status == ESP_OK;
    }
    if (status != ESP_OK) {
        esp_pool_free(pool);
        return status;
    }
    *out = pool;
    return ESP_OK;
}

void esp_pool_free(struct esp_pool *pool)
{
    if (pool == NULL)
        return;
    pthread_mutex_lock(&pool->lock);
    atomic_store(&pool->stopping, true);
    pthread_cond_broadcast(&pool->work_came);
    pthread_mutex_unlock(&pool->lock);
    for (size_t i = 0; i < pool->n_started; i++)
        pthread_join(pool->workers[i].thread, NULL);
    pthread_cond_destroy(&pool->all_left);
    pthread_cond_destroy(&pool->work_came);
    pthread_mutex_destroy(&pool->lock);
    free(pool);
}

size_t esp_pool_size(const struct esp_pool *pool)
{
    return pool == NULL ? 1 : pool->n_threads;
}

/* Wakes as many sleepers as there are tasks besides the caller's own. */
static void wake(struct esp_pool *pool, size_t n_tasks)
{
    if (atomic_load(&pool->n_sleeping) == 0)
        return;
    pthread_mutex_lock(&pool->lock);
    if (n_tasks - 1 >= atomic_load(&pool->n_sleeping)) {
        pthread_cond_broadcast(&pool->work_came);
    } else {
        for (size_t i = 1; i < n_tasks; i++)
            pthread_cond_signal(&pool->work_came);
    }
    pthread_mutex_unlock(&pool->lock);
}

static void wait_until_all_left(struct esp_pool *pool)
{
    for (int i = 0; i < MAX_SPINS; i++) {
        if (atomic_load(&pool->n_inside) == 0)
            return;
        relax();
    }
    pthread_mutex_lock(&pool->lock);
    atomic_store(&pool->caller_sleeps, true);
    while (atomic_load(&pool->n_inside) != 0)
        pthread_cond_wait(&pool->all_left, &pool->lock);
    atomic_store(&pool->caller_sleeps, false);
    pthread_mutex_unlock(&pool->lock);
}

void esp_pool_run(struct esp_pool *pool, size_t n_tasks, esp_pool_task *task, void *context)
{
    if (pool == NULL || pool->n_threads == 1 || n_tasks <= 1) {
        for (size_t i = 0; i < n_tasks; i++)
            task(context, i, 0);
        return;
    }
    pool->task = task;
    pool->context = context;
    pool->n_tasks = n_tasks;
    atomic_store_explicit(&pool->next, 0, memory_order_relaxed);
    atomic_store(&pool->open, ++pool->last_run);
    wake(pool, n_tasks);
    run_tasks(pool, 0);
    atomic_store(&pool->open, 0);
    wait_until_all_left(pool);
}
