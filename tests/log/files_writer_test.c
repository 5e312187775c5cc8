/* files_writer_test.c - what stands on the disk: names, bytes, and what a failed write leaves. */
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include "log/folder.h"
#include "log_helper.h"

struct scene {
    char *root;
    struct test_reports reports;
    struct esp_log *log;
};

static void set_up(struct scene *scene, gconstpointer codec)
{
    scene->root = test_folder_new();
    test_reports_init(&scene->reports);
    scene->log = test_files_open(scene->root, codec == NULL ? "null" : codec, &scene->reports);
}

static void tear_down(struct scene *scene, gconstpointer codec)
{
    (void)codec;
    esp_log_free(scene->log);
    test_reports_release(&scene->reports);
    test_folder_remove(scene->root);
}

static void append_numbered(struct esp_log_writer *writer, int32_t partition, size_t from,
                            size_t to)
{
    for (size_t i = from; i < to && !g_test_failed(); i++) {
        char text[128];
        snprintf(text, sizeof text, "record %zu with some more text, so that blocks fill up", i);
        test_append(writer, partition, NULL, text);
    }
}

static void flush(struct esp_log_writer *writer)
{
    struct esp_error err = {0};
    if (esp_log_flush(writer, 0, &err) != ESP_OK)
        g_test_fail_printf("%s", err.text);
}

/* The names in partition=N, separated by blanks. */
static char *names_of(const struct scene *scene, const char *partition)
{
    char *path = g_build_filename(scene->root, "t", partition, NULL);
    struct esp_folder folder = {NULL, 0, 0};
    GString *names = g_string_new(NULL);
    g_assert_cmpint(esp_folder_list(path, &folder, NULL), ==, ESP_OK);
    for (size_t i = 0; i < folder.n; i++)
        g_string_append_printf(names, "%s%s", i == 0 ? "" : " ", folder.files[i].name);
    esp_folder_release(&folder);
    g_free(path);
    return g_string_free(names, FALSE);
}

static void check_names(const struct scene *scene, const char *partition, const char *want)
{
    char *names = names_of(scene, partition);
    g_assert_cmpstr(names, ==, want);
    g_free(names);
}

static void check_count(struct scene *scene, size_t partition, size_t want)
{
    struct test_read read;
    test_read_init(&read);
    test_read_partition(scene->log, "t", partition, ESP_OFFSET_EARLIEST, 1000, &read);
    g_assert_cmpstr(read.err.text, ==, "");
    g_assert_cmpuint(read.contents->len, ==, want);
    for (size_t i = 0; i < read.offsets->len && !g_test_failed(); i++)
        g_assert_cmpint(g_array_index(read.offsets, int64_t, i), ==, (int64_t)i);
    test_read_release(&read);
}

/* Each opening begins a file behind what is there; an empty opening makes none. */
static void test_reopen(struct scene *scene, gconstpointer codec)
{
    (void)codec;
    static const size_t ends[] = {0, 3, 10, 10, 12};
    for (size_t i = 1; i < G_N_ELEMENTS(ends); i++) {
        struct esp_log_writer *writer = test_writer_open(scene->log, "t", 1, 0);
        append_numbered(writer, 0, ends[i - 1], ends[i]);
        flush(writer);
        esp_log_writer_free(writer);
    }
    check_names(scene, "partition=0",
                "t+0+0000000000.avro t+0+0000000003.avro t+0+0000000010.avro");
    check_count(scene, 0, 12);
}

/* A torn tail is left alone, and not counted; a file without a whole block is replaced. */
static void test_reopen_torn(struct scene *scene, gconstpointer codec)
{
    (void)codec;
    char *path = g_build_filename(scene->root, "t", "partition=0", "t+0+0000000000.avro", NULL);
    for (unsigned round = 0; round < 3; round++) {
        struct esp_log_writer *writer = test_writer_open(scene->log, "t", 1, 0);
        append_numbered(writer, 0, 0, 3);
        flush(writer);
        esp_log_writer_free(writer);
        GStatBuf info = {0};
        g_stat(path, &info);
        if (round < 2) /* the only block is torn */
            g_assert_cmpint(truncate(path, info.st_size - 1), ==, 0);
    }
    check_names(scene, "partition=0", "t+0+0000000000.avro");
    check_count(scene, 0, 3);
    g_free(path);
}

