/*
 * damage_test.c - files that are cut, changed or foreign: named, counted, passed over.
 *
 * The damaged file has three blocks of 10 records and is followed by a good file, whose name tells
 * that it begins with offset 30. Whatever happens to the first, the second comes out whole.
 */
#include <glib/gstdio.h>

#include "log/codec.h"
#include "log/container.h"
#include "log_helper.h"

enum { N_BLOCKS = 3, PER_BLOCK = 10, N_FIRST = N_BLOCKS * PER_BLOCK, N_SECOND = 5 };

struct scene {
    char *root, *first, *second; /* paths */
    gchar *bytes;                /* the first file, undamaged */
    gsize size;
    size_t ends[N_BLOCKS + 1]; /* of the header and of each block */
    struct test_reports reports;
    struct esp_log *log;
};

static void set_up(struct scene *scene, gconstpointer codec)
{
    struct esp_error err = {0};
    scene->root = test_folder_new();
    test_reports_init(&scene->reports);
    scene->log = test_files_open(scene->root, codec, &scene->reports);
    scene->first = g_build_filename(scene->root, "t", "partition=0", "t+0+0000000000.avro", NULL);
    scene->second = g_build_filename(scene->root, "t", "partition=0", "t+0+0000000030.avro", NULL);
    struct esp_log_writer *writer = test_writer_open(scene->log, "t", 1, 0);
    for (size_t i = 0; i < N_FIRST; i++) {
        char text[32];
        snprintf(text, sizeof text, "record %zu", i);
        test_append(writer, 0, NULL, text);
        if (i % PER_BLOCK == PER_BLOCK - 1) {
            GStatBuf info = {0};
            g_assert_cmpint(esp_log_flush(writer, 0, &err), ==, ESP_OK);
            g_stat(scene->first, &info);
            scene->ends[1 + i / PER_BLOCK] = (size_t)info.st_size;
        }
    }
    esp_log_writer_free(writer);
    writer = test_writer_open(scene->log, "t", 1, 0); /* a new file */
    for (size_t i = 0; i < N_SECOND; i++)
        test_append(writer, 0, NULL, "second");
    g_assert_cmpint(esp_log_flush(writer, 0, &err), ==, ESP_OK);
    esp_log_writer_free(writer);
    g_assert_true(g_file_get_contents(scene->first, &scene->bytes, &scene->size, NULL));
    g_assert_cmpuint(scene->ends[N_BLOCKS], ==, scene->size);
    /* The header ends with the marker that ends the first block. */
    const char *marker = scene->bytes + scene->ends[1] - ESP_SYNC_BYTES;
    const char *found = memmem(scene->bytes, scene->size, marker, ESP_SYNC_BYTES);
    scene->ends[0] = (size_t)(found - scene->bytes) + ESP_SYNC_BYTES;
}

static void tear_down(struct scene *scene, gconstpointer codec)
{
    (void)codec;
    esp_log_free(scene->log);
    test_reports_release(&scene->reports);
    g_free(scene->bytes);
    g_free(scene->first);
    g_free(scene->second);
    test_folder_remove(scene->root);
}

/* Replaces the first file and reads the partition; returns how many records of the first came. */
static size_t read_with(struct scene *scene, const char *bytes, size_t size, struct test_read *read)
{
    g_string_truncate(scene->reports.text, 0);
    scene->reports.n = 0;
    test_write_file(scene->first, bytes, size);
    test_read_init(read);
    test_read_partition(scene->log, "t", 0, ESP_OFFSET_EARLIEST, 7, read);
    g_assert_cmpstr(read->err.text, ==, "");
    g_assert_cmpint(read->position, ==, ESP_LOG_ENDED);
    size_t n = read->contents->len, n_second = 0;
    while (n > 0 && strcmp(test_content(read, n - 1), "second") == 0) {
        n--;
        n_second++;
    }
    g_assert_cmpuint(n_second, ==, N_SECOND);
    g_assert_cmpint(read->stats.next_offset, >=, N_FIRST + N_SECOND);
    for (size_t i = 1; i < read->offsets->len; i++)
        g_assert_cmpint(g_array_index(read->offsets, int64_t, i), >,
                        g_array_index(read->offsets, int64_t, i - 1));
    return n;
}

