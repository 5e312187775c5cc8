/*
 * decimal.h - "1.5" times a unit as a whole number, exactly: spans and sizes are read with it, and
 * no rounding of a double gets between what was written and what is meant. Internal to core/.
 */
#ifndef ESP_CORE_DECIMAL_H
#define ESP_CORE_DECIMAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* mantissa / 10^n_fraction */
struct esp_decimal {
    uint64_t mantissa;
    unsigned n_fraction; /* digits after the point */
};

/*
 * Scans digits, or digits "." digits, at the beginning of text.
 *
 * Returns how many characters it took; 0 if text does not begin so, or the number has more than
 * 19 digits (leading zeros count). *out is set only if the result is not 0.
 */
size_t esp_decimal_scan(const char *text, struct esp_decimal *out);

/*
 * *out = decimal * unit. False, and *out untouched, if that is not a whole number or is over high.
 */
bool esp_decimal_times(struct esp_decimal decimal, uint64_t unit, uint64_t high, uint64_t *out);

#endif
