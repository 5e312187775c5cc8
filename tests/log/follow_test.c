/* follow_test.c - files that grow, files that come, and what a bounded reader sees of them. */
#include <fcntl.h>
#include <glib/gstdio.h>
#include <unistd.h>

#include "log_helper.h"

struct scene {
    char *root, *folder;
    gchar *bytes; /* a container of 4 blocks of one record each: "a" to "d" */
    gsize size;
    size_t header; /* its bytes; */
    size_t block;  /* bytes of each block */
    struct test_reports reports;
    struct esp_log *log;
    struct esp_log_reader *reader;
    struct test_read read; /* all that was read so far */
};

/* Makes the bytes that the tests put into files, with a writer in a root of its own. */
static void make_bytes(struct scene *scene)
{
    char *root = test_folder_new();
    char *path = g_build_filename(root, "t", "partition=0", "t+0+0000000000.avro", NULL);
    struct esp_log *log = test_files_open(root, "null", &scene->reports);
    struct esp_log_writer *writer = test_writer_open(log, "t", 1, 0);
    static const char *const texts[] = {"a", "b", "c", "d"};
    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
        test_append(writer, 0, NULL, texts[i]);
        g_assert_cmpint(esp_log_flush(writer, 0, NULL), ==, ESP_OK);
    }
    esp_log_writer_free(writer);
    esp_log_free(log);
    g_assert_true(g_file_get_contents(path, &scene->bytes, &scene->size, NULL));
    scene->block = 2 + 2 + 16;
    scene->header = scene->size - 4 * scene->block;
    g_free(path);
    test_folder_remove(root);
}

static void set_up(struct scene *scene, gconstpointer unused)
{
    (void)unused;
    test_reports_init(&scene->reports);
    make_bytes(scene);
    scene->root = test_folder_new();
    scene->folder = g_build_filename(scene->root, "t", "partition=0", NULL);
    scene->log = test_files_open(scene->root, "null", &scene->reports);
    test_read_init(&scene->read);
}

static void tear_down(struct scene *scene, gconstpointer unused)
{
    (void)unused;
    esp_log_reader_free(scene->reader);
    esp_log_free(scene->log);
    test_read_release(&scene->read);
    test_reports_release(&scene->reports);
    g_free(scene->bytes);
    g_free(scene->folder);
    test_folder_remove(scene->root);
}

static void open_reader(struct scene *scene, int64_t offset, bool follow)
{
    struct esp_error err = {0};
    if (esp_log_reader_new(scene->log, "t", 0, offset, follow, &test_framer, &scene->reader,
                           &err) != ESP_OK)
        g_test_fail_printf("%s", err.text);
}

/* Appends [from, to) of the container's bytes to a file, which is made if it is not there. */
static void grow(struct scene *scene, const char *name, size_t from, size_t to)
{
    char *path = g_build_filename(scene->folder, name, NULL);
    g_mkdir_with_parents(scene->folder, 0777);
    int fd = g_open(path, O_WRONLY | O_CREAT | O_APPEND, 0666);
    g_assert_cmpint(write(fd, scene->bytes + from, to - from), ==, (gssize)(to - from));
    close(fd);
    g_free(path);
}

/* Everything read so far, one letter a record, and the position. */
static void check(struct scene *scene, const char *letters, enum esp_log_position position)
{
    test_read_all(scene->reader, 2, false, 0, &scene->read);
    g_assert_cmpstr(scene->read.err.text, ==, "");
    g_assert_cmpint(scene->read.position, ==, position);
    GString *got = g_string_new(NULL);
    for (size_t i = 0; i < scene->read.contents->len; i++)
        g_string_append(got, test_content(&scene->read, i));
    g_assert_cmpstr(got->str, ==, letters);
    g_string_free(got, TRUE);
}

