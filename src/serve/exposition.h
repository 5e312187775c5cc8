/*
 * exposition.h - writes metrics in Prometheus's text exposition format, version 0.0.4
 * (https://prometheus.io/docs/instrumenting/exposition_formats/).
 *
 *     struct esp_exposition x;
 *     esp_exposition_begin(&x, &buf);
 *     esp_exposition_family(&x, ESP_COUNTER, "espalier_events_total", "Events read.");
 *     esp_exposition_count(&x, 12, "topic_kind", "click", NULL);
 *     ...
 *     status = esp_exposition_end(&x, err);
 *
 * The first failure is kept and what follows is ignored, so that only the end needs a look. Misuse
 * (see the invariants in exposition.c) is such a failure: a scrape fails, the program goes on.
 */
#ifndef ESP_SERVE_EXPOSITION_H
#define ESP_SERVE_EXPOSITION_H

#include <stdint.h>

#include "core/buf.h"

/* What the answer's Content-Type says. */
#define ESP_EXPOSITION_TYPE "text/plain; version=0.0.4; charset=utf-8"

enum esp_family_type { ESP_COUNTER, ESP_GAUGE };

enum {
    ESP_MAX_FAMILIES = 512,
    ESP_MAX_LABELS = 8,
};

struct esp_exposition {
    struct esp_buf *out; /* borrowed until the end */
    struct esp_error failure;
    const char *families[ESP_MAX_FAMILIES]; /* names that were begun, the last one's under way */
    size_t n_families;
    enum esp_family_type type; /* of the family under way */
};

/* Appends to out, which keeps what it has. */
void esp_exposition_begin(struct esp_exposition *x, struct esp_buf *out);

/*
 * Begins a family; the samples that follow are its own.
 *
 * name  borrowed until the end; a counter's ends in _total, a gauge's does not; no unit but a base
 *       unit (seconds, bytes, ratio)
 * help  one sentence
 */
void esp_exposition_family(struct esp_exposition *x, enum esp_family_type type, const char *name,
                           const char *help);

/*
 * One sample of the family under way. The rest are pairs of const char * label and value, ended by
 * NULL. A value may hold any UTF-8.
 *
 * value  of a counter not negative; printed so that reading it gives the same double
 */
void esp_exposition_sample(struct esp_exposition *x, double value, ...) __attribute__((sentinel));

/* The same for a whole number, printed exactly: doubles have no odd numbers past 2^53. */
void esp_exposition_count(struct esp_exposition *x, uint64_t value, ...) __attribute__((sentinel));

/*
 * Errors: ESP_ELIMIT (out's cap, ESP_MAX_FAMILIES, ESP_MAX_LABELS), ESP_ENOMEM, ESP_EBUG (an
 * invariant of exposition.c); what out holds is then to be thrown away.
 */
enum esp_status esp_exposition_end(struct esp_exposition *x, struct esp_error *err);

enum { ESP_REAL_TEXT_SIZE = 32 };

/* The shortest of %.15g, %.16g and %.17g that reads back as value; NaN, +Inf, -Inf. Returns text.
 */
const char *esp_real_format(double value, char text[ESP_REAL_TEXT_SIZE]);

#endif
