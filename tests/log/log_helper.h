/* log_helper.h - what the tests of logs share: a framer for records of one `bytes` field, a sink
 * for reports, a loop that reads a partition to its end. */
#ifndef ESP_TESTS_LOG_HELPER_H
#define ESP_TESTS_LOG_HELPER_H

#include "log/log.h"
#include "testkit.h"

/* A record with one field: a length and as many bytes. */
extern const char test_schema[];

/* Delimits records of test_schema; refuses any other schema with "schema is not the test's". */
extern const struct esp_log_framer test_framer;

/* Encodes a record of test_schema with this content; returns its size. */
size_t test_record(uint8_t *out, size_t capacity, const void *content, size_t size);

/* Reports, one a line. { NULL, 0 } before use. */
struct test_reports {
    GString *text;
    size_t n;
    GMutex lock;
};
void test_reports_init(struct test_reports *reports);
void test_reports_release(struct test_reports *reports);
void test_report(void *context, const struct esp_log_event *event);
/* True if a line holds all of this text. From any thread. */
bool test_reports_have(struct test_reports *reports, const char *text);

/* Makes or replaces a file. */
void test_write_file(const char *path, const void *bytes, size_t size);

/* What was read: contents without their length, one each; offsets. */
struct test_read {
    GPtrArray *contents; /* of GBytes; NULL for a tombstone */
    GArray *offsets;     /* of int64_t */
    GArray *log_times;   /* of int64_t */
    enum esp_log_position position;
    enum esp_status status;
    struct esp_error err;
    struct esp_log_reader_stats stats;
};
void test_read_init(struct test_read *read);
void test_read_release(struct test_read *read);

/* Reads until the reader says AT_END or ENDED, or fails. batch: records a call. framed: contents
 * are the values whole. timeout_us: of each call. */
void test_read_all(struct esp_log_reader *reader, size_t batch, bool framed, int64_t timeout_us,
                   struct test_read *read);

/* Opens a partition, reads it as above, frees the reader. */
void test_read_partition(struct esp_log *log, const char *topic, size_t partition, int64_t offset,
                         size_t batch, struct test_read *read);

/* The i-th content as text, or "?" if there is none. Owned by read. */
const char *test_content(const struct test_read *read, size_t i);

/* A files log on a folder; fails the test where it cannot be opened. */
struct esp_log *test_files_open(const char *root, const char *codec, struct test_reports *reports);

/* Appends one record of test_schema whose content is the text. */
void test_append(struct esp_log_writer *writer, int32_t partition, const char *key,
                 const char *text);

/* A files writer of test_schema. */
struct esp_log_writer *test_writer_open(struct esp_log *log, const char *topic, size_t n_partitions,
                                        uint64_t roll_bytes);

#endif
