/*
 * outcasts.h - the events that one call turned away, with copies of their bytes.
 */
#ifndef ESP_JOIN_OUTCASTS_H
#define ESP_JOIN_OUTCASTS_H

#include "core/buf.h"
#include "join/joiner.h"

struct esp_outcasts {
    struct esp_turned_away *items; /* raw.data holds an offset until sealed */
    size_t n, capacity;
    struct esp_buf bytes;
};

void esp_outcasts_init(struct esp_outcasts *outcasts);
void esp_outcasts_release(struct esp_outcasts *outcasts);
void esp_outcasts_clear(struct esp_outcasts *outcasts);

/* Appends one with a copy of its raw bytes. Errors: ESP_ENOMEM. */
enum esp_status esp_outcasts_add(struct esp_outcasts *outcasts, const struct esp_turned_away *item,
                                 struct esp_error *err);

/* Points the items into the bytes, which do not move until the next clear. */
void esp_outcasts_seal(struct esp_outcasts *outcasts);

#endif
