/*
 * topic_source_test.c - what a follower believes of a topic, through a real broker, which
 * ESPALIER_TEST_BROKER names.
 */
#include <librdkafka/rdkafka.h>

#include "core/hash.h"
#include "snapshot/chunks.h"
#include "topic_helper.h"

/* ---- records by hand ------------------------------------------------------------------------- */

/* Chunks and manifests written one by one. */
struct hand {
    struct test_scene *scene;
    struct esp_log_writer *writer;
    struct esp_own_fingerprints own;
    struct esp_buf buf;
};

static void hand_init(struct hand *hand, struct test_scene *scene)
{
    hand->scene = scene;
    hand->writer = test_kafka_writer(scene->log, scene->topic);
    g_assert_cmpint(esp_own_fingerprints_init(&hand->own, NULL), ==, ESP_OK);
    esp_buf_init(&hand->buf, 1 << 20);
}

static void hand_release(struct hand *hand)
{
    g_assert_cmpint(esp_log_flush(hand->writer, TEST_TIMEOUT, NULL), ==, ESP_OK);
    esp_log_writer_free(hand->writer);
    esp_buf_release(&hand->buf);
}

static void append(struct hand *hand, int32_t partition, const char *key)
{
    g_assert_cmpint(esp_log_append(hand->writer, partition, esp_bytes_of(key),
                                   esp_buf_bytes(&hand->buf), ESP_TIME_NONE, NULL),
                    ==, ESP_OK);
}

enum { HAND_CHUNK = 100 };

/* Chunk i of a file held in memory, with its bytes altered if `spoil`. */
static void hand_chunk(struct hand *hand, const struct test_file *file, size_t i, bool spoil)
{
    char *bytes = NULL, key[ESP_SNAPSHOT_KEY_SIZE];
    gsize size = 0;
    g_assert_true(g_file_get_contents(file->path, &bytes, &size, NULL));
    if (spoil)
        bytes[i * HAND_CHUNK] ^= 1;
    size_t left = size - i * HAND_CHUNK;
    struct esp_bytes data =
        esp_bytes(bytes + i * HAND_CHUNK, left < HAND_CHUNK ? left : HAND_CHUNK);
    const struct esp_snapshot_chunk_record record = {
        .id = file->publication.id,
        .index = (int32_t)i,
        .count = (int32_t)((size + HAND_CHUNK - 1) / HAND_CHUNK),
        .offset = (int64_t)(i * HAND_CHUNK),
        .checksum = esp_hash(data),
        .data = data,
    };
    esp_buf_clear(&hand->buf);
    esp_put_single_object(&hand->buf, hand->own.of[ESP_SCHEMA_SNAPSHOT_CHUNK], NULL);
    esp_encode_snapshot_chunk(&hand->buf, &record, NULL);
    esp_snapshot_key(&record.id, record.index, key);
    append(hand, 2, key);
    g_free(bytes);
}

/* The manifest of the file's chunks, said to begin at an offset of a partition. */
static void hand_manifest_in(struct hand *hand, const struct test_file *file, int64_t offset,
                             int32_t partition)
{
    char *bytes = NULL, key[ESP_SNAPSHOT_KEY_SIZE];
    gsize size = 0;
    int64_t offsets[64];
    uint64_t checksums[64];
    g_assert_true(g_file_get_contents(file->path, &bytes, &size, NULL));
    size_t n = (size + HAND_CHUNK - 1) / HAND_CHUNK;
    for (size_t i = 0; i < n; i++) {
        size_t left = size - i * HAND_CHUNK;
        offsets[i] = offset + (int64_t)i;
        checksums[i] =
            esp_hash(esp_bytes(bytes + i * HAND_CHUNK, left < HAND_CHUNK ? left : HAND_CHUNK));
    }
    const struct esp_snapshot_manifest_record record = {
        .id = file->publication.id,
        .size = size,
        .checksum = file->publication.checksum,
        .chunk_partition = partition,
        .chunk_offsets = offsets,
        .chunk_checksums = checksums,
        .n_chunks = n,
        .manifest = esp_bytes_of("{}"),
    };
    esp_buf_clear(&hand->buf);
    esp_put_single_object(&hand->buf, hand->own.of[ESP_SCHEMA_SNAPSHOT_MANIFEST], NULL);
    esp_encode_snapshot_manifest(&hand->buf, &record, NULL);
    esp_snapshot_key(&record.id, ESP_KEY_NO_INDEX, key);
    append(hand, 0, key);
    g_free(bytes);
}

