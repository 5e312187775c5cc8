/* timespan_test.c - spans and times: texts worked by hand, limits, and libc's calendar as twin. */
#include "core/timespan.h"

#include <inttypes.h>
#include <time.h>

#include "testkit.h"

/* ---- spans ---- */

struct span_row {
    const char *name, *text;
    int64_t us; /* -1: refused */
};

static const struct span_row span_rows[] = {
    {"zero needs no unit", "0", 0},
    {"zero may have one", "0s", 0},
    {"microseconds", "17us", 17},
    {"milliseconds", "250ms", 250000},
    {"seconds", "30s", 30000000},
    {"minutes", "5m", 300000000},
    {"an hour and a half", "1.5h", INT64_C(5400000000)},
    {"days", "7d", INT64_C(604800000000)},
    {"the smallest fraction of a second", "0.000001s", 1},
    {"the largest span in days", "106751991d", INT64_C(9223372022400000000)},
    {"the largest span there is", "9223372036854.775807s", INT64_MAX},
    {"a microsecond more than the largest", "9223372036854.775808s", -1},
    {"a day more than the largest", "106751992d", -1},
    {"finer than a microsecond", "0.5us", -1},
    {"a third of a microsecond in hours", "0.0000000001h", -1},
    {"eighteen digits of microseconds", "999999999999999999us", INT64_C(999999999999999999)},
    {"nineteen digits", "9999999999999999999us", -1},
    {"twenty digits", "10000000000000000000us", -1},
    {"nineteen digits of days", "9999999999999999999d", -1},
    {"a bare number", "30", -1},
    {"a word", "banana", -1},
    {"an empty text", "", -1},
    {"a unit alone", "s", -1},
    {"an unknown unit", "3w", -1},
    {"two spans", "1h30m", -1},
    {"a blank before the unit", "30 s", -1},
    {"a blank in front", " 30s", -1},
    {"a sign", "-30s", -1},
    {"a point without digits behind it", "1.h", -1},
    {"a point without digits before it", ".5h", -1},
    {"two points", "1.5.5h", -1},
    {"a comma", "1,5h", -1},
    {"an exponent", "1e3s", -1},
    {"upper case", "30S", -1},
};

static void test_span(gconstpointer data)
{
    const struct span_row *row = data;
    struct esp_error err = {0};
    int64_t us = -1;
    enum esp_status status = esp_span_parse(row->text, &us, &err);
    g_assert_cmpint(us, ==, row->us);
    g_assert_cmpint(status, ==, row->us < 0 ? ESP_ECONFIG : ESP_OK);
    g_assert_cmpint(err.status, ==, status);
}

static const struct {
    int64_t us;
    const char *text;
} span_texts[] = {
    {0, "0"},
    {1, "1us"},
    {1500, "1500us"},
    {250000, "250ms"},
    {30000000, "30s"},
    {INT64_C(5400000000), "90m"},
    {INT64_C(3600000000), "1h"},
    {INT64_C(90000000000), "25h"},
    {INT64_C(604800000000), "7d"},
    {-INT64_C(3600000000), "-1h"},
    {INT64_MAX, "9223372036854775807us"},
    {INT64_MIN, "-9223372036854775808us"},
};

static void test_span_format(void)
{
    char text[ESP_TIME_TEXT_SIZE];
    for (size_t i = 0; i < G_N_ELEMENTS(span_texts); i++)
        g_assert_cmpstr(esp_span_format(span_texts[i].us, text), ==, span_texts[i].text);
}

static void test_span_round_trip(void)
{
    struct test_random random = {1};
    char text[ESP_TIME_TEXT_SIZE];
    for (int i = 0; i < 2000; i++) {
        int64_t us = (int64_t)(test_random_u64(&random) >> (1 + test_random_below(&random, 61)));
        int64_t back = -1;
        g_assert_cmpint(esp_span_parse(esp_span_format(us, text), &back, NULL), ==, ESP_OK);
        g_assert_cmpint(back, ==, us);
    }
}

