/* files_test.c - the files log: what is written is read again, in order, whatever the codec. */
#include <dirent.h>
#include <glib/gstdio.h>

#include "log/container.h"
#include "log_helper.h"

enum { N_RECORDS = 20000 };

static char *content_of(size_t i)
{
    return g_strdup_printf("record %zu %.*s", i, (int)(i % 97),
                           "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijklmnopqr"
                           "stuvwxyzabcdefghijklmnopqrstuvwxyz");
}

static void write_numbered(struct esp_log_writer *writer, int32_t partition, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++) {
        char *text = content_of(i);
        test_append(writer, partition, NULL, text);
        g_free(text);
    }
}

static void check_numbered(const struct test_read *read, size_t from, size_t to)
{
    g_assert_cmpint(read->status, ==, ESP_OK);
    g_assert_cmpstr(read->err.text, ==, "");
    g_assert_cmpuint(read->contents->len, ==, to - from);
    if (g_test_failed())
        return;
    for (size_t i = from; i < to; i++) {
        char *want = content_of(i);
        g_assert_cmpint(g_array_index(read->offsets, int64_t, i - from), ==, (int64_t)i);
        g_assert_cmpint(g_array_index(read->log_times, int64_t, i - from), ==, ESP_TIME_NONE);
        g_assert_cmpstr(test_content(read, i - from), ==, want);
        g_free(want);
        if (g_test_failed())
            return;
    }
}

static void test_round_trip(const void *codec)
{
    char *root = test_folder_new();
    struct test_reports reports;
    test_reports_init(&reports);
    struct esp_log *log = test_files_open(root, codec, &reports);
    struct esp_log_writer *writer = test_writer_open(log, "t", 2, 200000);
    write_numbered(writer, 1, 0, N_RECORDS);
    g_assert_cmpint(esp_log_flush(writer, 0, NULL), ==, ESP_OK);
    esp_log_writer_free(writer);

    size_t n = 0;
    g_assert_cmpint(esp_log_partitions(log, "t", 0, &n, NULL), ==, ESP_OK);
    g_assert_cmpuint(n, ==, 2);
    static const int64_t starts[] = {ESP_OFFSET_EARLIEST, 0, 1, 3000, N_RECORDS - 1, N_RECORDS};
    for (size_t i = 0; i < G_N_ELEMENTS(starts); i++) {
        struct test_read read;
        test_read_init(&read);
        test_read_partition(log, "t", 1, starts[i], i == 0 ? 1000 : 7, &read);
        check_numbered(&read, starts[i] < 0 ? 0 : (size_t)starts[i], N_RECORDS);
        g_assert_cmpint(read.position, ==, ESP_LOG_ENDED);
        g_assert_cmpint(read.stats.next_offset, ==, N_RECORDS);
        g_assert_cmpint(read.stats.end_offset, ==, N_RECORDS);
        g_assert_cmpuint(read.stats.damaged_files, ==, 0);
        test_read_release(&read);
    }
    g_assert_cmpstr(reports.text->str, ==, "");
    esp_log_free(log);
    test_reports_release(&reports);
    test_folder_remove(root);
}

int main(int argc, char **argv)
{
    test_start(&argc, &argv);
    g_test_add_data_func("/files/round-trip/null", "null", test_round_trip);
    g_test_add_data_func("/files/round-trip/deflate", "deflate", test_round_trip);
    g_test_add_data_func("/files/round-trip/snappy", "snappy", test_round_trip);
    return g_test_run();
}