/* Records first .. first + n - 1 stand at `at` with these offsets. */
static void check_run(const struct test_read *read, size_t at, size_t first, size_t n,
                      int64_t offset)
{
    for (size_t i = 0; i < n && !g_test_failed(); i++) {
        char want[32];
        snprintf(want, sizeof want, "record %zu", first + i);
        g_assert_cmpstr(test_content(read, at + i), ==, want);
        g_assert_cmpint(g_array_index(read->offsets, int64_t, at + i), ==, offset + (int64_t)i);
    }
}

static void test_truncation(struct scene *scene, gconstpointer codec)
{
    (void)codec;
    for (size_t cut = 0; cut <= scene->size && !g_test_failed(); cut++) {
        struct test_read read;
        size_t n_blocks = 0, kept = 0;
        for (size_t i = 0; i <= N_BLOCKS && scene->ends[i] <= cut; i++) {
            kept = scene->ends[i];
            n_blocks = i;
        }
        size_t n = read_with(scene, scene->bytes, cut, &read);
        bool is_clean = cut == kept && cut > 0;
        g_assert_cmpuint(n, ==, n_blocks * PER_BLOCK);
        check_run(&read, 0, 0, n, 0);
        g_assert_cmpuint(read.stats.skipped_bytes, ==, cut - kept);
        g_assert_cmpuint(read.stats.damaged_files, ==, is_clean ? 0 : 1);
        g_assert_cmpuint(scene->reports.n, ==, is_clean ? 0 : 1);
        if (!is_clean)
            g_assert_true(test_reports_have(&scene->reports, "t+0+0000000000.avro: the file ends"));
        test_read_release(&read);
        if (g_test_failed())
            g_test_message("cut at %zu of %zu", cut, scene->size);
    }
}

/* Any one byte changed, in any way that matters: never a crash, never more than there was. */
static void test_changed_byte(struct scene *scene, gconstpointer codec)
{
    static const uint8_t changes[] = {0xff, 0x80, 0x01};
    gchar *bytes = g_memdup2(scene->bytes, scene->size);
    for (size_t i = 0; i < scene->size * G_N_ELEMENTS(changes) && !g_test_failed(); i++) {
        struct test_read read;
        size_t at = i / G_N_ELEMENTS(changes);
        bytes[at] = (gchar)((uint8_t)bytes[at] ^ changes[i % G_N_ELEMENTS(changes)]);
        size_t n = read_with(scene, bytes, scene->size, &read);
        g_assert_cmpuint(n, <=, N_FIRST);
        /* What a checksum covers comes out unchanged or not at all. */
        if (strcmp(codec, "snappy") == 0 && at >= scene->ends[0])
            g_assert_cmpuint(n % PER_BLOCK, ==, 0);
        if (n < N_FIRST)
            g_assert_cmpuint(read.stats.damaged_files, ==, 1);
        test_read_release(&read);
        bytes[at] = scene->bytes[at];
        if (g_test_failed())
            g_test_message("byte %zu", at);
    }
    g_free(bytes);
}

/* A block of the wrong size is passed over up to the next marker. */
static void test_resync(struct scene *scene, gconstpointer codec)
{
    (void)codec;
    gchar *bytes = g_memdup2(scene->bytes, scene->size);
    struct test_read read;
    bytes[scene->ends[1] + 1] = 2; /* its n_bytes, now 1 */
    size_t n = read_with(scene, bytes, scene->size, &read);
    g_assert_cmpuint(n, ==, 2 * PER_BLOCK);
    check_run(&read, 0, 0, PER_BLOCK, 0);
    check_run(&read, PER_BLOCK, 2 * PER_BLOCK, PER_BLOCK, PER_BLOCK);
    g_assert_cmpuint(read.stats.skipped_bytes, ==, scene->ends[2] - scene->ends[1]);
    g_assert_true(test_reports_have(&scene->reports, "does not end in the file's sync marker"));
    test_read_release(&read);
    g_free(bytes);
}

