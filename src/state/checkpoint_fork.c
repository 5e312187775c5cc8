/*
 * checkpoint_fork.c - see checkpoint_fork.h.
 *
 * The child tells how it ended by one report through a pipe, whole or not at all (it is shorter
 * than PIPE_BUF). The report, not the exit code, is what counts: who starts this program with
 * SIGCHLD ignored has the kernel throw the code away.
 *
 * Everything the child needs is made before the fork. fork() itself rather than _Fork(): the
 * handlers that libraries have registered for it are harmless here, and sanitizers know it.
 */
#include "state/checkpoint_fork.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/atomic_file.h"

enum { CHILD_NICE = 10 };

struct report {
    uint64_t bytes; /* of the file */
    struct esp_error error;
};

_Static_assert(sizeof(struct report) <= PIPE_BUF, "a report is written whole or not at all");

struct esp_checkpoint_fork {
    const struct esp_state_folder *folder;
    struct esp_checkpoint_writer *writer;
    enum esp_checkpoint_progress progress;
    uint64_t number, bytes;
    char *part; /* the path of the child's file; NULL: there is none */
    pid_t child;
    int report; /* the end of the pipe that is read; -1: none */
    struct {
        int64_t bytes; /* of the child's file, when it was last seen to have grown; -1: not yet */
        int64_t at_us; /* monotonic */
        bool is_ended; /* it hung, and was killed */
    } watch;
};

enum esp_status esp_checkpoint_fork_new(const struct esp_state_folder *folder,
                                        struct esp_checkpoint_fork **out, struct esp_error *err)
{
    *out = NULL;
    struct esp_checkpoint_fork *fork = calloc(1, sizeof *fork);
    if (fork == NULL)
        return esp_fail(err, ESP_ENOMEM, "out of memory for checkpoints");
    fork->folder = folder;
    fork->report = -1;
    fork->writer = esp_checkpoint_writer_new();
    enum esp_status status = fork->writer == NULL
                                 ? esp_fail(err, ESP_ENOMEM, "out of memory for checkpoints")
                                 : esp_state_folder_make(folder, ESP_CHECKPOINT_FOLDER, err);
    if (status == ESP_OK) {
        *out = fork;
        fork = NULL; /* moved to the caller */
    }
    esp_checkpoint_fork_free(fork);
    return status;
}

void esp_checkpoint_fork_free(struct esp_checkpoint_fork *fork)
{
    if (fork == NULL)
        return;
    esp_checkpoint_fork_cancel(fork);
    esp_checkpoint_writer_free(fork->writer);
    free(fork);
}

uint64_t esp_checkpoint_fork_number(const struct esp_checkpoint_fork *fork)
{
    return fork->number;
}

uint64_t esp_checkpoint_fork_bytes(const struct esp_checkpoint_fork *fork)
{
    return fork->bytes;
}

/* ---- the child ------------------------------------------------------------------------------- */

/* When memory runs out the kernel shall take the child: a checkpoint is sooner made again than
 * what the parent has in memory. */
static void offer_to_oom_killer(void)
{
    static const char score[] = "900\n";
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    esp_fd_write(fd, score, sizeof score - 1);
    close(fd);
}

struct work {
    pid_t parent;
    int fd;     /* of the file */
    int report; /* the end of the pipe that is written */
    const struct esp_checkpoint_head *head;
    esp_checkpoint_content *content;
    void *context;
};

/*
 * The life of the child: of all threads only this one is here, and whatever lock another held is
 * held for ever. No allocation, no stdio, no exit handlers.
 */
