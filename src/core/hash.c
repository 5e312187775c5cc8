/* hash.c - XXH3 from libxxhash. */
#include "core/hash.h"

#include <xxhash.h>

uint64_t esp_hash(struct esp_bytes bytes)
{
    return XXH3_64bits(bytes.data, bytes.size);
}

uint64_t esp_hash_domain(enum esp_hash_domain domain, struct esp_bytes key, uint64_t seed)
{
    return XXH3_64bits_withSeed(key.data, key.size, esp_mix64(seed + ((uint64_t)domain << 56)));
}

struct esp_hasher *esp_hasher_new(void)
{
    XXH3_state_t *state = XXH3_createState();
    if (state != NULL)
        XXH3_64bits_reset(state);
    return (struct esp_hasher *)state;
}

void esp_hasher_free(struct esp_hasher *hasher)
{
    XXH3_freeState((XXH3_state_t *)hasher);
}

void esp_hasher_reset(struct esp_hasher *hasher)
{
    XXH3_64bits_reset((XXH3_state_t *)hasher);
}

void esp_hasher_add(struct esp_hasher *hasher, const void *data, size_t size)
{
    XXH3_64bits_update((XXH3_state_t *)hasher, data, size);
}

uint64_t esp_hasher_value(const struct esp_hasher *hasher)
{
    return XXH3_64bits_digest((const XXH3_state_t *)hasher);
}
