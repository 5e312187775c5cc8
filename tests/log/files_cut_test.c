/*
 * files_cut_test.c - a writer that is killed and goes back to a checkpoint leaves the very files
 * that an undisturbed one leaves.
 */
#include <glib/gstdio.h>
#include <unistd.h>

#include "core/buf.h"
#include "log/folder.h"
#include "log_helper.h"

enum { N_PARTITIONS = 3, N_RECORDS = 6000, ROLL_BYTES = 300000, MOST_TEXT = 900 };

struct scene {
    const char *codec;
    char *root;
    struct test_reports reports;
    struct esp_log *log;
};

static void set_up(struct scene *scene, gconstpointer codec)
{
    scene->codec = codec;
    scene->root = test_folder_new();
    test_reports_init(&scene->reports);
    scene->log = test_files_open(scene->root, codec, &scene->reports);
}

static void tear_down(struct scene *scene, gconstpointer codec)
{
    (void)codec;
    esp_log_free(scene->log);
    test_reports_release(&scene->reports);
    test_folder_remove(scene->root);
}

/* The i-th record of the stream: where it goes and what it holds follow from i. The last partition
 * gets few, so that it is begun late and rests in the middle of a block. */
static void append_nth(struct esp_log_writer *writer, size_t i)
{
    struct test_random random = {.state = i};
    char text[MOST_TEXT + 1];
    size_t n = 32 + test_random_below(&random, MOST_TEXT - 32);
    for (size_t c = 0; c < n; c++)
        text[c] = (char)('!' + test_random_below(&random, 90));
    text[n] = '\0';
    bool is_seldom = i > N_RECORDS / 2 && i % 300 == 0;
    test_append(writer, is_seldom ? N_PARTITIONS - 1 : (int32_t)(random.state % 2), NULL, text);
}

static void append_all(struct esp_log_writer *writer, size_t from, size_t to)
{
    for (size_t i = from; i < to && !g_test_failed(); i++)
        append_nth(writer, i);
}

static void ok(enum esp_status status, const struct esp_error *err)
{
    if (status != ESP_OK)
        g_test_fail_printf("%s", err->text);
}

static void flush(struct esp_log_writer *writer)
{
    struct esp_error err = {0};
    ok(esp_log_flush(writer, 0, &err), &err);
}

static struct esp_log_writer *open_writer(const struct scene *scene)
{
    return test_writer_open(scene->log, "t", N_PARTITIONS, ROLL_BYTES);
}

static enum esp_status to_buf(void *context, const void *bytes, size_t n, struct esp_error *err)
{
    return esp_buf_append(context, bytes, n, err);
}

/* As a checkpoint does: a fence, the archive, and later the certainty that it may count. */
static void save(struct esp_log_writer *writer, struct esp_buf *archive)
{
    struct esp_error err = {0};
    static struct esp_archive to;
    uint64_t fence = 0;
    bool done = false;
    ok(esp_log_fence(writer, &fence, &err), &err);
    esp_buf_clear(archive);
    esp_archive_write_to(&to, to_buf, archive);
    esp_log_writer_archive(&to, writer);
    ok(esp_archive_end(&to, &err), &err);
    ok(esp_log_settled(writer, fence, &done, &err), &err);
    g_assert_true(done);
}

static enum esp_status fill(struct esp_log_writer *writer, struct esp_bytes archive,
                            struct esp_error *err)
{
    static struct esp_archive from;
    esp_archive_read_from(&from, archive);
    esp_log_writer_archive(&from, writer);
    return esp_archive_end(&from, err);
}

/* bases: the ends of partitions that the writer had not begun. */
static enum esp_status cut_back(const struct scene *scene, const struct esp_log_writer *writer,
                                const int64_t bases[N_PARTITIONS], struct esp_error *err)
{
    enum esp_status status = ESP_OK;
    for (size_t p = 0; p < N_PARTITIONS && status == ESP_OK; p++) {
        struct esp_log_mark mark = {-1, 0, bases == NULL ? 0 : bases[p]};
        esp_log_writer_mark(writer, p, &mark);
        status = esp_log_cut_back(scene->log, "t", p, &mark, err);
    }
    return status;
}

