/*
 * partitioner.c - the partition of a key, as Kafka's Java producer chooses it.
 *
 * Files and brokers must spread the same keys alike, and so must other producers of the same
 * topics. The hash is Austin Appleby's MurmurHash2 (32 bits) with the seed of
 * org.apache.kafka.common.utils.Utils.murmur2.
 */
#include "log/log.h"

static uint32_t load_le32(const uint8_t *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static uint32_t murmur2(struct esp_bytes key)
{
    const uint32_t seed = UINT32_C(0x9747b28c), m = UINT32_C(0x5bd1e995);
    uint32_t h = seed ^ (uint32_t)key.size;
    size_t n_words = key.size / 4;
    for (size_t i = 0; i < n_words; i++) {
        uint32_t k = load_le32(key.data + 4 * i) * m;
        k = (k ^ (k >> 24)) * m;
        h = (h * m) ^ k;
    }
    const uint8_t *tail = key.data + 4 * n_words;
    size_t n_tail = key.size % 4;
    if (n_tail > 0) {
        for (size_t i = n_tail; i-- > 0;)
            h ^= (uint32_t)tail[i] << (8 * i);
        h *= m;
    }
    h = (h ^ (h >> 13)) * m;
    return h ^ (h >> 15);
}

uint32_t esp_log_partition_of(struct esp_bytes key, uint32_t n_partitions)
{
    return (murmur2(key) & UINT32_C(0x7fffffff)) % n_partitions;
}
