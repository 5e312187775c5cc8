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
