/* cursor.c - see cursor.h. */
#include "event/cursor.h"

#include "event/avro_bytes.h"

void esp_cursor_stop(struct esp_cursor *cursor, const char *field)
{
    if (cursor->fault == NULL)
        cursor->fault = field;
}

/* Goes on at `at`, or stops where it is NULL; true if it goes on. */
static bool move(struct esp_cursor *cursor, const uint8_t *at, const char *field)
{
    if (at == NULL)
        esp_cursor_stop(cursor, field);
    else
        cursor->at = at;
    return at != NULL;
}

int64_t esp_take_long(struct esp_cursor *cursor, const char *field)
{
    int64_t value = 0;
    if (cursor->fault != NULL ||
        !move(cursor, esp_avro_long(cursor->at, cursor->end, &value), field))
        return 0;
    return value;
}

int64_t esp_take_long_within(struct esp_cursor *cursor, int64_t low, int64_t high,
                             const char *field)
{
    int64_t value = esp_take_long(cursor, field);
    if (cursor->fault == NULL && (value < low || value > high))
        esp_cursor_stop(cursor, field);
    return cursor->fault == NULL ? value : 0;
}

int32_t esp_take_int(struct esp_cursor *cursor, const char *field)
{
    return (int32_t)esp_take_long_within(cursor, INT32_MIN, INT32_MAX, field);
}

static bool take_fixed(struct esp_cursor *cursor, void *out, size_t size, const char *field)
{
    if (cursor->fault == NULL && (size_t)(cursor->end - cursor->at) < size)
        esp_cursor_stop(cursor, field);
    if (cursor->fault != NULL)
        return false;
    memcpy(out, cursor->at, size); /* little-endian, as the machine */
    cursor->at += size;
    return true;
}

float esp_take_float(struct esp_cursor *cursor, const char *field)
{
    float value;
    return take_fixed(cursor, &value, sizeof value, field) ? value : 0;
}

double esp_take_double(struct esp_cursor *cursor, const char *field)
{
    double value;
    return take_fixed(cursor, &value, sizeof value, field) ? value : 0;
}

bool esp_take_bool(struct esp_cursor *cursor, const char *field)
{
    uint8_t value = 0;
    if (take_fixed(cursor, &value, 1, field) && value > 1)
        esp_cursor_stop(cursor, field);
    return cursor->fault == NULL && value == 1;
}

uint32_t esp_take_branch(struct esp_cursor *cursor, uint32_t n, const char *field)
{
    return (uint32_t)esp_take_long_within(cursor, 0, (int64_t)n - 1, field);
}

struct esp_bytes esp_take_bytes(struct esp_cursor *cursor, size_t most, const char *field)
{
    const uint8_t *begin = NULL;
    if (cursor->fault != NULL)
        return esp_bytes(NULL, 0);
    const uint8_t *at = esp_avro_run(cursor->at, cursor->end, &begin);
    if (at != NULL && (size_t)(at - begin) > most)
        at = NULL;
    if (!move(cursor, at, field))
        return esp_bytes(NULL, 0);
    return esp_bytes(begin, (size_t)(at - begin));
}

void esp_take_text(struct esp_cursor *cursor, char *text, size_t size, const char *field)
{
    struct esp_bytes bytes = esp_take_bytes(cursor, size - 1, field);
    bool is_text = bytes.size > 0;
    for (size_t i = 0; i < bytes.size; i++)
        is_text = is_text && bytes.data[i] >= 0x20 && bytes.data[i] != 0x7f;
    if (!is_text) {
        esp_cursor_stop(cursor, field);
        bytes.size = 0;
    } else {
        memcpy(text, bytes.data, bytes.size);
    }
    text[bytes.size] = '\0';
}

/* A negative number of items is followed by the block's size in bytes, which is checked alone by
 * the items' own. */
uint64_t esp_take_block(struct esp_cursor *cursor, const char *field)
{
    int64_t n = esp_take_long(cursor, field);
    if (n < 0) {
        int64_t size = esp_take_long(cursor, field);
        if (n == INT64_MIN || size < 0 || size > cursor->end - cursor->at)
            esp_cursor_stop(cursor, field);
        else
            n = -n;
    }
    /* Every item that we write takes a byte at least. */
    if (cursor->fault == NULL && n > cursor->end - cursor->at)
        esp_cursor_stop(cursor, field);
    return cursor->fault == NULL ? (uint64_t)n : 0;
}

enum esp_status esp_cursor_finish(const struct esp_cursor *cursor, const char *record,
                                  struct esp_error *err)
{
    if (cursor->fault != NULL)
        return esp_fail(err, ESP_EDECODE, "%s: its field %s cannot be read", record, cursor->fault);
    if (cursor->at != cursor->end)
        return esp_fail(err, ESP_EDECODE, "%s: %zu bytes follow its last field", record,
                        (size_t)(cursor->end - cursor->at));
    return ESP_OK;
}
