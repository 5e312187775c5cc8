/* atomic_file_test.c - a file is there whole or not at all, whoever writes and whatever fails. */
#include "core/atomic_file.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "testkit.h"

/* ---- what is replaced: the Nth of these fails, and all are counted --------------------------- */

enum call { CALL_FSYNC, CALL_RENAME, CALL_LINK, N_CALLS };
static atomic_int n_calls[N_CALLS];
static int fails_at[N_CALLS];

static bool fails(enum call call)
{
    if (atomic_fetch_add(&n_calls[call], 1) + 1 != fails_at[call])
        return false;
    errno = EIO;
    return true;
}

static void expect_calls(int n_fsync, int n_rename)
{
    g_assert_cmpint(n_calls[CALL_FSYNC], ==, n_fsync);
    g_assert_cmpint(n_calls[CALL_RENAME], ==, n_rename);
}

static void reset_calls(void)
{
    for (size_t i = 0; i < N_CALLS; i++)
        atomic_store(&n_calls[i], 0);
    memset(fails_at, 0, sizeof fails_at);
}

int fsync(int fd)
{
    return fails(CALL_FSYNC) ? -1 : fdatasync(fd);
}

int rename(const char *from, const char *to)
{
    return fails(CALL_RENAME) ? -1 : renameat(AT_FDCWD, from, AT_FDCWD, to);
}

int link(const char *from, const char *to)
{
    return fails(CALL_LINK) ? -1 : linkat(AT_FDCWD, from, AT_FDCWD, to, 0);
}

/* ---- a folder -------------------------------------------------------------------------------- */

struct fixture {
    char *folder, *path, *hidden, *other;
};

static void fixture_init(struct fixture *fixture)
{
    fixture->folder = test_folder_new();
    fixture->path = g_build_filename(fixture->folder, "file", NULL);
    fixture->hidden = g_build_filename(fixture->folder, ".file.tmp", NULL);
    fixture->other = g_build_filename(fixture->folder, "other", NULL);
    reset_calls();
}

static void fixture_release(struct fixture *fixture)
{
    test_folder_remove(fixture->folder);
    g_free(fixture->path);
    g_free(fixture->hidden);
    g_free(fixture->other);
    reset_calls();
}

/* text NULL: no file. */
static void expect_file(const char *path, const char *text)
{
    char *found = NULL;
    if (!g_file_get_contents(path, &found, NULL, NULL))
        found = NULL;
    g_assert_cmpstr(found, ==, text);
    g_free(found);
}

static enum esp_status save(const char *path, const char *text, struct esp_error *err)
{
    *err = (struct esp_error){0};
    return esp_atomic_file_save(path, text, strlen(text), err);
}

/* ---- saving ---------------------------------------------------------------------------------- */

static void test_save(void)
{
    struct fixture fixture;
    struct esp_error err;
    fixture_init(&fixture);
    g_assert_cmpint(save(fixture.path, "one", &err), ==, ESP_OK);
    expect_file(fixture.path, "one");
    expect_calls(2, 1); /* the file, and the folder */
    g_assert_cmpint(save(fixture.path, "two", &err), ==, ESP_OK);
    expect_file(fixture.path, "two");
    expect_file(fixture.hidden, NULL);
    fixture_release(&fixture);
}

static void test_leftover(void)
{
    struct fixture fixture;
    struct esp_error err;
    fixture_init(&fixture);
    g_assert_true(g_file_set_contents(fixture.hidden, "much longer than what comes", -1, NULL));
    g_assert_cmpint(save(fixture.path, "one", &err), ==, ESP_OK);
    expect_file(fixture.path, "one");
    expect_file(fixture.hidden, NULL);
    fixture_release(&fixture);
}

static void test_here(void)
{
    struct fixture fixture;
    struct esp_error err;
    char *before = g_get_current_dir();
    fixture_init(&fixture);
    g_assert_cmpint(chdir(fixture.folder), ==, 0);
    g_assert_cmpint(save("file", "one", &err), ==, ESP_OK);
    g_assert_cmpint(chdir(before), ==, 0);
    expect_file(fixture.path, "one");
    g_free(before);
    fixture_release(&fixture);
}

