/* keys.c - see keys.h. The host is little-endian, so numbers are hashed as they lie in memory. */
#include "feature/keys.h"

#define XXH_INLINE_ALL /* a key is some 30 bytes: the call would cost as much as the hash */
#include <xxhash.h>

enum { SHORT_KEY = 240 }; /* above it a copy costs more than XXH3's streaming set-up */

/* 0 marks an empty slot in tables. */
static uint64_t not_zero(uint64_t hash)
{
    return hash == 0 ? 1 : hash;
}

static uint64_t key_of_long(struct esp_bytes name, enum esp_key_tag tag, struct esp_bytes value)
{
    uint8_t middle[2] = {ESP_KEY_SEPARATOR, (uint8_t)tag};
    XXH3_state_t state;
    XXH3_64bits_reset(&state);
    XXH3_64bits_update(&state, name.data, name.size);
    XXH3_64bits_update(&state, middle, sizeof middle);
    XXH3_64bits_update(&state, value.data, value.size);
    return not_zero(XXH3_64bits_digest(&state));
}

/* Inline, so that a value of a known size is stored rather than copied by a call. */
static inline uint64_t key_of(struct esp_bytes name, enum esp_key_tag tag, const void *value,
                              size_t size)
{
    uint8_t text[SHORT_KEY];
    if (name.size > SHORT_KEY - 2 || size > SHORT_KEY - 2 - name.size)
        return key_of_long(name, tag, esp_bytes(value, size));
    memcpy(text, name.data, name.size);
    text[name.size] = ESP_KEY_SEPARATOR;
    text[name.size + 1] = (uint8_t)tag;
    if (size > 0)
        memcpy(text + name.size + 2, value, size);
    return not_zero(XXH3_64bits(text, name.size + 2 + size));
}

uint64_t esp_key_of_bytes(struct esp_bytes name, enum esp_key_tag tag, struct esp_bytes value)
{
    return key_of(name, tag, value.data, value.size);
}

uint64_t esp_key_of_u64(struct esp_bytes name, enum esp_key_tag tag, uint64_t value)
{
    return key_of(name, tag, &value, sizeof value);
}

uint64_t esp_key_of_real(struct esp_bytes name, double value)
{
    uint64_t bits;
    if (value != value)
        bits = UINT64_C(0x7ff8000000000000);
    else if (value == 0)
        bits = 0; /* -0.0 too */
    else
        memcpy(&bits, &value, sizeof bits);
    return esp_key_of_u64(name, ESP_KEY_REAL, bits);
}

uint64_t esp_key_of_bool(struct esp_bytes name, bool value)
{
    uint8_t byte = value;
    return key_of(name, ESP_KEY_BOOL, &byte, sizeof byte);
}

uint64_t esp_key_of_cross(struct esp_bytes name, uint64_t key_a, uint64_t key_b)
{
    uint64_t keys[2] = {key_a, key_b};
    return key_of(name, ESP_KEY_CROSS, keys, sizeof keys);
}
