/*
 * admission.h - counts sightings of keys that have no row yet, in bounded memory.
 *
 * Buckets of eight (tag, count) pairs, a cache line each. A key that finds its bucket full takes
 * the place of the smallest count (the first of equals) and starts at 1: rare keys push out rare
 * keys, and what is counted depends on the order of sightings alone. Two keys that share bucket and
 * tag (1 in 2^32 for a pair in one bucket) are counted as one.
 */
#ifndef ESP_LEARN_ADMISSION_H
#define ESP_LEARN_ADMISSION_H

#include "core/archive.h"
#include "core/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct esp_admission {
    struct esp_sighting *sightings; /* (n_buckets * 8); NULL: nothing is counted */
    size_t n_buckets;               /* a power of two */
    uint32_t admit_after;
};

/* max_bytes bounds the memory; admit_after 1 takes none. Errors: ESP_ENOMEM. */
enum esp_status esp_admission_init(struct esp_admission *admission, uint32_t admit_after,
                                   uint64_t max_bytes, struct esp_error *err);
void esp_admission_release(struct esp_admission *admission);

/* Counts one sighting. True: it was the admit_after-th, and the count starts anew. */
bool esp_admission_sight(struct esp_admission *admission, uint64_t key);

/* Writes or reads the counts, empty places left out: they are room, and mostly there is plenty. */
void esp_admission_archive(struct esp_archive *archive, struct esp_admission *admission);

uint64_t esp_admission_bytes(const struct esp_admission *admission);

#endif
