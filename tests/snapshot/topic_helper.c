/* topic_helper.c - see topic_helper.h. */
#include "topic_helper.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "snapshot/chunks.h"
#include "snapshot/snapshot.h"

const char test_run_a[] = "aaaaaaaaaaaaaaaa", test_run_b[] = "bbbbbbbbbbbbbbbb";

enum { BLOCK = 1 << 16, SPARSE_FROM = 16 << 20, SPARSE_STEP = 1 << 20 };

static void fill_block(struct test_random *random, uint8_t block[BLOCK])
{
    for (size_t i = 0; i < BLOCK; i += 8) {
        uint64_t word = test_random_u64(random);
        memcpy(block + i, &word, 8);
    }
}

void test_file_init(struct test_file *file, const char *folder, const char *run, const char *model,
                    int64_t number, uint64_t size, uint64_t seed)
{
    struct test_random random = {seed};
    uint8_t block[BLOCK];
    char *name =
        g_strdup_printf("%s-%s-%lld-%llu", model, run, (long long)number, (unsigned long long)seed);
    *file = (struct test_file){.path = g_build_filename(folder, name, NULL)};
    g_free(name);
    int fd = open(file->path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(ftruncate(fd, (off_t)size), ==, 0);
    uint64_t step = size > SPARSE_FROM ? SPARSE_STEP : BLOCK;
    for (uint64_t at = 0; at < size; at += step) {
        size_t n = size - at < BLOCK ? (size_t)(size - at) : BLOCK;
        fill_block(&random, block);
        g_assert_cmpint(pwrite(fd, block, n, (off_t)at), ==, n);
    }
    struct esp_publication *publication = &file->publication;
    *publication = (struct esp_publication){
        .path = file->path,
        .id.number = number,
        .boundary_us = number * ESP_HOUR,
        .created_us = 1700000000 * ESP_SECOND + number,
        .manifest_json = "{\"version\": 1}",
    };
    snprintf(publication->id.run, sizeof publication->id.run, "%s", run);
    snprintf(publication->id.model, sizeof publication->id.model, "%s", model);
    g_assert_cmpint(
        esp_file_checksum(fd, file->path, &publication->checksum, &publication->size, NULL), ==,
        ESP_OK);
    close(fd);
}

void test_file_release(struct test_file *file)
{
    if (file->path != NULL)
        unlink(file->path);
    g_free(file->path);
    file->path = NULL;
}

void test_files_equal(const char *a, const char *b)
{
    GMappedFile *left = g_mapped_file_new(a, FALSE, NULL);
    GMappedFile *right = g_mapped_file_new(b, FALSE, NULL);
    g_assert_nonnull(left);
    g_assert_nonnull(right);
    if (left != NULL && right != NULL) {
        gsize n = g_mapped_file_get_length(left);
        g_assert_cmpuint(n, ==, g_mapped_file_get_length(right));
        if (n == g_mapped_file_get_length(right))
            g_assert_true(memcmp(g_mapped_file_get_contents(left),
                                 g_mapped_file_get_contents(right), n) == 0);
    }
    g_clear_pointer(&left, g_mapped_file_unref);
    g_clear_pointer(&right, g_mapped_file_unref);
}

char *test_snapshot_topic(struct esp_log *log, size_t n_partitions)
{
    static const char *const config[] = {"cleanup.policy", "compact", "max.message.bytes",
                                         "1048588", /* Kafka's default */
                                         NULL};
    return test_topic_new(log, "snapshots", n_partitions, config);
}

struct esp_publisher *test_publisher(struct esp_log *log, const char *topic, size_t keep,
                                     size_t chunk_bytes)
{
    const struct esp_publisher_config config = {
        .log = log, .place = topic, .keep = keep, .chunk_bytes = chunk_bytes};
    struct esp_publisher *publisher = NULL;
    struct esp_error err = {0};
    if (esp_publisher_new(&config, &publisher, &err) != ESP_OK)
        g_test_fail_printf("%s", err.text);
    return publisher;
}

struct esp_snapshot_source *test_source(struct esp_log *log, const char *topic, const char *cache,
                                        struct test_reports *reports)
{
    const struct esp_snapshot_source_config config = {.log = log,
                                                      .place = topic,
                                                      .cache = cache,
                                                      .report = test_report,
                                                      .report_context = reports};
    struct esp_snapshot_source *source = NULL;
    struct esp_error err = {0};
    if (esp_snapshot_source_open(&config, &source, &err) != ESP_OK)
        g_test_fail_printf("%s", err.text);
    return source;
}

void test_publish(struct esp_publisher *publisher, const struct test_file *file,
                  enum esp_publish_result want)
{
    enum esp_publish_result got = ESP_PUBLISH_STOPPED;
    struct esp_error err = {0};
    if (esp_publisher_publish(publisher, &file->publication, &got, &err) != ESP_OK)
        g_test_fail_printf("%s", err.text);
    else
        g_assert_cmpint(got, ==, want);
}

void test_catch_up(struct esp_snapshot_source *source)
{
    gint64 deadline = g_get_monotonic_time() + TEST_TIMEOUT;
    bool changed, at_end = false;
    struct esp_error err = {0};
    while (!at_end && g_get_monotonic_time() < deadline) {
        if (esp_snapshot_source_poll(source, ESP_SECOND, &changed, &at_end, &err) != ESP_OK) {
            g_test_fail_printf("%s", err.text);
            return;
        }
    }
    g_assert_true(at_end);
}

void test_fetch_equals(struct esp_snapshot_source *source, const struct test_file *file)
{
    char *path = NULL;
    struct esp_error err = {0};
    if (esp_snapshot_source_fetch(source, &file->publication.id, &path, &err) != ESP_OK)
        g_test_fail_printf("%s", err.text);
    else
        test_files_equal(path, file->path);
    free(path);
}

GHashTable *test_compacted(struct esp_log *log, const char *topic, size_t partition,
                           size_t *n_records)
{
    GHashTable *keys = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    struct esp_log_reader *reader = NULL;
    struct esp_record records[64];
    enum esp_log_position position = ESP_LOG_MORE;
    struct esp_error err = {0};
    size_t n_all = 0;
    enum esp_status status =
        esp_log_reader_new(log, topic, partition, ESP_OFFSET_EARLIEST, false, NULL, &reader, &err);
    while (status == ESP_OK && position != ESP_LOG_ENDED) {
        size_t n = 0;
        status = esp_log_read(reader, records, 64, ESP_SECOND, &n, &position, &err);
        for (size_t i = 0; i < n && status == ESP_OK; i++) {
            char *key = g_strndup((const char *)records[i].key.data, records[i].key.size);
            if (records[i].value.data == NULL)
                g_hash_table_remove(keys, key), g_free(key);
            else
                g_hash_table_replace(keys, key, GSIZE_TO_POINTER(records[i].value.size));
        }
        n_all += n;
    }
    if (status != ESP_OK)
        g_test_fail_printf("%s", err.text);
    esp_log_reader_free(reader);
    if (n_records != NULL)
        *n_records = n_all;
    return keys;
}

/* ---- scenes ---- */

const char *test_scene_broker;

void test_scene_set_up(struct test_scene *scene, gconstpointer unused)
{
    (void)unused;
    test_reports_init(&scene->reports);
    scene->folder = test_folder_new();
    scene->cache = g_build_filename(scene->folder, "cache", NULL);
    scene->log = test_kafka_open(test_scene_broker, NULL, &scene->reports);
    scene->other = test_kafka_open(test_scene_broker, NULL, &scene->reports);
    scene->topic = test_snapshot_topic(scene->log, 3);
}

void test_scene_tear_down(struct test_scene *scene, gconstpointer unused)
{
    (void)unused;
    esp_log_free(scene->log);
    esp_log_free(scene->other);
    test_reports_release(&scene->reports);
    test_folder_remove(scene->folder);
    g_free(scene->cache);
    g_free(scene->topic);
}
