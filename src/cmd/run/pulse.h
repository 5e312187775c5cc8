/*
 * pulse.h - whether a thread still goes round its loop, or has an excuse.
 *
 * The thread says so itself: it beats once a turn, and says before it waits for another thread that
 * it does. Who waits is excused: whether it waits in vain is the other thread's pulse to tell.
 */
#ifndef ESP_CMD_RUN_PULSE_H
#define ESP_CMD_RUN_PULSE_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

struct pulse {
    const char *thread;         /* its name */
    atomic_int_least64_t at_us; /* monotonic: when it last went round; below 0: PULSE_* */
};

enum {
    PULSE_AWAY = -1,  /* not started, or ended */
    PULSE_WAITS = -2, /* for another thread */
};

void pulse_init(struct pulse *pulse, const char *thread);

/* From the thread. */
void pulse_beat(struct pulse *pulse, int64_t now_us);
void pulse_wait(struct pulse *pulse);  /* ends with the next beat */
void pulse_leave(struct pulse *pulse); /* its last act */

/* How long it has not gone round; 0 while it waits or is away. From any thread. */
int64_t pulse_silence_us(const struct pulse *pulse, int64_t now_us);

/* The first of n that has not gone round for limit_us; NULL: all are well. From any thread. */
const struct pulse *pulse_first_silent(const struct pulse *pulses, size_t n, int64_t limit_us,
                                       int64_t now_us);

#endif