/* ---- times ---- */

struct time_row {
    const char *name, *text;
    int64_t us; /* ESP_TIME_NONE: refused */
};

/* seconds from date -u -d TEXT +%s */
static const struct time_row time_rows[] = {
    {"the epoch", "1970-01-01", 0},
    {"a date", "2024-05-01", INT64_C(1714521600) * ESP_SECOND},
    {"a moment", "2024-05-01T13:20:00Z", INT64_C(1714569600) * ESP_SECOND},
    {"a blank for the T", "2024-05-01 13:20:00Z", INT64_C(1714569600) * ESP_SECOND},
    {"no zone is UTC", "2024-05-01T13:20:00", INT64_C(1714569600) * ESP_SECOND},
    {"ahead of UTC", "2024-05-01T13:20:00+02:00", INT64_C(1714562400) * ESP_SECOND},
    {"behind UTC", "2024-05-01T13:20:00-05:30", INT64_C(1714589400) * ESP_SECOND},
    {"a fraction of one digit", "1970-01-01T00:00:00.5Z", 500000},
    {"a fraction of six digits", "1970-01-01T00:00:00.000001Z", 1},
    {"before the epoch", "1969-12-31T23:59:59.999999Z", -1},
    {"a leap day", "2024-02-29", INT64_C(1709164800) * ESP_SECOND},
    {"a leap day of a century", "2000-02-29", INT64_C(951782400) * ESP_SECOND},
    {"the first time there is", "0001-01-01", -INT64_C(62135596800) * ESP_SECOND},
    {"the last time there is", "9999-12-31T23:59:59.999999Z",
     INT64_C(253402300800) * ESP_SECOND - 1},
    {"an offset that leads before year 1", "0001-01-01T00:00:00+00:01", ESP_TIME_NONE},
    {"an offset that leads after year 9999", "9999-12-31T23:59:59-00:01", ESP_TIME_NONE},
    {"an offset that leads into year 9999", "9999-12-31T23:59:59+00:01",
     INT64_C(253402300739) * ESP_SECOND},
    {"year 0", "0000-12-31", ESP_TIME_NONE},
    {"no leap day in 2023", "2023-02-29", ESP_TIME_NONE},
    {"no leap day in 1900", "1900-02-29", ESP_TIME_NONE},
    {"April has 30 days", "2024-04-31", ESP_TIME_NONE},
    {"day 0", "2024-04-00", ESP_TIME_NONE},
    {"month 13", "2024-13-01", ESP_TIME_NONE},
    {"month 0", "2024-00-01", ESP_TIME_NONE},
    {"hour 24", "2024-05-01T24:00:00Z", ESP_TIME_NONE},
    {"minute 60", "2024-05-01T13:60:00Z", ESP_TIME_NONE},
    {"a leap second", "2016-12-31T23:59:60Z", ESP_TIME_NONE},
    {"seven digits of a fraction", "2024-05-01T13:20:00.1234567Z", ESP_TIME_NONE},
    {"a point without a fraction", "2024-05-01T13:20:00.Z", ESP_TIME_NONE},
    {"no seconds", "2024-05-01T13:20Z", ESP_TIME_NONE},
    {"a T without a time", "2024-05-01T", ESP_TIME_NONE},
    {"a zone behind a date", "2024-05-01Z", ESP_TIME_NONE},
    {"a zone by name", "2024-05-01T13:20:00 CET", ESP_TIME_NONE},
    {"an offset of 24 hours", "2024-05-01T13:20:00+24:00", ESP_TIME_NONE},
    {"an offset without a colon", "2024-05-01T13:20:00+0200", ESP_TIME_NONE},
    {"something behind the Z", "2024-05-01T13:20:00Zx", ESP_TIME_NONE},
    {"one digit of a month", "2024-5-01", ESP_TIME_NONE},
    {"five digits of a year", "12024-05-01", ESP_TIME_NONE},
    {"seconds since the epoch", "1714521600", ESP_TIME_NONE},
    {"an empty text", "", ESP_TIME_NONE},
    {"a date cut short", "2024-05", ESP_TIME_NONE},
};

