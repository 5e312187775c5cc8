/*
 * varint.h - Avro's long: a zigzag number in groups of seven bits, least significant first, at most
 * ten bytes. Source: Avro 1.11 specification, "Binary Encoding".
 */
#ifndef ESP_CORE_VARINT_H
#define ESP_CORE_VARINT_H

#include <stddef.h>
#include <stdint.h>

enum { ESP_VARINT_MAX = 10 };

/* Writes a number; returns how many bytes it took. */
static inline size_t esp_varint_put(int64_t value, uint8_t bytes[ESP_VARINT_MAX])
{
    uint64_t bits = ((uint64_t)value << 1) ^ (uint64_t)(value >> 63);
    size_t n = 0;
    for (; bits >= 0x80; bits >>= 7)
        bytes[n++] = (uint8_t)(bits | 0x80);
    bytes[n++] = (uint8_t)bits;
    return n;
}

#endif
