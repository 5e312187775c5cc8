/*
 * checkpoint_fork_test.c - a child writes what the parent had, while the parent goes on, and
 * nothing that happens to either leaves a damaged state.
 *
 * fork() and, where no sanitizer has them, malloc() and its kin are replaced here: one fails on
 * demand, the others die in a child that writes.
 */
#include "state/checkpoint_fork.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "checkpoint_helper.h"
#include "testkit.h"

enum { DEADLINE_MS = 60000 };

/* ---- what is replaced ------------------------------------------------------------------------ */

static bool fork_fails;

pid_t fork(void)
{
    pid_t (*real)(void) = (pid_t(*)(void))(uintptr_t)dlsym(RTLD_NEXT, "fork");
    if (!fork_fails)
        return real();
    errno = EAGAIN;
    return -1;
}

static bool is_writing_child; /* set in the child only */

#if !defined __SANITIZE_ADDRESS__ && !defined __SANITIZE_THREAD__
#define HAS_TRAPS 1
void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *old, size_t n);
void __libc_free(void *block);

static void trap(void)
{
    static const char text[] = "# the child touches the heap\n";
    if (is_writing_child && write(STDERR_FILENO, text, sizeof text - 1) >= 0)
        _exit(9);
}

void *malloc(size_t n)
{
    trap();
    return __libc_malloc(n);
}

void *calloc(size_t n, size_t size)
{
    trap();
    return __libc_calloc(n, size);
}

void *realloc(void *old, size_t n)
{
    trap();
    return __libc_realloc(old, n);
}

void free(void *block)
{
    trap();
    __libc_free(block);
}
#else
#define HAS_TRAPS 0
#endif

/* ---- the content ----------------------------------------------------------------------------- */

enum plan { PLAN_WRITE, PLAN_WAIT, PLAN_FAIL, PLAN_FAIL_SILENTLY, PLAN_ALLOCATE };

struct work {
    enum plan plan;
    struct test_state state;
    int ready[2]; /* the child tells its pid */
    int go[2];    /* and waits for a byte */
};

static enum esp_status write_content(void *context, struct esp_checkpoint_writer *writer,
                                     struct esp_error *err)
{
    struct work *work = context;
    is_writing_child = true;
    if (work->plan == PLAN_WAIT) {
        pid_t pid = getpid();
        char byte;
        if (write(work->ready[1], &pid, sizeof pid) < 0 || read(work->go[0], &byte, 1) != 1)
            return esp_fail(err, ESP_EBUG, "the pipes are broken");
    }
    if (work->plan == PLAN_FAIL)
        return esp_fail(err, ESP_EBUG, "the joiner is odd");
    if (work->plan == PLAN_FAIL_SILENTLY)
        return ESP_ELIMIT;
    if (work->plan == PLAN_ALLOCATE) {
        void *volatile block = malloc(10);
        free(block);
    }
    return test_state_write(&work->state, writer, err);
}

struct fixture {
    char *path;
    struct esp_state_folder *folder;
    struct esp_checkpoint_fork *fork;
    struct work work;
};

static void fixture_init(struct fixture *fixture, enum plan plan)
{
    *fixture = (struct fixture){.work.plan = plan};
    struct esp_error err = {0};
    fixture->path = test_folder_new();
    g_assert_cmpint(esp_state_folder_open(fixture->path, ESP_STATE_LOCK, &fixture->folder, &err),
                    ==, ESP_OK);
    g_assert_cmpint(esp_checkpoint_fork_new(fixture->folder, &fixture->fork, &err), ==, ESP_OK);
    g_assert_cmpstr(err.text, ==, "");
    g_assert_cmpint(pipe(fixture->work.ready), ==, 0);
    g_assert_cmpint(pipe(fixture->work.go), ==, 0);
    test_state_init(&fixture->work.state, 1000, 3);
}

static void fixture_release(struct fixture *fixture)
{
    esp_checkpoint_fork_free(fixture->fork);
    esp_state_folder_close(fixture->folder);
    test_folder_remove(fixture->path);
    test_state_release(&fixture->work.state);
    for (size_t i = 0; i < 2; i++) {
        close(fixture->work.ready[i]);
        close(fixture->work.go[i]);
    }
    g_assert_cmpint(waitpid(-1, NULL, WNOHANG), ==, -1); /* no child is left, dead or alive */
}

