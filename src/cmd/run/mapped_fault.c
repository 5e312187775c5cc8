/*
 * mapped_fault.c - see mapped_fault.h.
 *
 * All of it runs in a signal handler: no memory, no lock, no stream.
 */
#include "cmd/run/mapped_fault.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/uio.h>
#include <sysexits.h>
#include <unistd.h>

/* /proc/self/maps: "BEGIN-END PERMISSIONS OFFSET DEVICE INODE   PATH", a line a mapping. */
struct maps {
    int fd;
    char buffer[512];
    size_t at, n;
};
enum { MOST_LINE = PATH_MAX + 128, FIELDS_BEFORE_PATH = 5 };

/* -1: there is no more. */
static int next_char(struct maps *maps)
{
    if (maps->at == maps->n) {
        ssize_t n = read(maps->fd, maps->buffer, sizeof maps->buffer);
        maps->at = 0;
        maps->n = n > 0 ? (size_t)n : 0;
    }
    return maps->at < maps->n ? (unsigned char)maps->buffer[maps->at++] : -1;
}

/* Without its end; one that is too long is cut. False: there is no more. */
static bool next_line(struct maps *maps, char line[MOST_LINE])
{
    size_t n = 0;
    int c;
    while ((c = next_char(maps)) >= 0 && c != '\n') {
        if (n < MOST_LINE - 1)
            line[n++] = (char)c;
    }
    line[n] = '\0';
    return c >= 0 || n > 0;
}

static uintptr_t take_hex(const char **text)
{
    uintptr_t value = 0;
    for (;; (*text)++) {
        char c = **text;
        if (c >= '0' && c <= '9')
            value = value << 4 | (uintptr_t)(c - '0');
        else if (c >= 'a' && c <= 'f')
            value = value << 4 | (uintptr_t)(c - 'a' + 10);
        else
            return value;
    }
}

static const char *path_of(const char *text)
{
    for (int i = 0; i < FIELDS_BEFORE_PATH; i++) {
        text += strcspn(text, " ");
        text += strspn(text, " ");
    }
    return text;
}

/* The file that is mapped at an address, in `line`; NULL: none is. */
static const char *find_file(uintptr_t address, char line[MOST_LINE])
{
    struct maps maps = {.fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC)};
    const char *path = NULL;
    while (maps.fd >= 0 && path == NULL && next_line(&maps, line)) {
        const char *text = line;
        uintptr_t begin = take_hex(&text);
        text += *text == '-';
        uintptr_t end = take_hex(&text);
        if (begin <= address && address < end)
            path = path_of(line);
    }
    if (maps.fd >= 0)
        close(maps.fd);
    return path != NULL && *path == '/' ? path : NULL;
}

static void leave(int signal_number, siginfo_t *info, void *context)
{
    (void)context;
    static const char head[] = "espalier: ";
    static const char tail[] =
        ": a page of it cannot be read: the disk failed, or the file was cut short while it was in "
        "use; look after the disk: what is damaged is found by its checksum at the next start\n";
    char line[MOST_LINE];
    const char *path =
        info->si_code == BUS_ADRERR ? find_file((uintptr_t)info->si_addr, line) : NULL;
    if (path == NULL) {
        signal(signal_number, SIG_DFL);
        raise(signal_number); /* kills when the handler is left */
        return;
    }
    const struct iovec parts[] = {
        {(void *)(uintptr_t)head, sizeof head - 1},
        {(void *)(uintptr_t)path, strlen(path)},
        {(void *)(uintptr_t)tail, sizeof tail - 1},
    };
    ssize_t n = writev(STDERR_FILENO, parts, sizeof parts / sizeof *parts);
    (void)n; /* where it fails nobody can be told */
    _exit(EX_IOERR);
}

void mapped_fault_install(void)
{
    struct sigaction action = {.sa_sigaction = leave, .sa_flags = SA_SIGINFO};
    sigemptyset(&action.sa_mask);
    sigaction(SIGBUS, &action, NULL);
}