static void hand_manifest(struct hand *hand, const struct test_file *file, int64_t offset)
{
    hand_manifest_in(hand, file, offset, 2);
}

/* Chunks backwards, doubled, with wrong ones and those of another snapshot between. */
static void test_disorder(struct test_scene *scene, gconstpointer unused)
{
    (void)unused;
    struct test_file file, other;
    struct hand hand;
    test_file_init(&file, scene->folder, test_run_a, "main", 1, 1950, 1);
    test_file_init(&other, scene->folder, test_run_b, "main", 1, 1950, 2);
    hand_init(&hand, scene);
    for (size_t i = 20; i-- > 0;) {
        hand_chunk(&hand, &file, i, true);
        hand_chunk(&hand, &other, i, false);
        hand_chunk(&hand, &file, i, false);
        hand_chunk(&hand, &file, (i * 7) % 20, false);
    }
    esp_buf_clear(&hand.buf);
    esp_buf_append(&hand.buf, "no record", 9, NULL);
    append(&hand, 2, "key");
    hand_manifest(&hand, &file, 0);
    hand_manifest(&hand, &other, 0);
    hand_release(&hand);
    struct esp_snapshot_source *source =
        test_source(scene->other, scene->topic, scene->cache, &scene->reports);
    test_catch_up(source);
    test_fetch_equals(source, &file);
    test_fetch_equals(source, &other);
    struct esp_snapshot_source_stats stats;
    esp_snapshot_source_stats(source, &stats);
    g_assert_cmpuint(stats.wrong_chunks, >, 0);
    esp_snapshot_source_free(source);
    test_file_release(&file);
    test_file_release(&other);
}

static void refuse(struct esp_snapshot_source *source, const struct test_file *file,
                   const char *reason)
{
    char *path = NULL;
    struct esp_error err = {0};
    g_assert_cmpint(esp_snapshot_source_fetch(source, &file->publication.id, &path, &err), ==,
                    ESP_EDATA);
    if (strstr(err.text, reason) == NULL)
        g_test_fail_printf("\"%s\" does not say \"%s\"", err.text, reason);
    g_assert_null(path);
}

/* A manifest that does not keep its word is refused, counted, and the one before stays in use; a
 * better manifest of the same snapshot is given a chance. */
static void test_broken_word(struct test_scene *scene, gconstpointer unused)
{
    (void)unused;
    struct test_file good, missing, wrong, nowhere;
    struct hand hand;
    test_file_init(&good, scene->folder, test_run_a, "main", 1, 950, 1);
    test_file_init(&missing, scene->folder, test_run_a, "main", 2, 950, 2);
    test_file_init(&wrong, scene->folder, test_run_a, "main", 3, 950, 3);
    test_file_init(&nowhere, scene->folder, test_run_a, "main", 4, 950, 4);
    hand_init(&hand, scene);
    for (size_t i = 0; i < 10; i++) {
        hand_chunk(&hand, &good, i, false);
        if (i != 6)
            hand_chunk(&hand, &missing, i, false);
        hand_chunk(&hand, &wrong, i, i == 3);
    }
    hand_manifest(&hand, &good, 0);
    hand_manifest(&hand, &missing, 0);
    hand_manifest(&hand, &wrong, 0);
    hand_manifest(&hand, &nowhere, 1000000);
    g_assert_cmpint(esp_log_flush(hand.writer, TEST_TIMEOUT, NULL), ==, ESP_OK);
    struct esp_snapshot_source *source =
        test_source(scene->other, scene->topic, scene->cache, &scene->reports);
    test_catch_up(source);
    refuse(source, &nowhere, "offset 1000000 is beyond the end");
    refuse(source, &wrong, "1 of 10 chunks are missing, chunk 3 first");
    refuse(source, &missing, "1 of 10 chunks are missing, chunk 6 first");
    const struct esp_live_snapshot *newest = esp_snapshot_source_newest(source, "main", NULL);
    g_assert_cmpint(newest == NULL ? -1 : newest->manifest.id.number, ==, 1);
    test_fetch_equals(source, &good);
    struct esp_snapshot_source_stats stats;
    esp_snapshot_source_stats(source, &stats);
    g_assert_cmpuint(stats.refused, ==, 3);
    hand_manifest_in(&hand, &nowhere, 0, 3);
    g_assert_cmpint(esp_log_flush(hand.writer, TEST_TIMEOUT, NULL), ==, ESP_OK);
    test_catch_up(source);
    refuse(source, &nowhere, "its chunks are said to be in partition 3 of 3");
    hand_chunk(&hand, &missing, 6, false);
    hand_manifest(&hand, &missing, 0);
    hand_release(&hand);
    test_catch_up(source);
    newest = esp_snapshot_source_newest(source, "main", NULL);
    g_assert_cmpint(newest == NULL ? -1 : newest->manifest.id.number, ==, 2);
    test_fetch_equals(source, &missing);
    esp_snapshot_source_free(source);
    test_file_release(&good);
    test_file_release(&missing);
    test_file_release(&wrong);
    test_file_release(&nowhere);
}

