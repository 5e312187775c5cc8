/*
 * files_log.h - the `files` log: ROOT/TOPIC/partition=N/NAME.avro. Shared by its reader and writer.
 */
#ifndef ESP_LOG_FILES_LOG_H
#define ESP_LOG_FILES_LOG_H

#include "log/codec.h"
#include "log/container.h"
#include "log/log_ops.h"

struct esp_files_log {
    struct esp_log log;
    char *root; /* owned */
    enum esp_codec_id codec;
};

/* "ROOT/TOPIC/partition=N", to be freed. NULL: out of memory. */
char *esp_files_partition_path(const struct esp_files_log *files, const char *topic,
                               size_t partition);

/* Makes ROOT/TOPIC/partition=N where missing. Errors: ESP_EIO, ESP_ENOMEM. */
enum esp_status esp_files_make_partition(const struct esp_files_log *files, const char *topic,
                                         size_t partition, struct esp_error *err);

/* The name of a file that a writer begins, to be freed. NULL: out of memory. */
char *esp_files_name(const char *topic, size_t partition, int64_t first_offset);

/* The marker of a file's blocks, by its name: nothing in a file is random. */
void esp_files_sync_marker(const char *name, uint8_t sync[ESP_SYNC_BYTES]);

/* Makes a folder's names durable. Errors: ESP_EIO. */
enum esp_status esp_files_sync_folder(const char *path, struct esp_error *err);

/* As esp_log_bounds(), by the partition's folder, which may be missing. */
enum esp_status esp_files_bounds_of(const char *path, int64_t *out_first, int64_t *out_end,
                                    struct esp_error *err);

/* As esp_log_bounds() and esp_log_cut_back(). */
enum esp_status esp_files_bounds(struct esp_log *log, const char *topic, size_t partition,
                                 int64_t *out_first, int64_t *out_end, struct esp_error *err);
enum esp_status esp_files_cut_back(struct esp_log *log, const char *topic, size_t partition,
                                   const struct esp_log_mark *mark, struct esp_error *err);

/* As esp_log_reader_new() and esp_log_writer_new(). */
enum esp_status esp_files_reader_new(struct esp_log *log, const char *topic, size_t partition,
                                     const struct esp_log_place *place, bool follow,
                                     const struct esp_log_framer *framer,
                                     struct esp_log_reader **out, struct esp_error *err);
enum esp_status esp_files_writer_new(struct esp_log *log,
                                     const struct esp_log_writer_config *config,
                                     struct esp_log_writer **out, struct esp_error *err);

#endif