/* Byte by byte: a record is there when its block is. Nothing is reported. */
static void test_growth(struct scene *scene, gconstpointer unused)
{
    (void)unused;
    open_reader(scene, ESP_OFFSET_EARLIEST, true);
    check(scene, "", ESP_LOG_AT_END); /* not even a folder */
    grow(scene, "x.avro", 0, 0);
    check(scene, "", ESP_LOG_AT_END);
    for (size_t at = 0; at < scene->size && !g_test_failed(); at++) {
        grow(scene, "x.avro", at, at + 1);
        size_t n = at + 1 < scene->header ? 0 : (at + 1 - scene->header) / scene->block;
        char letters[8];
        snprintf(letters, sizeof letters, "%.*s", (int)n, "abcd");
        check(scene, letters, ESP_LOG_AT_END);
    }
    g_assert_cmpuint(scene->read.stats.damaged_files, ==, 0);
    g_assert_cmpstr(scene->reports.text->str, ==, "");
}

/* The torn end of a file is damage once there is a next file, and not before. */
static void test_next_file(struct scene *scene, gconstpointer unused)
{
    (void)unused;
    open_reader(scene, 0, true);
    grow(scene, "t+0+0.avro", 0, scene->header + 2 * scene->block + 5);
    check(scene, "ab", ESP_LOG_AT_END);
    g_assert_cmpstr(scene->reports.text->str, ==, "");
    grow(scene, "t+0+3.avro", 0, scene->size);
    check(scene, "ababcd", ESP_LOG_AT_END);
    g_assert_cmpint(g_array_index(scene->read.offsets, int64_t, 2), ==, 3);
    g_assert_cmpuint(scene->read.stats.skipped_bytes, ==, 5);
    g_assert_true(test_reports_have(&scene->reports, "t+0+0.avro: the file ends in the middle"));
    grow(scene, "t+0+0.avro", 0, scene->block); /* nobody looks back */
    grow(scene, "t+0+7.avro", 0, scene->header + scene->block);
    check(scene, "ababcda", ESP_LOG_AT_END);
}

/* Growth that came together with the next file is read before it. */
static void test_growth_and_next_file(struct scene *scene, gconstpointer unused)
{
    (void)unused;
    open_reader(scene, 0, true);
    grow(scene, "1.avro", 0, scene->header + scene->block);
    check(scene, "a", ESP_LOG_AT_END);
    grow(scene, "1.avro", scene->header + scene->block, scene->size);
    grow(scene, "2.avro", 0, scene->header + scene->block);
    check(scene, "abcda", ESP_LOG_AT_END);
    g_assert_cmpint(g_array_index(scene->read.offsets, int64_t, 4), ==, 4);
    g_assert_cmpstr(scene->reports.text->str, ==, "");
}

static void test_file_too_late(struct scene *scene, gconstpointer unused)
{
    (void)unused;
    open_reader(scene, 0, true);
    grow(scene, "5.avro", 0, scene->size);
    check(scene, "abcd", ESP_LOG_AT_END);
    grow(scene, "4.avro", 0, scene->size);
    check(scene, "abcd", ESP_LOG_AT_END);
    check(scene, "abcd", ESP_LOG_AT_END);
    g_assert_cmpuint(scene->reports.n, ==, 1);
    g_assert_true(test_reports_have(&scene->reports, "4.avro: appeared before a file"));
}

/* A damaged block at the growing end is passed over when its marker has come. */
static void test_growing_damage(struct scene *scene, gconstpointer unused)
{
    (void)unused;
    open_reader(scene, 0, true);
    scene->bytes[scene->header + 1] = 1; /* the first block's size: -1 */
    for (size_t at = 0; at < scene->size && !g_test_failed(); at++) {
        grow(scene, "x.avro", at, at + 1);
        check(scene,
              at + 1 < scene->header + 2 * scene->block   ? ""
              : at + 1 < scene->header + 3 * scene->block ? "b"
              : at + 1 < scene->size                      ? "bc"
                                                          : "bcd",
              ESP_LOG_AT_END);
    }
    g_assert_cmpuint(scene->read.stats.damaged_files, ==, 1);
    g_assert_cmpuint(scene->read.stats.skipped_bytes, ==, scene->block);
}

