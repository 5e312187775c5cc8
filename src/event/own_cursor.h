/*
 * own_cursor.h - reads our own records field by field, in the order of their schemas.
 *
 * The first part that is malformed, or would end behind the record, fails the cursor for good:
 * every later read gives 0 or nothing, so one look at esp_cursor_failed() at the end is enough.
 * Source: Avro 1.11 specification, "Binary Encoding". Internal to event/.
 */
#ifndef ESP_EVENT_OWN_CURSOR_H
#define ESP_EVENT_OWN_CURSOR_H

#include <stdbool.h>

#include "core/bytes.h"
#include "event/avro_bytes.h"

struct esp_cursor {
    const uint8_t *at; /* NULL: failed */
    const uint8_t *end;
};

static inline struct esp_cursor esp_cursor_of(struct esp_bytes bytes)
{
    static const uint8_t nothing[1];
    const uint8_t *data = bytes.data != NULL ? bytes.data : nothing;
    return (struct esp_cursor){data, data + bytes.size};
}

static inline bool esp_cursor_failed(const struct esp_cursor *cursor)
{
    return cursor->at == NULL;
}

static inline int64_t esp_cursor_long(struct esp_cursor *cursor)
{
    int64_t value = 0;
    if (cursor->at != NULL)
        cursor->at = esp_avro_long(cursor->at, cursor->end, &value);
    return cursor->at != NULL ? value : 0;
}

static inline int32_t esp_cursor_int(struct esp_cursor *cursor)
{
    int64_t value = 0;
    if (cursor->at != NULL)
        cursor->at = esp_avro_int(cursor->at, cursor->end, &value);
    return cursor->at != NULL ? (int32_t)value : 0;
}

/* A branch of a union or a symbol of an enum, below n. */
static inline uint32_t esp_cursor_index(struct esp_cursor *cursor, uint32_t n)
{
    uint32_t index = 0;
    if (cursor->at != NULL)
        cursor->at = esp_avro_index(cursor->at, cursor->end, n, &index);
    return cursor->at != NULL ? index : 0;
}

/* The branch of ["null", ...]: true if a value follows. */
static inline bool esp_cursor_present(struct esp_cursor *cursor)
{
    return esp_cursor_index(cursor, 2) == 1;
}

static inline double esp_cursor_double(struct esp_cursor *cursor)
{
    double value = 0;
    if (cursor->at != NULL && (size_t)(cursor->end - cursor->at) < sizeof value)
        cursor->at = NULL;
    if (cursor->at != NULL) {
        memcpy(&value, cursor->at, sizeof value); /* little-endian, as this machine is */
        cursor->at += sizeof value;
    }
    return value;
}

/* bytes or string; borrowed from the record. */
static inline struct esp_bytes esp_cursor_bytes(struct esp_cursor *cursor)
{
    const uint8_t *begin = NULL;
    if (cursor->at != NULL)
        cursor->at = esp_avro_run(cursor->at, cursor->end, &begin);
    return cursor->at != NULL ? esp_bytes(begin, (size_t)(cursor->at - begin)) : esp_bytes(NULL, 0);
}

#endif
