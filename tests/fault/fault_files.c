/* fault_files.c - calls for files, processes and threads: see fault.c. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "fault.h"

EXPORT int open(const char *path, int flags, ...)
{
    REAL(int, "open", const char *, int, ...);
    va_list arguments;
    va_start(arguments, flags);
    int mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(arguments, int) : 0;
    va_end(arguments);
    return judge(OPEN, CALLER) == GO_ON ? real(path, flags, mode) : -1;
}

EXPORT int openat(int folder, const char *path, int flags, ...)
{
    REAL(int, "openat", int, const char *, int, ...);
    va_list arguments;
    va_start(arguments, flags);
    int mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(arguments, int) : 0;
    va_end(arguments);
    return judge(OPEN, CALLER) == GO_ON ? real(folder, path, flags, mode) : -1;
}

EXPORT int mkostemp(char *template, int flags)
{
    REAL(int, "mkostemp", char *, int);
    return judge(OPEN, CALLER) == GO_ON ? real(template, flags) : -1;
}

EXPORT FILE *fopen(const char *path, const char *mode)
{
    REAL(FILE *, "fopen", const char *, const char *);
    return judge(OPEN, CALLER) == GO_ON ? real(path, mode) : NULL;
}

EXPORT DIR *opendir(const char *path)
{
    REAL(DIR *, "opendir", const char *);
    return judge(OPEN, CALLER) == GO_ON ? real(path) : NULL;
}

EXPORT int scandir(const char *path, struct dirent ***out, int (*filter)(const struct dirent *),
                   int (*compare)(const struct dirent **, const struct dirent **))
{
    REAL(int, "scandir", const char *, struct dirent ***, int (*)(const struct dirent *),
         int (*)(const struct dirent **, const struct dirent **));
    return judge(OPEN, CALLER) == GO_ON ? real(path, out, filter, compare) : -1;
}

EXPORT ssize_t read(int fd, void *bytes, size_t n)
{
    REAL(ssize_t, "read", int, void *, size_t);
    enum verdict verdict = judge(READ, CALLER);
    return verdict == FAILS ? -1 : real(fd, bytes, verdict == HALF ? (n + 1) / 2 : n);
}

EXPORT ssize_t pread(int fd, void *bytes, size_t n, off_t offset)
{
    REAL(ssize_t, "pread", int, void *, size_t, off_t);
    enum verdict verdict = judge(READ, CALLER);
    return verdict == FAILS ? -1 : real(fd, bytes, verdict == HALF ? (n + 1) / 2 : n, offset);
}

/* A stream's descriptor becomes one that fails whatever is tried. */
static void spoil(FILE *stream, const char *with, int flags)
{
    long fd = syscall(SYS_openat, AT_FDCWD, with, flags | O_CLOEXEC);
    if (fd >= 0) {
        syscall(SYS_dup3, fd, fileno(stream), O_CLOEXEC);
        syscall(SYS_close, fd);
    }
}

static int is_on_disk(FILE *stream)
{
    int fd = fileno(stream);
    return fd >= 0 && is_regular(fd);
}

EXPORT size_t fread(void *items, size_t size, size_t n, FILE *stream)
{
    REAL(size_t, "fread", void *, size_t, size_t, FILE *);
    if (is_on_disk(stream) && judge(READ, CALLER) != GO_ON)
        spoil(stream, "/", O_RDONLY | O_DIRECTORY);
    return real(items, size, n, stream);
}

size_t __fread_chk(void *items, size_t room, size_t size, size_t n, FILE *stream);
EXPORT size_t __fread_chk(void *items, size_t room, size_t size, size_t n, FILE *stream)
{
    REAL(size_t, "__fread_chk", void *, size_t, size_t, size_t, FILE *);
    if (is_on_disk(stream) && judge(READ, CALLER) != GO_ON)
        spoil(stream, "/", O_RDONLY | O_DIRECTORY);
    return real(items, room, size, n, stream);
}

EXPORT ssize_t write(int fd, const void *bytes, size_t n)
{
    REAL(ssize_t, "write", int, const void *, size_t);
    if (fd == STDERR_FILENO)
        return real(fd, bytes, n);
    enum verdict verdict = judge(WRITE, CALLER);
    size_t room = room_for(fd, n, CALLER);
    if (verdict == FAILS || (room == 0 && n > 0))
        return -1;
    ssize_t written = real(fd, bytes, verdict == HALF ? (n + 1) / 2 : room);
    tear(verdict == HALF);
    return written;
}

EXPORT ssize_t pwrite(int fd, const void *bytes, size_t n, off_t offset)
{
    REAL(ssize_t, "pwrite", int, const void *, size_t, off_t);
    enum verdict verdict = judge(WRITE, CALLER);
    size_t room = room_for(fd, n, CALLER);
    if (verdict == FAILS || (room == 0 && n > 0))
        return -1;
    ssize_t written = real(fd, bytes, verdict == HALF ? (n + 1) / 2 : room, offset);
    tear(verdict == HALF);
    return written;
}

