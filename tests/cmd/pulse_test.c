/* pulse_test.c - who is silent, and who has an excuse. */
#include "cmd/run/pulse.h"

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

static void test_first_silent(void)
{
    struct pulse pulses[3];
    for (size_t i = 0; i < 3; i++)
        pulse_init(&pulses[i], "any");
    pulse_beat(&pulses[1], 1000);
    pulse_beat(&pulses[2], 1000);
    g_assert_null(pulse_first_silent(pulses, 3, 500, 1499));
    g_assert_true(pulse_first_silent(pulses, 3, 500, 1500) == &pulses[1]);
    pulse_wait(&pulses[1]);
    g_assert_true(pulse_first_silent(pulses, 3, 500, 1500) == &pulses[2]);
    g_assert_null(pulse_first_silent(pulses, 2, 500, 1500));
}

int main(int argc, char **argv)
{
    test_start(&argc, &argv);
    g_test_add_func("/pulse/silence counts from the last beat", test_silence);
    g_test_add_func("/pulse/who waits or has left is excused", test_excuses);
    g_test_add_func("/pulse/the first of several that is silent is found", test_first_silent);
    return g_test_run();
}