static void __attribute__((noreturn))
run_child(const struct esp_checkpoint_fork *fork, const struct work *work)
{
    struct report report = {.bytes = 0};
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != work->parent)
        _exit(1); /* it died before the line above */
    offer_to_oom_killer();
    setpriority(PRIO_PROCESS, 0, CHILD_NICE); /* the parent's work comes first */
    enum esp_status status =
        esp_checkpoint_writer_begin(fork->writer, work->fd, fork->part, work->head, &report.error);
    if (status == ESP_OK)
        status = work->content(work->context, fork->writer, &report.error);
    if (status == ESP_OK)
        status = esp_checkpoint_writer_finish(fork->writer, &report.error);
    if (status != ESP_OK) /* a callback that set no text must not look like a success */
        esp_fail(&report.error, status, "%s: cannot be written", fork->part);
    report.bytes = esp_checkpoint_writer_size(fork->writer);
    esp_fd_write(work->report, &report, sizeof report);
    _exit(0);
}

/* ---- starting -------------------------------------------------------------------------------- */

/*
 * Signals stay blocked in the child but those that its own faults raise. A handler of the program's
 * would only set a flag that nobody reads there; a SIGTERM that is meant for all processes of a
 * group shall not end a file which the parent may still want; SIGXFSZ blocked, a write past the
 * limit of file sizes is an error that can be told.
 */
static pid_t fork_quietly(void)
{
    static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS};
    sigset_t blocked, before;
    sigfillset(&blocked);
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
        sigdelset(&blocked, faults[i]);
    pthread_sigmask(SIG_BLOCK, &blocked, &before);
    pid_t child = fork();
    if (child != 0) {
        int why = errno;
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        errno = why;
    }
    return child;
}

/* The half-written file goes. */
static void discard(struct esp_checkpoint_fork *fork)
{
    if (fork->part != NULL)
        unlink(fork->part);
    free(fork->part);
    fork->part = NULL;
}

enum esp_status esp_checkpoint_fork_start(struct esp_checkpoint_fork *fork,
                                          const struct esp_checkpoint_head *head,
                                          esp_checkpoint_content *content, void *context,
                                          struct esp_error *err)
{
    if (fork->progress == ESP_CHECKPOINT_RUNNING || fork->progress == ESP_CHECKPOINT_WRITTEN)
        return esp_fail(err, ESP_EINVAL, "a checkpoint is being written already");
    int ends[2] = {-1, -1};
    struct work work = {
        .parent = getpid(), .fd = -1, .head = head, .content = content, .context = context};
    enum esp_status status = ESP_OK;
    fork->progress = ESP_CHECKPOINT_FAILED;
    fork->number = head->number;
    fork->bytes = 0;
    fork->watch.bytes = -1;
    fork->watch.is_ended = false;
    fork->part = esp_checkpoint_path(fork->folder, head->number, ".part");
    if (fork->part == NULL)
        return esp_fail(err, ESP_ENOMEM, "out of memory for a path");
    work.fd = open(fork->part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, ESP_FILE_MODE);
    if (work.fd < 0 || pipe2(ends, O_CLOEXEC) != 0)
        status = esp_fail(err, ESP_EIO, "%s: cannot be made: %s", fork->part, strerror(errno));
    work.report = ends[1];
    if (status == ESP_OK) {
        fork->child = fork_quietly();
        if (fork->child == 0)
            run_child(fork, &work);
        if (fork->child < 0)
            status = esp_fail(err, ESP_EIO, "%s: no process can be forked to write it: %s",
                              fork->part, strerror(errno));
    }
    if (status == ESP_OK) {
        fork->progress = ESP_CHECKPOINT_RUNNING;
        fork->report = ends[0];
        ends[0] = -1; /* moved */
    } else {
        discard(fork);
    }
    if (ends[0] >= 0)
        close(ends[0]);
    if (ends[1] >= 0)
        close(ends[1]);
    if (work.fd >= 0)
        close(work.fd);
    return status;
}

/* ---- its end --------------------------------------------------------------------------------- */