/* A record whose length lies beyond its block: the rest of the block is lost, no offset is. */
static void test_bad_record(struct scene *scene, gconstpointer codec)
{
    (void)codec;
    gchar *bytes = g_memdup2(scene->bytes, scene->size);
    struct test_read read;
    size_t record_size = 1 + strlen("record 10"), head = 2 + 1; /* 20, then 100 in two bytes */
    size_t at = scene->ends[1] + head + 4 * record_size;
    g_assert_cmpint(bytes[at], ==, 2 * 9); /* "record 14" */
    bytes[at] = 0x7f;                      /* -64 */
    size_t n = read_with(scene, bytes, scene->size, &read);
    g_assert_cmpuint(n, ==, PER_BLOCK + 4 + PER_BLOCK);
    check_run(&read, 0, 0, PER_BLOCK + 4, 0);
    check_run(&read, PER_BLOCK + 4, 2 * PER_BLOCK, PER_BLOCK, 2 * PER_BLOCK);
    g_assert_cmpuint(read.stats.skipped_bytes, ==, 6 * record_size);
    g_assert_true(test_reports_have(&scene->reports, "(offset 14); 60 bytes passed over"));
    test_read_release(&read);
    g_free(bytes);
}

/* Fewer records declared than there are: what is left over is not silently dropped. */
static void test_left_over(struct scene *scene, gconstpointer codec)
{
    (void)codec;
    static const struct {
        char count;
        size_t n_left;
    } rows[] = {{2 * 9, 1}, {2 * 1, 9}, {0, 10}, {2 * 11, 0}};
    gchar *bytes = g_memdup2(scene->bytes, scene->size);
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct test_read read;
        bytes[scene->ends[1]] = rows[i].count;
        size_t n = read_with(scene, bytes, scene->size, &read);
        g_assert_cmpuint(n, ==, N_FIRST - rows[i].n_left);
        g_assert_cmpuint(read.stats.damaged_files, ==, 1);
        g_assert_cmpuint(read.stats.skipped_bytes, ==, rows[i].n_left * (1 + strlen("record 10")));
        test_read_release(&read);
    }
    g_free(bytes);
}

/* Many damaged places in one file are two lines, not many. */
static void test_summary(struct scene *scene, gconstpointer codec)
{
    (void)codec;
    gchar *bytes = g_memdup2(scene->bytes, scene->size);
    struct test_read read;
    for (size_t i = 0; i < N_BLOCKS; i++)
        bytes[scene->ends[i] + 1] = 2;
    g_assert_cmpuint(read_with(scene, bytes, scene->size, &read), ==, 0);
    g_assert_cmpuint(scene->reports.n, ==, 2);
    g_assert_cmpuint(read.stats.damaged_files, ==, 1);
    g_assert_cmpuint(read.stats.skipped_bytes, ==, scene->size - scene->ends[0]);
    g_assert_true(test_reports_have(&scene->reports, "damaged in 3 places"));
    test_read_release(&read);
    g_free(bytes);
}

/* A container of this schema and codec with one block of these bytes. */
static GString *container_of(const char *schema, const char *codec, const char *block)
{
    GString *text = g_string_new("Obj\001\004");
    const char *parts[] = {"avro.codec", codec, "avro.schema", schema};
    for (size_t i = 0; i < G_N_ELEMENTS(parts); i++) {
        size_t n = strlen(parts[i]);
        if (n >= 64)
            g_string_append_c(text, (gchar)(0x80 | ((2 * n) & 0x7f)));
        g_string_append_c(text, (gchar)(n >= 64 ? (2 * n) >> 7 : 2 * n));
        g_string_append(text, parts[i]);
    }
    g_string_append_len(text, "\0SYNCSYNCSYNCSYNC\002", 18);
    g_string_append_c(text, (gchar)(2 * strlen(block)));
    g_string_append(text, block);
    return g_string_append(text, "SYNCSYNCSYNCSYNC");
}

