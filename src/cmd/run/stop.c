/* stop.c - see stop.h. */
#include "cmd/run/stop.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "core/timespan.h"

/* Set by a handler, read by every thread that waits for a broker: lock-free atomics may be used by
 * both (C11, 7.14.1.1). */
static atomic_int asked;
static atomic_llong began_us; /* monotonic; 0: nobody wants an end */
static sem_t guard_wakes;
_Static_assert(ATOMIC_INT_LOCK_FREE == 2 && ATOMIC_LLONG_LOCK_FREE == 2,
               "a signal handler may touch lock-free atomics alone");

static int64_t clock_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * ESP_SECOND + now.tv_nsec / 1000;
}

void stop_begin(void)
{
    long long never = 0;
    atomic_compare_exchange_strong(&began_us, &never, clock_us());
}

/* The next signal, this one or the other, finds the default action, which ends the process. */
static void note(int signal_number)
{
    (void)signal_number;
    int saved = errno;
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    stop_begin();
    atomic_store(&asked, 1);
    sem_post(&guard_wakes);
    errno = saved;
}

/* Waits for nothing that the program could hold: no lock, no stream, no pipe that is full. */
static void say_farewell(void)
{
    static const char line[] =
        "level=error msg=\"the run did not end in time after the signal: it leaves as it is; what "
        "was not delivered is not, and is done again by the next run\"\n";
    struct pollfd err = {.fd = STDERR_FILENO, .events = POLLOUT};
    if (poll(&err, 1, 0) == 1 && (err.revents & POLLOUT) != 0 &&
        write(STDERR_FILENO, line, sizeof line - 1) < 0)
        return; /* nobody is left to be told */
}

static void *guard_main(void *context)
{
    (void)context;
    while (sem_wait(&guard_wakes) != 0)
        continue;
    int64_t until_us = atomic_load(&began_us) + STOP_LEAVES_AFTER;
    const struct timespec until = {.tv_sec = until_us / ESP_SECOND,
                                   .tv_nsec = until_us % ESP_SECOND * 1000};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) != 0)
        continue;
    say_farewell();
    _exit(EX_TEMPFAIL);
}

/* Signals go to the other threads: this one is what is left when they hang. */
static enum esp_status start_guard(struct esp_error *err)
{
    pthread_t thread;
    pthread_attr_t attributes;
    sigset_t all, before;
    sigfillset(&all);
    if (sem_init(&guard_wakes, 0, 0) != 0 || pthread_attr_init(&attributes) != 0)
        return esp_fail(err, ESP_ENOMEM, "a semaphore: %s", strerror(errno));
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int code = pthread_create(&thread, &attributes, guard_main, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return code == 0
               ? ESP_OK
               : esp_fail(err, ESP_ENOMEM, "a thread that waits for signals cannot be started: %s",
                          strerror(code));
}

enum esp_status stop_install(struct esp_error *err)
{
    enum esp_status status = start_guard(err);
    if (status != ESP_OK)
        return status;
    struct sigaction action = {.sa_handler = note, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    sigaddset(&action.sa_mask, SIGINT);
    sigaddset(&action.sa_mask, SIGTERM);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
    return ESP_OK;
}

bool stop_asked(void)
{
    return atomic_load(&asked) != 0;
}

int64_t stop_left_us(void)
{
    int64_t since_us = atomic_load(&began_us);
    if (since_us == 0)
        return INT64_MAX;
    int64_t left_us = since_us + STOP_PATIENCE - clock_us();
    return left_us > 0 ? left_us : 0;
}
