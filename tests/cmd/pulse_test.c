/* pulse_test.c - who is silent, and who has an excuse. */
#include "cmd/pulse.h"

#include "testkit.h"

static void test_silence(void)
{
    struct pulse pulse;
    pulse_init(&pulse, "ingest");
    g_assert_cmpint(pulse_silence_us(&pulse, 1000), ==, 0); /* not started */
    pulse_beat(&pulse, 1000);
    g_assert_cmpint(pulse_silence_us(&pulse, 1000), ==, 0);
    g_assert_cmpint(pulse_silence_us(&pulse, 5000), ==, 4000);
    g_assert_cmpint(pulse_silence_us(&pulse, 900), ==, 0); /* beat after the caller's look */
    pulse_beat(&pulse, 4000);
    g_assert_cmpint(pulse_silence_us(&pulse, 5000), ==, 1000);
}

static void test_excuses(void)
{
    struct pulse pulse;
    pulse_init(&pulse, "ingest");
    pulse_beat(&pulse, 1000);
    pulse_wait(&pulse);
    g_assert_cmpint(pulse_silence_us(&pulse, G_MAXINT64), ==, 0);
    pulse_beat(&pulse, 2000);
    g_assert_cmpint(pulse_silence_us(&pulse, 3000), ==, 1000);
    pulse_leave(&pulse);
    g_assert_cmpint(pulse_silence_us(&pulse, G_MAXINT64), ==, 0);
}

int main(int argc, char **argv)
{
    test_start(&argc, &argv);
    g_test_add_func("/pulse/silence counts from the last beat", test_silence);
    g_test_add_func("/pulse/who waits or has left is excused", test_excuses);
    return g_test_run();
}