static void test_foreign(struct scene *scene, gconstpointer unused)
{
    (void)unused;
    static const char other[] = "{\"type\":\"record\",\"name\":\"other\",\"fields\":[]}";
    const struct {
        GString *bytes;
        const char *said;
        size_t n_records;
    } rows[] = {
        {g_string_new("impression_id,time\n1,2\n"), "is not an Avro container", 0},
        {g_string_new("Obj\002"), "is not an Avro container", 0},
        {container_of(other, "null", "x"), "schema is not the test's", 0},
        {container_of(test_schema, "zstandard", "x"), "null, deflate, snappy", 0},
        {container_of("", "null", "x"), "has no schema", 0},
        {container_of(test_schema, "", "\002x"), NULL, 1},
        {g_string_new_len("Obj\001\003\002", 6), "ends within its header", 0},
        {g_string_new("Obj\001\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"), "header is malformed",
         0},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct test_read read;
        size_t n = read_with(scene, rows[i].bytes->str, rows[i].bytes->len, &read);
        g_assert_cmpuint(n, ==, rows[i].n_records);
        g_assert_cmpuint(read.stats.damaged_files, ==, rows[i].said == NULL ? 0 : 1);
        g_assert_cmpuint(read.stats.skipped_bytes, ==,
                         rows[i].said == NULL ? 0 : rows[i].bytes->len);
        if (rows[i].said != NULL)
            g_assert_true(test_reports_have(&scene->reports, rows[i].said));
        test_read_release(&read);
        g_string_free(rows[i].bytes, TRUE);
    }
}

/* Reading from an offset and reading all agree on every offset, damage or not. */
static void test_seek(struct scene *scene, gconstpointer codec)
{
    (void)codec;
    gchar *bytes = g_memdup2(scene->bytes, scene->size);
    bytes[scene->ends[0] + 1] = 2; /* the first block is lost, so offsets 0..19 are two blocks */
    struct test_read all;
    g_assert_cmpuint(read_with(scene, bytes, scene->size, &all), ==, 2 * PER_BLOCK);
    for (int64_t from = 0; from <= N_FIRST + N_SECOND; from++) {
        struct test_read read;
        test_read_init(&read);
        test_read_partition(scene->log, "t", 0, from, 4, &read);
        g_assert_cmpstr(read.err.text, ==, "");
        size_t at = 0;
        while (at < all.offsets->len && g_array_index(all.offsets, int64_t, at) < from)
            at++;
        g_assert_cmpuint(read.offsets->len, ==, all.offsets->len - at);
        for (size_t i = 0; i < read.offsets->len && !g_test_failed(); i++) {
            g_assert_cmpint(g_array_index(read.offsets, int64_t, i), ==,
                            g_array_index(all.offsets, int64_t, at + i));
            char *want = g_strdup(test_content(&all, at + i));
            g_assert_cmpstr(test_content(&read, i), ==, want);
            g_free(want);
        }
        test_read_release(&read);
    }
    test_read_release(&all);
    g_free(bytes);
}

int main(int argc, char **argv)
{
    test_start(&argc, &argv);
    static const struct {
        const char *name, *codec;
        void (*run)(struct scene *, gconstpointer);
    } rows[] = {
        {"/damage/cut anywhere, null", "null", test_truncation},
        {"/damage/cut anywhere, deflate", "deflate", test_truncation},
        {"/damage/cut anywhere, snappy", "snappy", test_truncation},
        {"/damage/any byte changed, null", "null", test_changed_byte},
        {"/damage/any byte changed, deflate", "deflate", test_changed_byte},
        {"/damage/any byte changed, snappy", "snappy", test_changed_byte},
        {"/damage/reading goes on behind the next marker", "null", test_resync},
        {"/damage/a bad record costs the rest of its block", "null", test_bad_record},
        {"/damage/a wrong number of records is noticed", "null", test_left_over},
        {"/damage/many places in one file are two lines", "null", test_summary},
        {"/damage/foreign files are named and counted", "null", test_foreign},
        {"/damage/an offset is the same record from wherever one reads", "null", test_seek},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
        g_test_add(rows[i].name, struct scene, rows[i].codec, set_up, rows[i].run, tear_down);
    return g_test_run();
}