static struct esp_log_writer *recover(const struct scene *scene, const struct esp_buf *archive,
                                      const int64_t bases[N_PARTITIONS])
{
    struct esp_error err = {0};
    struct esp_log_writer *writer = open_writer(scene);
    ok(fill(writer, esp_buf_bytes(archive), &err), &err);
    /* Recovery, too, can be killed and done again. */
    for (int round = 0; round < 2; round++)
        ok(cut_back(scene, writer, bases, &err), &err);
    return writer;
}

/* All files of the topic, their names and bytes, as one text. */
static GString *contents(const struct scene *scene)
{
    GString *all = g_string_new(NULL);
    for (size_t p = 0; p < N_PARTITIONS; p++) {
        char *path = g_strdup_printf("%s/t/partition=%zu", scene->root, p);
        struct esp_folder folder = {NULL, 0, 0};
        g_assert_cmpint(esp_folder_list(path, &folder, NULL), ==, ESP_OK);
        for (size_t i = 0; i < folder.n; i++) {
            char *name = g_build_filename(path, folder.files[i].name, NULL);
            gchar *bytes = NULL;
            gsize size = 0;
            g_assert_true(g_file_get_contents(name, &bytes, &size, NULL));
            g_string_append_printf(all, "%zu/%s:%zu\n", p, folder.files[i].name, size);
            g_string_append_len(all, bytes, (gssize)size);
            g_free(bytes);
            g_free(name);
        }
        esp_folder_release(&folder);
        g_free(path);
    }
    return all;
}

/* What an undisturbed writer leaves, behind `before` records that were there. */
static GString *undisturbed(const struct scene *scene, size_t before)
{
    struct scene other;
    set_up(&other, scene->codec);
    struct esp_log_writer *writer = open_writer(&other);
    append_all(writer, N_RECORDS, N_RECORDS + before);
    flush(writer);
    esp_log_writer_free(writer);
    writer = open_writer(&other);
    append_all(writer, 0, N_RECORDS);
    flush(writer);
    esp_log_writer_free(writer);
    GString *all = contents(&other);
    tear_down(&other, NULL);
    return all;
}

/* A kill in the middle of a write, to a file of this run. */
static void tear_newest(const struct scene *scene, const int64_t bases[N_PARTITIONS],
                        struct test_random *random)
{
    size_t p = test_random_below(random, N_PARTITIONS);
    char *path = g_strdup_printf("%s/t/partition=%zu", scene->root, p);
    struct esp_folder folder = {NULL, 0, 0};
    if (esp_folder_list(path, &folder, NULL) == ESP_OK && folder.n > 0 &&
        folder.files[folder.n - 1].first_offset >= bases[p]) {
        char *name = g_build_filename(path, folder.files[folder.n - 1].name, NULL);
        FILE *file = fopen(name, "ab");
        g_assert_nonnull(file);
        fwrite("torn", 1, 1 + test_random_below(random, 4), file);
        fclose(file);
        g_free(name);
    }
    esp_folder_release(&folder);
    g_free(path);
}

/* The records that were there at the first start stay, whatever is taken away behind them. */
static void run_killed(struct scene *scene, uint64_t seed, size_t before)
{
    struct test_random random = {.state = seed};
    struct esp_buf archive;
    int64_t bases[N_PARTITIONS], first = 0;
    struct esp_error err = {0};
    esp_buf_init(&archive, 64 << 20);
    struct esp_log_writer *writer = open_writer(scene);
    append_all(writer, N_RECORDS, N_RECORDS + before);
    flush(writer);
    esp_log_writer_free(writer);
    for (size_t p = 0; p < N_PARTITIONS; p++)
        ok(esp_log_bounds(scene->log, "t", p, &first, &bases[p], &err), &err);
    writer = open_writer(scene);
    save(writer, &archive); /* nothing was appended yet */
    size_t at = 0, saved = 0;
    while (at < N_RECORDS && !g_test_failed()) {
        size_t n = 1 + test_random_below(&random, 900);
        size_t to = at + n < N_RECORDS ? at + n : N_RECORDS;
        append_all(writer, at, to);
        at = to;
        uint64_t what = test_random_below(&random, 5);
        if (what < 2) {
            save(writer, &archive);
            saved = at;
        } else if (what == 2) {
            if (test_random_below(&random, 2) == 0)
                flush(writer);
            esp_log_writer_free(writer);
            tear_newest(scene, bases, &random);
            writer = recover(scene, &archive, bases);
            at = saved;
        }
    }
    flush(writer);
    esp_log_writer_free(writer);
    esp_buf_release(&archive);
}

