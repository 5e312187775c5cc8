/* mapped_fault_test.c - a child process touches what is gone of a mapped file. */
#include "cmd/run/mapped_fault.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "core/pool.h"
#include "testkit.h"

enum { N_PAGES = 4 };

/* Runs in a child, its stderr into a file; returns its wait status. */
static int run_child(void (*body)(const char *path), const char *path, const char *said)
{
    pid_t pid = fork();
    g_assert_cmpint(pid, >=, 0);
    if (pid == 0) {
        const struct rlimit none = {0, 0};
        setrlimit(RLIMIT_CORE, &none);
        int fd = open(said, O_WRONLY | O_CREAT | O_TRUNC, 0600);
        dup2(fd, STDERR_FILENO);
        mapped_fault_install();
        body(path);
        _exit(EX_OK);
    }
    int status = 0;
    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    return status;
}

static volatile char sink;

/* Maps the file, cuts it to one page, and reads the last that was there. */
static void touch_cut_file(const char *path)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    int fd = open(path, O_RDWR);
    const char *memory = mmap(NULL, N_PAGES * page, PROT_READ, MAP_SHARED, fd, 0);
    if (memory == MAP_FAILED || ftruncate(fd, (off_t)page) != 0)
        _exit(EX_SOFTWARE);
    sink = memory[0]; /* is still there */
    sink = memory[(N_PAGES - 1) * page];
}

static pthread_t main_thread;

/* In the other thread; this one waits for the end of the process. */
static void touch_if_worker(void *path, size_t task, size_t worker)
{
    (void)task, (void)worker;
    while (pthread_equal(pthread_self(), main_thread))
        pause();
    touch_cut_file(path);
}

static void touch_in_a_pool(const char *path)
{
    struct esp_pool *pool = NULL;
    main_thread = pthread_self();
    if (esp_pool_new(2, &pool, NULL) != ESP_OK)
        _exit(EX_SOFTWARE);
    esp_pool_run(pool, 2, touch_if_worker, (void *)(uintptr_t)path);
}

static void raise_another(const char *path)
{
    (void)path;
    raise(SIGBUS); /* of no page */
}

static void names_the_file(void (*body)(const char *path))
{
    char *made = g_dir_make_tmp("mapped-XXXXXX", NULL);
    char *folder = realpath(made, NULL); /* as the kernel names it */
    /* A name that has what lines and fields are parted by. */
    char *path = g_build_filename(folder, "0 a-b segment", NULL);
    char *said = g_build_filename(folder, "said", NULL);
    size_t size = N_PAGES * (size_t)sysconf(_SC_PAGESIZE);
    char *zeros = g_malloc0(size);
    g_assert_true(g_file_set_contents(path, zeros, (gssize)size, NULL));
    int status = run_child(body, path, said);
    char *text = NULL;
    g_assert_true(g_file_get_contents(said, &text, NULL, NULL));
    g_assert_true(WIFEXITED(status));
    g_assert_cmpint(WEXITSTATUS(status), ==, EX_IOERR);
    char *want = g_strdup_printf("espalier: %s: a page of it cannot be read: ", path);
    g_assert_true(g_str_has_prefix(text, want));
    g_assert_cmpuint(strcspn(text, "\n"), ==, strlen(text) - 1); /* one line */
    g_unlink(path);
    g_unlink(said);
    g_rmdir(folder);
    g_free(want);
    g_free(text);
    g_free(zeros);
    g_free(said);
    g_free(path);
    free(folder);
    g_free(made);
}

static void test_names_the_file(void)
{
    names_the_file(touch_cut_file);
}

static void test_names_it_in_a_pool(void)
{
    names_the_file(touch_in_a_pool);
}

static void test_leaves_others_alone(void)
{
    int status = run_child(raise_another, NULL, "/dev/null");
    g_assert_true(WIFSIGNALED(status));
    g_assert_cmpint(WTERMSIG(status), ==, SIGBUS);
}

int main(int argc, char **argv)
{
    test_start(&argc, &argv);
    g_test_add_func("/mapped_fault/a file that was cut is named", test_names_the_file);
    g_test_add_func("/mapped_fault/a thread of a pool names it, too", test_names_it_in_a_pool);
    g_test_add_func("/mapped_fault/another SIGBUS kills as ever", test_leaves_others_alone);
    return g_test_run();
}
