/*
 * checkpoint.h - a checkpoint as a file: found, verified, read, put in place, removed.
 *
 *     FOLDER/checkpoints/NNNNNNNNNN.checkpoint       whole, on the disk, visible by one rename
 *                        NNNNNNNNNN.checkpoint.part  being written, or left by a process that died
 *                        NNNNNNNNNN.checkpoint.bad   set aside: it could not be used
 *
 * The file, numbers in the machine's byte order (little-endian wherever this program runs):
 *
 *     offset size
 *     0      8    "ESPCKPT\n"
 *     8      4    format version, 1
 *     12     4    0x01020304, the mark of the byte order
 *     16     8    number
 *     24     8    W, the join's watermark in microseconds
 *     32     8    when it was made, microseconds since 1970; for people only
 *     40     4    b: bytes of the build's text, its NUL included
 *     44     4    r: bytes of the run's text, its NUL included
 *     48     b    what wrote it: build, CPU, kernels
 *     48+b   r    whose state it is: all that changes what is learned
 *     48+b+r 8    XXH3 of all before
 *     ...         the sections, one after the other, no bytes between
 *     F      72 s the table: name (48 bytes, padded with NUL), offset, length, XXH3 (8 bytes each)
 *     F+72 s 8    F
 *     +8     8    s, the number of sections
 *     +16    8    XXH3 of the table and the two numbers after it
 *     +24    8    "ESPCEND\n", the last bytes of the file
 *
 * Every byte of it is under a checksum or has one possible value. checkpoint_writer.h writes it,
 * in a child that checkpoint_fork.h makes.
 */
#ifndef ESP_STATE_CHECKPOINT_H
#define ESP_STATE_CHECKPOINT_H

#include <stdint.h>

#include "core/bytes.h"
#include "core/status.h"
#include "state/state_folder.h"

enum {
    ESP_CHECKPOINT_VERSION = 1,
    ESP_CHECKPOINT_NAME_SIZE = 48, /* of a section, NUL included */
    ESP_CHECKPOINT_MAX_SECTIONS = 256,
    ESP_CHECKPOINT_TEXT_SIZE = 1 << 16, /* of each text, NUL included */
};

#define ESP_CHECKPOINT_FOLDER "checkpoints"

/* A number has ten digits at most. */
#define ESP_CHECKPOINT_MAX_NUMBER UINT64_C(9999999999)

/* What a checkpoint says of itself. */
struct esp_checkpoint_head {
    uint64_t number;
    int64_t time_us;    /* W */
    int64_t created_us; /* by the wall clock */
    /* Borrowed. Lines "name = value", one thing a line, so that a message can name what differs. */
    const char *build;
    const char *run;
};

/* ---- the folder ------------------------------------------------------------------------------ */

/*
 * The numbers of the checkpoints in the folder, newest first; other files are passed over.
 * *numbers is a new allocation, NULL if there are none (also where the folder is missing).
 * Errors: ESP_EIO, ESP_ENOMEM.
 */
enum esp_status esp_checkpoint_list(const struct esp_state_folder *folder, uint64_t **numbers,
                                    size_t *n, struct esp_error *err);

/* The same for those that were set aside. */
enum esp_status esp_checkpoint_list_bad(const struct esp_state_folder *folder, uint64_t **numbers,
                                        size_t *n, struct esp_error *err);

/* Whole and on the disk as N.checkpoint.part, it takes its name: rename, fsync of the folder.
 * Errors: ESP_EIO, ESP_ENOMEM. */
enum esp_status esp_checkpoint_commit(const struct esp_state_folder *folder, uint64_t number,
                                      struct esp_error *err);

/*
 * Removes all but the newest `keep` checkpoints, and what was left half written or set aside.
 * Call it right after a commit, when the newest is known to be valid, and while no child writes.
 *
 * keep  >= 1
 * Errors: ESP_EIO (some could not be removed; the others are), ESP_ENOMEM.
 */
enum esp_status esp_checkpoint_prune(const struct esp_state_folder *folder, size_t keep,
                                     struct esp_error *err);

/* Renames a checkpoint that cannot be used to N.checkpoint.bad, so that it does not count among
 * those that are kept. Errors: ESP_EIO, ESP_ENOMEM. */
enum esp_status esp_checkpoint_set_aside(const struct esp_state_folder *folder, uint64_t number,
                                         struct esp_error *err);

/* FOLDER/checkpoints/N.checkpoint and an ending ("", ".part", ".bad"), a new allocation; NULL: out
 * of memory. */
char *esp_checkpoint_path(const struct esp_state_folder *folder, uint64_t number,
                          const char *ending);

/* ---- one of them ----------------------------------------------------------------------------- */

struct esp_checkpoint;

/*
 * Maps a checkpoint and verifies every byte of it.
 * Errors: ESP_EDATA (damaged, truncated, of another format: the line names the file and the
 * reason), ESP_EIO (cannot be opened), ESP_ENOMEM; *out is NULL then.
 */
enum esp_status esp_checkpoint_open(const struct esp_state_folder *folder, uint64_t number,
                                    struct esp_checkpoint **out, struct esp_error *err);

/* The same for bytes in memory, borrowed until it is closed; name stands for the file in messages.
 */
enum esp_status esp_checkpoint_parse(struct esp_bytes bytes, const char *name,
                                     struct esp_checkpoint **out, struct esp_error *err);
void esp_checkpoint_close(struct esp_checkpoint *checkpoint);

/* What it says of itself; the texts are lent until it is closed. */
const struct esp_checkpoint_head *esp_checkpoint_head(const struct esp_checkpoint *checkpoint);

/*
 * Is it of this build and this run? NULL: the caller does not care for that text.
 * Errors: ESP_EDATA: the line names the file and the first line of the texts in which they differ.
 */
enum esp_status esp_checkpoint_expect(const struct esp_checkpoint *checkpoint, const char *build,
                                      const char *run, struct esp_error *err);

/* A section's bytes, lent until it is closed, for esp_archive_read_from(). Errors: ESP_EDATA (it
 * has none of that name). */
enum esp_status esp_checkpoint_section(const struct esp_checkpoint *checkpoint, const char *name,
                                       struct esp_bytes *bytes, struct esp_error *err);

/*
 * One section of a checkpoint, without reading the rest: its bytes are added to out. What was read
 * is verified, what stands elsewhere in the file is not.
 * Errors: ESP_EDATA (damaged, or it has none of that name), ESP_EIO (cannot be opened), ESP_ELIMIT
 * (over the cap of out), ESP_ENOMEM.
 */
struct esp_buf;
enum esp_status esp_checkpoint_peek(const struct esp_state_folder *folder, uint64_t number,
                                    const char *name, struct esp_buf *out, struct esp_error *err);

/* The i-th section's name, in the order of the file; NULL: there are no more. */
const char *esp_checkpoint_section_name(const struct esp_checkpoint *checkpoint, size_t i);

/* Reads a section whole: what esp_archive_end() refuses gets the file's and section's name. Errors:
 * ESP_EDATA, ESP_ENOMEM, as the archive's. */
struct esp_archive;
enum esp_status esp_checkpoint_end(const struct esp_checkpoint *checkpoint, const char *name,
                                   struct esp_archive *archive, struct esp_error *err);

#endif