static void start(struct fixture *fixture, uint64_t number)
{
    struct esp_error err = {0};
    struct esp_checkpoint_head head = test_head(number);
    g_assert_cmpint(
        esp_checkpoint_fork_start(fixture->fork, &head, write_content, &fixture->work, &err), ==,
        ESP_OK);
    g_assert_cmpstr(err.text, ==, "");
}

/* Waits until the child says that it waits. */
static pid_t wait_for_child(const struct fixture *fixture)
{
    pid_t pid = -1;
    g_assert_cmpint(read(fixture->work.ready[0], &pid, sizeof pid), ==, sizeof pid);
    return pid;
}

static void let_go(const struct fixture *fixture)
{
    g_assert_cmpint(write(fixture->work.go[1], "x", 1), ==, 1);
}

static enum esp_checkpoint_progress wait_for(struct fixture *fixture, struct esp_error *err)
{
    enum esp_checkpoint_progress progress;
    do
        progress = esp_checkpoint_fork_wait(fixture->fork, DEADLINE_MS, err);
    while (progress == ESP_CHECKPOINT_RUNNING);
    return progress;
}

static char *part_of(uint64_t number)
{
    return g_strdup_printf("checkpoints/%010" G_GUINT64_FORMAT ".checkpoint.part", number);
}

static void expect_no_part(const struct fixture *fixture, uint64_t number)
{
    char *part = part_of(number);
    g_assert_false(test_file_is_there(fixture->folder, part));
    g_free(part);
}

/* A checkpoint goes well now. */
static void expect_good(struct fixture *fixture, uint64_t number)
{
    struct esp_error err = {0};
    struct esp_checkpoint *checkpoint = NULL;
    fixture->work.plan = PLAN_WRITE;
    start(fixture, number);
    g_assert_cmpint(wait_for(fixture, &err), ==, ESP_CHECKPOINT_WRITTEN);
    g_assert_cmpint(esp_checkpoint_fork_commit(fixture->fork, &err), ==, ESP_OK);
    g_assert_cmpint(esp_checkpoint_open(fixture->folder, number, &checkpoint, &err), ==, ESP_OK);
    g_assert_cmpstr(err.text, ==, "");
    esp_checkpoint_close(checkpoint);
    expect_no_part(fixture, number);
}

/* ---- what goes well -------------------------------------------------------------------------- */

static void test_snapshot_of_memory(void)
{
    struct fixture fixture;
    fixture_init(&fixture, PLAN_WAIT);
    struct esp_error err = {0};
    start(&fixture, 4);
    wait_for_child(&fixture);
    g_assert_cmpint(esp_checkpoint_fork_poll(fixture.fork, &err), ==, ESP_CHECKPOINT_RUNNING);
    g_assert_cmpint(esp_checkpoint_fork_wait(fixture.fork, 1, &err), ==, ESP_CHECKPOINT_RUNNING);
    struct test_state before;
    test_state_init(&before, 1000, 3);
    memset(fixture.work.state.items, 0xff, 4000); /* the parent trains on */
    fixture.work.state.count = 0;
    let_go(&fixture);
    g_assert_cmpint(wait_for(&fixture, &err), ==, ESP_CHECKPOINT_WRITTEN);
    g_assert_cmpint(esp_checkpoint_fork_poll(fixture.fork, &err), ==, ESP_CHECKPOINT_WRITTEN);
    uint64_t *numbers = NULL;
    size_t n = 9;
    g_assert_cmpint(esp_checkpoint_list(fixture.folder, &numbers, &n, &err), ==, ESP_OK);
    g_assert_cmpuint(n, ==, 0); /* it does not count before it is committed */
    g_assert_cmpint(esp_checkpoint_fork_commit(fixture.fork, &err), ==, ESP_OK);
    g_assert_cmpint(esp_checkpoint_fork_poll(fixture.fork, &err), ==, ESP_CHECKPOINT_IDLE);
    g_assert_cmpuint(esp_checkpoint_fork_number(fixture.fork), ==, 4);
    struct esp_checkpoint *checkpoint = NULL;
    struct test_state read = {0};
    g_assert_cmpint(esp_checkpoint_open(fixture.folder, 4, &checkpoint, &err), ==, ESP_OK);
    g_assert_cmpint(test_state_read(&read, checkpoint, &err), ==, ESP_OK);
    g_assert_cmpstr(err.text, ==, "");
    g_assert_cmpuint(read.count, ==, 3);
    g_assert_cmpmem(read.items, read.n * 4, before.items, 4000);
    char *path = esp_checkpoint_path(fixture.folder, 4, "");
    struct stat info;
    g_assert_cmpint(stat(path, &info), ==, 0);
    g_assert_cmpuint(esp_checkpoint_fork_bytes(fixture.fork), ==, (uint64_t)info.st_size);
    free(path);
    free(numbers);
    test_state_release(&read);
    test_state_release(&before);
    esp_checkpoint_close(checkpoint);
    fixture_release(&fixture);
}

