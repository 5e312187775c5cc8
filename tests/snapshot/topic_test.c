/*
 * topic_test.c - publishing snapshots through a real broker, which ESPALIER_TEST_BROKER names.
 */
#include <librdkafka/rdkafka.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/hash.h"
#include "snapshot/chunks.h"
#include "topic_helper.h"

/* Publishes one file of this size and fetches it again. */
static void test_round_trip(struct test_scene *scene, gconstpointer size)
{
    struct test_file file;
    test_file_init(&file, scene->folder, test_run_a, "main", 12, GPOINTER_TO_SIZE(size), 1);
    struct esp_publisher *publisher = test_publisher(scene->log, scene->topic, 2, 0);
    struct esp_snapshot_source *source =
        test_source(scene->other, scene->topic, scene->cache, &scene->reports);
    test_publish(publisher, &file, ESP_PUBLISHED);
    test_catch_up(source);
    const struct esp_live_snapshot *live = esp_snapshot_source_newest(source, "main", NULL);
    g_assert_nonnull(live);
    if (live == NULL)
        return;
    g_assert_true(esp_snapshot_id_equal(&live->manifest.id, &file.publication.id));
    g_assert_cmpint(live->manifest.boundary_us, ==, 12 * ESP_HOUR);
    g_assert_cmpuint(live->manifest.size, ==, file.publication.size);
    g_assert_cmpuint(live->manifest.checksum, ==, file.publication.checksum);
    g_assert_true(esp_bytes_equal(live->manifest.manifest, esp_bytes_of("{\"version\": 1}")));
    test_fetch_equals(source, &file);
    test_publish(publisher, &file, ESP_PUBLISHED_BEFORE);
    test_fetch_equals(source, &file); /* from the cache */
    struct esp_snapshot_source_stats stats;
    esp_snapshot_source_stats(source, &stats);
    g_assert_cmpuint(stats.fetched, ==, 1);
    g_assert_cmpuint(stats.reused, ==, 1);
    g_assert_cmpuint(stats.bytes, ==, file.publication.size);
    g_assert_cmpstr(scene->reports.text->str, ==, "");
    esp_snapshot_source_free(source);
    esp_publisher_free(publisher);
    test_file_release(&file);
}

/* Two models and two runs share a topic: each gets its own, and only its own is retired. */
static void test_shared(struct test_scene *scene, gconstpointer unused)
{
    (void)unused;
    enum { N_NUMBERS = 4, KEEP = 2 };
    static const char *const models[] = {"main", "other"};
    const char *const runs[] = {test_run_a, test_run_b};
    struct test_file files[2][2][N_NUMBERS];
    struct esp_publisher *publishers[2];
    for (size_t r = 0; r < 2; r++)
        publishers[r] =
            test_publisher(r == 0 ? scene->log : scene->other, scene->topic, KEEP, 1000);
    for (int64_t k = 0; k < N_NUMBERS; k++) {
        for (size_t r = 0; r < 2; r++) {
            for (size_t m = 0; m < 2; m++) {
                test_file_init(&files[r][m][k], scene->folder, runs[r], models[m], k,
                               5000 + 700 * (uint64_t)k, 100 * r + 10 * m + (uint64_t)k);
                test_publish(publishers[r], &files[r][m][k], ESP_PUBLISHED);
            }
        }
    }
    esp_publisher_free(publishers[1]);
    struct esp_snapshot_source *source =
        test_source(scene->other, scene->topic, scene->cache, &scene->reports);
    test_catch_up(source);
    g_assert_cmpuint(esp_snapshot_source_live(source)->n, ==, 2 * 2 * KEEP);
    for (size_t r = 0; r < 2; r++) {
        for (size_t m = 0; m < 2; m++) {
            for (int64_t k = N_NUMBERS - KEEP; k < N_NUMBERS; k++)
                test_fetch_equals(source, &files[r][m][k]);
            const struct esp_live_snapshot *newest =
                esp_snapshot_source_newest(source, models[m], runs[r]);
            g_assert_cmpint(newest == NULL ? -1 : newest->manifest.id.number, ==, N_NUMBERS - 1);
        }
    }
    esp_snapshot_source_free(source);
    esp_publisher_free(publishers[0]);
    for (size_t r = 0; r < 2; r++) {
        for (size_t m = 0; m < 2; m++) {
            for (size_t k = 0; k < N_NUMBERS; k++)
                test_file_release(&files[r][m][k]);
        }
    }
}

