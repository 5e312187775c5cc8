/*
 * place_test.c - a reader that is closed and opened again where it stood gives the rest, whatever
 * came to the folder meanwhile; and says what is gone.
 */
#include <glib/gstdio.h>
#include <unistd.h>

#include "core/buf.h"
#include "log_helper.h"

enum { N_RECORDS = 3000, N_FILES = 3 };

struct scene {
    char *root, *folder;
    struct test_reports reports;
    struct esp_log *log;
    const char *const *names; /* (N_FILES) of the files, in their order */
};

/* As another program names them, whose names tell nothing; and as a writer of ours. */
static const char *const plain_names[N_FILES] = {"b.avro", "d.avro", "f.avro"};
static const char *const own_names[N_FILES] = {"t+0+0000000000.avro", "t+0+0000001000.avro",
                                               "t+0+0000002000.avro"};

static void append_numbered(struct esp_log_writer *writer, size_t from, size_t to)
{
    for (size_t i = from; i < to && !g_test_failed(); i++) {
        char text[512];
        snprintf(
            text, sizeof text, "record %zu %.*s", i, (int)(i % 400),
            "................................................................................"
            "................................................................................"
            "................................................................................"
            "................................................................................"
            "................................................................................");
        test_append(writer, 0, NULL, text);
        if (i % 37 == 0)
            g_assert_cmpint(esp_log_flush(writer, 0, NULL), ==, ESP_OK);
    }
    g_assert_cmpint(esp_log_flush(writer, 0, NULL), ==, ESP_OK);
}

static void set_up(struct scene *scene, gconstpointer names)
{
    scene->names = names;
    scene->root = test_folder_new();
    scene->folder = g_build_filename(scene->root, "t", "partition=0", NULL);
    test_reports_init(&scene->reports);
    scene->log = test_files_open(scene->root, "deflate", &scene->reports);
    for (size_t i = 0; i < N_FILES; i++) {
        struct esp_log_writer *writer = test_writer_open(scene->log, "t", 1, 0);
        append_numbered(writer, i * N_RECORDS / N_FILES, (i + 1) * N_RECORDS / N_FILES);
        esp_log_writer_free(writer);
    }
    for (size_t i = 0; i < N_FILES; i++) {
        char *from = g_build_filename(scene->folder, own_names[i], NULL);
        char *to = g_build_filename(scene->folder, scene->names[i], NULL);
        g_assert_cmpint(g_rename(from, to), ==, 0);
        g_free(from);
        g_free(to);
    }
}

static void tear_down(struct scene *scene, gconstpointer names)
{
    (void)names;
    esp_log_free(scene->log);
    test_reports_release(&scene->reports);
    g_free(scene->folder);
    test_folder_remove(scene->root);
}

static char *path_of(const struct scene *scene, const char *name)
{
    return g_build_filename(scene->folder, name, NULL);
}

/* A copy of one of the files under another name. */
static void copy_file(const struct scene *scene, size_t i, const char *name)
{
    char *from = path_of(scene, scene->names[i]), *to = path_of(scene, name);
    gchar *bytes = NULL;
    gsize size = 0;
    g_assert_true(g_file_get_contents(from, &bytes, &size, NULL));
    test_write_file(to, bytes, size);
    g_free(bytes);
    g_free(from);
    g_free(to);
}

static enum esp_status to_buf(void *context, const void *bytes, size_t n, struct esp_error *err)
{
    return esp_buf_append(context, bytes, n, err);
}

/* Through an archive, as a checkpoint carries it. */
static void carry(const struct esp_log_place *place, struct esp_log_place *out)
{
    static struct esp_archive archive;
    struct esp_log_place copy = *place;
    struct esp_buf bytes;
    struct esp_error err = {0};
    esp_buf_init(&bytes, 4096);
    esp_archive_write_to(&archive, to_buf, &bytes);
    esp_log_place_archive(&archive, &copy);
    g_assert_cmpint(esp_archive_end(&archive, &err), ==, ESP_OK);
    esp_archive_read_from(&archive, esp_buf_bytes(&bytes));
    esp_log_place_archive(&archive, out);
    g_assert_cmpint(esp_archive_end(&archive, &err), ==, ESP_OK);
    g_assert_cmpmem(place, sizeof *place, out, sizeof *out);
    for (size_t n = 0; n < bytes.size; n++) {
        struct esp_log_place cut = {.offset = 0};
        esp_archive_read_from(&archive, esp_bytes(bytes.data, n));
        esp_log_place_archive(&archive, &cut);
        g_assert_cmpint(esp_archive_end(&archive, NULL), ==, ESP_EDATA);
    }
    esp_buf_release(&bytes);
}

