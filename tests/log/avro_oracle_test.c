/* avro_oracle_test.c - Avro C reads what we write, and we read what Avro C writes. */
#include <avro.h>
#include <glib/gstdio.h>

#include "log_helper.h"

enum { N_RECORDS = 3000 };

static char *content_of(size_t i)
{
    return g_strdup_printf("%zu:%.*s", i, (int)(i % 61),
                           "0123456789012345678901234567890123456789012345678901234567890");
}

/* The path of partition 0's file that begins with offset 0. */
static char *file_path(const char *root)
{
    return g_build_filename(root, "t", "partition=0", "t+0+0000000000.avro", NULL);
}

static void check_with_avro_c(const char *path)
{
    avro_file_reader_t reader = NULL;
    g_assert_cmpint(avro_file_reader(path, &reader), ==, 0);
    if (g_test_failed())
        return;
    avro_schema_t schema = avro_file_reader_get_writer_schema(reader);
    avro_value_iface_t *iface = avro_generic_class_from_schema(schema);
    avro_value_t value;
    avro_generic_value_new(iface, &value);
    size_t n = 0;
    for (; avro_file_reader_read_value(reader, &value) == 0 && !g_test_failed(); n++) {
        avro_value_t field;
        const void *bytes = NULL;
        size_t size = 0;
        char *want = content_of(n);
        avro_value_get_by_index(&value, 0, &field, NULL);
        avro_value_get_bytes(&field, &bytes, &size);
        g_assert_true(esp_bytes_equal(esp_bytes(bytes, size), esp_bytes(want, strlen(want))));
        g_free(want);
        avro_value_reset(&value);
    }
    g_assert_cmpuint(n, ==, N_RECORDS);
    avro_value_decref(&value);
    avro_value_iface_decref(iface);
    avro_schema_decref(schema);
    avro_file_reader_close(reader);
}

static void test_avro_c_reads(const void *codec)
{
    char *root = test_folder_new();
    struct test_reports reports;
    test_reports_init(&reports);
    struct esp_log *log = test_files_open(root, codec, &reports);
    struct esp_log_writer *writer = test_writer_open(log, "t", 1, 0);
    for (size_t i = 0; i < N_RECORDS; i++) {
        char *text = content_of(i);
        test_append(writer, 0, NULL, text);
        g_free(text);
        if (i % 1000 == 500)
            g_assert_cmpint(esp_log_flush(writer, 0, NULL), ==, ESP_OK); /* several blocks */
    }
    g_assert_cmpint(esp_log_flush(writer, 0, NULL), ==, ESP_OK);
    esp_log_writer_free(writer);
    esp_log_free(log);
    char *path = file_path(root);
    check_with_avro_c(path);
    g_free(path);
    test_reports_release(&reports);
    test_folder_remove(root);
}

static void write_with_avro_c(const char *path, const char *codec)
{
    avro_schema_t schema = NULL;
    avro_file_writer_t writer = NULL;
    g_assert_cmpint(avro_schema_from_json_length(test_schema, strlen(test_schema), &schema), ==, 0);
    g_assert_cmpint(avro_file_writer_create_with_codec(path, schema, &writer, codec, 0), ==, 0);
    if (g_test_failed())
        return;
    avro_value_iface_t *iface = avro_generic_class_from_schema(schema);
    avro_value_t value;
    avro_generic_value_new(iface, &value);
    for (size_t i = 0; i < N_RECORDS; i++) {
        avro_value_t field;
        char *text = content_of(i);
        avro_value_get_by_index(&value, 0, &field, NULL);
        avro_value_set_bytes(&field, text, strlen(text));
        g_assert_cmpint(avro_file_writer_append_value(writer, &value), ==, 0);
        g_free(text);
    }
    avro_file_writer_close(writer);
    avro_value_decref(&value);
    avro_value_iface_decref(iface);
    avro_schema_decref(schema);
}

static void test_avro_c_writes(const void *codec)
{
    char *root = test_folder_new(), *path = file_path(root);
    char *folder = g_path_get_dirname(path);
    g_mkdir_with_parents(folder, 0777);
    write_with_avro_c(path, codec);
    struct test_reports reports;
    test_reports_init(&reports);
    struct esp_log *log = test_files_open(root, "null", &reports);
    struct test_read read;
    test_read_init(&read);
    test_read_partition(log, "t", 0, ESP_OFFSET_EARLIEST, 100, &read);
    g_assert_cmpstr(read.err.text, ==, "");
    g_assert_cmpuint(read.contents->len, ==, N_RECORDS);
    for (size_t i = 0; i < N_RECORDS && !g_test_failed(); i++) {
        char *want = content_of(i);
        g_assert_cmpstr(test_content(&read, i), ==, want);
        g_free(want);
    }
    g_assert_cmpstr(reports.text->str, ==, "");
    test_read_release(&read);
    esp_log_free(log);
    test_reports_release(&reports);
    g_free(folder);
    g_free(path);
    test_folder_remove(root);
}

int main(int argc, char **argv)
{
    test_start(&argc, &argv);
    static const char *const codecs[] = {"null", "deflate", "snappy"};
    for (size_t i = 0; i < G_N_ELEMENTS(codecs); i++) {
        char *reads = g_strdup_printf("/avro-c/%s/reads what we write", codecs[i]);
        char *writes = g_strdup_printf("/avro-c/%s/writes what we read", codecs[i]);
        g_test_add_data_func(reads, codecs[i], test_avro_c_reads);
        g_test_add_data_func(writes, codecs[i], test_avro_c_writes);
        g_free(reads);
        g_free(writes);
    }
    return g_test_run();
}