/* What compaction would leave is what is live, and nothing else. */
static void check_left(struct test_scene *scene, const struct test_file *files, size_t n,
                       size_t chunk_bytes)
{
    GHashTable *manifests = test_compacted(scene->log, scene->topic, 0, NULL);
    GHashTable *chunks = test_compacted(
        scene->log, scene->topic, esp_chunk_partition(files[0].publication.id.model, 3), NULL);
    size_t n_chunks = 0;
    g_assert_cmpuint(g_hash_table_size(manifests), ==, n);
    for (size_t i = 0; i < n; i++) {
        char key[ESP_SNAPSHOT_KEY_SIZE];
        const struct esp_publication *publication = &files[i].publication;
        size_t count = (publication->size + chunk_bytes - 1) / chunk_bytes;
        esp_snapshot_key(&publication->id, ESP_KEY_NO_INDEX, key);
        g_assert_true(g_hash_table_contains(manifests, key));
        for (size_t j = 0; j < count; j++) {
            esp_snapshot_key(&publication->id, (int32_t)j, key);
            g_assert_true(g_hash_table_contains(chunks, key));
        }
        n_chunks += count;
    }
    g_assert_cmpuint(g_hash_table_size(chunks), ==, n_chunks);
    g_hash_table_unref(manifests);
    g_hash_table_unref(chunks);
}

static void test_retiring(struct test_scene *scene, gconstpointer unused)
{
    (void)unused;
    enum { N = 6, KEEP = 3 };
    struct test_file files[N];
    struct esp_publisher_stats stats;
    struct esp_publisher *publisher = test_publisher(scene->log, scene->topic, KEEP, 1000);
    for (int64_t k = 0; k < N; k++) {
        size_t n_live = k + 1 < KEEP ? (size_t)k + 1 : KEEP;
        test_file_init(&files[k], scene->folder, test_run_a, "main", k, 3500, (uint64_t)k);
        test_publish(publisher, &files[k], ESP_PUBLISHED);
        check_left(scene, &files[(size_t)k + 1 - n_live], n_live, 1000);
    }
    test_publish(publisher, &files[0], ESP_PUBLISH_OUTDATED);
    check_left(scene, &files[N - KEEP], KEEP, 1000);
    esp_publisher_stats(publisher, &stats);
    g_assert_cmpuint(stats.retired, ==, N - KEEP);
    g_assert_cmpuint(stats.published, ==, N);
    esp_publisher_free(publisher);
    for (size_t i = 0; i < N; i++)
        test_file_release(&files[i]);
}

/* One in the middle is taken away, with its chunks; what is not there cannot be. */
static void test_retire_one(struct test_scene *scene, gconstpointer unused)
{
    (void)unused;
    struct test_file files[3];
    struct esp_error err = {0};
    bool stopped = true;
    struct esp_publisher *publisher = test_publisher(scene->log, scene->topic, 3, 1000);
    for (int64_t k = 0; k < 3; k++) {
        test_file_init(&files[k], scene->folder, test_run_a, "main", k, 9500, (uint64_t)k);
        test_publish(publisher, &files[k], ESP_PUBLISHED);
    }
    const struct esp_snapshot_id *id = &files[1].publication.id;
    g_assert_cmpint(esp_publisher_retire(publisher, id, &stopped, NULL), ==, ESP_OK);
    g_assert_false(stopped);
    check_left(scene, (struct test_file[]){files[0], files[2]}, 2, 1000);
    g_assert_cmpint(esp_publisher_retire(publisher, id, &stopped, &err), ==, ESP_EDATA);
    g_assert_nonnull(strstr(err.text, "snapshot 1 of model main"));
    esp_publisher_free(publisher);
    for (size_t k = 0; k < 3; k++)
        test_file_release(&files[k]);
}