static struct esp_log_reader *open_at(struct scene *scene, const struct esp_log_place *place,
                                      bool follow, struct esp_error *err)
{
    struct esp_log_reader *reader = NULL;
    esp_log_reader_new_at(scene->log, "t", 0, place, follow, &test_framer, &reader, err);
    return reader;
}

/* Reads n records, or to the end; *next is the number of the record that has to come. */
static void read_some(struct esp_log_reader *reader, size_t n, size_t *next)
{
    struct esp_record records[64];
    enum esp_log_position position = ESP_LOG_MORE;
    struct esp_error err = {0};
    while (n > 0 && position == ESP_LOG_MORE && !g_test_failed()) {
        size_t got = 0;
        if (esp_log_read(reader, records, n < 64 ? n : 64, 0, &got, &position, &err) != ESP_OK)
            g_test_fail_printf("%s", err.text);
        for (size_t i = 0; i < got && !g_test_failed(); i++) {
            char want[32];
            size_t size = (size_t)snprintf(want, sizeof want, "record %zu ", *next);
            g_assert_cmpint(records[i].offset, ==, (int64_t)*next);
            g_assert_nonnull(memmem(records[i].value.data, records[i].value.size, want, size));
            ++*next;
        }
        n -= got;
    }
}

/* Closes a reader and opens another one where it stood. */
static struct esp_log_reader *reopen(struct scene *scene, struct esp_log_reader *reader,
                                     bool follow)
{
    struct esp_log_place place, carried = {.offset = 0};
    struct esp_error err = {0};
    esp_log_reader_place(reader, &place);
    esp_log_reader_free(reader);
    carry(&place, &carried);
    reader = open_at(scene, &carried, follow, &err);
    if (reader == NULL)
        g_test_fail_printf("%s", err.text);
    return reader;
}

/* Closed and opened after any number of records, every record comes once. */
static void test_reopened(struct scene *scene, gconstpointer names)
{
    (void)names;
    for (uint64_t seed = 0; seed < 20 && !g_test_failed(); seed++) {
        struct test_random random = {.state = seed};
        struct esp_log_place place = esp_log_place_at(ESP_OFFSET_EARLIEST);
        bool follow = seed % 2 == 1;
        struct esp_log_reader *reader = open_at(scene, &place, follow, NULL);
        size_t next = 0;
        while (next < N_RECORDS && !g_test_failed()) {
            reader = reopen(scene, reader, follow);
            if (reader == NULL)
                return;
            read_some(reader, test_random_below(&random, 300), &next);
        }
        reader = reopen(scene, reader, follow);
        read_some(reader, 10, &next);
        g_assert_cmpuint(next, ==, N_RECORDS);
        esp_log_reader_free(reader);
    }
    g_assert_cmpstr(scene->reports.text->str, ==, "");
}

/* Opened at an offset and closed before a record was read. */
static void test_unread(struct scene *scene, gconstpointer names)
{
    (void)names;
    static const int64_t offsets[] = {0, 999, 1000, 2500, N_RECORDS};
    for (size_t i = 0; i < G_N_ELEMENTS(offsets) && !g_test_failed(); i++) {
        struct esp_log_place place = esp_log_place_at(offsets[i]);
        struct esp_log_reader *reader = open_at(scene, &place, i % 2 == 0, NULL);
        size_t next = (size_t)offsets[i];
        reader = reopen(scene, reopen(scene, reader, i % 2 == 0), false);
        read_some(reader, SIZE_MAX, &next);
        g_assert_cmpuint(next, ==, N_RECORDS);
        esp_log_reader_free(reader);
    }
}

/* A file that sorts before the place moves nothing, and is said. */
static void test_file_before(struct scene *scene, gconstpointer names)
{
    (void)names;
    struct esp_log_place place = esp_log_place_at(ESP_OFFSET_EARLIEST);
    struct esp_log_reader *reader = open_at(scene, &place, false, NULL);
    size_t next = 0;
    read_some(reader, 1500, &next);
    copy_file(scene, 0, "a.avro");
    copy_file(scene, 0, "c.avro");
    reader = reopen(scene, reader, false);
    read_some(reader, SIZE_MAX, &next);
    g_assert_cmpuint(next, ==, N_RECORDS);
    g_assert_true(
        test_reports_have(&scene->reports, "more files than before, by 2, stand before d.avro"));
    esp_log_reader_free(reader);
}

