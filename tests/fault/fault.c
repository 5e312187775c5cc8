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
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <link.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fault.h"

#define AS_TEXT(name) #name,
static const char *const class_names[] = {CLASSES(AS_TEXT) "ROOM"};

enum kind { FAIL, SHORT, KILL, TORN };

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
__thread volatile int is_looking_up __attribute__((tls_model("initial-exec")));

void *look_up(const char *name)
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

void *early_memory(size_t size)
{
    size_t at = atomic_fetch_add(&n_early, (size + 31) & ~(size_t)15);
    return at + size + 16 > sizeof early ? NULL : early + ((at + 15) & ~(size_t)15);
}

int is_early(const void *memory)
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

enum verdict judge(enum call_class class, uintptr_t caller)
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

int is_regular(int fd)
{
    struct stat stat;
    return fstat(fd, &stat) == 0 && S_ISREG(stat.st_mode);
}

size_t room_for(int fd, size_t n, uintptr_t caller)
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

void tear(int is_half)
{
    if (is_half && fault_kind == TORN)
        die();
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
