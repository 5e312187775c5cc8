/*
 * fault.c - preloaded by tests of the whole program: makes the Nth call of a kind fail, or be the
 * last thing that the process does. What the program's own code calls is counted, not what the
 * libraries call among themselves: librdkafka ends the process where it gets no memory.
 *
 *   ESPALIER_FAULT=CLASS:N:KIND    the Nth call of the class (from 1) fails; N+: so do all later
 * ones ESPALIER_FAULT=room:N:KIND     there is room for N bytes more in regular files: the write
 * that needs more is cut short, and all later ones fail ESPALIER_FAULT_COUNT=FILE      the process
 * that was started writes "CLASS CALLS" lines there when it exits ESPALIER_FAULT_FIRED=FILE gets a
 * line when the call has come: CLASS N and where from, as offsets into the program for addr2line
 *
 * CLASS is one of the names below. KIND is an errno (ENOMEM, ENOSPC, EIO, EACCES, EMFILE, EAGAIN,
 * EROFS); or
 *   short  a write takes half of the bytes, a read gives half of those asked for
 *   kill   SIGKILL before the call
 *   torn   half of a write, then SIGKILL
 *
 * A program and the processes that it forks count together: each call has one number, so that a
 * fault happens once. What is written to stderr is not counted: somebody must tell of the fault.
 *
 * Streams: fopen() is an open; fwrite(), fflush() and fclose() of a stream on a regular file are
 * writes, and fail by turning the stream's descriptor into a full device, so that all that the
 * stream does from then on fails as it would. (What the C library writes in between because a
 * buffer is full is not counted.) fread() is a read.
 */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <link.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))
#define CALLER ((uintptr_t)__builtin_return_address(0))

#define CLASSES(X) \
    X(ALLOC)       \
    X(OPEN)        \
    X(READ)        \
    X(WRITE)       \
    X(SYNC)        \
    X(RENAME)      \
    X(LINK)        \
    X(UNLINK)      \
    X(MKDIR)       \
    X(TRUNCATE)    \
    X(MAP)         \
    X(FORK)        \
    X(THREAD)
#define AS_ENUM(name) name,
#define AS_TEXT(name) #name,
enum call_class { CLASSES(AS_ENUM) N_CLASSES, ROOM = N_CLASSES, NO_CLASS };
static const char *const class_names[] = {CLASSES(AS_TEXT) "ROOM"};

enum kind { FAIL, SHORT, KILL, TORN };

/* What the call that asks is to do. */
enum verdict { GO_ON, FAILS, HALF };

/* Shared by the processes of a run, so that a forked one counts on. */
struct counters {
    _Atomic long calls[N_CLASSES];
    _Atomic long room;
};

static struct counters before_start; /* until the constructor has run nothing is counted */
static struct counters *counters = &before_start;
static enum call_class fault_class = NO_CLASS;
static long fault_n;
static int fault_persists;
static enum kind fault_kind;
static int fault_errno;
static uintptr_t text_start, text_end, text_base;
static pid_t first_process;
static char count_path[4096], fired_path[4096];

/* Memory for what is allocated while the real allocator is looked up. */
static char early[1 << 16];
static _Atomic size_t n_early;
/* volatile: the compiler believes that dlsym() calls nothing here. */
static __thread volatile int is_looking_up __attribute__((tls_model("initial-exec")));

static void *look_up(const char *name)
{
    is_looking_up++;
    void *symbol = dlsym(RTLD_NEXT, name);
    is_looking_up--;
    if (symbol == NULL) {
        static const char text[] = "fault.c: a function of the C library is not there\n";
        (void)!syscall(SYS_write, 2, text, sizeof text - 1);
        syscall(SYS_exit_group, 70);
    }
    return symbol;
}

/* Declares a pointer `real` to the function that stands behind this one. */
#define REAL(type, name, ...)                  \
    static _Atomic(void *) symbol_;            \
    if (atomic_load(&symbol_) == NULL)         \
        atomic_store(&symbol_, look_up(name)); \
    void *loaded_ = atomic_load(&symbol_);     \
    type (*real)(__VA_ARGS__);                 \
    memcpy(&real, &loaded_, sizeof real)

static void *early_memory(size_t size)
{
    size_t at = atomic_fetch_add(&n_early, (size + 31) & ~(size_t)15);
    return at + size + 16 > sizeof early ? NULL : early + ((at + 15) & ~(size_t)15);
}

static int is_early(const void *memory)
{
    return (const char *)memory >= early && (const char *)memory < early + sizeof early;
}

/* ------------------------------------------------------------------ what is to happen ---- */

