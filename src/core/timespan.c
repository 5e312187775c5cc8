/*
 * timespan.c - spans and event times from text and back, see timespan.h.
 *
 * The calendar is the proleptic Gregorian one. Both directions count years from 1 March, so that
 * the leap day ends its year, in eras of 400 years, which all have 146,097 days; after Howard
 * Hinnant, "chrono-Compatible Low-Level Date Algorithms",
 * https://howardhinnant.github.io/date_algorithms.html
 */
#include "core/timespan.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "core/decimal.h"

enum {
    ERA_YEARS = 400,
    ERA_DAYS = 146097,
    /* days from 0000-03-01, where the eras start, to 1970-01-01 */
    EPOCH_DAYS = 719468,
    MIN_YEAR = 1,
    MAX_YEAR = 9999,
};

struct civil_time {
    int64_t year;
    int month, day, hour, minute, second; /* month and day from 1 */
    int64_t fraction_us;
};

/* Quotient rounded towards minus infinity; b > 0. */
static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

/* Days of the year that begins on 1 March, before its month m (0: March): the months run
 * 31 30 31 30 31, 31 30 31 30 31, 31 28/29, five of them 153 days. */
static int days_before_month(int m)
{
    return (153 * m + 2) / 5;
}

/* Days from 1970-01-01 to a date that exists. */
static int64_t days_from_civil(int64_t year, int month, int day)
{
    int64_t march_year = year - (month <= 2);
    int64_t era = floor_div(march_year, ERA_YEARS);
    int64_t year_of_era = march_year - era * ERA_YEARS;
    int64_t day_of_year = days_before_month((month + 9) % 12) + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * ERA_DAYS + day_of_era - EPOCH_DAYS;
}

static void civil_from_days(int64_t days, struct civil_time *civil)
{
    days += EPOCH_DAYS;
    int64_t era = floor_div(days, ERA_DAYS);
    int64_t day_of_era = days - era * ERA_DAYS;
    /* Take the leap days out (one in 1,461 days, none in 36,524, one in 146,096), then divide. */
    int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int day_of_year = (int)(day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100));
    int march_month = (5 * day_of_year + 2) / 153;
    civil->day = day_of_year - days_before_month(march_month) + 1;
    civil->month = march_month < 10 ? march_month + 3 : march_month - 9;
    civil->year = year_of_era + era * ERA_YEARS + (civil->month <= 2);
}

static int days_in_month(int64_t year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return days[month - 1] + (month == 2 && leap);
}

static const struct {
    const char *name;
    int64_t us;
} units[] = {{"d", ESP_DAY},    {"h", ESP_HOUR}, {"m", ESP_MINUTE},
             {"s", ESP_SECOND}, {"ms", ESP_MS},  {"us", 1}};

enum { N_UNITS = sizeof units / sizeof units[0] };

enum esp_status esp_span_parse(const char *text, int64_t *out_us, struct esp_error *err)
{
    struct esp_decimal decimal;
    size_t n = esp_decimal_scan(text, &decimal);
    if (strcmp(text, "0") == 0) {
        *out_us = 0;
        return ESP_OK;
    }
    for (size_t i = 0; n > 0 && i < N_UNITS; i++) {
        if (strcmp(text + n, units[i].name) != 0)
            continue;
        uint64_t us;
        if (!esp_decimal_times(decimal, (uint64_t)units[i].us, INT64_MAX, &us))
            return esp_fail(err, ESP_ECONFIG,
                            "too long, or finer than a microsecond; write a span from 1us to "
                            "106751991d");
        *out_us = (int64_t)us;
        return ESP_OK;
    }
    return esp_fail(err, ESP_ECONFIG,
                    "not a span; write a number and a unit, such as 30s, 1h or 7d");
}

/* Takes exactly n digits from *text; false if there are fewer. */
static bool take_digits(const char **text, int n, int *out)
{
    int value = 0;
    for (int i = 0; i < n; i++) {
        char c = (*text)[i];
        if (c < '0' || c > '9')
            return false;
        value = value * 10 + (c - '0');
    }
    *text += n;
    *out = value;
    return true;
}

static bool take_char(const char **text, char c)
{
    if (**text != c)
        return false;
    ++*text;
    return true;
}

static bool take_date(const char **text, struct civil_time *civil)
{
    int year;
    if (!take_digits(text, 4, &year) || !take_char(text, '-') ||
        !take_digits(text, 2, &civil->month) || !take_char(text, '-') ||
        !take_digits(text, 2, &civil->day))
        return false;
    civil->year = year;
    return year >= MIN_YEAR && civil->month >= 1 && civil->month <= 12 && civil->day >= 1 &&
           civil->day <= days_in_month(year, civil->month);
}

