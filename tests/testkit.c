/* testkit.c - see testkit.h. */
#include "testkit.h"

#include <ftw.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/hash.h"

void assert_close_f32(const float *got, const float *want, size_t n, double rtol, double atol)
{
    size_t worst = n;
    double worst_excess = 0;
    for (size_t i = 0; i < n; i++) {
        double excess = fabs((double)got[i] - want[i]) - (atol + rtol * fabs((double)want[i]));
        if (!(excess <= 0) && (worst == n || !(excess <= worst_excess))) {
            worst = i;
            worst_excess = excess;
        }
    }
    if (worst < n)
        g_test_fail_printf("element %zu of %zu: got %.9g, want %.9g", worst, n, got[worst],
                           want[worst]);
}

void assert_close(double got, double want, double rtol, double atol)
{
    if (!(fabs(got - want) <= atol + rtol * fabs(want)))
        g_test_fail_printf("got %.17g, want %.17g", got, want);
}

uint64_t test_random_u64(struct test_random *random)
{
    uint64_t bits = esp_mix64(random->state);
    random->state += UINT64_C(0x9e3779b97f4a7c15);
    return bits;
}

uint64_t test_random_below(struct test_random *random, uint64_t n)
{
    return (uint64_t)(((unsigned __int128)test_random_u64(random) * n) >> 64);
}

double test_random_unit(struct test_random *random)
{
    return esp_unit_of_bits(test_random_u64(random));
}

char *test_folder_new(void)
{
    return g_dir_make_tmp("espalier-test-XXXXXX", NULL);
}

static int remove_one(const char *path, const struct stat *info, int kind, struct FTW *walk)
{
    (void)info, (void)kind, (void)walk;
    return remove(path);
}

void test_folder_remove(char *path)
{
    nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    g_free(path);
}

void test_start(int *argc, char ***argv)
{
    g_test_init(argc, argv, NULL);
    g_test_set_nonfatal_assertions();
}
