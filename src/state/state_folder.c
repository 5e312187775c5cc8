/*
 * state_folder.c - see state_folder.h.
 *
 * The lock is flock()'s: it hangs on the open file, not on the process, so a child that is forked
 * holds it too, and the kernel releases it when the last of them is dead, however they died. The
 * file's content, "PID HOST", and its time of change are for the message only. The file is never
 * removed: whoever had it open would hold a lock that no other process can see.
 */
#include "state/state_folder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/atomic_file.h"
#include "core/timespan.h"

enum {
    LOCK_TRIES = 101, /* two seconds in all */
    LOCK_PAUSE_MS = 20,
    HOLDER_SIZE = 160,
    HOST_SIZE = 64,
};

struct esp_state_folder {
    char *path;
    int lock; /* the descriptor that the lock hangs on; -1: none */
};

const char *esp_state_folder_root(const struct esp_state_folder *folder)
{
    return folder->path;
}

char *esp_state_folder_path(const struct esp_state_folder *folder, const char *name)
{
    char *path = NULL;
    return asprintf(&path, "%s/%s", folder->path, name) < 0 ? NULL : path;
}

enum esp_status esp_state_folder_make(const struct esp_state_folder *folder, const char *name,
                                      struct esp_error *err)
{
    char *path = esp_state_folder_path(folder, name);
    if (path == NULL)
        return esp_fail(err, ESP_ENOMEM, "out of memory for a path");
    enum esp_status status = esp_folder_make(path, NULL, err);
    free(path);
    return status;
}

/* ---- the lock -------------------------------------------------------------------------------- */

/* Whose lock it is, for the one who does not get it: "process 12 on host a since TIME". */
static void describe_holder(int fd, char text[HOLDER_SIZE])
{
    char content[HOLDER_SIZE], time[ESP_TIME_TEXT_SIZE], *host = content;
    struct stat info;
    ssize_t n = pread(fd, content, sizeof content - 1, 0);
    content[n < 0 ? 0 : n] = '\0';
    long pid = strtol(content, &host, 10);
    host += *host == ' ';
    host[strcspn(host, " \n")] = '\0';
    if (fstat(fd, &info) != 0 || pid <= 0 || *host == '\0') {
        snprintf(text, HOLDER_SIZE, "another process");
        return;
    }
    esp_time_format((int64_t)info.st_mtime * ESP_SECOND, time);
    int size = snprintf(text, HOLDER_SIZE, "process %ld on host %.*s", pid, HOST_SIZE, host);
    snprintf(text + size, HOLDER_SIZE - (size_t)size, " since %s", time);
}

static void sign(int fd)
{
    char host[HOST_SIZE + 1] = "", text[HOLDER_SIZE];
    if (gethostname(host, HOST_SIZE) != 0 || host[0] == '\0')
        snprintf(host, sizeof host, "unknown");
    int n = snprintf(text, sizeof text, "%ld %s\n", (long)getpid(), host);
    /* A lock that cannot be signed is one all the same. */
    if (ftruncate(fd, 0) == 0 && pwrite(fd, text, (size_t)n, 0) < 0)
        return;
}

static enum esp_status take_lock(struct esp_state_folder *folder, const char *path,
                                 struct esp_error *err)
{
    const struct timespec pause = {.tv_nsec = LOCK_PAUSE_MS * 1000000L};
    folder->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, ESP_FILE_MODE);
    if (folder->lock < 0)
        return esp_fail(err, ESP_EIO, "%s: cannot be opened: %s", path, strerror(errno));
    for (int i = 0; flock(folder->lock, LOCK_EX | LOCK_NB) != 0; i++) {
        char holder[HOLDER_SIZE];
        if (errno != EWOULDBLOCK && errno != EINTR)
            return esp_fail(err, ESP_EIO, "%s: cannot be locked: %s", path, strerror(errno));
        if (i + 1 < LOCK_TRIES) {
            nanosleep(&pause, NULL);
            continue;
        }
        describe_holder(folder->lock, holder);
        return esp_fail(err, ESP_ECONFIG,
                        "the state folder %s is in use by %s (it holds the lock %s); stop that "
                        "one, or name another folder in [state] folder",
                        folder->path, holder, strrchr(path, '/') + 1);
    }
    sign(folder->lock);
    return ESP_OK;
}

enum esp_status esp_state_folder_open(const char *path, const char *lock,
                                      struct esp_state_folder **out, struct esp_error *err)
{
    *out = NULL;
    struct esp_state_folder *folder = calloc(1, sizeof *folder);
    if (folder == NULL)
        return esp_fail(err, ESP_ENOMEM, "out of memory for the state folder");
    folder->lock = -1;
    folder->path = strdup(path);
    char *lock_path = folder->path == NULL ? NULL : esp_state_folder_path(folder, lock);
    enum esp_status status = lock_path == NULL
                                 ? esp_fail(err, ESP_ENOMEM, "out of memory for the state folder")
                                 : esp_folder_make(path, "[state] folder", err);
    if (status == ESP_OK)
        status = take_lock(folder, lock_path, err);
    if (status == ESP_OK) {
        *out = folder;
        folder = NULL; /* moved to the caller */
    }
    free(lock_path);
    esp_state_folder_close(folder);
    return status;
}

void esp_state_folder_close(struct esp_state_folder *folder)
{
    if (folder == NULL)
        return;
    if (folder->lock >= 0)
        close(folder->lock);
    free(folder->path);
    free(folder);
}
