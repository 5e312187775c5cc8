/*
 * segment_store.h - where a segment of the ring goes when memory is short, or when a checkpoint is
 * to name it: a file that somebody else keeps, for the join does no I/O.
 *
 * A file is one sealed segment, byte for byte, so that it can be mapped in its place. It is named
 * by a number that no other segment of the same store ever gets, and never changes: whoever writes
 * a number that has a file already writes the same bytes.
 */
#ifndef ESP_JOIN_SEGMENT_STORE_H
#define ESP_JOIN_SEGMENT_STORE_H

#include <stdint.h>

#include "core/archive.h"
#include "core/bytes.h"
#include "core/status.h"

/* What a segment's file is known by, wherever it is named. */
struct esp_segment_file {
    uint64_t number; /* from 1 on */
    uint64_t n_bytes;
    uint64_t checksum; /* esp_hash() of all of them */
};

/*
 * Lent to the ring. write, sync, map and drop allocate nothing and touch nothing that two processes
 * share but the files: the child of a fork may call them while its parent does. Errors are ESP_EIO
 * unless it says something else, and change nothing that was there.
 */
struct esp_segment_store {
    void *context;
    uint64_t first_number; /* no file that is there has this number or a larger one */

    /* Afterwards the file is there, whole, or it is not. One that is there is left as it is. */
    enum esp_status (*write)(void *context, uint64_t number, struct esp_bytes bytes,
                             struct esp_error *err);

    /* Brings a file to the disk; number 0: what has been made and removed in the folder. */
    enum esp_status (*sync)(void *context, uint64_t number, struct esp_error *err);

    /* Reads a file and compares length and checksum. Errors: ESP_EDATA (it is missing, of another
     * length, has other bytes or cannot be read), ESP_ENOMEM. */
    enum esp_status (*verify)(void *context, const struct esp_segment_file *file,
                              struct esp_error *err);

    /* Maps the n_bytes of a file to be read; the caller munmap()s them. Errors: ESP_EDATA (missing,
     * or of another length). */
    enum esp_status (*map)(void *context, const struct esp_segment_file *file, void **out_base,
                           struct esp_error *err);

    /* Removes a file that no checkpoint names; one that is still mapped lives on unseen. */
    void (*drop)(void *context, uint64_t number);
};

/* Files that are named somewhere. { 0 } is empty. */
struct esp_segment_list {
    struct esp_segment_file *files; /* owned */
    size_t n, capacity;
};

void esp_segment_list_release(struct esp_segment_list *list);

/* Errors: ESP_ENOMEM; the list is as it was. */
enum esp_status esp_segment_list_add(struct esp_segment_list *list,
                                     const struct esp_segment_file *files, size_t n,
                                     struct esp_error *err);

/* Sorts by number, for _find(). */
void esp_segment_list_sort(struct esp_segment_list *list);

/* The file of this number in a sorted list, or NULL. */
const struct esp_segment_file *esp_segment_list_find(const struct esp_segment_list *list,
                                                     uint64_t number);

/* For who writes a list item by item: its head; n files as they stand in memory follow. */
void esp_segment_list_begin(struct esp_archive *archive, size_t *n);

/* The list as a part of a checkpoint, which it can be read from by whoever has no join at hand. */
void esp_segment_list_archive(struct esp_archive *archive, struct esp_segment_list *list);

#endif
