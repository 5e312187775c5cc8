/* folder_test.c - the order of files, and the offsets that their names tell. */
#include "log/folder.h"

#include "testkit.h"

struct order_row {
    const char *name, *below, *above;
};

static const struct order_row order_rows[] = {
    {"/folder/order/numbers count as numbers", "part-9.avro", "part-10.avro"},
    {"/folder/order/leading zeros do not count", "t+0+009.avro", "t+0+10.avro"},
    {"/folder/order/equal numbers: by bytes", "t+0+01.avro", "t+0+1.avro"},
    {"/folder/order/numbers in the middle", "a2b9.avro", "a10b1.avro"},
    {"/folder/order/a prefix first", "a.avro", "a.avro.avro"},
    {"/folder/order/letters by bytes", "B.avro", "a.avro"},
    {"/folder/order/numbers of any length", "1.avro", "100000000000000000000000000000000.avro"},
    {"/folder/order/a digit against a letter", "a1.avro", "aa.avro"},
    {"/folder/order/bytes are unsigned", "z.avro", "\xc3\xa9.avro"},
};

static void test_order(const void *data)
{
    const struct order_row *row = data;
    g_assert_cmpint(esp_folder_compare(row->below, row->above), <, 0);
    g_assert_cmpint(esp_folder_compare(row->above, row->below), >, 0);
    g_assert_cmpint(esp_folder_compare(row->above, row->above), ==, 0);
}

struct offset_row {
    const char *name, *file;
    int64_t offset;
};

static const struct offset_row offset_rows[] = {
    {"/folder/offset/ours and Connect's S3 sink", "topic+3+0000000123.avro", 123},
    {"/folder/offset/Connect's HDFS sink", "topic+3+0000000123+0000000456.avro", 123},
    {"/folder/offset/any name", "export+77.avro", 77},
    {"/folder/offset/many parts: the last", "a+b+c+1+2+3.avro", 3},
    {"/folder/offset/a range that falls is none: the last", "t+0+9+5.avro", 5},
    {"/folder/offset/no number", "topic+x.avro", -1},
    {"/folder/offset/no plus", "part-00001.avro", -1},
    {"/folder/offset/nothing behind the plus", "topic+.avro", -1},
    {"/folder/offset/beyond all offsets", "topic+0+99999999999999999999.avro", -1},
};

static void test_offset(const void *data)
{
    const struct offset_row *row = data;
    g_assert_cmpint(esp_folder_first_offset(row->file), ==, row->offset);
}

/* Only container files, in natural order, with their sizes. */
static void test_list(void)
{
    char *path = test_folder_new();
    static const char *const names[] = {"b+10.avro", "b+9.avro",   ".hidden.avro", "_tmp.avro",
                                        "notes.txt", "b+11.avro~", ".avro"};
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        char *file = g_build_filename(path, names[i], NULL);
        g_file_set_contents(file, "12345", (gssize)(i == 0 ? 5 : 0), NULL);
        g_free(file);
    }
    char *inner = g_build_filename(path, "folder.avro", NULL);
    g_mkdir_with_parents(inner, 0777);
    g_free(inner);
    struct esp_folder folder = {NULL, 0, 0};
    g_assert_cmpint(esp_folder_list(path, &folder, NULL), ==, ESP_OK);
    g_assert_cmpuint(folder.n, ==, 2);
    if (!g_test_failed()) {
        g_assert_cmpstr(folder.files[0].name, ==, "b+9.avro");
        g_assert_cmpuint(folder.files[1].size, ==, 5);
        g_assert_cmpint(folder.files[1].first_offset, ==, 10);
        g_assert_cmpuint(esp_folder_after(&folder, "b+9.avro"), ==, 1);
        g_assert_cmpuint(esp_folder_after(&folder, "a"), ==, 0);
        g_assert_cmpuint(esp_folder_after(&folder, "c"), ==, 2);
    }
    esp_folder_release(&folder);
    g_assert_cmpint(esp_folder_list("/nonexistent/folder", &folder, NULL), ==, ESP_OK);
    g_assert_cmpuint(folder.n, ==, 0);
    test_folder_remove(path);
}

int main(int argc, char **argv)
{
    test_start(&argc, &argv);
    for (size_t i = 0; i < G_N_ELEMENTS(order_rows); i++)
        g_test_add_data_func(order_rows[i].name, &order_rows[i], test_order);
    for (size_t i = 0; i < G_N_ELEMENTS(offset_rows); i++)
        g_test_add_data_func(offset_rows[i].name, &offset_rows[i], test_offset);
    g_test_add_func("/folder/list/only container files are seen", test_list);
    return g_test_run();
}