static void test_stream(void)
{
    struct fixture fixture;
    struct esp_error err = {0};
    struct esp_atomic_file file;
    fixture_init(&fixture);
    g_assert_cmpint(esp_atomic_file_open(&file, fixture.path, &err), ==, ESP_OK);
    FILE *stream = esp_atomic_file_stream(&file, &err);
    g_assert_true(esp_atomic_file_stream(&file, &err) == stream);
    fprintf(stream, "%d and %s", 1, "more");
    expect_file(fixture.path, NULL);
    g_assert_cmpint(esp_atomic_file_close(&file, ESP_OK, &err), ==, ESP_OK);
    expect_file(fixture.path, "1 and more");
    g_assert_cmpint(file.fd, ==, -1);
    g_assert_cmpint(esp_atomic_file_close(&file, ESP_OK, &err), ==, ESP_OK); /* again is fine */
    fixture_release(&fixture);
}

static void test_lazy(void)
{
    struct fixture fixture;
    struct esp_error err = {0};
    struct esp_atomic_file file;
    fixture_init(&fixture);
    g_assert_cmpint(esp_atomic_file_open(&file, fixture.path, &err), ==, ESP_OK);
    file.is_lazy = true;
    esp_atomic_file_write(&file, "x", 1, &err);
    g_assert_cmpint(esp_atomic_file_close(&file, ESP_OK, &err), ==, ESP_OK);
    expect_file(fixture.path, "x");
    expect_calls(0, 1);
    g_assert_cmpint(esp_file_sync(fixture.path, &err), ==, ESP_OK);
    expect_calls(1, 1);
    fails_at[CALL_FSYNC] = 2;
    g_assert_cmpint(esp_file_sync(fixture.path, &err), ==, ESP_EIO);
    char *wanted =
        g_strdup_printf("%s: cannot be brought to the disk: Input/output error", fixture.path);
    g_assert_cmpstr(err.text, ==, wanted);
    g_free(wanted);
    fixture_release(&fixture);
}

/* ---- failures -------------------------------------------------------------------------------- */

/* Each call fails once, in a folder with and without an older file. */
static void test_call_fails(gconstpointer data)
{
    static const struct {
        enum call call;
        int at;
        const char *text;
        bool is_placed;
    } rows[] = {
        {CALL_FSYNC, 1, "file: cannot be written: Input/output error", false},
        {CALL_RENAME, 1, "cannot be renamed to", false},
        {CALL_FSYNC, 2, "cannot be brought to the disk", true},
    };
    size_t i = GPOINTER_TO_SIZE(data);
    for (int has_older = 0; has_older < 2; has_older++) {
        struct fixture fixture;
        struct esp_error err;
        fixture_init(&fixture);
        if (has_older) {
            g_assert_cmpint(save(fixture.path, "old", &err), ==, ESP_OK);
            reset_calls();
        }
        fails_at[rows[i].call] = rows[i].at;
        g_assert_cmpint(save(fixture.path, "new", &err), ==, ESP_EIO);
        if (strstr(err.text, rows[i].text) == NULL)
            g_test_fail_printf("%s", err.text);
        expect_file(fixture.path, rows[i].is_placed ? "new" : has_older ? "old" : NULL);
        expect_file(fixture.hidden, NULL);
        g_assert_cmpint(save(fixture.path, "newer", &err), ==, ESP_OK);
        expect_file(fixture.path, "newer");
        fixture_release(&fixture);
    }
}