/* HH:MM:SS and up to six digits of a fraction. */
static bool take_clock(const char **text, struct civil_time *civil)
{
    if (!take_digits(text, 2, &civil->hour) || !take_char(text, ':') ||
        !take_digits(text, 2, &civil->minute) || !take_char(text, ':') ||
        !take_digits(text, 2, &civil->second))
        return false;
    if (take_char(text, '.')) {
        int digit, n = 0;
        int64_t unit = ESP_SECOND / 10;
        for (; n < 6 && take_digits(text, 1, &digit); n++, unit /= 10)
            civil->fraction_us += digit * unit;
        if (n == 0)
            return false;
    }
    return civil->hour <= 23 && civil->minute <= 59 && civil->second <= 59;
}

/* "Z", "+02:00", "-05:30" or nothing; *offset_us is what local time is ahead of UTC. */
static bool take_offset(const char **text, int64_t *offset_us)
{
    int sign = **text == '-' ? -1 : 1, hours, minutes;
    *offset_us = 0;
    if (take_char(text, 'Z') || **text == '\0')
        return true;
    if (!(take_char(text, '+') || take_char(text, '-')) || !take_digits(text, 2, &hours) ||
        !take_char(text, ':') || !take_digits(text, 2, &minutes) || hours > 23 || minutes > 59)
        return false;
    *offset_us = sign * (hours * ESP_HOUR + minutes * ESP_MINUTE);
    return true;
}

enum esp_status esp_time_parse(const char *text, int64_t *out_us, struct esp_error *err)
{
    struct civil_time civil = {0};
    int64_t offset_us = 0;
    bool good = take_date(&text, &civil);
    if (good && *text != '\0')
        good = (take_char(&text, 'T') || take_char(&text, ' ')) && take_clock(&text, &civil) &&
               take_offset(&text, &offset_us) && *text == '\0';
    if (!good)
        return esp_fail(err, ESP_ECONFIG,
                        "not a time; write it as 2024-05-01 or 2024-05-01T13:20:00Z");
    int64_t us = days_from_civil(civil.year, civil.month, civil.day) * ESP_DAY +
                 civil.hour * ESP_HOUR + civil.minute * ESP_MINUTE + civil.second * ESP_SECOND +
                 civil.fraction_us - offset_us;
    if (us < days_from_civil(MIN_YEAR, 1, 1) * ESP_DAY ||
        us >= days_from_civil(MAX_YEAR + 1, 1, 1) * ESP_DAY)
        return esp_fail(err, ESP_ECONFIG, "the time is outside the years 0001 to 9999 in UTC");
    *out_us = us;
    return ESP_OK;
}

const char *esp_span_format(int64_t span_us, char text[ESP_TIME_TEXT_SIZE])
{
    if (span_us == 0)
        return memcpy(text, "0", 2);
    for (size_t i = 0; i < N_UNITS; i++) {
        if (span_us % units[i].us != 0)
            continue;
        snprintf(text, ESP_TIME_TEXT_SIZE, "%" PRId64 "%s", span_us / units[i].us, units[i].name);
        break;
    }
    return text;
}

const char *esp_time_format(int64_t time_us, char text[ESP_TIME_TEXT_SIZE])
{
    if (time_us == ESP_TIME_NONE)
        return memcpy(text, "none", 5);
    if (time_us == ESP_TIME_END)
        return memcpy(text, "end", 4);
    struct civil_time civil;
    int64_t days = floor_div(time_us, ESP_DAY), us = (time_us % ESP_DAY + ESP_DAY) % ESP_DAY;
    civil_from_days(days, &civil);
    int fraction = (int)(us % ESP_SECOND), n_digits = 6;
    int n = snprintf(text, ESP_TIME_TEXT_SIZE, "%04" PRId64 "-%02d-%02dT%02d:%02d:%02d", civil.year,
                     civil.month, civil.day, (int)(us / ESP_HOUR), (int)(us / ESP_MINUTE % 60),
                     (int)(us / ESP_SECOND % 60));
    for (; fraction != 0 && fraction % 10 == 0; n_digits--)
        fraction /= 10;
    if (fraction != 0)
        n += snprintf(text + n, (size_t)(ESP_TIME_TEXT_SIZE - n), ".%0*d", n_digits, fraction);
    snprintf(text + n, (size_t)(ESP_TIME_TEXT_SIZE - n), "Z");
    return text;
}