/* A bounded reader gives what was there when it was opened: no more, and no longer files. */
static void test_bounded(struct scene *scene, gconstpointer unused)
{
    (void)unused;
    grow(scene, "1.avro", 0, scene->header + scene->block);
    open_reader(scene, 0, false);
    grow(scene, "1.avro", scene->header + scene->block, scene->size);
    grow(scene, "2.avro", 0, scene->size);
    check(scene, "a", ESP_LOG_ENDED);
    g_assert_cmpint(scene->read.stats.end_offset, ==, 1);
    g_assert_cmpstr(scene->reports.text->str, ==, "");
}

static void test_gone(struct scene *scene, gconstpointer unused)
{
    (void)unused;
    grow(scene, "t+0+10.avro", 0, scene->size);
    struct esp_error err = {0};
    g_assert_cmpint(
        esp_log_reader_new(scene->log, "t", 0, 9, false, &test_framer, &scene->reader, &err), ==,
        ESP_EDATA);
    g_assert_nonnull(strstr(
        err.text, "offset 9 is wanted, but the first file that is still there, t+0+10.avro"));
    open_reader(scene, 15, true);
    test_read_all(scene->reader, 2, false, 0, &scene->read);
    g_assert_cmpint(scene->read.status, ==, ESP_EDATA);
    g_assert_nonnull(strstr(scene->read.err.text, "offset 15 is wanted, but its files end at 14"));
}

/* Two files that claim the same offsets: the later one's are passed over, and it is said. */
static void test_overlap(struct scene *scene, gconstpointer unused)
{
    (void)unused;
    grow(scene, "t+0+0.avro", 0, scene->size);
    grow(scene, "t+0+2.avro", 0, scene->size);
    grow(scene, "t+0+9.avro", 0, scene->header + scene->block);
    open_reader(scene, 0, false);
    check(scene, "abcdcda", ESP_LOG_ENDED);
    static const int64_t offsets[] = {0, 1, 2, 3, 4, 5, 9};
    for (size_t i = 0; i < G_N_ELEMENTS(offsets) && !g_test_failed(); i++)
        g_assert_cmpint(g_array_index(scene->read.offsets, int64_t, i), ==, offsets[i]);
    g_assert_true(test_reports_have(&scene->reports, "t+0+2.avro: begins with offset 2, but"));
}

/* A caller that waits is woken by what comes. */
static gpointer append_soon(gpointer data)
{
    struct scene *scene = data;
    grow(scene, "x.avro", 0, scene->header + scene->block);
    return NULL;
}

static void test_wait(struct scene *scene, gconstpointer unused)
{
    (void)unused;
    open_reader(scene, 0, true);
    GThread *thread = g_thread_new("writer", append_soon, scene);
    struct esp_record record;
    size_t n = 0;
    enum esp_log_position position;
    g_assert_cmpint(esp_log_read(scene->reader, &record, 1, ESP_MINUTE, &n, &position, NULL), ==,
                    ESP_OK);
    g_assert_cmpuint(n, ==, 1);
    g_thread_join(thread);
}

int main(int argc, char **argv)
{
    test_start(&argc, &argv);
    static const struct {
        const char *name;
        void (*run)(struct scene *, gconstpointer);
    } rows[] = {
        {"/follow/a record is there when its block is whole", test_growth},
        {"/follow/a torn end is damage once there is a next file", test_next_file},
        {"/follow/growth is read before a next file", test_growth_and_next_file},
        {"/follow/a file before the position is reported once", test_file_too_late},
        {"/follow/damage at the growing end", test_growing_damage},
        {"/follow/a caller that waits is woken", test_wait},
        {"/bounded/what came after the opening is not seen", test_bounded},
        {"/offsets/what is gone is an error that names the gap", test_gone},
        {"/offsets/an overlap is passed over", test_overlap},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
        g_test_add(rows[i].name, struct scene, NULL, set_up, rows[i].run, tear_down);
    return g_test_run();
}