/* Offsets are known at once; a tombstone has no place in a container. */
static void test_tracked(struct scene *scene, gconstpointer codec)
{
    (void)codec;
    struct esp_log_writer *writer = test_writer_open(scene->log, "t", 2, 0);
    uint8_t bytes[32];
    size_t size = test_record(bytes, sizeof bytes, "tracked", 7);
    int64_t offset = 0;
    struct esp_error err = {0};
    append_numbered(writer, 1, 0, 5);
    g_assert_cmpint(esp_log_append_tracked(writer, 1, esp_bytes(NULL, 0), esp_bytes(bytes, size),
                                           ESP_TIME_NONE, &offset, &err),
                    ==, ESP_OK);
    g_assert_cmpint(offset, ==, 5);
    g_assert_cmpint(
        esp_log_append(writer, 1, esp_bytes_of("key"), esp_bytes(NULL, 0), ESP_TIME_NONE, &err), ==,
        ESP_EINVAL);
    g_assert_nonnull(strstr(err.text, "a tombstone cannot be in a file"));
    flush(writer); /* the writer is as good as before */
    esp_log_writer_free(writer);
    struct esp_topic_property property = {"cleanup.policy", "?"};
    g_assert_cmpint(esp_log_topic_properties(scene->log, "t", &property, 1, NULL), ==, ESP_OK);
    g_assert_cmpstr(property.value, ==, "");
}

static void test_unflushed(struct scene *scene, gconstpointer codec)
{
    (void)codec;
    struct esp_log_writer *writer = test_writer_open(scene->log, "t", 1, 0);
    append_numbered(writer, 0, 0, 3);
    flush(writer);
    append_numbered(writer, 0, 3, 5);
    esp_log_writer_free(writer);
    check_count(scene, 0, 3);
    g_assert_cmpstr(scene->reports.text->str, ==, "");
}

/* Two runs of the same appends leave the same files, to the byte. */
static void test_same_bytes(struct scene *scene, gconstpointer codec)
{
    struct scene other;
    set_up(&other, codec);
    struct scene *const both[] = {scene, &other};
    for (size_t i = 0; i < 2; i++) {
        struct esp_log_writer *writer = test_writer_open(both[i]->log, "t", 2, 100000);
        append_numbered(writer, 0, 0, 15000);
        append_numbered(writer, 1, 0, 100);
        flush(writer);
        esp_log_writer_free(writer);
    }
    char *names = names_of(scene, "partition=0"), *other_names = names_of(&other, "partition=0");
    g_assert_cmpstr(names, ==, other_names);
    gchar **list = g_strsplit(names, " ", 0);
    g_assert_cmpuint(g_strv_length(list), >=, strcmp(codec, "null") == 0 ? 3 : 1);
    for (size_t i = 0; list[i] != NULL && !g_test_failed(); i++) {
        gchar *bytes[2] = {NULL, NULL};
        gsize sizes[2] = {0, 0};
        for (size_t j = 0; j < 2; j++) {
            char *path = g_build_filename(both[j]->root, "t", "partition=0", list[i], NULL);
            g_assert_true(g_file_get_contents(path, &bytes[j], &sizes[j], NULL));
            g_free(path);
        }
        g_assert_cmpmem(bytes[0], sizes[0], bytes[1], sizes[1]);
        g_free(bytes[0]);
        g_free(bytes[1]);
    }
    g_strfreev(list);
    g_free(names);
    g_free(other_names);
    tear_down(&other, codec);
}

static void test_by_key(struct scene *scene, gconstpointer codec)
{
    (void)codec;
    struct esp_log_writer *writer = test_writer_open(scene->log, "t", 3, 0);
    size_t want[3] = {0};
    for (int i = 0; i < 300; i++) {
        char key[16];
        snprintf(key, sizeof key, "key-%d", i);
        test_append(writer, ESP_PARTITION_BY_KEY, key, "x");
        want[esp_log_partition_of(esp_bytes_of(key), 3)]++;
    }
    for (size_t i = 0; i < 6; i++) {
        test_append(writer, ESP_PARTITION_BY_KEY, NULL, "x");
        want[i % 3]++;
    }
    flush(writer);
    esp_log_writer_free(writer);
    for (size_t p = 0; p < 3; p++)
        check_count(scene, p, want[p]);
}

/* Calls that cannot be right fail, and the writer goes on. */
static void test_arguments(struct scene *scene, gconstpointer codec)
{
    (void)codec;
    struct esp_error err = {0};
    struct esp_log_writer *writer = test_writer_open(scene->log, "t", 2, 0);
    struct esp_bytes none = esp_bytes(NULL, 0), value = esp_bytes("\002x", 2);
    static const int32_t bad[] = {2, -2, INT32_MAX, INT32_MIN};
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
        g_assert_cmpint(esp_log_append(writer, bad[i], none, value, 0, NULL), ==, ESP_EINVAL);
    g_assert_cmpint(esp_log_append(writer, 0, none, none, 0, &err), ==, ESP_EINVAL);
    g_assert_cmpint(esp_log_append(writer, 0, none, value, 0, NULL), ==, ESP_OK);
    flush(writer);
    esp_log_writer_free(writer);
    check_count(scene, 0, 1);

    struct esp_log *log = NULL;
    g_assert_cmpint(esp_log_open_files("/nonexistent", "null", NULL, NULL, &log, NULL), ==,
                    ESP_ECONFIG);
    g_assert_cmpint(esp_log_open_files("/dev/null", "null", NULL, NULL, &log, NULL), ==,
                    ESP_ECONFIG);
    g_assert_cmpint(esp_log_open_files(scene->root, "lz77", NULL, NULL, &log, NULL), ==,
                    ESP_ECONFIG);
    static const char *const topics[] = {"", ".", "..", "a/b", "a+b", "a b"};
    for (size_t i = 0; i < G_N_ELEMENTS(topics); i++) {
        size_t n = 0;
        g_assert_cmpint(esp_log_partitions(scene->log, topics[i], 0, &n, NULL), ==, ESP_ECONFIG);
    }
}