static void test_no_room(void)
{
    struct fixture fixture;
    struct esp_error err = {0};
    struct esp_atomic_file file;
    int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
    fixture_init(&fixture);
    g_assert_cmpint(save(fixture.path, "old", &err), ==, ESP_OK);
    for (int through_stream = 0; through_stream < 2; through_stream++) {
        err = (struct esp_error){0};
        g_assert_cmpint(esp_atomic_file_open(&file, fixture.path, &err), ==, ESP_OK);
        FILE *stream = through_stream ? esp_atomic_file_stream(&file, &err) : NULL;
        g_assert_cmpint(dup2(full, file.fd), ==, file.fd);
        enum esp_status status = ESP_OK;
        if (through_stream)
            fputs("new", stream);
        else
            status = esp_atomic_file_write(&file, "new", 3, &err);
        g_assert_cmpint(esp_atomic_file_close(&file, status, &err), ==, ESP_EIO);
        if (strstr(err.text, "file: cannot be written: No space left on device") == NULL)
            g_test_fail_printf("%s", err.text);
        expect_file(fixture.path, "old");
    }
    close(full);
    fixture_release(&fixture);
}

static void test_abandon(void)
{
    struct fixture fixture;
    struct esp_error err = {0};
    struct esp_atomic_file file;
    fixture_init(&fixture);
    g_assert_cmpint(esp_atomic_file_open(&file, fixture.path, &err), ==, ESP_OK);
    esp_atomic_file_write(&file, "x", 1, &err);
    esp_atomic_file_abandon(&file);
    g_assert_cmpint(esp_atomic_file_open(&file, fixture.path, &err), ==, ESP_OK);
    g_assert_cmpint(esp_atomic_file_close(&file, ESP_EDATA, &err), ==, ESP_EDATA);
    expect_file(fixture.path, NULL);
    expect_file(fixture.hidden, NULL);
    expect_calls(0, 0);
    g_assert_cmpstr(err.text, ==, "");
    fixture_release(&fixture);
}

/* A link in the place of the hidden file leads nowhere. */
static void test_symlink(void)
{
    struct fixture fixture;
    struct esp_error err;
    fixture_init(&fixture);
    g_assert_true(g_file_set_contents(fixture.other, "precious", -1, NULL));
    g_assert_cmpint(symlink(fixture.other, fixture.hidden), ==, 0);
    g_assert_cmpint(save(fixture.path, "one", &err), ==, ESP_EIO);
    expect_file(fixture.other, "precious");
    fixture_release(&fixture);
}

static void test_nowhere(void)
{
    struct fixture fixture;
    struct esp_error err;
    fixture_init(&fixture);
    char *path = g_build_filename(fixture.folder, "none", "file", NULL);
    char *wanted = g_strdup_printf("%s: cannot be written: No such file or directory", path);
    g_assert_cmpint(save(path, "x", &err), ==, ESP_EIO);
    g_assert_cmpstr(err.text, ==, wanted);
    g_free(wanted);
    g_free(path);
    fixture_release(&fixture);
}

/* ---- copies ---------------------------------------------------------------------------------- */

static bool are_one_file(const char *a, const char *b)
{
    struct stat first, second;
    return stat(a, &first) == 0 && stat(b, &second) == 0 && first.st_ino == second.st_ino;
}

static void test_copy(gconstpointer data)
{
    struct fixture fixture;
    struct esp_error err = {0};
    bool may_link = GPOINTER_TO_SIZE(data) >= 1, link_fails = GPOINTER_TO_SIZE(data) == 2;
    fixture_init(&fixture);
    gsize n = 600000; /* more than one piece */
    char *bytes = g_malloc(n), *found = NULL;
    for (gsize i = 0; i < n; i++)
        bytes[i] = (char)(i * i / 7);
    g_assert_true(g_file_set_contents(fixture.other, bytes, (gssize)n, NULL));
    g_assert_true(g_file_set_contents(fixture.path, "old", -1, NULL));
    g_assert_true(g_file_set_contents(fixture.hidden, "left", -1, NULL));
    reset_calls();
    fails_at[CALL_LINK] = link_fails;
    for (int i = 0; i < 2; i++) { /* the second time both may be one file */
        g_assert_cmpint(esp_atomic_file_copy(fixture.other, fixture.path, may_link, &err), ==,
                        ESP_OK);
        expect_calls(2 * (i + 1), i + 1);
        g_assert_true(are_one_file(fixture.other, fixture.path) ==
                      (may_link && (i == 1 || !link_fails)));
        expect_file(fixture.hidden, NULL);
    }
    g_assert_true(g_file_get_contents(fixture.path, &found, &n, NULL));
    g_assert_cmpmem(found, n, bytes, 600000);
    g_assert_cmpint(esp_atomic_file_copy("/nowhere/x", fixture.path, may_link, &err), ==, ESP_EIO);
    g_assert_cmpstr(err.text, ==, "/nowhere/x: cannot be opened: No such file or directory");
    g_free(bytes);
    g_free(found);
    fixture_release(&fixture);
}

