/* dead_share.h - when a topic whose records cannot be used stops a run. */
#ifndef ESP_CMD_TOPICS_DEAD_SHARE_H
#define ESP_CMD_TOPICS_DEAD_SHARE_H

#include "cmd/topics/inputs.h"

enum {
    DEAD_SHARE_AFTER = 1000, /* records of a topic before its dead share is judged */
    DEAD_SHARE_AT_END = 20,  /* the same at the end of a short input */
};

/* What was read of a topic. */
struct dead_share {
    uint64_t read, dead;
    const uint64_t *dead_by_reason; /* (ESP_N_REJECTS) borrowed for the call */
};

/*
 * Stops a run whose input is not what the configuration says: every record failing is a wrong
 * schema far more often than a bad day.
 *
 * least_read  with fewer records nothing is judged
 * Errors: ESP_EDATA, or ESP_ESCHEMA where no schema fits the topic: what to mend.
 */
enum esp_status dead_share_judge(const struct inputs *inputs, enum esp_event_kind kind,
                                 const struct dead_share *share, uint64_t least_read,
                                 struct esp_error *err);

#endif