static void test_one_at_a_time(void)
{
    struct fixture fixture;
    fixture_init(&fixture, PLAN_WAIT);
    struct esp_checkpoint_head head = test_head(2);
    g_assert_cmpint(esp_checkpoint_fork_commit(fixture.fork, NULL), ==, ESP_EINVAL);
    start(&fixture, 1);
    for (int i = 0; i < 2; i++) { /* RUNNING, then WRITTEN */
        g_assert_cmpint(
            esp_checkpoint_fork_start(fixture.fork, &head, write_content, &fixture.work, NULL), ==,
            ESP_EINVAL);
        if (i == 0) {
            g_assert_cmpint(esp_checkpoint_fork_commit(fixture.fork, NULL), ==, ESP_EINVAL);
            let_go(&fixture);
            g_assert_cmpint(wait_for(&fixture, NULL), ==, ESP_CHECKPOINT_WRITTEN);
        }
    }
    esp_checkpoint_fork_cancel(fixture.fork); /* what is written can be cancelled */
    g_assert_cmpint(esp_checkpoint_fork_poll(fixture.fork, NULL), ==, ESP_CHECKPOINT_IDLE);
    expect_no_part(&fixture, 1);
    expect_good(&fixture, 2);
    fixture_release(&fixture);
}

static void test_cancel(void)
{
    struct fixture fixture;
    fixture_init(&fixture, PLAN_WAIT);
    start(&fixture, 1);
    pid_t child = wait_for_child(&fixture);
    esp_checkpoint_fork_cancel(fixture.fork);
    g_assert_cmpint(kill(child, 0), ==, -1);
    expect_no_part(&fixture, 1);
    start(&fixture, 2);
    wait_for_child(&fixture); /* and _free() cancels, too */
    fixture_release(&fixture);
}

/* Who ignores SIGCHLD gets no exit code. */
static void test_ignored_sigchld(void)
{
    struct fixture fixture;
    fixture_init(&fixture, PLAN_WRITE);
    signal(SIGCHLD, SIG_IGN);
    expect_good(&fixture, 1);
    signal(SIGCHLD, SIG_DFL);
    fixture_release(&fixture);
}

/* ---- what fails ------------------------------------------------------------------------------ */

static void expect_failure(struct fixture *fixture, enum esp_status wanted, const char *text)
{
    struct esp_error err = {0};
    g_assert_cmpint(wait_for(fixture, &err), ==, ESP_CHECKPOINT_FAILED);
    g_assert_cmpint(err.status, ==, wanted);
    if (strstr(err.text, text) == NULL)
        g_test_fail_printf("'%s' is not in: %s", text, err.text);
    expect_no_part(fixture, esp_checkpoint_fork_number(fixture->fork));
    g_assert_cmpint(esp_checkpoint_fork_commit(fixture->fork, NULL), ==, ESP_EINVAL);
}

static void test_content_fails(gconstpointer data)
{
    struct fixture fixture;
    fixture_init(&fixture, (enum plan)GPOINTER_TO_SIZE(data));
    start(&fixture, 1);
    if (fixture.work.plan == PLAN_FAIL)
        expect_failure(&fixture, ESP_EBUG, "the joiner is odd");
    else
        expect_failure(&fixture, ESP_ELIMIT, "0000000001.checkpoint.part: cannot be written");
    expect_good(&fixture, 2);
    fixture_release(&fixture);
}

static void test_killed(void)
{
    struct fixture fixture;
    fixture_init(&fixture, PLAN_WAIT);
    start(&fixture, 1);
    kill(wait_for_child(&fixture), SIGKILL);
    expect_failure(&fixture, ESP_EIO, "was killed by signal 9");
    expect_good(&fixture, 2);
    fixture_release(&fixture);
}

static void on_signal(int number)
{
    (void)number;
}

