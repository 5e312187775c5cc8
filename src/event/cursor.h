/*
 * cursor.h - reads a record of our own, field by field, strictly.
 *
 * A cursor goes over the bytes once. The first field that cannot be read stops it: that call and
 * all later ones give zeros or empty runs, so that a decoder asks for every field in turn and looks
 * at the fault once, at the end. Nothing is allocated, and nothing past the end is read.
 *
 * Source: Avro 1.11 specification, "Binary Encoding".
 */
#ifndef ESP_EVENT_CURSOR_H
#define ESP_EVENT_CURSOR_H

#include <stdbool.h>

#include "core/bytes.h"
#include "core/status.h"

struct esp_cursor {
    const uint8_t *at, *end;
    const char *fault; /* the first field that could not be read, NULL: none; static */
};

static inline struct esp_cursor esp_cursor(struct esp_bytes bytes)
{
    static const uint8_t nothing[1];
    const uint8_t *data = bytes.data != NULL ? bytes.data : nothing;
    return (struct esp_cursor){data, data + bytes.size, NULL};
}

/* Stops the cursor at a field, for what its reader knows to be wrong. The first fault stays. */
void esp_cursor_stop(struct esp_cursor *cursor, const char *field);

int64_t esp_take_long(struct esp_cursor *cursor, const char *field);
int64_t esp_take_long_within(struct esp_cursor *cursor, int64_t low, int64_t high,
                             const char *field);
int32_t esp_take_int(struct esp_cursor *cursor, const char *field);
float esp_take_float(struct esp_cursor *cursor, const char *field);
double esp_take_double(struct esp_cursor *cursor, const char *field);
bool esp_take_bool(struct esp_cursor *cursor, const char *field);

/* The branch of a union or the symbol of an enum: below n. */
uint32_t esp_take_branch(struct esp_cursor *cursor, uint32_t n, const char *field);

/* Bytes or a string of at most `most`, borrowed from the record. */
struct esp_bytes esp_take_bytes(struct esp_cursor *cursor, size_t most, const char *field);

/* A string of 1 to size - 1 printable bytes of ASCII or above, copied and ended by NUL. */
void esp_take_text(struct esp_cursor *cursor, char *text, size_t size, const char *field);

/*
 * The items that come next in an array: 0 ends it. Call before the first item, and again whenever
 * as many items as it gave have been read.
 */
uint64_t esp_take_block(struct esp_cursor *cursor, const char *field);

/* ESP_OK where every field was read and the record ends here, else ESP_EDECODE with the field. */
enum esp_status esp_cursor_finish(const struct esp_cursor *cursor, const char *record,
                                  struct esp_error *err);

#endif