static void tell_fired(enum call_class class, long n, uintptr_t caller)
{
    if (fired_path[0] == '\0')
        return;
    char line[1024];
    int size = snprintf(line, sizeof line, "%s %ld %s 0x%lx", class_names[class], n,
                        getpid() == first_process ? "parent" : "child",
                        (unsigned long)(caller - text_base));
    void *frames[24];
    int n_frames = backtrace(frames, 24);
    for (int i = 0; i < n_frames && size < (int)sizeof line - 24; i++) {
        uintptr_t frame = (uintptr_t)frames[i];
        if (frame >= text_start && frame < text_end && frame != caller)
            size += snprintf(line + size, sizeof line - (size_t)size, " 0x%lx",
                             (unsigned long)(frame - text_base));
    }
    line[size++] = '\n';
    long fd = syscall(SYS_openat, AT_FDCWD, fired_path, O_WRONLY | O_CREAT | O_APPEND, 0644);
    if (fd >= 0) {
        (void)!syscall(SYS_write, fd, line, (size_t)size);
        syscall(SYS_close, fd);
    }
}

static void die(void)
{
    syscall(SYS_kill, getpid(), SIGKILL);
    for (;;)
        pause();
}

/* Counts a call from `caller`; with FAILS errno is set, a call that is to die does not return. */
static enum verdict judge(enum call_class class, uintptr_t caller)
{
    if (caller < text_start || caller >= text_end)
        return GO_ON;
    long n = atomic_fetch_add(&counters->calls[class], 1) + 1;
    if (class != fault_class || (fault_persists ? n < fault_n : n != fault_n))
        return GO_ON;
    if (n == fault_n)
        tell_fired(class, n, caller);
    if (fault_kind == KILL)
        die();
    if (fault_kind == SHORT || fault_kind == TORN)
        return HALF;
    errno = fault_errno;
    return FAILS;
}

static int is_regular(int fd)
{
    struct stat stat;
    return fstat(fd, &stat) == 0 && S_ISREG(stat.st_mode);
}

/* How many of n bytes there is room for. */
static size_t room_for(int fd, size_t n, uintptr_t caller)
{
    if (fault_class != ROOM || caller < text_start || caller >= text_end || !is_regular(fd))
        return n;
    long before = atomic_fetch_sub(&counters->room, (long)n);
    if (before >= (long)n)
        return n;
    if (before > 0)
        tell_fired(ROOM, fault_n, caller);
    errno = fault_errno;
    return before > 0 ? (size_t)before : 0;
}

/* ------------------------------------------------------------------ start and end ---- */

static int note_text(struct dl_phdr_info *info, size_t size, void *context)
{
    (void)size;
    (void)context;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *header = &info->dlpi_phdr[i];
        if (header->p_type == PT_LOAD && (header->p_flags & PF_X) != 0) {
            text_base = info->dlpi_addr;
            text_start = info->dlpi_addr + header->p_vaddr;
            text_end = text_start + header->p_memsz;
        }
    }
    return 1; /* the first is the program */
}

static int errno_named(const char *name)
{
    static const struct {
        const char *name;
        int number;
    } errors[] = {{"ENOMEM", ENOMEM}, {"ENOSPC", ENOSPC}, {"EIO", EIO},    {"EACCES", EACCES},
                  {"EMFILE", EMFILE}, {"EAGAIN", EAGAIN}, {"EROFS", EROFS}};
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++)
        if (strcmp(errors[i].name, name) == 0)
            return errors[i].number;
    return 0;
}

static int read_fault(const char *text)
{
    char class[16], kind[16], plus[2] = "";
    if (sscanf(text, "%15[a-z]:%ld%1[+]:%15s", class, &fault_n, plus, kind) != 4 &&
        sscanf(text, "%15[a-z]:%ld:%15s", class, &fault_n, kind) != 3)
        return 0;
    fault_persists = plus[0] == '+';
    for (int i = 0; i <= ROOM; i++)
        if (strcasecmp(class, class_names[i]) == 0)
            fault_class = (enum call_class)i;
    fault_errno = errno_named(kind);
    fault_kind = strcmp(kind, "short") == 0  ? SHORT
                 : strcmp(kind, "kill") == 0 ? KILL
                 : strcmp(kind, "torn") == 0 ? TORN
                                             : FAIL;
    return fault_class != NO_CLASS && (fault_kind != FAIL || fault_errno != 0);
}

