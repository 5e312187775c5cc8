/*
 * timespan.h - event times and spans: microseconds in an int64_t, and their texts.
 *
 * An event time counts from 1970-01-01T00:00:00Z, without leap seconds, as Avro's
 * timestamp-micros does. Nothing here reads a clock.
 */
#ifndef ESP_CORE_TIMESPAN_H
#define ESP_CORE_TIMESPAN_H

#include <stddef.h>
#include <stdint.h>

#include "core/status.h"

#define ESP_MS     INT64_C(1000)
#define ESP_SECOND (1000 * ESP_MS)
#define ESP_MINUTE (60 * ESP_SECOND)
#define ESP_HOUR   (60 * ESP_MINUTE)
#define ESP_DAY    (24 * ESP_HOUR)

/* "no time"; below every time that an event may carry. */
#define ESP_TIME_NONE INT64_MIN
/* After every event time: the watermark when time has ended. */
#define ESP_TIME_END INT64_MAX

/*
 * Parses a span: a decimal number and a unit (us, ms, s, m, h, d), "0" alone, e.g. "30s", "1.5h".
 * A whole number of microseconds, not negative, below 2^63.
 * Errors: ESP_ECONFIG; *out_us is untouched then.
 */
enum esp_status esp_span_parse(const char *text, int64_t *out_us, struct esp_error *err);

/*
 * Parses a time: "2024-05-01", "2024-05-01T13:20:00Z", with a fraction of up to six digits, a blank
 * for the T, or an offset (+02:00) for the Z; without one it is UTC. The proleptic Gregorian
 * calendar, years 0001 to 9999 in UTC, no leap seconds.
 * Errors: ESP_ECONFIG; *out_us is untouched then.
 */
enum esp_status esp_time_parse(const char *text, int64_t *out_us, struct esp_error *err);

enum { ESP_TIME_TEXT_SIZE = 40 };

/* Writes a span as its largest exact unit ("90m", "7d") or a time as RFC 3339 in UTC, with as much
 * of a fraction as it has; "none" and "end" for the two that are no times. Both return text. */
const char *esp_span_format(int64_t span_us, char text[ESP_TIME_TEXT_SIZE]);
const char *esp_time_format(int64_t time_us, char text[ESP_TIME_TEXT_SIZE]);

#endif
