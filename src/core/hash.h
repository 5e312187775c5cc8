/*
 * hash.h - the one hash of the project, and the uniform numbers made from it.
 *
 * Nothing draws a random number: whatever is "random" is u(domain, key, seed), so that it comes
 * out the same whoever asks, in whatever order, after whatever restart.
 */
#ifndef ESP_CORE_HASH_H
#define ESP_CORE_HASH_H

#include "core/bytes.h"

/* XXH3, 64 bits, seed 0. Fixed for ever: keys on disk and on the wire are made with it. */
uint64_t esp_hash(struct esp_bytes bytes);

/* The same hash of bytes that come in pieces. NULL from new: out of memory. */
struct esp_hasher;
struct esp_hasher *esp_hasher_new(void);
void esp_hasher_free(struct esp_hasher *hasher);
void esp_hasher_reset(struct esp_hasher *hasher);
void esp_hasher_add(struct esp_hasher *hasher, const void *data, size_t size);
uint64_t esp_hasher_value(const struct esp_hasher *hasher);

/* One domain a use, so that no two uses see the same number for the same key. Values are fixed. */
enum esp_hash_domain {
    ESP_DOMAIN_HOLDOUT = 1,
    ESP_DOMAIN_NEGATIVE = 2,
    ESP_DOMAIN_INIT = 3,      /* initial weights */
    ESP_DOMAIN_BOOTSTRAP = 4, /* replicates of an interval */
    ESP_DOMAIN_SIMULATOR = 5,
    ESP_DOMAIN_THIN = 6, /* which of too many holdout examples a drift window keeps */
};

/* XXH3 of the key, seeded by splitmix64(seed + domain * 2^56): the bits behind u(). */
uint64_t esp_hash_domain(enum esp_hash_domain domain, struct esp_bytes key, uint64_t seed);

/* u(domain, key, seed) = bits / 2^64, in [0, 1). */
static inline double esp_unit_of_bits(uint64_t bits)
{
    return (double)(bits >> 11) * 0x1p-53;
}

/* splitmix64's finaliser: a bijection that mixes well. Source: Steele et al., OOPSLA 2014. */
static inline uint64_t esp_mix64(uint64_t x)
{
    x += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

#endif
