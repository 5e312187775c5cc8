/*
 * checkpoint_format.h - the numbers of the format that checkpoint.h shows, for its writer and its
 * reader.
 */
#ifndef ESP_STATE_CHECKPOINT_FORMAT_H
#define ESP_STATE_CHECKPOINT_FORMAT_H

#include <stdint.h>

#include "state/checkpoint.h"

#define ESP_CHECKPOINT_MAGIC "ESPCKPT\n"
#define ESP_CHECKPOINT_END   "ESPCEND\n"

enum { ESP_CHECKPOINT_MAGIC_SIZE = 8 };

#define ESP_CHECKPOINT_ORDER UINT32_C(0x01020304)

/* As they stand in the file: no padding. */
struct esp_checkpoint_start {
    char magic[ESP_CHECKPOINT_MAGIC_SIZE];
    uint32_t version;
    uint32_t order;
    uint64_t number;
    int64_t time_us;
    int64_t created_us;
    uint32_t build_bytes, run_bytes;
};

struct esp_checkpoint_entry {
    char name[ESP_CHECKPOINT_NAME_SIZE];
    uint64_t offset, bytes, checksum;
};

struct esp_checkpoint_tail {
    uint64_t table_offset;
    uint64_t n_sections;
    uint64_t checksum; /* of the table and the two before */
    char magic[ESP_CHECKPOINT_MAGIC_SIZE];
};

_Static_assert(sizeof(struct esp_checkpoint_start) == 48, "the head is 48 bytes");
_Static_assert(sizeof(struct esp_checkpoint_entry) == 72, "an entry is 72 bytes");
_Static_assert(sizeof(struct esp_checkpoint_tail) == 32, "the tail is 32 bytes");

#endif
