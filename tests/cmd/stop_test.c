/* stop_test.c - the clock that all waits share once an end is wanted. What signals do is in
 * tests/cli/stop.bats. */
#include "cmd/run/stop.h"

#include "core/timespan.h"
#include "testkit.h"

static void test_clock(void)
{
    g_assert_false(stop_asked());
    g_assert_cmpint(stop_left_us(), ==, INT64_MAX);
    stop_begin();
    int64_t left_us = stop_left_us();
    g_assert_cmpint(left_us, <=, STOP_PATIENCE);
    stop_begin(); /* it runs already */
    g_assert_cmpint(stop_left_us(), <=, left_us);
    g_assert_false(stop_asked()); /* no signal came */
}

int main(int argc, char **argv)
{
    test_start(&argc, &argv);
    g_test_add_func("/stop/the clock starts once, and only falls", test_clock);
    return g_test_run();
}