/* What ends the parent's work in an orderly way does not touch the child. */
/* The clock is the test's own. */
static void test_hangs(void)
{
    struct fixture fixture;
    fixture_init(&fixture, PLAN_WAIT);
    struct esp_error err = {0};
    start(&fixture, 5);
    wait_for_child(&fixture);
    char *part = esp_checkpoint_path(fixture.folder, 5, ".part");
    esp_checkpoint_fork_watch(fixture.fork, 100, 10);
    esp_checkpoint_fork_watch(fixture.fork, 109, 10);
    g_assert_cmpint(truncate(part, 7), ==, 0); /* as if it had written */
    esp_checkpoint_fork_watch(fixture.fork, 110, 10);
    esp_checkpoint_fork_watch(fixture.fork, 119, 10);
    let_go(&fixture);
    g_assert_cmpint(wait_for(&fixture, &err), ==, ESP_CHECKPOINT_WRITTEN); /* none of it was late */
    esp_checkpoint_fork_cancel(fixture.fork);
    start(&fixture, 5);
    wait_for_child(&fixture);
    esp_checkpoint_fork_watch(fixture.fork, 200, 10);
    esp_checkpoint_fork_watch(fixture.fork, 210, 10);
    g_assert_cmpint(wait_for(&fixture, &err), ==, ESP_CHECKPOINT_FAILED);
    char *why =
        g_strdup_printf("%s: the process that wrote it did nothing any more, and was ended", part);
    g_assert_cmpstr(err.text, ==, why);
    expect_no_part(&fixture, 5);
    expect_good(&fixture, 6);
    g_free(why);
    free(part);
    fixture_release(&fixture);
}

static void test_signals(void)
{
    struct fixture fixture;
    struct esp_error err = {0};
    fixture_init(&fixture, PLAN_WAIT);
    signal(SIGHUP, on_signal);
    start(&fixture, 1);
    pid_t child = wait_for_child(&fixture);
    kill(child, SIGTERM);
    kill(child, SIGINT);
    kill(child, SIGHUP);
    let_go(&fixture);
    g_assert_cmpint(wait_for(&fixture, &err), ==, ESP_CHECKPOINT_WRITTEN);
    g_assert_cmpstr(err.text, ==, "");
    sigset_t mask;
    pthread_sigmask(SIG_BLOCK, NULL, &mask);
    g_assert_false(sigismember(&mask, SIGTERM)); /* nor is the parent's mask another one */
    signal(SIGHUP, SIG_DFL);
    fixture_release(&fixture);
}

/* As on a disk that is full: the limit of file sizes is met in the middle. */
static void test_no_room(void)
{
    struct fixture fixture;
    struct rlimit before, small;
    fixture_init(&fixture, PLAN_WRITE);
    getrlimit(RLIMIT_FSIZE, &before);
    small = (struct rlimit){.rlim_cur = 3000, .rlim_max = before.rlim_max};
    setrlimit(RLIMIT_FSIZE, &small);
    start(&fixture, 1);
    struct esp_error err = {0};
    enum esp_checkpoint_progress progress = wait_for(&fixture, &err);
    setrlimit(RLIMIT_FSIZE, &before);
    g_assert_cmpint(progress, ==, ESP_CHECKPOINT_FAILED);
    if (strstr(err.text, "0000000001.checkpoint.part: cannot be written: File too large") == NULL)
        g_test_fail_printf("%s", err.text);
    expect_no_part(&fixture, 1);
    expect_good(&fixture, 2);
    fixture_release(&fixture);
}

static void test_fork_fails(void)
{
    struct fixture fixture;
    struct esp_error err = {0};
    struct esp_checkpoint_head head = test_head(1);
    fixture_init(&fixture, PLAN_WRITE);
    fork_fails = true;
    g_assert_cmpint(
        esp_checkpoint_fork_start(fixture.fork, &head, write_content, &fixture.work, &err), ==,
        ESP_EIO);
    fork_fails = false;
    if (strstr(err.text, "no process can be forked to write it: Resource temporarily") == NULL)
        g_test_fail_printf("%s", err.text);
    g_assert_cmpint(esp_checkpoint_fork_poll(fixture.fork, NULL), ==, ESP_CHECKPOINT_FAILED);
    expect_no_part(&fixture, 1);
    sigset_t mask;
    pthread_sigmask(SIG_BLOCK, NULL, &mask);
    g_assert_false(sigismember(&mask, SIGTERM));
    expect_good(&fixture, 1);
    fixture_release(&fixture);
}

