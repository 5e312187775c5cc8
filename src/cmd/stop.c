/* stop.c - see stop.h. */
#include "cmd/stop.h"

#include <signal.h>
#include <stdatomic.h>

/* Set by a handler, read by every thread that waits for a broker: a lock-free atomic may be used by
 * both (C11, 7.14.1.1). */
static atomic_int asked;
_Static_assert(ATOMIC_INT_LOCK_FREE == 2, "a signal handler may touch lock-free atomics alone");

static void note(int signal_number)
{
    (void)signal_number;
    atomic_store(&asked, 1);
}

void stop_install(void)
{
    /* SA_RESETHAND: the second signal finds the default action, which ends the process. */
    struct sigaction action = {.sa_handler = note, .sa_flags = SA_RESTART | SA_RESETHAND};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
}

bool stop_asked(void)
{
    return atomic_load(&asked) != 0;
}
