/*
 * container_fuzz.c - any bytes as a container file.
 *
 * The first byte says where records are wanted from. Beyond not crashing: every byte of the file is
 * the header's, a block's or passed over; and a walk that passes over all blocks agrees with one
 * that reads them on every offset and on what is damaged.
 */
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/check.h"
#include "log/container.h"

enum { DECODED_CAP = 1 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct walk {
    uint64_t n_skipped, n_blocks, n_records;
    int64_t next_offset;
};

static void decode(struct esp_codec *codec, enum esp_codec_id id, struct esp_bytes stored)
{
    struct esp_buf plain;
    const char *why = NULL;
    esp_buf_init(&plain, DECODED_CAP);
    enum esp_status status =
        id == ESP_CODEC_NULL ? ESP_OK : esp_codec_decode(codec, id, stored, &plain, &why, NULL);
    ESP_CHECK(1, status == ESP_OK || (status == ESP_EDATA && why != NULL));
    esp_buf_release(&plain);
}

static struct walk walk_file(int fd, size_t size, int64_t skip_to, struct esp_codec *codec)
{
    struct walk walk = {0};
    struct esp_container container;
    struct esp_container_block block;
    enum esp_container_step step;
    uint64_t n_stored = 0;
    esp_container_init(&container);
    esp_container_start(&container, fd, size, 0);
    do {
        ESP_CHECK(2, esp_container_next(&container, false, skip_to, &step, &block, NULL) == ESP_OK);
        ESP_CHECK(3, step != ESP_STEP_PARTIAL && container.at <= size);
        if (step == ESP_STEP_DAMAGE)
            walk.n_skipped += block.n_skipped;
        if (step == ESP_STEP_BLOCK) {
            walk.n_blocks++;
            walk.n_records += (uint64_t)block.n_records;
            n_stored += block.n_stored;
            if (block.stored.data != NULL && codec != NULL)
                decode(codec, container.codec, block.stored);
        }
    } while (step != ESP_STEP_END);
    ESP_CHECK(4, container.at == size);
    ESP_CHECK(5, n_stored + walk.n_skipped <= size);
    walk.next_offset = container.next_offset;
    esp_container_release(&container);
    return walk;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    int64_t skip_to = data[0];
    data++;
    size--;
    int fd = memfd_create("container", MFD_CLOEXEC);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size)
        abort();
    struct esp_codec codec = {NULL, NULL};
    struct walk read = walk_file(fd, size, 0, &codec);
    struct walk skipped = walk_file(fd, size, INT64_MAX, NULL);
    struct walk sought = walk_file(fd, size, skip_to, &codec);
    ESP_CHECK(6, memcmp(&read, &skipped, sizeof read) == 0);
    ESP_CHECK(7, memcmp(&read, &sought, sizeof read) == 0);
    ESP_CHECK(8, (uint64_t)read.next_offset == read.n_records);
    esp_codec_release(&codec);
    close(fd);
    return 0;
}
