/* lanes.h - sums of bootstrap replicates, eight side by side. Internal to metric/. */
#ifndef ESP_METRIC_LANES_H
#define ESP_METRIC_LANES_H

#include <stdint.h>
#include <string.h>

#include "core/vectorised.h"

/* Eight lanes, a replicate each, in as few registers as the machine has it. */
typedef uint64_t esp_octet __attribute__((vector_size(64)));
typedef double esp_doubles __attribute__((vector_size(64), aligned(8), may_alias));

/*
 * Adds weight x count for eight counts, a byte each. Each byte is shifted down in its own lane and
 * put into the last digits of 2^52, which is then taken off: a conversion that most instruction
 * sets do well, where compilers load byte by byte.
 */
ESP_INLINE void esp_add_weighted(esp_doubles *sum, double weight, const uint8_t *bytes)
{
    const esp_octet shift = {0, 8, 16, 24, 32, 40, 48, 56};
    uint64_t word;
    memcpy(&word, bytes, sizeof word);
    esp_octet digits = (((esp_octet){0} + word) >> shift & 0xff) | UINT64_C(0x4330000000000000);
    *sum += ((esp_doubles)digits - 0x1p52) * weight;
}

#endif