/* Records that are no manifests are passed over and counted, the first of a kind is said. */
static void test_passed_over(struct test_scene *scene, gconstpointer unused)
{
    (void)unused;
    struct test_file file;
    struct hand hand;
    char key[ESP_SNAPSHOT_KEY_SIZE];
    test_file_init(&file, scene->folder, test_run_a, "main", 1, 950, 1);
    hand_init(&hand, scene);
    hand_manifest(&hand, &file, 0); /* leaves the record in the buffer */
    esp_snapshot_key(&file.publication.id, ESP_KEY_NO_INDEX, key);
    append(&hand, 0, "under another key");
    for (int i = 0; i < 3; i++) {
        hand.buf.data[10] = 6; /* version 3 */
        append(&hand, 0, key);
    }
    hand.buf.data[2] ^= 1; /* another schema */
    append(&hand, 0, key);
    hand.buf.data[0] = 0; /* no framing */
    append(&hand, 0, key);
    hand.buf.size = 0;
    append(&hand, 0, key);
    hand_release(&hand);
    struct esp_snapshot_source *source =
        test_source(scene->other, scene->topic, scene->cache, &scene->reports);
    test_catch_up(source);
    struct esp_snapshot_source_stats stats;
    esp_snapshot_source_stats(source, &stats);
    g_assert_cmpuint(stats.manifests.read, ==, 8);
    g_assert_cmpuint(stats.manifests.manifests, ==, 1);
    g_assert_cmpuint(stats.manifests.unknown_version, ==, 4);
    g_assert_cmpuint(stats.manifests.malformed, ==, 3);
    g_assert_cmpuint(esp_snapshot_source_live(source)->n, ==, 1);
    g_assert_cmpuint(scene->reports.n, ==, 2);
    g_assert_true(test_reports_have(&scene->reports, "version 3 is unknown: passed over"));
    g_assert_true(test_reports_have(&scene->reports, "under a key that is not"));
    esp_snapshot_source_free(source);
    test_file_release(&file);
}

/* ---- the cache ------------------------------------------------------------------------------- */