/* Says stop at the n-th question. */
struct stopper {
    int n_left;
};

static bool stop_soon(void *context)
{
    struct stopper *stopper = context;
    return stopper->n_left-- <= 0;
}

static struct esp_publisher *stopped_publisher(struct test_scene *scene, struct stopper *stopper)
{
    const struct esp_publisher_config config = {.log = scene->log,
                                                .place = scene->topic,
                                                .keep = 2,
                                                .chunk_bytes = 1000,
                                                .patience = {stop_soon, stopper, 0}};
    struct esp_publisher *publisher = NULL;
    g_assert_cmpint(esp_publisher_new(&config, &publisher, NULL), ==, ESP_OK);
    return publisher;
}

/* Stopped after any number of steps, nothing half is seen; what was left goes with the next. */
static void test_stopped(struct test_scene *scene, gconstpointer unused)
{
    (void)unused;
    struct test_file first, second;
    test_file_init(&first, scene->folder, test_run_a, "main", 1, 40000, 1);
    test_file_init(&second, scene->folder, test_run_a, "main", 2, 3000, 2);
    struct esp_snapshot_source *source =
        test_source(scene->other, scene->topic, scene->cache, &scene->reports);
    for (int steps = 2; steps < 40; steps += 9) { /* the file has 40 chunks */
        struct stopper stopper = {1000};
        struct esp_publisher *publisher = stopped_publisher(scene, &stopper);
        stopper.n_left = steps;
        enum esp_publish_result result;
        g_assert_cmpint(esp_publisher_publish(publisher, &first.publication, &result, NULL), ==,
                        ESP_OK);
        test_catch_up(source);
        g_assert_cmpint(result, ==, ESP_PUBLISH_STOPPED);
        g_assert_cmpuint(esp_snapshot_source_live(source)->n, ==, 0);
        esp_publisher_free(publisher);
    }
    struct esp_publisher *publisher = test_publisher(scene->log, scene->topic, 2, 1000);
    struct esp_publisher_stats stats;
    test_publish(publisher, &second, ESP_PUBLISHED);
    esp_publisher_stats(publisher, &stats);
    g_assert_cmpuint(stats.orphans, >, 0); /* of the first, which never came to be */
    check_left(scene, &second, 1, 1000);
    test_publish(publisher, &first, ESP_PUBLISHED);
    test_catch_up(source);
    test_fetch_equals(source, &first);
    test_fetch_equals(source, &second);
    esp_snapshot_source_free(source);
    esp_publisher_free(publisher);
    test_file_release(&first);
    test_file_release(&second);
}

/* ---- killed ---------------------------------------------------------------------------------- */

/* Of 41 chunks 32 are acknowledged before it goes on. */
enum { KILLED_SIZE = 20 << 20, KILLED_AT = 38 };

/* Tells its parent through stdout, and waits to be killed. */
static bool hang_midway(void *context)
{
    int *n_left = context;
    if (--*n_left > 0)
        return false;
    if (write(STDOUT_FILENO, "x", 1) == 1)
        pause();
    return true;
}

/* In a process of its own: publishes a file until it hangs. argv: PROGRAM --hang TOPIC FOLDER */
static int publish_and_hang(const char *topic, const char *folder)
{
    struct test_reports reports;
    struct test_file file;
    int n_left = KILLED_AT;
    test_reports_init(&reports);
    struct esp_log *log = test_kafka_open(test_scene_broker, NULL, &reports);
    test_file_init(&file, folder, test_run_a, "main", 7, KILLED_SIZE, 3);
    const struct esp_publisher_config config = {
        .log = log, .place = topic, .keep = 2, .patience = {hang_midway, &n_left, 0}};
    struct esp_publisher *publisher = NULL;
    enum esp_publish_result result;
    if (esp_publisher_new(&config, &publisher, NULL) == ESP_OK)
        esp_publisher_publish(publisher, &file.publication, &result, NULL);
    return 1;
}

