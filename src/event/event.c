/* event.c - names of kinds and rejections, and ids as text. */
#include "event/event.h"

#include <inttypes.h>
#include <stdio.h>

#include "event/plan.h"

const char *esp_event_kind_name(enum esp_event_kind kind)
{
    static const char *const names[ESP_N_EVENT_KINDS] = {"impression", "click", "install"};
    return (unsigned)kind < ESP_N_EVENT_KINDS ? names[kind] : "event";
}

const char *esp_reject_text(enum esp_reject reject)
{
    static const char *const texts[ESP_N_REJECTS] = {
#define REJECT_TEXT(name, text) text,
        ESP_REJECT_MAP(REJECT_TEXT)
#undef REJECT_TEXT
    };
    return (unsigned)reject < ESP_N_REJECTS ? texts[reject] : "unknown";
}

/* Length of the UTF-8 character at the head of bytes, 0 if there is none. Source: RFC 3629. */
static size_t character(struct esp_bytes bytes)
{
    static const uint32_t lowest[5] = {0, 0, 0x80, 0x800, 0x10000};
    uint8_t lead = bytes.data[0];
    size_t size = lead < 0x80 ? 1 : lead < 0xc2 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    if (size < 2)
        return lead < 0x20 || lead == 0x7f ? 0 : size; /* control characters are no text */
    if (lead > 0xf4 || size > bytes.size)
        return 0;
    uint32_t code = lead & (0x7fu >> size);
    for (size_t i = 1; i < size; i++) {
        if ((bytes.data[i] & 0xc0) != 0x80)
            return 0;
        code = code << 6 | (bytes.data[i] & 0x3fu);
    }
    bool is_surrogate = code >= 0xd800 && code <= 0xdfff;
    return code < lowest[size] || code > 0x10ffff || is_surrogate ? 0 : size;
}

bool esp_is_text(struct esp_bytes bytes)
{
    while (bytes.size > 0) {
        size_t size = character(bytes);
        if (size == 0)
            return false;
        bytes = esp_bytes(bytes.data + size, bytes.size - size);
    }
    return true;
}

size_t esp_id_format(struct esp_bytes id, bool is_number, char *text, size_t capacity)
{
    static const char digits[] = "0123456789abcdef";
    int64_t number;
    size_t n = 0;
    if (capacity == 0)
        return 0;
    if (is_number && esp_varint_get(id, &number)) {
        int length = snprintf(text, capacity, "%" PRId64, number);
        n = length < 0 ? 0 : (size_t)length;
        return n < capacity ? n : capacity - 1;
    }
    if (esp_is_text(id)) {
        for (size_t size; id.size > 0 && n + (size = character(id)) < capacity; n += size) {
            memcpy(text + n, id.data, size);
            id = esp_bytes(id.data + size, id.size - size);
        }
    } else {
        for (size_t i = 0; i < id.size && n + 2 < capacity; i++) {
            text[n++] = digits[id.data[i] >> 4];
            text[n++] = digits[id.data[i] & 15];
        }
    }
    text[n] = '\0';
    return n;
}