/* A cached file that was altered or cut is fetched again; one that was retired goes. */
static void test_cache(struct test_scene *scene, gconstpointer unused)
{
    (void)unused;
    struct test_file files[3];
    char *path = NULL;
    for (int64_t k = 0; k < 3; k++)
        test_file_init(&files[k], scene->folder, test_run_a, "main", k, 9500, (uint64_t)k);
    struct esp_publisher *publisher = test_publisher(scene->log, scene->topic, 2, 1000);
    test_publish(publisher, &files[0], ESP_PUBLISHED);
    struct esp_snapshot_source *source =
        test_source(scene->other, scene->topic, scene->cache, &scene->reports);
    test_catch_up(source);
    g_assert_cmpint(esp_snapshot_source_fetch(source, &files[0].publication.id, &path, NULL), ==,
                    ESP_OK);
    g_assert_cmpint(truncate(path, 9000), ==, 0);
    test_fetch_equals(source, &files[0]);
    FILE *stream = fopen(path, "r+");
    fputs("altered", stream);
    fclose(stream);
    test_fetch_equals(source, &files[0]);
    struct esp_snapshot_source_config second = {
        .log = scene->other, .place = scene->topic, .cache = scene->cache};
    struct esp_snapshot_source *none = NULL;
    struct esp_error err = {0};
    g_assert_cmpint(esp_snapshot_source_open(&second, &none, &err), ==, ESP_ECONFIG);
    g_assert_nonnull(strstr(err.text, "is in use by another process"));
    test_publish(publisher, &files[1], ESP_PUBLISHED);
    test_publish(publisher, &files[2], ESP_PUBLISHED);
    test_catch_up(source);
    g_assert_false(g_file_test(path, G_FILE_TEST_EXISTS));
    test_fetch_equals(source, &files[2]);
    esp_snapshot_source_free(source);
    char *stale =
        g_build_filename(scene->cache, "main-aaaaaaaaaaaaaaaa-000000000000.safetensors", NULL);
    char *torn =
        g_build_filename(scene->cache, ".main-aaaaaaaaaaaaaaaa-000000000002.safetensors.tmp", NULL);
    char *foreign = g_build_filename(scene->cache, "notes.txt", NULL);
    g_file_set_contents(stale, "x", 1, NULL);
    g_file_set_contents(torn, "x", 1, NULL);
    g_file_set_contents(foreign, "x", 1, NULL);
    source = test_source(scene->other, scene->topic, scene->cache, &scene->reports);
    test_catch_up(source);
    g_assert_false(g_file_test(stale, G_FILE_TEST_EXISTS));
    g_assert_false(g_file_test(torn, G_FILE_TEST_EXISTS));
    g_assert_true(g_file_test(foreign, G_FILE_TEST_EXISTS));
    test_fetch_equals(source, &files[2]);
    struct esp_snapshot_source_stats stats;
    esp_snapshot_source_stats(source, &stats);
    g_assert_cmpuint(stats.reused, ==, 1);
    esp_snapshot_source_free(source);
    esp_publisher_free(publisher);
    for (size_t i = 0; i < 3; i++)
        test_file_release(&files[i]);
    free(path);
    g_free(stale);
    g_free(torn);
    g_free(foreign);
}

/* ---- compaction ------------------------------------------------------------------------------ */

/* Publishes until the broker has removed what was retired, and fetches what is live. */
static void test_compaction(struct test_scene *scene, gconstpointer unused)
{
    (void)unused;
    enum { KEEP = 2, SIZE = 700000 };
    static const char *const config[] = {"cleanup.policy",
                                         "compact",
                                         "segment.bytes",
                                         "1048576",
                                         "segment.ms",
                                         "1000",
                                         "min.cleanable.dirty.ratio",
                                         "0.01",
                                         "delete.retention.ms",
                                         "1",
                                         NULL};
    char *topic = test_topic_new(scene->log, "compacted", 2, config);
    struct esp_publisher *publisher = test_publisher(scene->log, topic, KEEP, 0);
    struct test_file files[KEEP] = {{0}};
    gint64 deadline = g_get_monotonic_time() + TEST_TIMEOUT;
    struct esp_snapshot_source *source =
        test_source(scene->other, topic, scene->cache, &scene->reports);
    size_t n_records = 0, n_written = 0;
    int64_t number = 0;
    for (bool is_gone = false; !is_gone && g_get_monotonic_time() < deadline; number++) {
        struct test_file *file = &files[number % KEEP];
        test_file_release(file);
        test_file_init(file, scene->folder, test_run_a, "main", number, SIZE, (uint64_t)number);
        test_publish(publisher, file, ESP_PUBLISHED);
        n_written += 2 + (number >= KEEP ? 2 : 0); /* chunks and tombstones */
        g_hash_table_unref(test_compacted(scene->log, topic, 1, &n_records));
        is_gone = number > 2 * KEEP && n_records < n_written / 2;
        test_catch_up(source);
        bool changed, at_end; /* waits for news that do not come: time for the broker's cleaner */
        esp_snapshot_source_poll(source, ESP_SECOND / 5, &changed, &at_end, NULL);
    }
    g_assert_cmpuint(n_records, <, n_written / 2);
    g_assert_cmpuint(esp_snapshot_source_live(source)->n, ==, KEEP);
    for (size_t i = 0; i < KEEP; i++) {
        test_fetch_equals(source, &files[i]);
        test_file_release(&files[i]);
    }
    esp_snapshot_source_free(source);
    esp_publisher_free(publisher);
    g_free(topic);
}

/* ---- a topic that is made anew ----------------------------------------------------------------
 */