static void test_copy_fails(gconstpointer data)
{
    struct fixture fixture;
    bool may_link = GPOINTER_TO_SIZE(data) != 0;
    for (enum call call = CALL_FSYNC; call <= CALL_RENAME; call++) {
        struct esp_error err = {0};
        fixture_init(&fixture);
        g_assert_true(g_file_set_contents(fixture.other, "new", -1, NULL));
        g_assert_true(g_file_set_contents(fixture.path, "old", -1, NULL));
        reset_calls();
        fails_at[call] = 1;
        g_assert_cmpint(esp_atomic_file_copy(fixture.other, fixture.path, may_link, &err), ==,
                        ESP_EIO);
        expect_file(fixture.path, "old");
        expect_file(fixture.hidden, NULL);
        fixture_release(&fixture);
    }
}

/* ---- two writers ----------------------------------------------------------------------------- */

enum { WRITERS = 4, WRITES = 200, TEXT_BYTES = 20000 };

static atomic_int n_bad;

static void *write_often(void *data)
{
    const char *path = data;
    static atomic_int next;
    char text[TEXT_BYTES];
    memset(text, 'a' + atomic_fetch_add(&next, 1) % 26, sizeof text);
    for (int i = 0; i < WRITES; i++) {
        struct esp_atomic_file file;
        enum esp_status status = esp_atomic_file_open(&file, path, NULL);
        file.is_lazy = true;
        for (size_t done = 0; status == ESP_OK && done < sizeof text; done += 1000)
            status = esp_atomic_file_write(&file, text + done, 1000, NULL);
        if (i % 5 == 4 && status == ESP_OK)
            esp_atomic_file_abandon(&file);
        else if (esp_atomic_file_close(&file, status, NULL) != ESP_OK)
            atomic_fetch_add(&n_bad, 1);
    }
    return NULL;
}

static bool is_whole(const char *path)
{
    char *text = NULL;
    gsize n = 0;
    bool whole = g_file_get_contents(path, &text, &n, NULL) && n == TEXT_BYTES;
    for (gsize i = 0; whole && i < n; i++)
        whole = text[i] == text[0];
    g_free(text);
    return whole;
}

static void test_writers(void)
{
    struct fixture fixture;
    pthread_t threads[WRITERS];
    fixture_init(&fixture);
    write_often(fixture.path);
    for (size_t i = 0; i < WRITERS; i++)
        g_assert_cmpint(pthread_create(&threads[i], NULL, write_often, fixture.path), ==, 0);
    for (int i = 0; i < WRITES; i++)
        if (!is_whole(fixture.path))
            atomic_fetch_add(&n_bad, 1);
    for (size_t i = 0; i < WRITERS; i++)
        pthread_join(threads[i], NULL);
    g_assert_cmpint(atomic_load(&n_bad), ==, 0);
    expect_file(fixture.hidden, NULL);
    fixture_release(&fixture);
}

/* ---- rights, folders ------------------------------------------------------------------------- */

static int rights_of(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 ? (int)(info.st_mode & 07777) : -1;
}

