/* pulse.c - see pulse.h. */
#include "cmd/run/pulse.h"

void pulse_init(struct pulse *pulse, const char *thread)
{
    pulse->thread = thread;
    atomic_init(&pulse->at_us, PULSE_AWAY);
}

/* Nothing else is published through a pulse, so no order with other memory is asked for. */
static void set(struct pulse *pulse, int64_t at_us)
{
    atomic_store_explicit(&pulse->at_us, at_us, memory_order_relaxed);
}

void pulse_beat(struct pulse *pulse, int64_t now_us)
{
    set(pulse, now_us);
}

void pulse_wait(struct pulse *pulse)
{
    set(pulse, PULSE_WAITS);
}

void pulse_leave(struct pulse *pulse)
{
    set(pulse, PULSE_AWAY);
}

int64_t pulse_silence_us(const struct pulse *pulse, int64_t now_us)
{
    int64_t at_us = atomic_load_explicit(&pulse->at_us, memory_order_relaxed);
    /* It may have gone round after the caller looked at the clock. */
    return at_us < 0 || at_us > now_us ? 0 : now_us - at_us;
}

const struct pulse *pulse_first_silent(const struct pulse *pulses, size_t n, int64_t limit_us,
                                       int64_t now_us)
{
    for (size_t i = 0; i < n; i++) {
        if (pulse_silence_us(&pulses[i], now_us) >= limit_us)
            return &pulses[i];
    }
    return NULL;
}