static void test_time(gconstpointer data)
{
    const struct time_row *row = data;
    struct esp_error err = {0};
    int64_t us = ESP_TIME_NONE;
    enum esp_status status = esp_time_parse(row->text, &us, &err);
    g_assert_cmpint(us, ==, row->us);
    g_assert_cmpint(status, ==, row->us == ESP_TIME_NONE ? ESP_ECONFIG : ESP_OK);
    g_assert_cmpint(err.status, ==, status);
}

static const struct {
    int64_t us;
    const char *text;
} time_texts[] = {
    {0, "1970-01-01T00:00:00Z"},
    {INT64_C(1714569600) * ESP_SECOND, "2024-05-01T13:20:00Z"},
    {500000, "1970-01-01T00:00:00.5Z"},
    {1, "1970-01-01T00:00:00.000001Z"},
    {120000, "1970-01-01T00:00:00.12Z"},
    {-1, "1969-12-31T23:59:59.999999Z"},
    {-INT64_C(62135596800) * ESP_SECOND, "0001-01-01T00:00:00Z"},
    {ESP_TIME_NONE, "none"},
    {ESP_TIME_END, "end"},
    {ESP_TIME_NONE + 1, "-290308-12-21T19:59:05.224193Z"},
    {ESP_TIME_END - 1, "294247-01-10T04:00:54.775806Z"},
};

static void test_time_format(void)
{
    char text[ESP_TIME_TEXT_SIZE];
    for (size_t i = 0; i < G_N_ELEMENTS(time_texts); i++)
        g_assert_cmpstr(esp_time_format(time_texts[i].us, text), ==, time_texts[i].text);
}

/* The first day of every month of 10,000 years, and its last, as libc counts them. */
static void test_time_against_libc(void)
{
    char text[ESP_TIME_TEXT_SIZE];
    for (int year = 1; year <= 9999 && !g_test_failed(); year++) {
        for (int month = 1; month <= 12; month++) {
            struct tm first = {.tm_year = year - 1900, .tm_mon = month - 1, .tm_mday = 1};
            int64_t want = (int64_t)timegm(&first) * ESP_SECOND, got = ESP_TIME_NONE;
            char *date = g_strdup_printf("%04d-%02d-01", year, month);
            g_assert_cmpint(esp_time_parse(date, &got, NULL), ==, ESP_OK);
            g_assert_cmpint(got, ==, want);
            g_free(date);
            if (want - ESP_DAY < -INT64_C(62135596800) * ESP_SECOND)
                continue;
            g_assert_cmpint(esp_time_parse(esp_time_format(want - 1, text), &got, NULL), ==,
                            ESP_OK);
            g_assert_cmpint(got, ==, want - 1);
        }
    }
}

int main(int argc, char **argv)
{
    test_start(&argc, &argv);
    for (size_t i = 0; i < G_N_ELEMENTS(span_rows); i++) {
        char *path = g_strdup_printf("/timespan/span/%s", span_rows[i].name);
        g_test_add_data_func(path, &span_rows[i], test_span);
        g_free(path);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(time_rows); i++) {
        char *path = g_strdup_printf("/timespan/time/%s", time_rows[i].name);
        g_test_add_data_func(path, &time_rows[i], test_time);
        g_free(path);
    }
    g_test_add_func("/timespan/a span is written in its largest exact unit", test_span_format);
    g_test_add_func("/timespan/what is written is read back", test_span_round_trip);
    g_test_add_func("/timespan/a time is written as RFC 3339", test_time_format);
    g_test_add_func("/timespan/every month of 10,000 years is where libc has it",
                    test_time_against_libc);
    return g_test_run();
}
