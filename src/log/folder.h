/*
 * folder.h - one partition's folder of container files, in the order in which they are read.
 *
 * The order is natural: runs of digits compare as numbers, all else by bytes. Hidden files and
 * those that begin with '_' (other programs' temporary ones) are not seen.
 */
#ifndef ESP_LOG_FOLDER_H
#define ESP_LOG_FOLDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/status.h"

struct esp_folder_file {
    char *name;           /* owned; without the folder */
    int64_t first_offset; /* as the name tells, or -1 */
    uint64_t size;        /* bytes, when listed */
};

struct esp_folder {
    struct esp_folder_file *files; /* in natural order */
    size_t n, capacity;
};

void esp_folder_release(struct esp_folder *folder);

/* Fills an empty *folder; a folder that does not exist is empty. Errors: ESP_EIO, ESP_ENOMEM. */
enum esp_status esp_folder_list(const char *path, struct esp_folder *folder, struct esp_error *err);

/* Natural order: <0, 0 (only for equal names), >0. */
int esp_folder_compare(const char *a, const char *b);

/* Index of the first file whose name is above this one. */
size_t esp_folder_after(const struct esp_folder *folder, const char *name);

/*
 * The first offset that a name tells: TOPIC+PARTITION+FIRST.avro, TOPIC+PARTITION+FIRST+LAST.avro
 * (both of Kafka Connect), or anything that ends in +FIRST.avro. -1: none.
 */
int64_t esp_folder_first_offset(const char *name);

#endif
