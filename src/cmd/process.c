/* process.c - see process.h. The fields of /proc/self/stat are those of proc(5). */
#include "cmd/process.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

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
    uint64_t user, system, start, bytes, pages;
    if (rest == NULL || sscanf(rest + 1,
                               " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %" SCNu64 " %" SCNu64
                               " %*d %*d %*d %*d %*d %*d %" SCNu64 " %" SCNu64 " %" SCNu64,
                               &user, &system, &start, &bytes, &pages) != 5)
        return false;
    double ticks = (double)sysconf(_SC_CLK_TCK);
    struct timespec boot;
    clock_gettime(CLOCK_BOOTTIME, &boot);
    out->cpu_seconds = (double)(user + system) / ticks;
    out->up_seconds = (double)boot.tv_sec + (double)boot.tv_nsec / 1e9 - (double)start / ticks;
    out->virtual_bytes = bytes;
    out->resident_bytes = pages * (uint64_t)sysconf(_SC_PAGESIZE);
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
