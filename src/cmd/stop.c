/* stop.c - see stop.h. */
#include "cmd/stop.h"

#include <signal.h>

static volatile sig_atomic_t asked;

static void note(int signal_number)
{
    (void)signal_number;
    asked = 1;
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
    return asked != 0;
}
