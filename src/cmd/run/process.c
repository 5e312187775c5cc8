/* process.c - see process.h. The fields of /proc/self/stat are those of proc(5). */
#include "cmd/run/process.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

/* Where the figures stand, counted from the third field, the state. */
enum {
    USER = 14 - 3,
    SYSTEM = 15 - 3,
    START = 22 - 3,
    VIRTUAL_BYTES = 23 - 3,
    RESIDENT_PAGES = 24 - 3,
    N_FIELDS
};

/* The state is a letter and some are negative: they become what strtoull() makes of them. */
static bool read_fields(const char *text, uint64_t fields[N_FIELDS])
{
    for (int i = 0; i < N_FIELDS; i++) {
        text += strspn(text, " ");
        if (*text == '\0')
            return false;
        fields[i] = strtoull(text, NULL, 10);
        text += strcspn(text, " ");
    }
    return true;
}

static bool read_stat(struct process_figures *out)
{
    char line[1024];
    FILE *file = fopen("/proc/self/stat", "re");
    if (file == NULL)
        return false;
    size_t n = fread(line, 1, sizeof line - 1, file);
    fclose(file);
    line[n] = '\0';
    /* The second field is the program's name, which may hold anything; the last ) ends it. */
    const char *rest = strrchr(line, ')');
    uint64_t fields[N_FIELDS];
    if (rest == NULL || !read_fields(rest + 1, fields))
        return false;
    double ticks = (double)sysconf(_SC_CLK_TCK);
    struct timespec boot;
    clock_gettime(CLOCK_BOOTTIME, &boot);
    out->cpu_seconds = (double)(fields[USER] + fields[SYSTEM]) / ticks;
    out->up_seconds =
        (double)boot.tv_sec + (double)boot.tv_nsec / 1e9 - (double)fields[START] / ticks;
    out->virtual_bytes = fields[VIRTUAL_BYTES];
    out->resident_bytes = fields[RESIDENT_PAGES] * (uint64_t)sysconf(_SC_PAGESIZE);
    return true;
}

static bool count_fds(struct process_figures *out)
{
    DIR *folder = opendir("/proc/self/fd");
    if (folder == NULL)
        return false;
    uint64_t n = 0;
    for (const struct dirent *entry; (entry = readdir(folder)) != NULL;)
        n += entry->d_name[0] != '.';
    closedir(folder);
    out->open_fds = n - 1; /* without the folder's own */
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY)
        out->max_fds = limit.rlim_cur;
    return true;
}

bool process_read(struct process_figures *out)
{
    *out = (struct process_figures){0};
    if (read_stat(out) && count_fds(out))
        return true;
    *out = (struct process_figures){0};
    return false;
}