/* The last file grows between two runs that end at its end. */
static void test_grown(struct scene *scene, gconstpointer names)
{
    (void)names;
    struct esp_log_place place = esp_log_place_at(ESP_OFFSET_EARLIEST);
    struct esp_log_reader *reader = open_at(scene, &place, false, NULL);
    size_t next = 0;
    char *path = path_of(scene, scene->names[N_FILES - 1]);
    gchar *bytes = NULL;
    gsize size = 0;
    g_assert_true(g_file_get_contents(path, &bytes, &size, NULL));
    g_assert_cmpint(truncate(path, (off_t)size / 2), ==, 0);
    read_some(reader, SIZE_MAX, &next);
    g_assert_cmpuint(next, <, N_RECORDS - 1);
    esp_log_reader_place(reader, &place);
    esp_log_reader_free(reader);
    test_write_file(path, bytes, size);
    reader = open_at(scene, &place, false, NULL);
    read_some(reader, SIZE_MAX, &next);
    g_assert_cmpuint(next, ==, N_RECORDS);
    esp_log_reader_free(reader);
    g_free(bytes);
    g_free(path);
}

/* The file of the place is gone, or is another one. */
static void test_gone(struct scene *scene, gconstpointer names)
{
    struct esp_log_place place = esp_log_place_at(ESP_OFFSET_EARLIEST);
    struct esp_log_reader *reader = open_at(scene, &place, false, NULL);
    struct esp_error err = {0};
    size_t next = 0;
    read_some(reader, 1500, &next);
    esp_log_reader_place(reader, &place);
    esp_log_reader_free(reader);
    char *path = path_of(scene, scene->names[1]);
    gchar *bytes = NULL;
    gsize size = 0;
    g_assert_true(g_file_get_contents(path, &bytes, &size, NULL));
    g_assert_cmpint(g_unlink(path), ==, 0);
    reader = open_at(scene, &place, false, &err);
    struct esp_record record;
    enum esp_log_position position;
    size_t n = 0;
    if (names == plain_names) {
        g_assert_null(reader);
        g_assert_nonnull(
            strstr(err.text, "d.avro: is gone, and offset 1500 is in it or behind it"));
    } else {
        g_assert_cmpint(esp_log_read(reader, &record, 1, 0, &n, &position, &err), ==, ESP_EDATA);
        g_assert_nonnull(strstr(err.text, "offset 1500 is wanted, but the first file that is still "
                                          "there, t+0+0000002000.avro, begins with 2000: 500 "
                                          "records are gone"));
        esp_log_reader_free(reader);
    }
    static const struct {
        const char *said;
        bool is_cut;
    } rows[] = {{"of it were read before", true}, {"no block ends after its first", false}};
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        err = (struct esp_error){0};
        bytes[place.at - 1] ^= (gchar)!rows[i].is_cut;
        test_write_file(path, bytes, rows[i].is_cut ? place.at - 1 : size);
        reader = open_at(scene, &place, false, &err);
        g_assert_nonnull(reader);
        g_assert_cmpint(esp_log_read(reader, &record, 1, 0, &n, &position, &err), ==, ESP_EDATA);
        g_assert_nonnull(strstr(err.text, rows[i].said));
        g_assert_nonnull(strstr(err.text, scene->names[1]));
        esp_log_reader_free(reader);
    }
    g_free(bytes);
    g_free(path);
}

int main(int argc, char **argv)
{
    test_start(&argc, &argv);
    static const struct {
        const char *name;
        const char *const *names;
        void (*run)(struct scene *, gconstpointer);
    } rows[] = {
        {"/place/opened again anywhere, every record comes once", plain_names, test_reopened},
        {"/place/the same where names tell offsets", own_names, test_reopened},
        {"/place/opened at an offset, and nothing was read", plain_names, test_unread},
        {"/place/the same where names tell offsets, and nothing was read", own_names, test_unread},
        {"/place/files that came before it move nothing", plain_names, test_file_before},
        {"/place/a file that has grown goes on", plain_names, test_grown},
        {"/place/a file that has grown goes on, whose name tells its offset", own_names,
         test_grown},
        {"/place/a file that is gone, or another one, is said", plain_names, test_gone},
        {"/place/a file that is gone leaves a gap that names tell", own_names, test_gone},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
        g_test_add(rows[i].name, struct scene, rows[i].names, set_up, rows[i].run, tear_down);
    return g_test_run();
}
