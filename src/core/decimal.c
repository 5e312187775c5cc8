/* decimal.c - see decimal.h. */
#include "core/decimal.h"

enum { MAX_DIGITS = 19 }; /* 10^19 - 1 fits in 64 bits */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

size_t esp_decimal_scan(const char *text, struct esp_decimal *out)
{
    struct esp_decimal decimal = {0, 0};
    size_t n_digits = 0;
    const char *c = text;
    for (; is_digit(*c) && n_digits <= MAX_DIGITS; c++, n_digits++)
        decimal.mantissa = decimal.mantissa * 10 + (uint64_t)(*c - '0');
    if (n_digits == 0)
        return 0;
    if (*c == '.') {
        c++;
        for (; is_digit(*c) && n_digits <= MAX_DIGITS; c++, n_digits++, decimal.n_fraction++)
            decimal.mantissa = decimal.mantissa * 10 + (uint64_t)(*c - '0');
        if (decimal.n_fraction == 0)
            return 0;
    }
    if (n_digits > MAX_DIGITS)
        return 0;
    *out = decimal;
    return (size_t)(c - text);
}

bool esp_decimal_times(struct esp_decimal decimal, uint64_t unit, uint64_t high, uint64_t *out)
{
    unsigned __int128 product = (unsigned __int128)decimal.mantissa * unit;
    uint64_t scale = 1;
    for (unsigned i = 0; i < decimal.n_fraction; i++)
        scale *= 10;
    if (product % scale != 0 || product / scale > high)
        return false;
    *out = (uint64_t)(product / scale);
    return true;
}
