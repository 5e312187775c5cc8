/*
 * assembly_fuzz.c - chunks of a small file in any order, spoilt in any way: none is taken that is
 * not right, and what is assembled is the file.
 *
 *     0  2  size of the file, less 1 (mod 512)
 *     2  1  size of a chunk, less 1 (mod 64)
 *     3  .  of each offer 3 bytes: which chunk, what is done to it, where
 */
#include <sys/mman.h>
#include <unistd.h>

#include "core/check.h"
#include "snapshot/chunks_helper.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* 0 to 7: spoilt so; from 8 on: as it is. */
static void offer(struct esp_assembly *assembly, const struct test_cut *cut, bool *has_come,
                  const uint8_t *bytes)
{
    uint8_t copy[64];
    struct esp_snapshot_chunk_record chunk = test_cut_chunk(cut, bytes[0] % cut->manifest.n_chunks);
    if (bytes[1] < TEST_N_WRONGS)
        test_chunk_spoil(&chunk, bytes[1], bytes[2], copy);
    enum esp_chunk_verdict want = test_cut_verdict(cut, has_come, &chunk), got;
    ESP_CHECK(11, esp_assembly_take(assembly, &chunk, &got, NULL) == ESP_OK && got == want);
    if (got == ESP_CHUNK_TAKEN)
        has_come[chunk.index] = true;
    esp_assembly_check(assembly);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 3)
        return 0;
    struct test_cut cut;
    bool has_come[512] = {false};
    struct esp_assembly *assembly = NULL;
    int fd = memfd_create("assembly", MFD_CLOEXEC);
    test_cut_init(&cut, 1 + (data[0] + 256u * data[1]) % 512, 1 + data[2] % 64, 17);
    ESP_CHECK(12, esp_assembly_new(&cut.manifest, fd, &assembly, NULL) == ESP_OK);
    for (size_t at = 3; at + 3 <= size && at < 3000; at += 3)
        offer(assembly, &cut, has_come, data + at);
    bool is_whole = esp_assembly_missing(assembly) == 0;
    ESP_CHECK(13, (esp_assembly_finish(assembly, NULL) == ESP_OK) == is_whole);
    if (is_whole) {
        uint8_t bytes[513];
        ESP_CHECK(14, pread(fd, bytes, sizeof bytes, 0) == (ssize_t)cut.size);
        ESP_CHECK(15, memcmp(bytes, cut.bytes, cut.size) == 0);
    }
    esp_assembly_free(assembly);
    close(fd);
    test_cut_release(&cut);
    return 0;
}