static void test_killed(struct scene *scene, gconstpointer codec)
{
    static const size_t befores[] = {0, 1, 700};
    for (size_t i = 0; i < 6 && !g_test_failed(); i++) {
        size_t before = befores[i % G_N_ELEMENTS(befores)];
        struct scene one;
        set_up(&one, codec);
        run_killed(&one, 7 + i, before);
        GString *want = undisturbed(scene, before), *got = contents(&one);
        g_assert_cmpuint(want->len, >, 1000000 / (strcmp(codec, "null") == 0 ? 1 : 4));
        if (!g_string_equal(want, got))
            g_test_fail_printf("seed %zu: the files differ", 7 + i);
        g_string_free(want, TRUE);
        g_string_free(got, TRUE);
        tear_down(&one, codec);
    }
}

/* The archive of a filled writer is the archive that filled it. */
static void test_canonical(struct scene *scene, gconstpointer codec)
{
    (void)codec;
    struct esp_buf first, second;
    struct esp_error err = {0};
    esp_buf_init(&first, 64 << 20);
    esp_buf_init(&second, 64 << 20);
    struct esp_log_writer *writer = open_writer(scene);
    append_all(writer, 0, 1500);
    save(writer, &first);
    esp_log_writer_free(writer);
    writer = open_writer(scene);
    ok(fill(writer, esp_buf_bytes(&first), &err), &err);
    save(writer, &second);
    g_assert_cmpmem(first.data, first.size, second.data, second.size);
    esp_log_writer_free(writer);
    writer = test_writer_open(scene->log, "t", N_PARTITIONS + 1, 0);
    g_assert_cmpint(fill(writer, esp_buf_bytes(&first), &err), ==, ESP_EDATA);
    g_assert_nonnull(strstr(err.text, "the number of an output's partitions is 4, and was 3"));
    esp_log_writer_free(writer);
    esp_buf_release(&first);
    esp_buf_release(&second);
}

/* Cut anywhere, with any byte turned: refused, or a writer that can be used and freed. */
static void test_damaged_archive(struct scene *scene, gconstpointer codec)
{
    (void)codec;
    struct esp_buf archive;
    esp_buf_init(&archive, 64 << 20);
    struct esp_log_writer *writer = open_writer(scene);
    for (size_t i = 0; i < 4; i++)
        test_append(writer, (int32_t)(i % 2), NULL, "a short record");
    save(writer, &archive);
    esp_log_writer_free(writer);
    for (size_t n = 0; n < archive.size && !g_test_failed(); n++) {
        writer = open_writer(scene);
        g_assert_cmpint(fill(writer, esp_bytes(archive.data, n), NULL), ==, ESP_EDATA);
        esp_log_writer_free(writer);
    }
    for (size_t i = 0; i < 8 * archive.size && !g_test_failed(); i++) {
        struct esp_error err = {0};
        archive.data[i / 8] ^= (uint8_t)(1 << i % 8);
        writer = open_writer(scene);
        enum esp_status status = fill(writer, esp_buf_bytes(&archive), &err);
        if (status == ESP_OK)
            status = cut_back(scene, writer, NULL, &err);
        g_assert_true(status == ESP_OK || status == ESP_EDATA);
        esp_log_writer_free(writer);
        archive.data[i / 8] ^= (uint8_t)(1 << i % 8);
    }
    esp_buf_release(&archive);
}

