/* state_folder_test.c - one process a folder and purpose; whoever comes second is told who is
 * first. */
#include "state/state_folder.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "testkit.h"

static int n_pauses;
static int release_at; /* the pause in which the other lock goes; 0: never */
static int other = -1; /* a descriptor that holds it */

/* Nobody really waits here. */
int nanosleep(const struct timespec *span, struct timespec *left)
{
    (void)span, (void)left;
    if (++n_pauses == release_at) {
        close(other);
        other = -1;
    }
    return 0;
}

static void test_open(void)
{
    char *outer = test_folder_new(), *path = g_build_filename(outer, "state", NULL);
    struct esp_state_folder *folder = NULL;
    struct esp_error err = {0};
    struct stat info;
    mode_t before = umask(0);
    g_assert_cmpint(esp_state_folder_open(path, ESP_STATE_LOCK, &folder, &err), ==, ESP_OK);
    g_assert_cmpint(esp_state_folder_make(folder, "sub", &err), ==, ESP_OK);
    g_assert_cmpint(esp_state_folder_make(folder, "sub", &err), ==, ESP_OK);
    umask(before);
    g_assert_cmpstr(err.text, ==, "");
    if (g_test_failed())
        return;
    g_assert_cmpint(stat(path, &info), ==, 0);
    g_assert_cmpint(info.st_mode & 07777, ==, 0750);
    char *lock = esp_state_folder_path(folder, "lock"), *sub = esp_state_folder_path(folder, "sub");
    g_assert_cmpint(stat(lock, &info), ==, 0);
    g_assert_cmpint(info.st_mode & 07777, ==, 0640);
    g_assert_cmpint(stat(sub, &info), ==, 0);
    g_assert_cmpint(info.st_mode & 07777, ==, 0750);
    g_assert_cmpstr(esp_state_folder_root(folder), ==, path);
    esp_state_folder_close(folder);
    g_assert_cmpint(stat(lock, &info), ==, 0); /* stays */
    free(lock);
    free(sub);
    g_free(path);
    test_folder_remove(outer);
}

/* As another process: its own open file. Returns what it was told, or "". */
static char *told_elsewhere(const char *path, const char *lock)
{
    int ends[2];
    char text[ESP_ERROR_TEXT_SIZE + 16] = "";
    g_assert_cmpint(pipe(ends), ==, 0);
    pid_t child = fork();
    if (child == 0) {
        struct esp_state_folder *folder = NULL;
        struct esp_error err = {0};
        enum esp_status status = esp_state_folder_open(path, lock, &folder, &err);
        snprintf(text, sizeof text, "%d %s", (int)status, err.text);
        _exit(write(ends[1], text, sizeof text) < 0);
    }
    close(ends[1]);
    g_assert_cmpint(read(ends[0], text, sizeof text), ==, sizeof text);
    close(ends[0]);
    waitpid(child, NULL, 0);
    return g_strdup(text);
}

static void test_second(void)
{
    char *path = test_folder_new(), host[100] = "";
    struct esp_state_folder *folder = NULL;
    gethostname(host, sizeof host - 1);
    g_assert_cmpint(esp_state_folder_open(path, "lock", &folder, NULL), ==, ESP_OK);
    char *told = told_elsewhere(path, "lock");
    char *start =
        g_strdup_printf("%d the state folder %s is in use by process %d on host %s since 2",
                        (int)ESP_ECONFIG, path, (int)getpid(), host);
    if (!g_str_has_prefix(told, start) ||
        strstr(told, "(it holds the lock lock); stop that") == NULL)
        g_test_fail_printf("%s", told);
    g_free(told);
    told = told_elsewhere(path, "score.lock"); /* another purpose */
    g_assert_cmpstr(told, ==, "0 ");
    g_free(told);
    esp_state_folder_close(folder);
    told = told_elsewhere(path, "lock");
    g_assert_cmpstr(told, ==, "0 ");
    g_free(told);
    g_free(start);
    test_folder_remove(path);
}

/* Locks a file with a text in it, as nobody of this program would. */
static void lock_as(const char *path, const char *text)
{
    char *file = g_build_filename(path, "lock", NULL);
    g_assert_true(g_file_set_contents(file, text, -1, NULL));
    other = open(file, O_RDWR | O_CLOEXEC);
    g_assert_cmpint(flock(other, LOCK_EX | LOCK_NB), ==, 0);
    g_free(file);
    n_pauses = 0;
}

static void test_waits(void)
{
    char *path = test_folder_new();
    struct esp_state_folder *folder = NULL;
    lock_as(path, "");
    release_at = 37;
    g_assert_cmpint(esp_state_folder_open(path, "lock", &folder, NULL), ==, ESP_OK);
    g_assert_cmpint(n_pauses, ==, 37);
    release_at = 0;
    esp_state_folder_close(folder);
    test_folder_remove(path);
}

static void test_unsigned(gconstpointer text)
{
    char *path = test_folder_new();
    struct esp_state_folder *folder = NULL;
    struct esp_error err = {0};
    lock_as(path, text);
    g_assert_cmpint(esp_state_folder_open(path, "lock", &folder, &err), ==, ESP_ECONFIG);
    g_assert_cmpint(n_pauses, ==, 100); /* of 20 ms */
    char *start = g_strdup_printf("the state folder %s is in use by another process (", path);
    if (!g_str_has_prefix(err.text, start))
        g_test_fail_printf("%s", err.text);
    close(other);
    other = -1;
    g_free(start);
    test_folder_remove(path);
}

/* What stands in the way of a folder, or of its lock. */
static void test_refused(void)
{
    char *outer = test_folder_new();
    char *file = g_build_filename(outer, "file", NULL),
         *deep = g_build_filename(outer, "a/b", NULL);
    char *lock = g_build_filename(outer, "lock", NULL);
    g_assert_true(g_file_set_contents(file, "x", -1, NULL));
    g_assert_cmpint(mkdir(lock, 0750), ==, 0);
    const struct {
        const char *path, *text;
    } rows[] = {
        {file, "cannot be written to: Not a directory; name another in [state] folder"},
        {deep, "the folder cannot be made: No such file or directory; name another in [state]"},
        {outer, "/lock: cannot be opened: Is a directory"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct esp_state_folder *folder = NULL;
        struct esp_error err = {0};
        g_assert_cmpint(esp_state_folder_open(rows[i].path, "lock", &folder, &err), ==, ESP_EIO);
        g_assert_null(folder);
        if (!g_str_has_prefix(err.text, rows[i].path) || strstr(err.text, rows[i].text) == NULL)
            g_test_fail_printf("%s", err.text);
    }
    g_free(lock);
    g_free(deep);
    g_free(file);
    test_folder_remove(outer);
}

int main(int argc, char **argv)
{
    test_start(&argc, &argv);
    g_test_add_func("/folders and the lock have their rights whatever the umask", test_open);
    g_test_add_func("/a second process is told who holds the lock", test_second);
    g_test_add_func("/a lock that is about to be released is waited for", test_waits);
    g_test_add_data_func("/a lock that is not signed yet is one", "", test_unsigned);
    g_test_add_data_func("/a lock with anything in it is one", "\xff 1 2 3\n\n", test_unsigned);
    g_test_add_func("/what stands in the way is named", test_refused);
    return g_test_run();
}
