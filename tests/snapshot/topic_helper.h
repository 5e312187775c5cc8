/* topic_helper.h - files to publish, a topic to publish to, and what a naive reader sees of it. */
#ifndef ESP_TESTS_TOPIC_HELPER_H
#define ESP_TESTS_TOPIC_HELPER_H

#include "broker_helper.h"
#include "snapshot/follower.h"
#include "snapshot/publisher.h"

#define TEST_TIMEOUT (60 * ESP_SECOND)

extern const char test_run_a[], test_run_b[];

/* A file of made-up bytes and the publication of it; path is owned. */
struct test_file {
    char *path;
    struct esp_publication publication;
};

/* Bytes are drawn from seed; a file over 16 MiB has holes. */
void test_file_init(struct test_file *file, const char *folder, const char *run, const char *model,
                    int64_t number, uint64_t size, uint64_t seed);
void test_file_release(struct test_file *file);

/* Fails unless both files hold the same bytes. */
void test_files_equal(const char *a, const char *b);

/* A compacted topic with the limits that a broker has by default. To be g_free()d. */
char *test_snapshot_topic(struct esp_log *log, size_t n_partitions);

struct esp_publisher *test_publisher(struct esp_log *log, const char *topic, size_t keep,
                                     size_t chunk_bytes);
struct esp_snapshot_source *test_source(struct esp_log *log, const char *topic, const char *cache,
                                        struct test_reports *reports);

/* Publishes, and fails unless that is the result. */
void test_publish(struct esp_publisher *publisher, const struct test_file *file,
                  enum esp_publish_result want);

/* Polls until the source has seen everything. */
void test_catch_up(struct esp_snapshot_source *source);

/* Fetches, and fails unless it is the file. */
void test_fetch_equals(struct esp_snapshot_source *source, const struct test_file *file);

/* Key to number of bytes of what compaction would leave of a partition, tombstones left out; to be
 * unref'd. n_records: what there is now; may be NULL. */
GHashTable *test_compacted(struct esp_log *log, const char *topic, size_t partition,
                           size_t *n_records);

/* Two connections to the broker of the tests, a topic and folders. */
struct test_scene {
    char *folder, *cache, *topic;
    struct test_reports reports;
    struct esp_log *log, *other; /* of publishers, of sources */
};

/* Of g_test_add(); the broker is test_scene_broker. */
extern const char *test_scene_broker;
void test_scene_set_up(struct test_scene *scene, gconstpointer unused);
void test_scene_tear_down(struct test_scene *scene, gconstpointer unused);

#endif
