/*
 * avro_bytes.h - the smallest parts of Avro's binary encoding, read fast and checked.
 *
 * Each takes where it stands and where the record must end, and returns where it goes on, or NULL:
 * malformed. Nothing at or past end is read. Source: Avro 1.11 specification, "Binary Encoding".
 */
#ifndef ESP_EVENT_AVRO_BYTES_H
#define ESP_EVENT_AVRO_BYTES_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* A long byte by byte: at most 10 bytes, the last of them at most 1. */
const uint8_t *esp_avro_long_slow(const uint8_t *at, const uint8_t *end, int64_t *out)
    __attribute__((noinline));

/* Bit 7 of every byte: set in all but the last byte of a varint. */
#define ESP_AVRO_CONTINUES UINT64_C(0x8080808080808080)

static inline uint64_t esp_avro_word(const uint8_t *at)
{
    uint64_t word;
    memcpy(&word, at, sizeof word);
    return word;
}

static inline uint32_t esp_avro_word32(const uint8_t *at)
{
    uint32_t word;
    memcpy(&word, at, sizeof word);
    return word;
}

static inline int64_t esp_avro_unzigzag(uint64_t raw)
{
    return (int64_t)(raw >> 1) ^ -(int64_t)(raw & 1);
}

/* A long of any length: eight bytes at once where there are as many. */
static inline const uint8_t *esp_avro_long(const uint8_t *at, const uint8_t *end, int64_t *out)
{
    if (end - at < 8)
        return esp_avro_long_slow(at, end, out);
    uint64_t word = esp_avro_word(at), stops = ~word & ESP_AVRO_CONTINUES;
    if (stops == 0)
        return esp_avro_long_slow(at, end, out);
    unsigned last = (unsigned)__builtin_ctzll(stops); /* bit 7 of the last byte */
    word &= ~ESP_AVRO_CONTINUES & (UINT64_MAX >> (63 - last));
    /* Close the gaps of one bit: 8 groups of 7 become 4 of 14, 2 of 28, 1 of 56. */
    word = (word & UINT64_C(0x007f007f007f007f)) | ((word & UINT64_C(0x7f007f007f007f00)) >> 1);
    word = (word & UINT64_C(0x00003fff00003fff)) | ((word & UINT64_C(0x3fff00003fff0000)) >> 2);
    word = (word & UINT64_C(0x000000000fffffff)) | ((word & UINT64_C(0x0fffffff00000000)) >> 4);
    *out = esp_avro_unzigzag(word);
    return at + last / 8 + 1;
}

/* A long that is most often a byte: a length, a count, a branch. */
static inline const uint8_t *esp_avro_small(const uint8_t *at, const uint8_t *end, int64_t *out)
{
    if (at < end && *at < 0x80) {
        *out = esp_avro_unzigzag(*at);
        return at + 1;
    }
    return esp_avro_long_slow(at, end, out);
}

static inline const uint8_t *esp_avro_int(const uint8_t *at, const uint8_t *end, int64_t *out)
{
    at = esp_avro_long(at, end, out);
    return at != NULL && *out >= INT32_MIN && *out <= INT32_MAX ? at : NULL;
}

/* The index of a branch or symbol, below n. */
static inline const uint8_t *esp_avro_index(const uint8_t *at, const uint8_t *end, uint32_t n,
                                            uint32_t *out)
{
    int64_t index;
    if (at < end && (*at & 0x81) == 0) { /* one byte, not negative */
        *out = *at >> 1;
        return *out < n ? at + 1 : NULL;
    }
    at = esp_avro_long_slow(at, end, &index);
    if (at == NULL || index < 0 || index >= (int64_t)n)
        return NULL;
    *out = (uint32_t)index;
    return at;
}

/* A length and so many bytes; *out is where they begin. */
static inline const uint8_t *esp_avro_run(const uint8_t *at, const uint8_t *end,
                                          const uint8_t **out)
{
    int64_t size;
    if (at < end && (*at & 0x81) == 0) /* one byte, not negative */
        size = *at++ >> 1;
    else
        at = esp_avro_long_slow(at, end, &size);
    if (at == NULL || size < 0 || size > end - at)
        return NULL;
    *out = at;
    return at + size;
}

static inline const uint8_t *esp_avro_skip_longs(const uint8_t *at, const uint8_t *end, uint64_t n)
{
    for (; n > 0; n--) {
        uint64_t stops = end - at < 8 ? 0 : ~esp_avro_word(at) & ESP_AVRO_CONTINUES;
        if (stops != 0) {
            at += (unsigned)__builtin_ctzll(stops) / 8 + 1;
        } else {
            int64_t value;
            at = esp_avro_long_slow(at, end, &value);
            if (at == NULL)
                return NULL;
        }
    }
    return at;
}

static inline const uint8_t *esp_avro_skip_ints(const uint8_t *at, const uint8_t *end, uint64_t n)
{
    for (; n > 0; n--) {
        uint64_t stops = end - at < 4 ? 0 : ~esp_avro_word32(at) & (uint32_t)ESP_AVRO_CONTINUES;
        if (stops != 0) { /* at most 28 bits: they fit */
            at += (unsigned)__builtin_ctzll(stops) / 8 + 1;
        } else {
            int64_t value;
            at = esp_avro_long_slow(at, end, &value);
            if (at == NULL || value < INT32_MIN || value > INT32_MAX)
                return NULL;
        }
    }
    return at;
}

static inline const uint8_t *esp_avro_skip_runs(const uint8_t *at, const uint8_t *end, uint64_t n)
{
    for (; n > 0; n--) {
        size_t room = (size_t)(end - at);
        if (room > 0 && (*at & 0x81) == 0) { /* a length of one byte, not negative */
            size_t size = (size_t)(*at >> 1) + 1;
            if (size > room)
                return NULL;
            at += size;
        } else {
            const uint8_t *begin;
            at = esp_avro_run(at, end, &begin);
            if (at == NULL)
                return NULL;
        }
    }
    return at;
}

static inline const uint8_t *esp_avro_skip_booleans(const uint8_t *at, const uint8_t *end,
                                                    uint64_t n)
{
    if (n > (uint64_t)(end - at))
        return NULL;
    for (; n > 0; n--) {
        if (*at++ > 1)
            return NULL;
    }
    return at;
}

#endif