static void test_rights(void)
{
    struct fixture fixture;
    struct esp_error err;
    fixture_init(&fixture);
    char *folder = g_build_filename(fixture.folder, "sub", NULL);
    g_assert_true(g_file_set_contents(fixture.other, "x", -1, NULL));
    mode_t before = umask(0);
    g_assert_cmpint(save(fixture.path, "x", &err), ==, ESP_OK);
    g_assert_cmpint(rights_of(fixture.path), ==, 0640);
    g_assert_cmpint(esp_atomic_file_copy(fixture.other, fixture.path, false, &err), ==, ESP_OK);
    g_assert_cmpint(rights_of(fixture.path), ==, 0640);
    g_assert_cmpint(esp_folder_make(folder, NULL, &err), ==, ESP_OK);
    g_assert_cmpint(rights_of(folder), ==, 0750);
    umask(077);
    g_assert_cmpint(save(fixture.path, "x", &err), ==, ESP_OK);
    g_assert_cmpint(rights_of(fixture.path), ==, 0600);
    umask(before);
    g_free(folder);
    fixture_release(&fixture);
}

static void test_folders(void)
{
    struct fixture fixture;
    fixture_init(&fixture);
    char *deep = g_build_filename(fixture.folder, "a", "b", NULL);
    g_assert_true(g_file_set_contents(fixture.path, "x", -1, NULL));
    const struct {
        const char *path, *setting, *text;
    } rows[] = {
        {fixture.folder, NULL, ""}, /* it is there */
        {fixture.path, NULL, ": cannot be written to: Not a directory"},
        {fixture.path, "[a] b", ": cannot be written to: Not a directory; name another in [a] b"},
        {deep, "[a] b",
         ": the folder cannot be made: No such file or directory; name another in [a] b"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct esp_error err = {0};
        char *wanted =
            rows[i].text[0] == '\0' ? g_strdup("") : g_strconcat(rows[i].path, rows[i].text, NULL);
        g_assert_cmpint(esp_folder_make(rows[i].path, rows[i].setting, &err), ==,
                        i == 0 ? ESP_OK : ESP_EIO);
        g_assert_cmpstr(err.text, ==, wanted);
        g_free(wanted);
    }
    g_free(deep);
    fixture_release(&fixture);
}

int main(int argc, char **argv)
{
    test_start(&argc, &argv);
    g_test_add_func("/a file is on the disk, and its folder, when it has been saved", test_save);
    g_test_add_func("/what a killed writer left does not matter", test_leftover);
    g_test_add_func("/a name without a folder is one of this folder", test_here);
    g_test_add_func("/what goes through a stream is there after the close", test_stream);
    g_test_add_func("/a lazy file is brought to the disk by who wants it there", test_lazy);
    g_test_add_data_func("/a failing fsync leaves what was there", GSIZE_TO_POINTER(0),
                         test_call_fails);
    g_test_add_data_func("/a failing rename leaves what was there", GSIZE_TO_POINTER(1),
                         test_call_fails);
    g_test_add_data_func("/a failing fsync of the folder is told", GSIZE_TO_POINTER(2),
                         test_call_fails);
    g_test_add_func("/a full disk leaves what was there", test_no_room);
    g_test_add_func("/an abandoned file was never there", test_abandon);
    g_test_add_func("/a symbolic link in the hidden place is not followed", test_symlink);
    g_test_add_func("/a folder that is missing is told by the file's name", test_nowhere);
    g_test_add_data_func("/a copy is one", GSIZE_TO_POINTER(0), test_copy);
    g_test_add_data_func("/a copy may be a link", GSIZE_TO_POINTER(1), test_copy);
    g_test_add_data_func("/a copy is one where links fail", GSIZE_TO_POINTER(2), test_copy);
    g_test_add_data_func("/a copy that fails leaves what was there", GSIZE_TO_POINTER(0),
                         test_copy_fails);
    g_test_add_data_func("/a link that fails leaves what was there", GSIZE_TO_POINTER(1),
                         test_copy_fails);
    g_test_add_func("/writers of one path take turns, and readers see whole files", test_writers);
    g_test_add_func("/files are made 0640 and folders 0750, the umask applied", test_rights);
    g_test_add_func("/what stands in the way of a folder is told", test_folders);
    return g_test_run();
}