static void test_topics(struct scene *scene, gconstpointer codec)
{
    (void)codec;
    size_t n = 7;
    g_assert_cmpint(esp_log_partitions(scene->log, "t", 0, &n, NULL), ==, ESP_OK);
    g_assert_cmpuint(n, ==, 0);
    g_assert_cmpint(esp_log_create_topic(scene->log, "t", 3, NULL, NULL), ==, ESP_OK);
    g_assert_cmpint(esp_log_create_topic(scene->log, "t", 2, NULL, NULL), ==, ESP_OK);
    static const char *const others[] = {"partition=x", "partition=", "other", "partition=01",
                                         "partition=99999999999"};
    for (size_t i = 0; i < G_N_ELEMENTS(others); i++) {
        char *path = g_build_filename(scene->root, "t", others[i], NULL);
        g_mkdir_with_parents(path, 0777);
        g_free(path);
    }
    g_assert_cmpint(esp_log_partitions(scene->log, "t", 0, &n, NULL), ==, ESP_OK);
    g_assert_cmpuint(n, ==, 3);
    g_assert_cmpint(esp_log_create_topic(scene->log, "t", 0, NULL, NULL), ==, ESP_EINVAL);
    g_assert_cmpstr(esp_log_kind(scene->log), ==, "files");
}

/*
 * The disk takes no more in the middle of a block (here: the largest size of a file is reached).
 * The file keeps its whole blocks, the writer fails for good with the reason.
 */
static void test_full_disk(struct scene *scene, gconstpointer codec)
{
    (void)codec;
    struct rlimit before, limit;
    struct esp_error err = {0};
    struct esp_log_writer *writer = test_writer_open(scene->log, "t", 1, 0);
    append_numbered(writer, 0, 0, 10);
    flush(writer);
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &before);
    limit = before;
    limit.rlim_cur = 1000;
    setrlimit(RLIMIT_FSIZE, &limit);
    append_numbered(writer, 0, 10, 20);
    enum esp_status status = esp_log_flush(writer, 0, &err);
    setrlimit(RLIMIT_FSIZE, &before);
    g_assert_cmpint(status, ==, ESP_EIO);
    g_assert_nonnull(strstr(err.text, g_strerror(EFBIG)));
    err = (struct esp_error){0};
    g_assert_cmpint(esp_log_append(writer, 0, esp_bytes(NULL, 0), esp_bytes("\002x", 2), 0, &err),
                    ==, ESP_EIO);
    g_assert_nonnull(strstr(err.text, g_strerror(EFBIG)));
    g_assert_cmpint(esp_log_flush(writer, 0, NULL), ==, ESP_EIO);
    esp_log_writer_free(writer);
    check_count(scene, 0, 10);
    g_assert_cmpstr(scene->reports.text->str, ==, "");
}

int main(int argc, char **argv)
{
    test_start(&argc, &argv);
    static const struct {
        const char *name, *codec;
        void (*run)(struct scene *, gconstpointer);
    } rows[] = {
        {"/writer/goes on behind what is there", "null", test_reopen},
        {"/writer/goes on behind compressed files", "deflate", test_reopen},
        {"/writer/a torn tail is not counted", "null", test_reopen_torn},
        {"/writer/what was not flushed is lost, whole blocks are not", "null", test_unflushed},
        {"/writer/the same records are the same bytes, null", "null", test_same_bytes},
        {"/writer/the same records are the same bytes, deflate", "deflate", test_same_bytes},
        {"/writer/the same records are the same bytes, snappy", "snappy", test_same_bytes},
        {"/writer/keys choose the partition", "null", test_by_key},
        {"/writer/arguments that cannot be right", "null", test_arguments},
        {"/writer/offsets are known, tombstones refused", "null", test_tracked},
        {"/writer/topics are folders", "null", test_topics},
        {"/writer/a disk that is full leaves whole blocks", "null", test_full_disk},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
        g_test_add(rows[i].name, struct scene, rows[i].codec, set_up, rows[i].run, tear_down);
    return g_test_run();
}