__attribute__((constructor)) static void start(void)
{
    void *frames[4];
    backtrace(frames, 4); /* loads what it needs, which allocates */
    void *memory =
        mmap(NULL, sizeof *counters, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    const char *fault = getenv("ESPALIER_FAULT");
    if (memory == MAP_FAILED || (fault != NULL && fault[0] != '\0' && !read_fault(fault))) {
        static const char text[] = "fault.c: ESPALIER_FAULT is CLASS:N:KIND\n";
        (void)!syscall(SYS_write, 2, text, sizeof text - 1);
        syscall(SYS_exit_group, 64);
    }
    counters = memory;
    counters->room = fault_n;
    const char *path = getenv("ESPALIER_FAULT_COUNT");
    snprintf(count_path, sizeof count_path, "%s", path == NULL ? "" : path);
    path = getenv("ESPALIER_FAULT_FIRED");
    snprintf(fired_path, sizeof fired_path, "%s", path == NULL ? "" : path);
    first_process = getpid();
    dl_iterate_phdr(note_text, NULL); /* from here on calls are counted */
}

__attribute__((destructor)) static void end(void)
{
    if (count_path[0] == '\0' || getpid() != first_process)
        return;
    text_end = text_start;
    FILE *file = fopen(count_path, "w");
    for (int i = 0; file != NULL && i < N_CLASSES; i++)
        fprintf(file, "%s %ld\n", class_names[i], (long)counters->calls[i]);
    if (file != NULL)
        fclose(file);
}

/* What the dynamic loader keeps is no leak of the program. */
const char *__lsan_default_suppressions(void);
EXPORT const char *__lsan_default_suppressions(void)
{
    return "leak:_dl_map_object_deps\nleak:dl_open_worker_begin\n";
}

/* ------------------------------------------------------------------ memory ---- */

EXPORT void *malloc(size_t size)
{
    if (is_looking_up)
        return early_memory(size);
    REAL(void *, "malloc", size_t);
    return judge(ALLOC, CALLER) == GO_ON ? real(size) : NULL;
}

EXPORT void *calloc(size_t n, size_t size)
{
    if (is_looking_up)
        return early_memory(n * size);
    REAL(void *, "calloc", size_t, size_t);
    return judge(ALLOC, CALLER) == GO_ON ? real(n, size) : NULL;
}

EXPORT void *realloc(void *memory, size_t size)
{
    REAL(void *, "realloc", void *, size_t);
    return judge(ALLOC, CALLER) == GO_ON ? real(memory, size) : NULL;
}

EXPORT void *reallocarray(void *memory, size_t n, size_t size)
{
    REAL(void *, "reallocarray", void *, size_t, size_t);
    return judge(ALLOC, CALLER) == GO_ON ? real(memory, n, size) : NULL;
}

EXPORT void *aligned_alloc(size_t alignment, size_t size)
{
    REAL(void *, "aligned_alloc", size_t, size_t);
    return judge(ALLOC, CALLER) == GO_ON ? real(alignment, size) : NULL;
}

EXPORT int posix_memalign(void **out, size_t alignment, size_t size)
{
    REAL(int, "posix_memalign", void **, size_t, size_t);
    return judge(ALLOC, CALLER) == GO_ON ? real(out, alignment, size) : ENOMEM;
}

EXPORT void free(void *memory)
{
    if (is_early(memory) || is_looking_up) /* looking up frees, too: that little stays */
        return;
    REAL(void, "free", void *);
    real(memory);
}

EXPORT char *strdup(const char *text)
{
    REAL(char *, "strdup", const char *);
    return judge(ALLOC, CALLER) == GO_ON ? real(text) : NULL;
}

EXPORT char *strndup(const char *text, size_t size)
{
    REAL(char *, "strndup", const char *, size_t);
    return judge(ALLOC, CALLER) == GO_ON ? real(text, size) : NULL;
}

EXPORT int vasprintf(char **out, const char *format, va_list arguments)
{
    REAL(int, "vasprintf", char **, const char *, va_list);
    if (judge(ALLOC, CALLER) == GO_ON)
        return real(out, format, arguments);
    *out = NULL;
    return -1;
}

EXPORT int asprintf(char **out, const char *format, ...)
{
    REAL(int, "vasprintf", char **, const char *, va_list);
    if (judge(ALLOC, CALLER) != GO_ON) {
        *out = NULL;
        return -1;
    }
    va_list arguments;
    va_start(arguments, format);
    int n = real(out, format, arguments);
    va_end(arguments);
    return n;
}

int __asprintf_chk(char **out, int flag, const char *format, ...);
EXPORT int __asprintf_chk(char **out, int flag, const char *format, ...)
{
    REAL(int, "__vasprintf_chk", char **, int, const char *, va_list);
    if (judge(ALLOC, CALLER) != GO_ON) {
        *out = NULL;
        return -1;
    }
    va_list arguments;
    va_start(arguments, format);
    int n = real(out, flag, format, arguments);
    va_end(arguments);
    return n;
}

EXPORT FILE *open_memstream(char **out, size_t *size)
{
    REAL(FILE *, "open_memstream", char **, size_t *);
    return judge(ALLOC, CALLER) == GO_ON ? real(out, size) : NULL;
}

/* ------------------------------------------------------------------ files ---- */

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

/* The dying half of a torn write. */
static void tear(int is_half)
{
    if (is_half && fault_kind == TORN)
        die();
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
    if (verdict == HALF && fault_kind == TORN)
        die(); /* with its buffer unwritten */
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