EXPORT ssize_t writev(int fd, const struct iovec *parts, int n_parts)
{
    REAL(ssize_t, "writev", int, const struct iovec *, int);
    if (fd == STDERR_FILENO)
        return real(fd, parts, n_parts);
    enum verdict verdict = judge(WRITE, CALLER);
    size_t n = 0;
    for (int i = 0; i < n_parts; i++)
        n += parts[i].iov_len;
    size_t room = room_for(fd, n, CALLER);
    if (verdict == FAILS || (room == 0 && n > 0))
        return -1;
    if (verdict == GO_ON && room == n)
        return real(fd, parts, n_parts);
    size_t most = verdict == HALF ? (n + 1) / 2 : room, done = 0;
    for (int i = 0; i < n_parts && done < most; i++) { /* as far as a short write comes */
        size_t left = most - done;
        long put = syscall(SYS_write, fd, parts[i].iov_base,
                           parts[i].iov_len < left ? parts[i].iov_len : left);
        if (put < 0)
            break;
        done += (size_t)put;
    }
    tear(verdict == HALF);
    return (ssize_t)done;
}

/* Whether a stream's own buffer has no room on the disk is decided when it is flushed. */
static void stream_writes(FILE *stream, size_t n, uintptr_t caller)
{
    if (stream == NULL || !is_on_disk(stream))
        return;
    enum verdict verdict = judge(WRITE, caller);
    if (verdict != GO_ON || room_for(fileno(stream), n, caller) < n)
        spoil(stream, "/dev/full", O_WRONLY);
    tear(verdict == HALF); /* with its buffer unwritten */
}

EXPORT size_t fwrite(const void *items, size_t size, size_t n, FILE *stream)
{
    REAL(size_t, "fwrite", const void *, size_t, size_t, FILE *);
    stream_writes(stream, size * n, CALLER);
    return real(items, size, n, stream);
}

EXPORT int fflush(FILE *stream)
{
    REAL(int, "fflush", FILE *);
    stream_writes(stream, 1, CALLER);
    return real(stream);
}

EXPORT int fclose(FILE *stream)
{
    REAL(int, "fclose", FILE *);
    int fd = fileno(stream);
    if (fd >= 0 && (fcntl(fd, F_GETFL) & O_ACCMODE) != O_RDONLY)
        stream_writes(stream, 1, CALLER);
    return real(stream);
}

#define SIMPLE(type, class, failed, name, parameters, ...)                   \
    EXPORT type name parameters                                              \
    {                                                                        \
        REAL(type, #name, PARAMETERS_##name);                                \
        return judge(class, CALLER) == GO_ON ? real(__VA_ARGS__) : (failed); \
    }
#define PARAMETERS_fsync     int
#define PARAMETERS_fdatasync int
#define PARAMETERS_rename    const char *, const char *
#define PARAMETERS_renameat  int, const char *, int, const char *
#define PARAMETERS_link      const char *, const char *
#define PARAMETERS_unlink    const char *
#define PARAMETERS_remove    const char *
#define PARAMETERS_unlinkat  int, const char *, int
#define PARAMETERS_mkdir     const char *, mode_t
#define PARAMETERS_ftruncate int, off_t
#define PARAMETERS_mmap      void *, size_t, int, int, int, off_t
#define PARAMETERS_fork      void
SIMPLE(int, SYNC, -1, fsync, (int fd), fd)
SIMPLE(int, SYNC, -1, fdatasync, (int fd), fd)
SIMPLE(int, RENAME, -1, rename, (const char *from, const char *to), from, to)
SIMPLE(int, RENAME, -1, renameat, (int a, const char *from, int b, const char *to), a, from, b, to)
SIMPLE(int, LINK, -1, link, (const char *from, const char *to), from, to)
SIMPLE(int, UNLINK, -1, unlink, (const char *path), path)
SIMPLE(int, UNLINK, -1, remove, (const char *path), path)
SIMPLE(int, UNLINK, -1, unlinkat, (int folder, const char *path, int flags), folder, path, flags)
SIMPLE(int, MKDIR, -1, mkdir, (const char *path, mode_t mode), path, mode)
SIMPLE(int, TRUNCATE, -1, ftruncate, (int fd, off_t size), fd, size)
SIMPLE(void *, MAP, MAP_FAILED, mmap,
       (void *at, size_t size, int protection, int flags, int fd, off_t offset), at, size,
       protection, flags, fd, offset)
SIMPLE(pid_t, FORK, -1, fork, (void))

EXPORT int pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                          void *(*main)(void *), void *context)
{
    REAL(int, "pthread_create", pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
    return judge(THREAD, CALLER) == GO_ON ? real(thread, attributes, main, context) : EAGAIN;
}
