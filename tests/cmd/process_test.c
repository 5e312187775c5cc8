/* process_test.c - the figures of /proc/self against what the process knows of itself. */
#include "cmd/run/process.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "testkit.h"

static struct process_figures read_now(void)
{
    struct process_figures figures;
    g_assert_true(process_read(&figures));
    return figures;
}

static void test_fds(void)
{
    uint64_t before = read_now().open_fds;
    int fds[3];
    for (int i = 0; i < 3; i++)
        fds[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
    g_assert_cmpuint(read_now().open_fds, ==, before + 3);
    for (int i = 0; i < 3; i++)
        close(fds[i]);
    g_assert_cmpuint(read_now().open_fds, ==, before);
    struct rlimit limit;
    g_assert_cmpint(getrlimit(RLIMIT_NOFILE, &limit), ==, 0);
    g_assert_cmpuint(read_now().max_fds, ==,
                     limit.rlim_cur == RLIM_INFINITY ? 0 : (uint64_t)limit.rlim_cur);
}

static void test_memory(void)
{
    enum { SIZE = 64 << 20 };
    struct process_figures before = read_now();
    char *block = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    g_assert_true(block != MAP_FAILED);
    memset(block, 1, SIZE);
    struct process_figures after = read_now();
    munmap(block, SIZE);
    /* The kernel counts pages in batches a thread and processor. */
    g_assert_cmpuint(after.resident_bytes, >=, before.resident_bytes + SIZE / 4 * 3);
    g_assert_cmpuint(after.virtual_bytes, >=, before.virtual_bytes + SIZE);
    g_assert_cmpuint(after.virtual_bytes, >=, after.resident_bytes);
}

static void test_cpu(void)
{
    struct process_figures before = read_now(), after = before;
    volatile unsigned turns = 0;
    while (after.cpu_seconds < before.cpu_seconds + 0.05) {
        for (int i = 0; i < 1000000; i++)
            turns++;
        after = read_now();
    }
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    double known = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                   (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
    g_assert_cmpfloat(after.cpu_seconds, <=, known + 0.05); /* ticks round */
    g_assert_cmpfloat(after.up_seconds, >=, before.up_seconds);
    g_assert_cmpfloat(before.up_seconds, >=, -0.05);
}

int main(int argc, char **argv)
{
    test_start(&argc, &argv);
    g_test_add_func("/process/open files are counted without the one that counts", test_fds);
    g_test_add_func("/process/memory that is touched is resident", test_memory);
    g_test_add_func("/process/processor time is what the system accounts", test_cpu);
    return g_test_run();
}
