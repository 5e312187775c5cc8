/*
 * checkpoint_writer.h - writes a checkpoint's file; made before the fork, used after it.
 *
 *     status = esp_checkpoint_writer_begin(writer, fd, path, &head, err);
 *     for (each section) {
 *         struct esp_archive *archive = esp_checkpoint_section_begin(writer, "joiner");
 *         esp_joiner_archive(archive, joiner);
 *         status = esp_checkpoint_section_end(writer, err);
 *     }
 *     status = esp_checkpoint_writer_finish(writer, err);
 *
 * Nothing but _new() and _free() allocates, locks or calls what might: a child of a process with
 * threads has only the one that forked, and a lock that another held stays taken for ever.
 */
#ifndef ESP_STATE_CHECKPOINT_WRITER_H
#define ESP_STATE_CHECKPOINT_WRITER_H

#include "core/archive.h"
#include "state/checkpoint.h"

struct esp_checkpoint_writer;

/* NULL: out of memory. */
struct esp_checkpoint_writer *esp_checkpoint_writer_new(void);
void esp_checkpoint_writer_free(struct esp_checkpoint_writer *writer);

/*
 * Writes the head at the start of an empty file.
 *
 * fd    borrowed until the end
 * path  borrowed, for messages
 * Errors: ESP_EIO; ESP_EINVAL (the number or a text is too large).
 */
enum esp_status esp_checkpoint_writer_begin(struct esp_checkpoint_writer *writer, int fd,
                                            const char *path,
                                            const struct esp_checkpoint_head *head,
                                            struct esp_error *err);

/*
 * Begins a section; what the archive takes until the end is in it. A failure (a name that was there
 * already, is empty or too long; too many sections) is the archive's, so that callers check once,
 * at the end.
 */
struct esp_archive *esp_checkpoint_section_begin(struct esp_checkpoint_writer *writer,
                                                 const char *name);

/* Errors: ESP_EIO, or what the archive noted first. */
enum esp_status esp_checkpoint_section_end(struct esp_checkpoint_writer *writer,
                                           struct esp_error *err);

/* Writes the table and brings the file to the disk. The file is whole if and only if this returns
 * ESP_OK. Errors: ESP_EIO, or the first failure before. */
enum esp_status esp_checkpoint_writer_finish(struct esp_checkpoint_writer *writer,
                                             struct esp_error *err);

/* Bytes of the file so far. */
uint64_t esp_checkpoint_writer_size(const struct esp_checkpoint_writer *writer);

#endif