/* A publisher killed midway leaves nothing to be seen; started again it publishes the file whole.
 */
static void test_killed(struct test_scene *scene, gconstpointer unused)
{
    (void)unused;
    char program[] = "/proc/self/exe", option[] = "--hang";
    char *argv[] = {program, option, scene->topic, scene->folder, NULL};
    GPid child = 0;
    int out = -1, status = 0;
    char byte;
    struct test_file file;
    g_assert_true(g_spawn_async_with_pipes(NULL, argv, NULL, G_SPAWN_DO_NOT_REAP_CHILD, NULL, NULL,
                                           &child, NULL, &out, NULL, NULL));
    g_assert_cmpint(read(out, &byte, 1), ==, 1);
    kill(child, SIGKILL);
    waitpid(child, &status, 0);
    close(out);
    g_assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    struct esp_snapshot_source *source =
        test_source(scene->other, scene->topic, scene->cache, &scene->reports);
    test_catch_up(source);
    g_assert_cmpuint(esp_snapshot_source_live(source)->n, ==, 0);
    GHashTable *chunks =
        test_compacted(scene->log, scene->topic, esp_chunk_partition("main", 3), NULL);
    g_assert_cmpuint(g_hash_table_size(chunks), >, 0); /* it was midway */
    g_assert_cmpuint(g_hash_table_size(chunks), <, KILLED_SIZE / ESP_CHUNK_BYTES);
    g_hash_table_unref(chunks);
    test_file_init(&file, scene->folder, test_run_a, "main", 7, KILLED_SIZE, 3);
    struct esp_publisher *publisher = test_publisher(scene->log, scene->topic, 2, 0);
    test_publish(publisher, &file, ESP_PUBLISHED);
    check_left(scene, &file, 1, ESP_CHUNK_BYTES);
    test_catch_up(source);
    test_fetch_equals(source, &file);
    esp_snapshot_source_free(source);
    esp_publisher_free(publisher);
    test_file_release(&file);
}

/* ---- two publishers -------------------------------------------------------------------------- */

/* Publishes with another publisher in the middle of the first one's chunks. */
struct intruder {
    struct esp_publisher *publisher;
    const struct test_file *file;
    int n_left;
};

static bool intrude(void *context)
{
    struct intruder *intruder = context;
    if (intruder->n_left-- == 0)
        test_publish(intruder->publisher, intruder->file, ESP_PUBLISHED);
    return false;
}

/* Both write every chunk and a manifest; whoever comes last, the file is whole, also when
 * compaction has left only the later copies. */
static void test_interleaved(struct test_scene *scene, gconstpointer unused)
{
    (void)unused;
    struct test_file file, next;
    test_file_init(&file, scene->folder, test_run_a, "main", 5, 30500, 1);
    test_file_init(&next, scene->folder, test_run_a, "main", 6, 30500, 2);
    struct intruder intruder = {NULL, &file, -1};
    const struct esp_publisher_config config = {.log = scene->log,
                                                .place = scene->topic,
                                                .keep = 2,
                                                .chunk_bytes = 1000,
                                                .patience = {intrude, &intruder, 0}};
    struct esp_publisher *outer = NULL;
    intruder.publisher = test_publisher(scene->other, scene->topic, 2, 1000);
    g_assert_cmpint(esp_publisher_new(&config, &outer, NULL), ==, ESP_OK);
    intruder.n_left = 10;
    test_publish(outer, &file, ESP_PUBLISHED);
    struct esp_publisher_stats stats;
    esp_publisher_stats(intruder.publisher, &stats);
    g_assert_cmpuint(stats.chunks, ==, 31);
    test_publish(outer, &next, ESP_PUBLISHED);
    check_left(scene, (struct test_file[]){file, next}, 2, 1000);
    esp_publisher_free(intruder.publisher);
    struct esp_snapshot_source *source =
        test_source(scene->other, scene->topic, scene->cache, &scene->reports);
    test_catch_up(source);
    test_fetch_equals(source, &file);
    test_fetch_equals(source, &next);
    esp_snapshot_source_free(source);
    esp_publisher_free(outer);
    test_file_release(&file);
    test_file_release(&next);
}