static char *path_of(const struct scene *scene, const char *name)
{
    return g_build_filename(scene->root, "t", "partition=0", name, NULL);
}

/* A writer's state after ten records of partition 0, one block. */
static void save_ten(const struct scene *scene, struct esp_buf *archive)
{
    esp_buf_init(archive, 1 << 20);
    struct esp_log_writer *writer = open_writer(scene);
    for (size_t i = 0; i < 10; i++)
        test_append(writer, 0, NULL, "one of ten");
    flush(writer);
    save(writer, archive);
    esp_log_writer_free(writer);
}

/* A file that is shorter than it was, or another one under its name, is nothing to go on with. */
static void test_other_file(struct scene *scene, gconstpointer codec)
{
    (void)codec;
    struct esp_buf archive;
    struct esp_error err = {0};
    save_ten(scene, &archive);
    char *path = path_of(scene, "t+0+0000000000.avro");
    gchar *bytes = NULL;
    gsize size = 0;
    g_assert_true(g_file_get_contents(path, &bytes, &size, NULL));
    struct esp_log_writer *writer = open_writer(scene);
    ok(fill(writer, esp_buf_bytes(&archive), &err), &err);
    g_assert_cmpint(truncate(path, (off_t)size - 1), ==, 0);
    g_assert_cmpint(cut_back(scene, writer, NULL, &err), ==, ESP_EDATA);
    g_assert_nonnull(
        strstr(err.text, "t+0+0000000000.avro: it is not the file that this run wrote"));
    g_assert_nonnull(strstr(err.text, "and had"));
    err = (struct esp_error){0};
    bytes[size - 1] ^= 1;
    test_write_file(path, bytes, size);
    g_assert_cmpint(cut_back(scene, writer, NULL, &err), ==, ESP_EDATA);
    g_assert_nonnull(strstr(err.text, "no block ends after its first"));
    bytes[size - 1] ^= 1;
    test_write_file(path, bytes, size);
    err = (struct esp_error){0};
    ok(cut_back(scene, writer, NULL, &err), &err);
    esp_log_writer_free(writer);
    g_free(bytes);
    g_free(path);
    esp_buf_release(&archive);
}

static void read_back(const struct scene *scene, size_t want, int64_t first)
{
    struct test_read read;
    test_read_init(&read);
    test_read_partition(scene->log, "t", 0, ESP_OFFSET_EARLIEST, 64, &read);
    g_assert_cmpstr(read.err.text, ==, "");
    g_assert_cmpuint(read.contents->len, ==, want);
    for (size_t i = 0; i < read.offsets->len && !g_test_failed(); i++)
        g_assert_cmpint(g_array_index(read.offsets, int64_t, i), ==, first + (int64_t)i);
    test_read_release(&read);
}

/* Somebody has taken the file away: said, and a new one goes on at the same offsets. */
static void test_file_gone(struct scene *scene, gconstpointer codec)
{
    (void)codec;
    struct esp_buf archive;
    save_ten(scene, &archive);
    char *path = path_of(scene, "t+0+0000000000.avro");
    g_assert_cmpint(g_unlink(path), ==, 0);
    struct esp_log_writer *writer = recover(scene, &archive, NULL);
    g_assert_true(test_reports_have(&scene->reports, "t+0+0000000000.avro: is gone"));
    test_append(writer, 0, NULL, "the eleventh");
    flush(writer);
    esp_log_writer_free(writer);
    read_back(scene, 1, 10);
    g_free(path);
    esp_buf_release(&archive);
}

/* Blocks of two codecs do not go together: the next file has the new one. */
static void test_other_codec(struct scene *scene, gconstpointer codec)
{
    (void)codec;
    struct esp_buf archive;
    save_ten(scene, &archive);
    struct scene deflated = *scene;
    deflated.log = test_files_open(scene->root, "deflate", &scene->reports);
    struct esp_log_writer *writer = recover(&deflated, &archive, NULL);
    for (size_t i = 0; i < 5; i++)
        test_append(writer, 0, NULL, "more");
    flush(writer);
    esp_log_writer_free(writer);
    esp_log_free(deflated.log);
    char *second = path_of(scene, "t+0+0000000010.avro");
    g_assert_true(g_file_test(second, G_FILE_TEST_EXISTS));
    read_back(scene, 15, 0);
    g_free(second);
    esp_buf_release(&archive);
}

