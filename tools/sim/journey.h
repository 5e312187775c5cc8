/*
 * journey.h - an impression with all that follows it, from its making to the verdict on each of
 * its events.
 */
#ifndef ESP_SIM_JOURNEY_H
#define ESP_SIM_JOURNEY_H

#include <stdbool.h>
#include <stdint.h>

#include "event/event.h"
#include "fields.h"

/* What was done to an event on its way. */
enum sim_damage {
    SIM_INTACT,
    SIM_MALFORMED,   /* its record cannot be used */
    SIM_WRONG_CLOCK, /* it claims a time far ahead */
};

/* What a join makes of an event; the names are those of the trainer's counters. */
enum sim_verdict {
    SIM_UNDELIVERED, /* not yet, or the campaign was cut short */
    SIM_ARRIVED,     /* neither late nor dead; what it counts for is not decided */
    SIM_LABELLED,
    SIM_DUPLICATE,
    SIM_UNMATCHED,
    SIM_LATE,
    SIM_DEAD,
    SIM_N_VERDICTS
};

struct sim_event {
    int64_t time_us;   /* event time as the record states it */
    int64_t due_us;    /* when it is delivered, in event time */
    int32_t partition; /* ESP_PARTITION_BY_KEY but for wild ones */
    uint8_t kind;      /* enum esp_event_kind */
    uint8_t damage;    /* enum sim_damage */
    uint8_t click;     /* clicks: which of the impression's; installs: 0, the first */
    uint8_t verdict;   /* enum sim_verdict */
};

/* An impression, two clicks and an install, each delivered twice. */
enum { SIM_MAX_EVENTS = 8 };

struct sim_journey {
    uint64_t id;      /* impression ids are its hexadecimal digits */
    double p_click;   /* that the label y is 1, for the configured windows */
    double p_install; /* that z is 1 if y is */
    uint32_t values[SIM_N_FIELDS];
    bool new_ad;
    uint8_t n_events;
    uint8_t n_underway; /* events not delivered */
    struct sim_event events[SIM_MAX_EVENTS];
};

#endif
