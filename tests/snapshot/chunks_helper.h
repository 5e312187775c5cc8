/* chunks_helper.h - a file of made-up bytes, its chunks and their manifest; chunks gone wrong. */
#ifndef ESP_TESTS_CHUNKS_HELPER_H
#define ESP_TESTS_CHUNKS_HELPER_H

#include "snapshot/chunks.h"
#include "testkit.h"

/* A file in memory, and the manifest of its chunks. */
struct test_cut {
    uint8_t *bytes; /* size of them */
    size_t size, chunk_bytes;
    struct esp_snapshot_manifest_record manifest; /* owns its arrays, which it shares with none */
};

/* Bytes are drawn from `seed`; the identity is the seed's, too, so that equal seeds are twins. */
void test_cut_init(struct test_cut *cut, size_t size, size_t chunk_bytes, uint64_t seed);
void test_cut_release(struct test_cut *cut);

/* The i-th chunk as it ought to be; data is borrowed from the cut. */
struct esp_snapshot_chunk_record test_cut_chunk(const struct test_cut *cut, size_t i);

/* The naive answer: what taking this chunk must say, given which have come. */
enum esp_chunk_verdict test_cut_verdict(const struct test_cut *cut, const bool *has_come,
                                        const struct esp_snapshot_chunk_record *chunk);

enum { TEST_N_WRONGS = 8 };

/* Makes a chunk wrong in one of so many ways. copy: room for its data, which is changed there. */
void test_chunk_spoil(struct esp_snapshot_chunk_record *chunk, unsigned way, uint64_t where,
                      uint8_t *copy);

#endif