/* Only names that a writer gives are taken away, and only of this partition. */
static void test_others_files(struct scene *scene, gconstpointer codec)
{
    (void)codec;
    static const char *const names[] = {"later.avro", "t+1+0000000020.avro", "t+0+20.avro",
                                        "u+0+0000000020.avro", "t+0+0000000020+0000000029.avro"};
    struct esp_buf archive;
    save_ten(scene, &archive);
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        char *path = path_of(scene, names[i]);
        test_write_file(path, "x", 1);
        g_free(path);
    }
    char *own = path_of(scene, "t+0+0000000020.avro");
    test_write_file(own, "x", 1);
    esp_log_writer_free(recover(scene, &archive, NULL));
    g_assert_false(g_file_test(own, G_FILE_TEST_EXISTS));
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        char *path = path_of(scene, names[i]);
        g_assert_true(g_file_test(path, G_FILE_TEST_EXISTS));
        g_free(path);
    }
    g_free(own);
    esp_buf_release(&archive);
}

static void test_bounds(struct scene *scene, gconstpointer codec)
{
    (void)codec;
    struct esp_error err = {0};
    int64_t first = -1, end = -1;
    ok(esp_log_bounds(scene->log, "t", 0, &first, &end, &err), &err);
    g_assert_cmpint(first, ==, 0);
    g_assert_cmpint(end, ==, 0);
    struct esp_log_writer *writer = open_writer(scene);
    append_all(writer, 0, 3000);
    flush(writer);
    esp_log_writer_free(writer);
    struct test_read read;
    test_read_init(&read);
    test_read_partition(scene->log, "t", 0, ESP_OFFSET_EARLIEST, 64, &read);
    ok(esp_log_bounds(scene->log, "t", 0, &first, &end, &err), &err);
    g_assert_cmpint(first, ==, 0);
    g_assert_cmpint(end, ==, (int64_t)read.contents->len);
    char *path = path_of(scene, "t+0+0000000000.avro");
    g_assert_cmpint(g_unlink(path), ==, 0);
    ok(esp_log_bounds(scene->log, "t", 0, &first, &end, &err), &err);
    g_assert_cmpint(first, >, 0);
    g_assert_cmpint(end, ==, (int64_t)read.contents->len);
    test_read_release(&read);
    test_read_init(&read);
    test_read_partition(scene->log, "t", 0, 3, 64, &read);
    g_assert_cmpint(read.status, ==, ESP_EDATA);
    g_assert_nonnull(strstr(read.err.text, "records are gone"));
    test_read_release(&read);
    g_free(path);
}

int main(int argc, char **argv)
{
    test_start(&argc, &argv);
    static const struct {
        const char *name, *codec;
        void (*run)(struct scene *, gconstpointer);
    } rows[] = {
        {"/cut back/killed at random, the files are the undisturbed ones, null", "null",
         test_killed},
        {"/cut back/killed at random, the files are the undisturbed ones, deflate", "deflate",
         test_killed},
        {"/cut back/an archive read and written is the same", "null", test_canonical},
        {"/cut back/a damaged archive is refused or harmless", "null", test_damaged_archive},
        {"/cut back/a file that is another one is refused", "null", test_other_file},
        {"/cut back/a file that is gone is said", "null", test_file_gone},
        {"/cut back/another codec begins a new file", "null", test_other_codec},
        {"/cut back/files of others stay", "null", test_others_files},
        {"/cut back/where a partition begins and ends", "null", test_bounds},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
        g_test_add(rows[i].name, struct scene, rows[i].codec, set_up, rows[i].run, tear_down);
    return g_test_run();
}
