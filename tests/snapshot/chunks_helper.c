/* chunks_helper.c - see chunks_helper.h. */
#include "chunks_helper.h"

#include "core/hash.h"

void test_cut_init(struct test_cut *cut, size_t size, size_t chunk_bytes, uint64_t seed)
{
    struct test_random random = {seed};
    size_t n = (size + chunk_bytes - 1) / chunk_bytes;
    *cut = (struct test_cut){.bytes = g_malloc(size), .size = size, .chunk_bytes = chunk_bytes};
    for (size_t i = 0; i < size; i++)
        cut->bytes[i] = (uint8_t)test_random_u64(&random);
    cut->manifest = (struct esp_snapshot_manifest_record){
        .id = {.model = "main", .number = (int64_t)(seed % 1000)},
        .size = size,
        .checksum = esp_hash(esp_bytes(cut->bytes, size)),
        .chunk_partition = 1,
        .chunk_offsets = g_new0(int64_t, n),
        .chunk_checksums = g_new0(uint64_t, n),
        .n_chunks = n,
    };
    snprintf(cut->manifest.id.run, sizeof cut->manifest.id.run, "%016llx",
             (unsigned long long)(seed / 1000));
    for (size_t i = 0; i < n; i++) {
        struct esp_snapshot_chunk_record chunk = test_cut_chunk(cut, i);
        cut->manifest.chunk_checksums[i] = chunk.checksum;
        cut->manifest.chunk_offsets[i] = (int64_t)i;
    }
}

void test_cut_release(struct test_cut *cut)
{
    g_free(cut->bytes);
    g_free(cut->manifest.chunk_offsets);
    g_free(cut->manifest.chunk_checksums);
}

struct esp_snapshot_chunk_record test_cut_chunk(const struct test_cut *cut, size_t i)
{
    size_t begin = i * cut->chunk_bytes, left = cut->size - begin;
    struct esp_bytes data =
        esp_bytes(cut->bytes + begin, left < cut->chunk_bytes ? left : cut->chunk_bytes);
    return (struct esp_snapshot_chunk_record){
        .id = cut->manifest.id,
        .index = (int32_t)i,
        .count = (int32_t)cut->manifest.n_chunks,
        .offset = (int64_t)begin,
        .checksum = esp_hash(data),
        .data = data,
    };
}

enum esp_chunk_verdict test_cut_verdict(const struct test_cut *cut, const bool *has_come,
                                        const struct esp_snapshot_chunk_record *chunk)
{
    if (memcmp(&chunk->id, &cut->manifest.id, sizeof chunk->id) != 0)
        return ESP_CHUNK_FOREIGN;
    if (chunk->index < 0 || (size_t)chunk->index >= cut->manifest.n_chunks)
        return ESP_CHUNK_WRONG;
    struct esp_snapshot_chunk_record truth = test_cut_chunk(cut, (size_t)chunk->index);
    if (chunk->count != truth.count || chunk->offset != truth.offset ||
        chunk->checksum != truth.checksum || !esp_bytes_equal(chunk->data, truth.data))
        return ESP_CHUNK_WRONG;
    return has_come[chunk->index] ? ESP_CHUNK_DOUBLE : ESP_CHUNK_TAKEN;
}

void test_chunk_spoil(struct esp_snapshot_chunk_record *chunk, unsigned way, uint64_t where,
                      uint8_t *copy)
{
    size_t size = chunk->data.size;
    memcpy(copy, chunk->data.data, size);
    chunk->data.data = copy;
    switch (way % TEST_N_WRONGS) {
    case 0: /* altered on its way */
        copy[where % size] ^= (uint8_t)(1u << (where / size % 8));
        break;
    case 1: /* other bytes, honestly summed */
        copy[where % size] ^= 0x55;
        chunk->checksum = esp_hash(chunk->data);
        break;
    case 2: /* cut short, honestly summed */
        chunk->data.size = size - 1 - where % size;
        chunk->checksum = esp_hash(chunk->data);
        break;
    case 3:
        chunk->index += 1 + (int32_t)(where % 3);
        break;
    case 4:
        chunk->count += 1;
        break;
    case 5:
        chunk->offset += 1 + (int64_t)(where % 1000);
        break;
    case 6:
        chunk->checksum ^= UINT64_C(1) << (where % 64);
        break;
    default:
        chunk->id.number += 1;
        break;
    }
}