/* ---- refusals -------------------------------------------------------------------------------- */

static void test_other_bytes(struct test_scene *scene, gconstpointer unused)
{
    (void)unused;
    struct test_file file, other;
    enum esp_publish_result result;
    struct esp_error err = {0};
    test_file_init(&file, scene->folder, test_run_a, "main", 1, 9500, 1);
    test_file_init(&other, scene->folder, test_run_a, "main", 1, 9500, 2);
    struct esp_publisher *publisher = test_publisher(scene->log, scene->topic, 2, 1000);
    test_publish(publisher, &file, ESP_PUBLISHED);
    g_assert_cmpint(esp_publisher_publish(publisher, &other.publication, &result, &err), ==,
                    ESP_EDATA);
    g_assert_nonnull(strstr(err.text, "snapshot 1 of model main"));
    g_assert_nonnull(strstr(err.text, "is there with other bytes"));
    check_left(scene, &file, 1, 1000);
    esp_publisher_free(publisher);
    test_file_release(&file);
    test_file_release(&other);
}

/* A file that changed after it was written is never seen, and leaves nothing. */
static void test_changed_file(struct test_scene *scene, gconstpointer unused)
{
    (void)unused;
    struct test_file file, good;
    enum esp_publish_result result;
    struct esp_error err = {0};
    test_file_init(&file, scene->folder, test_run_a, "main", 2, 9500, 1);
    test_file_init(&good, scene->folder, test_run_a, "main", 1, 9500, 2);
    struct esp_publisher *publisher = test_publisher(scene->log, scene->topic, 2, 1000);
    test_publish(publisher, &good, ESP_PUBLISHED);
    file.publication.checksum ^= 1;
    g_assert_cmpint(esp_publisher_publish(publisher, &file.publication, &result, &err), ==,
                    ESP_EDATA);
    g_assert_nonnull(strstr(err.text, "it was changed after it was written"));
    check_left(scene, &good, 1, 1000);
    file.publication.checksum ^= 1;
    test_publish(publisher, &file, ESP_PUBLISHED);
    esp_publisher_free(publisher);
    test_file_release(&file);
    test_file_release(&good);
}

static void test_topics(struct test_scene *scene, gconstpointer unused)
{
    (void)unused;
    struct esp_publisher_config config = {.log = scene->log, .place = "test.none", .keep = 2};
    struct esp_publisher *publisher = NULL;
    struct esp_error err = {0};
    g_assert_cmpint(esp_publisher_new(&config, &publisher, &err), ==, ESP_ECONFIG);
    g_assert_nonnull(strstr(err.text, "topic test.none does not exist"));
    char *topic = test_snapshot_topic(scene->log, 1);
    err = (struct esp_error){0};
    config.place = topic;
    g_assert_cmpint(esp_publisher_new(&config, &publisher, &err), ==, ESP_ECONFIG);
    g_assert_nonnull(strstr(err.text, "has one partition"));
    config.place = scene->topic;
    config.keep = 1;
    g_assert_cmpint(esp_publisher_new(&config, &publisher, NULL), ==, ESP_EINVAL);
    g_assert_null(publisher);
    g_free(topic);
}

/* ---- a topic that lost its head ------------------------------------------------------------- */

