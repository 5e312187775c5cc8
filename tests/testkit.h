/* testkit.h - what GLib's tests lack: floats within a tolerance, and numbers that repeat. */
#ifndef ESP_TESTS_TESTKIT_H
#define ESP_TESTS_TESTKIT_H

#include <glib.h>
#include <stddef.h>
#include <stdint.h>

/* Fails the test, naming the worst element, unless |got - want| <= atol + rtol |want| for all. */
void assert_close_f32(const float *got, const float *want, size_t n, double rtol, double atol);
void assert_close(double got, double want, double rtol, double atol);

/* splitmix64: a stream of numbers from a seed. */
struct test_random {
    uint64_t state;
};
uint64_t test_random_u64(struct test_random *random);
/* below n; n > 0 */
uint64_t test_random_below(struct test_random *random, uint64_t n);
/* uniform in [0, 1) */
double test_random_unit(struct test_random *random);

/* A fresh empty folder, removed with all in it by test_folder_remove(), which frees the path. */
char *test_folder_new(void);
void test_folder_remove(char *path);

/* g_test_init() and nonfatal assertions. Call first in main(). */
void test_start(int *argc, char ***argv);

#endif