/* The child is dead or about to be: takes it off the list of processes. -1: unknown how it died. */
static int reap(struct esp_checkpoint_fork *fork)
{
    int how = -1;
    while (waitpid(fork->child, &how, 0) < 0 && errno == EINTR)
        ;
    fork->child = 0;
    close(fork->report);
    fork->report = -1;
    return how;
}

static void note_death(const struct esp_checkpoint_fork *fork, int how, struct esp_error *err)
{
    if (fork->watch.is_ended)
        esp_fail(err, ESP_EIO, "%s: the process that wrote it did nothing any more, and was ended",
                 fork->part);
    else if (how != -1 && WIFSIGNALED(how))
        esp_fail(err, ESP_EIO, "%s: the process that wrote it was killed by signal %d%s",
                 fork->part, WTERMSIG(how),
                 WTERMSIG(how) == SIGKILL ? " (perhaps for want of memory)" : "");
    else
        esp_fail(err, ESP_EIO, "%s: the process that wrote it ended without a word", fork->part);
}

/* The pipe has something, or its other end is closed. */
static void take_report(struct esp_checkpoint_fork *fork, struct esp_error *err)
{
    struct report report;
    ssize_t n;
    do
        n = read(fork->report, &report, sizeof report);
    while (n < 0 && errno == EINTR);
    int how = reap(fork);
    fork->progress = ESP_CHECKPOINT_FAILED;
    if (n != (ssize_t)sizeof report)
        note_death(fork, how, err);
    else if (report.error.status != ESP_OK)
        esp_fail(err, report.error.status, "%s", report.error.text);
    else
        fork->progress = ESP_CHECKPOINT_WRITTEN;
    if (fork->progress == ESP_CHECKPOINT_FAILED)
        discard(fork);
    else
        fork->bytes = report.bytes;
}

enum esp_checkpoint_progress esp_checkpoint_fork_wait(struct esp_checkpoint_fork *fork,
                                                      int timeout_ms, struct esp_error *err)
{
    if (fork->progress == ESP_CHECKPOINT_RUNNING) {
        struct pollfd report = {.fd = fork->report, .events = POLLIN};
        if (poll(&report, 1, timeout_ms) == 1)
            take_report(fork, err);
    }
    return fork->progress;
}

enum esp_checkpoint_progress esp_checkpoint_fork_poll(struct esp_checkpoint_fork *fork,
                                                      struct esp_error *err)
{
    return esp_checkpoint_fork_wait(fork, 0, err);
}

void esp_checkpoint_fork_watch(struct esp_checkpoint_fork *fork, int64_t now_us,
                               int64_t patience_us)
{
    struct stat file;
    if (fork->progress != ESP_CHECKPOINT_RUNNING || stat(fork->part, &file) != 0)
        return;
    if (file.st_size != fork->watch.bytes) {
        fork->watch.bytes = file.st_size;
        fork->watch.at_us = now_us;
    } else if (now_us - fork->watch.at_us >= patience_us && !fork->watch.is_ended) {
        kill(fork->child, SIGKILL); /* it is not waited for here: its disk may hang */
        fork->watch.is_ended = true;
    }
}

enum esp_status esp_checkpoint_fork_commit(struct esp_checkpoint_fork *fork, struct esp_error *err)
{
    if (fork->progress != ESP_CHECKPOINT_WRITTEN)
        return esp_fail(err, ESP_EINVAL, "there is no checkpoint to commit");
    enum esp_status status = esp_checkpoint_commit(fork->folder, fork->number, err);
    fork->progress = status == ESP_OK ? ESP_CHECKPOINT_IDLE : ESP_CHECKPOINT_FAILED;
    discard(fork); /* its path; the file has gone to its name */
    return status;
}

void esp_checkpoint_fork_cancel(struct esp_checkpoint_fork *fork)
{
    if (fork->progress == ESP_CHECKPOINT_RUNNING) {
        kill(fork->child, SIGKILL);
        reap(fork);
    }
    discard(fork);
    fork->progress = ESP_CHECKPOINT_IDLE;
}
