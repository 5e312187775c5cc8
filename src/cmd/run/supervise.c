/* supervise.c - see supervise.h. */
#include "cmd/run/supervise.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>

#include "cmd/run/stop.h"
#include "core/timespan.h"

static const int64_t look_every_us = 200 * ESP_MS;
static const int64_t usual_every_us = 5 * ESP_SECOND; /* where no watchdog wants it more often */

/* What cannot be said is not said: the manager draws its own conclusions. */
static void say(const char *state)
{
    (void)sd_notify(0, state);
}

void supervise_init(struct supervise *supervise, const struct supervise_config *config)
{
    uint64_t allowed_us = 0;
    const char *socket = getenv("NOTIFY_SOCKET");
    *supervise = (struct supervise){.config = *config, .every_us = usual_every_us};
    supervise->is_on = socket != NULL && socket[0] != '\0';
    if (!supervise->is_on)
        return;
    if (sd_watchdog_enabled(0, &allowed_us) > 0 && (int64_t)(allowed_us / 2) < usual_every_us)
        supervise->every_us = (int64_t)(allowed_us / 2);
    say("STATUS=starting: looks at its configuration, inputs and outputs");
}

/* False where a thread hangs, and says which. */
static bool is_well(const struct supervise_config *config, int64_t now_us,
                    char text[SUPERVISE_TEXT_SIZE])
{
    int64_t limit_us = config->run->config->options.serve_stall_after_us;
    const struct pulse *pulse =
        pulse_first_silent(config->run->pulses, config->n_threads, limit_us, now_us);
    if (pulse == NULL)
        return true;
    snprintf(text, SUPERVISE_TEXT_SIZE, "the %s thread has not gone round for %" PRId64 " s",
             pulse->thread, pulse_silence_us(pulse, now_us) / ESP_SECOND);
    return false;
}

static void say_stopping(struct supervise *supervise)
{
    if (!supervise->said_stopping)
        say("STOPPING=1\nSTATUS=stopping: what is under way is finished");
    supervise->said_stopping = true;
}

void supervise_tick(struct supervise *supervise)
{
    char text[SUPERVISE_TEXT_SIZE], state[SUPERVISE_TEXT_SIZE + 64];
    int64_t now_us = run_clock_us();
    if (!supervise->is_on)
        return;
    if (stop_asked())
        say_stopping(supervise);
    bool is_due = now_us - supervise->said_life_us >= supervise->every_us;
    if (!is_due && now_us - supervise->looked_us < look_every_us)
        return;
    supervise->looked_us = now_us;
    bool is_ready = supervise->config.look(supervise->config.context, text);
    if (is_ready && !supervise->said_ready && !supervise->said_stopping) {
        supervise->said_ready = true;
        snprintf(state, sizeof state, "READY=1\nSTATUS=%s", text);
        say(state);
    }
    if (!is_due)
        return;
    supervise->said_life_us = now_us;
    const char *life = is_well(&supervise->config, now_us, text) ? "WATCHDOG=1\n" : "";
    snprintf(state, sizeof state, "%sSTATUS=%s", life, text);
    say(state);
}

void supervise_end(struct supervise *supervise, int exit_code)
{
    if (!supervise->is_on)
        return;
    if (exit_code == 0 && !supervise->said_ready)
        say("READY=1"); /* over before it was looked at: no reason to call the start a failure */
    supervise->said_ready = true;
    say_stopping(supervise);
}