/* Removes what is below an offset of partition 0, as a topic that is made anew loses it. */
static void delete_below(const char *topic, int64_t offset)
{
    char why[512];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "bootstrap.servers", test_scene_broker, why, sizeof why);
    rd_kafka_t *handle = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof why);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, topic, 0)->offset = offset;
    rd_kafka_DeleteRecords_t *request = rd_kafka_DeleteRecords_new(list);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(handle);
    rd_kafka_DeleteRecords(handle, &request, 1, NULL, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, 30000);
    g_assert_true(event != NULL && rd_kafka_event_error(event) == RD_KAFKA_RESP_ERR_NO_ERROR);
    rd_kafka_event_destroy(event);
    rd_kafka_queue_destroy(queue);
    rd_kafka_DeleteRecords_destroy(request);
    rd_kafka_topic_partition_list_destroy(list);
    rd_kafka_destroy(handle);
}

/* Where the offset that it stood at is gone, a publisher begins anew. */
static void test_lost_head(struct test_scene *scene, gconstpointer unused)
{
    (void)unused;
    char *topic = test_topic_new(scene->log, "lost-head", 2, NULL); /* not compacted */
    struct test_file files[4];
    for (int64_t k = 0; k < 4; k++)
        test_file_init(&files[k], scene->folder, test_run_a, k < 3 ? "main" : "other", k, 950,
                       (uint64_t)k);
    struct esp_publisher *publisher = test_publisher(scene->log, topic, 2, 1000);
    test_publish(publisher, &files[0], ESP_PUBLISHED);
    struct esp_publisher *elsewhere = test_publisher(scene->other, topic, 2, 1000);
    test_publish(elsewhere, &files[1], ESP_PUBLISHED);
    test_publish(elsewhere, &files[3], ESP_PUBLISHED);
    esp_publisher_free(elsewhere);
    delete_below(topic, 2); /* the manifests of 0 and 1 */
    test_publish(publisher, &files[2], ESP_PUBLISHED);
    test_publish(publisher, &files[3], ESP_PUBLISHED_BEFORE);
    struct esp_snapshot_source *source =
        test_source(scene->other, topic, scene->cache, &scene->reports);
    test_catch_up(source);
    g_assert_cmpuint(esp_snapshot_source_live(source)->n, ==, 2);
    test_fetch_equals(source, &files[2]);
    test_fetch_equals(source, &files[3]);
    esp_snapshot_source_free(source);
    esp_publisher_free(publisher);
    for (size_t i = 0; i < 4; i++)
        test_file_release(&files[i]);
    g_free(topic);
}

#define SIZE(bytes) GSIZE_TO_POINTER((gsize)(bytes))

int main(int argc, char **argv)
{
    test_scene_broker = test_broker_or_skip();
    if (test_scene_broker == NULL)
        return 0;
    if (argc == 4 && strcmp(argv[1], "--hang") == 0)
        return publish_and_hang(argv[2], argv[3]);
    test_start(&argc, &argv);
    const struct {
        const char *name;
        gconstpointer data;
        void (*run)(struct test_scene *, gconstpointer);
    } rows[] = {
        {"/topic/1 kB comes back byte for byte", SIZE(1000), test_round_trip},
        {"/topic/10 MB come back byte for byte", SIZE(10000000), test_round_trip},
        {"/topic/300 MB come back byte for byte", SIZE(300000000), test_round_trip},
        {"/topic/two models and two runs share a topic", NULL, test_shared},
        {"/topic/the last few are kept, what is left is what is live", NULL, test_retiring},
        {"/topic/one in the middle is taken away", NULL, test_retire_one},
        {"/topic/stopped anywhere, nothing half is seen", NULL, test_stopped},
        {"/topic/killed midway, and published whole by the next", NULL, test_killed},
        {"/topic/two publishers interleave the same snapshot", NULL, test_interleaved},
        {"/topic/a number is not used twice for different bytes", NULL, test_other_bytes},
        {"/topic/a file that was changed is never seen", NULL, test_changed_file},
        {"/topic/topics that will not do are refused", NULL, test_topics},
        {"/topic/where its offset is gone a publisher begins anew", NULL, test_lost_head},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
        g_test_add(rows[i].name, struct test_scene, rows[i].data, test_scene_set_up, rows[i].run,
                   test_scene_tear_down);
    return g_test_run();
}
