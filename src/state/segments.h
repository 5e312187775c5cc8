/*
 * segments.h - the folder of segment files: what the join has put there for want of memory, and
 * what checkpoints name. See join/segment_store.h for what such a file is.
 *
 *     FOLDER/segments/NNNNNNNNNN.segment              a segment, byte for byte
 *                     NNNNNNNNNN.segment.part.PID     being written by that process
 *
 * The folder is made with the first file. It is used in one of two ways:
 *
 * LASTING  by a run that keeps checkpoints, under the lock of the state folder: no other process
 * but its own children writes to it. A file leaves when the join drops it, its segment empty and no
 * checkpoint able to name it; or with esp_segments_sweep(), when no checkpoint that is kept names
 * it any more.
 *
 * PASSING  by a run without checkpoints, which holds no lock: a file has the process's number in
 * its name, and loses that name as soon as it is mapped. So nothing is left of such a run, however
 * it ends, and any number of them can share a folder.
 */
#ifndef ESP_STATE_SEGMENTS_H
#define ESP_STATE_SEGMENTS_H

#include <stdbool.h>

#include "core/status.h"
#include "join/segment_store.h"

#define ESP_SEGMENTS_FOLDER "segments"

struct esp_segments;

/*
 * Looks at what is in the folder; writes nothing.
 *
 * state_folder  its path
 * is_lasting    see above; false: there is nothing that a checkpoint can name
 * Errors: ESP_EIO, ESP_ENOMEM, ESP_EINVAL (the path is too long); *out is NULL then.
 */
enum esp_status esp_segments_open(const char *state_folder, bool is_lasting,
                                  struct esp_segments **out, struct esp_error *err);

/* Removes the folder if it is empty. */
void esp_segments_free(struct esp_segments *segments);

/* Lent until esp_segments_free(). */
const struct esp_segment_store *esp_segments_store(const struct esp_segments *segments);

/*
 * Removes the files that are not in the list, and what was left half written. Call it when no child
 * writes, from the thread that the store is lent to: at start, and after a checkpoint was removed.
 *
 * keep        sorted: the files that the kept checkpoints name, and those that the join uses
 * *n_removed  may be NULL
 * Errors: ESP_EIO (some could not be removed; the others are), ESP_ENOMEM.
 */
enum esp_status esp_segments_sweep(struct esp_segments *segments,
                                   const struct esp_segment_list *keep, size_t *n_removed,
                                   struct esp_error *err);

#endif