static void test_no_file(void)
{
    struct fixture fixture;
    struct esp_error err = {0};
    struct esp_checkpoint_head head = test_head(1);
    fixture_init(&fixture, PLAN_WRITE);
    char *part = part_of(1);
    esp_state_folder_make(fixture.folder, part, NULL); /* a folder where the file should be */
    g_assert_cmpint(
        esp_checkpoint_fork_start(fixture.fork, &head, write_content, &fixture.work, &err), ==,
        ESP_EIO);
    if (strstr(err.text, "cannot be made: Is a directory") == NULL)
        g_test_fail_printf("%s", err.text);
    g_free(part);
    expect_good(&fixture, 2);
    fixture_release(&fixture);
}

/* A rename that fails: the checkpoint before is still the newest. */
static void test_commit_fails(void)
{
    struct fixture fixture;
    struct esp_error err = {0};
    fixture_init(&fixture, PLAN_WRITE);
    expect_good(&fixture, 1);
    esp_state_folder_make(fixture.folder, "checkpoints/0000000002.checkpoint", NULL);
    start(&fixture, 2);
    g_assert_cmpint(wait_for(&fixture, &err), ==, ESP_CHECKPOINT_WRITTEN);
    g_assert_cmpint(esp_checkpoint_fork_commit(fixture.fork, &err), ==, ESP_EIO);
    if (strstr(err.text, "cannot be renamed") == NULL)
        g_test_fail_printf("%s", err.text);
    g_assert_cmpint(esp_checkpoint_fork_poll(fixture.fork, NULL), ==, ESP_CHECKPOINT_FAILED);
    expect_no_part(&fixture, 2);
    expect_good(&fixture, 3);
    fixture_release(&fixture);
}

/* ---- the lock, and orphans ------------------------------------------------------------------- */

static bool is_locked(const struct fixture *fixture)
{
    char *path = g_build_filename(fixture->path, ESP_STATE_LOCK, NULL);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    bool locked = flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    close(fd);
    g_free(path);
    return locked;
}

static void test_child_holds_lock(void)
{
    struct fixture fixture;
    fixture_init(&fixture, PLAN_WAIT);
    start(&fixture, 1);
    wait_for_child(&fixture);
    esp_state_folder_close(fixture.folder); /* as if the parent had died and the child not yet */
    g_assert_true(is_locked(&fixture));
    let_go(&fixture);
    g_assert_cmpint(wait_for(&fixture, NULL), ==, ESP_CHECKPOINT_WRITTEN);
    g_assert_false(is_locked(&fixture));
    g_assert_cmpint(esp_state_folder_open(fixture.path, ESP_STATE_LOCK, &fixture.folder, NULL), ==,
                    ESP_OK);
    esp_checkpoint_fork_free(fixture.fork);
    fixture.fork = NULL;
    fixture_release(&fixture);
}

/* Waits until nobody has the write end of a pipe any more. */
static void wait_for_end(int fd)
{
    char byte;
    struct pollfd end = {.fd = fd, .events = POLLIN};
    while (poll(&end, 1, DEADLINE_MS) < 0 && errno == EINTR)
        ;
    g_assert_cmpint(end.revents & POLLHUP, !=, 0);
    g_assert_cmpint(read(fd, &byte, 1), ==, 0);
}

/*
 * The process that trains is killed while its child writes: the child dies with it, its file has
 * no name that counts, and the next process gets the lock.
 */
static void test_orphan(void)
{
    struct fixture fixture;
    int life[2]; /* its write end is with both */
    fixture_init(&fixture, PLAN_WAIT);
    expect_good(&fixture, 1);
    fixture.work.plan = PLAN_WAIT;
    esp_checkpoint_fork_free(fixture.fork);
    esp_state_folder_close(fixture.folder);
    fixture.fork = NULL;
    fixture.folder = NULL;
    g_assert_cmpint(pipe(life), ==, 0);
    pid_t trainer = fork();
    if (trainer == 0) {
        struct esp_checkpoint_head head = test_head(2);
        struct esp_checkpoint_fork *own = NULL;
        if (esp_state_folder_open(fixture.path, ESP_STATE_LOCK, &fixture.folder, NULL) == ESP_OK &&
            esp_checkpoint_fork_new(fixture.folder, &own, NULL) == ESP_OK)
            esp_checkpoint_fork_start(own, &head, write_content, &fixture.work, NULL);
        for (;;)
            pause();
    }
    close(life[1]);
    wait_for_child(&fixture);
    kill(trainer, SIGKILL);
    waitpid(trainer, NULL, 0);
    wait_for_end(life[0]);
    close(life[0]);
    g_assert_cmpint(esp_state_folder_open(fixture.path, ESP_STATE_LOCK, &fixture.folder, NULL), ==,
                    ESP_OK);
    char *part = part_of(2);
    g_assert_true(test_file_is_there(fixture.folder, part));
    uint64_t *numbers = NULL;
    size_t n = 0;
    g_assert_cmpint(esp_checkpoint_list(fixture.folder, &numbers, &n, NULL), ==, ESP_OK);
    g_assert_cmpuint(n, ==, 1);
    if (n == 1)
        g_assert_cmpuint(numbers[0], ==, 1);
    g_assert_cmpint(esp_checkpoint_prune(fixture.folder, 2, NULL), ==, ESP_OK);
    expect_no_part(&fixture, 2);
    free(numbers);
    g_free(part);
    fixture_release(&fixture);
}