static void delete_topic(const char *topic)
{
    char why[512];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "bootstrap.servers", test_scene_broker, why, sizeof why);
    rd_kafka_t *handle = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof why);
    rd_kafka_DeleteTopic_t *request = rd_kafka_DeleteTopic_new(topic);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(handle);
    rd_kafka_DeleteTopics(handle, &request, 1, NULL, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, 30000);
    g_assert_true(event != NULL && rd_kafka_event_error(event) == RD_KAFKA_RESP_ERR_NO_ERROR);
    rd_kafka_event_destroy(event);
    rd_kafka_queue_destroy(queue);
    rd_kafka_DeleteTopic_destroy(request);
    rd_kafka_destroy(handle);
}

/* Polls past failures until a condition on what is live holds. */
static bool poll_until(struct esp_snapshot_source *source, const char *model, int64_t number)
{
    gint64 deadline = g_get_monotonic_time() + TEST_TIMEOUT;
    while (g_get_monotonic_time() < deadline) {
        bool changed, at_end;
        esp_snapshot_source_poll(source, ESP_SECOND / 10, &changed, &at_end, NULL);
        const struct esp_live_snapshot *live = esp_snapshot_source_newest(source, model, NULL);
        if (at_end && live != NULL && live->manifest.id.number == number)
            return true;
    }
    return false;
}

/* A topic that is deleted and made anew: a follower goes over to what is there then. */
static void test_made_anew(struct test_scene *scene, gconstpointer unused)
{
    (void)unused;
    static const char *const config[] = {"cleanup.policy", "compact", NULL};
    struct test_file before, after;
    bool changed, at_end;
    test_file_init(&before, scene->folder, test_run_a, "main", 9, 950, 1);
    test_file_init(&after, scene->folder, test_run_b, "main", 4, 950, 2);
    struct esp_publisher *publisher = test_publisher(scene->log, scene->topic, 2, 1000);
    test_publish(publisher, &before, ESP_PUBLISHED);
    esp_publisher_free(publisher);
    struct esp_snapshot_source *source =
        test_source(scene->other, scene->topic, scene->cache, &scene->reports);
    g_assert_true(poll_until(source, "main", 9));
    delete_topic(scene->topic);
    gint64 deadline = g_get_monotonic_time() + TEST_TIMEOUT;
    while (esp_snapshot_source_poll(source, ESP_SECOND / 10, &changed, &at_end, NULL) == ESP_OK &&
           g_get_monotonic_time() < deadline)
        continue;
    g_assert_cmpuint(esp_snapshot_source_live(source)->n, ==, 1); /* for want of news */
    struct esp_log *third = test_kafka_open(test_scene_broker, NULL, &scene->reports);
    g_assert_cmpint(esp_log_create_topic(third, scene->topic, 2, config, NULL), ==, ESP_OK);
    publisher = test_publisher(third, scene->topic, 2, 1000);
    test_publish(publisher, &after, ESP_PUBLISHED);
    g_assert_true(poll_until(source, "main", 4));
    g_assert_cmpuint(esp_snapshot_source_live(source)->n, ==, 1);
    test_fetch_equals(source, &after);
    esp_publisher_free(publisher);
    esp_log_free(third);
    esp_snapshot_source_free(source);
    test_file_release(&before);
    test_file_release(&after);
}

int main(int argc, char **argv)
{
    test_scene_broker = test_broker_or_skip();
    if (test_scene_broker == NULL)
        return 0;
    test_start(&argc, &argv);
    const struct {
        const char *name;
        gconstpointer data;
        void (*run)(struct test_scene *, gconstpointer);
    } rows[] = {
        {"/topic/chunks backwards, doubled, spoilt, of others", NULL, test_disorder},
        {"/topic/a manifest that breaks its word is refused, the old one stays", NULL,
         test_broken_word},
        {"/topic/what is no manifest is passed over, counted and said once", NULL,
         test_passed_over},
        {"/topic/a cache holds what is live and sound", NULL, test_cache},
        {"/topic/a follower goes over to a topic that is made anew", NULL, test_made_anew},
        {"/topic/compaction removes what was retired, and nothing else", NULL, test_compaction},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
        g_test_add(rows[i].name, struct test_scene, rows[i].data, test_scene_set_up, rows[i].run,
                   test_scene_tear_down);
    return g_test_run();
}