/* ---- threads --------------------------------------------------------------------------------- */

static atomic_bool stop_busy;

/* Has the heap's locks, and stdio's, taken most of the time. */
static void *be_busy(void *sink)
{
    struct test_random random = {.state = 1};
    void *blocks[64] = {NULL};
    while (!atomic_load(&stop_busy)) {
        size_t i = test_random_below(&random, 64);
        free(blocks[i]);
        blocks[i] = malloc(1 + test_random_below(&random, 1 << 18));
        fprintf(sink, "%zu %f\n", i, test_random_unit(&random));
    }
    for (size_t i = 0; i < 64; i++)
        free(blocks[i]);
    return NULL;
}

static void test_threads(void)
{
    enum { THREADS = 4, CHECKPOINTS = 40 };
    pthread_t threads[THREADS];
    struct fixture fixture;
    fixture_init(&fixture, PLAN_WRITE);
    FILE *sink = fopen("/dev/null", "we");
    for (size_t i = 0; i < THREADS; i++)
        g_assert_cmpint(pthread_create(&threads[i], NULL, be_busy, sink), ==, 0);
    for (uint64_t number = 1; number <= CHECKPOINTS && !g_test_failed(); number++)
        expect_good(&fixture, number);
    atomic_store(&stop_busy, true);
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    fclose(sink);
    fixture_release(&fixture);
}

/* That the traps of this file would notice an allocation; all other tests have them set. */
static void test_traps(void)
{
    if (!HAS_TRAPS) {
        g_test_skip("the sanitizer has malloc()");
        return;
    }
    struct fixture fixture;
    fixture_init(&fixture, PLAN_ALLOCATE);
    start(&fixture, 1);
    expect_failure(&fixture, ESP_EIO, "ended without a word");
    fixture_release(&fixture);
}

int main(int argc, char **argv)
{
    test_start(&argc, &argv);
    g_test_add_func("/the child writes the memory of the fork while the parent changes it",
                    test_snapshot_of_memory);
    g_test_add_func("/one checkpoint is written at a time", test_one_at_a_time);
    g_test_add_func("/a checkpoint can be cancelled, and leaves neither file nor process",
                    test_cancel);
    g_test_add_func("/it works where SIGCHLD is ignored", test_ignored_sigchld);
    g_test_add_data_func("/why the content failed is told", GSIZE_TO_POINTER(PLAN_FAIL),
                         test_content_fails);
    g_test_add_data_func("/content that fails without a word has failed",
                         GSIZE_TO_POINTER(PLAN_FAIL_SILENTLY), test_content_fails);
    g_test_add_func("/a child that is killed is a failure that is told", test_killed);
    g_test_add_func("/a child that hangs is ended, told, and the next one is good", test_hangs);
    g_test_add_func("/SIGTERM, SIGINT and SIGHUP do not end the child", test_signals);
    g_test_add_func("/no room for the file is told and the next one is good", test_no_room);
    g_test_add_func("/a fork that fails costs one checkpoint", test_fork_fails);
    g_test_add_func("/a file that cannot be made costs one checkpoint", test_no_file);
    g_test_add_func("/a rename that fails costs one checkpoint", test_commit_fails);
    g_test_add_func("/the lock is held while a child lives", test_child_holds_lock);
    g_test_add_func("/a child does not outlive its parent, nor name its file", test_orphan);
    g_test_add_func("/40 checkpoints while 4 threads allocate and print", test_threads);
    g_test_add_func("/a child that allocates would be noticed", test_traps);
    return g_test_run();
}
