/*
 * exposition.c - see exposition.h.
 *
 * INVARIANTS (each is looked after where a family or sample is written; breaking one fails the
 * exposition with ESP_EBUG and its number)
 *  (1) The samples of a family stand together, below its HELP and TYPE.
 *  (2) A name begins one family.
 *  (3) Names are [a-zA-Z_:][a-zA-Z0-9_:]*, names of labels [a-zA-Z_][a-zA-Z0-9_]*, without "__" at
 *      their head, which is Prometheus's own.
 *  (4) A family is a counter if and only if its name ends in _total.
 *  (5) A name ends in no unit other than the base one.
 *  (6) No counter is negative or NaN.
 *  (7) No label stands twice in a sample.
 * (1) and (2) hold by construction once (2) is checked: a sample belongs to the family begun last.
 */
#include "serve/exposition.h"

#include <ctype.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void esp_exposition_begin(struct esp_exposition *x, struct esp_buf *out)
{
    x->out = out;
    x->failure = (struct esp_error){0};
    x->n_families = 0;
}

enum esp_status esp_exposition_end(struct esp_exposition *x, struct esp_error *err)
{
    if (x->failure.status == ESP_OK)
        return ESP_OK;
    return esp_fail(err, x->failure.status, "%s", x->failure.text);
}

const char *esp_real_format(double value, char text[ESP_REAL_TEXT_SIZE])
{
    if (isnan(value) || isinf(value)) {
        snprintf(text, ESP_REAL_TEXT_SIZE, "%s",
                 isnan(value) ? "NaN"
                 : value > 0  ? "+Inf"
                              : "-Inf");
        return text;
    }
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, ESP_REAL_TEXT_SIZE, "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            break;
    }
    return text;
}

/* ---- what is written ------------------------------------------------------------------------- */

static void put_bytes(struct esp_exposition *x, const char *text, size_t n)
{
    if (x->failure.status == ESP_OK)
        esp_buf_append(x->out, text, n, &x->failure);
}

static void put(struct esp_exposition *x, const char *text)
{
    put_bytes(x, text, strlen(text));
}

/* HELP escapes backslash and newline, a label's value the double quote as well. */
static void put_escaped(struct esp_exposition *x, const char *text, const char *escaped)
{
    for (size_t n; *text != '\0'; text += n) {
        n = strcspn(text, escaped);
        put_bytes(x, text, n);
        if (text[n] == '\0')
            return;
        const char pair[2] = {'\\', text[n] == '\n' ? 'n' : text[n]};
        put_bytes(x, pair, 2);
        n++;
    }
}

/* ---- what is refused ------------------------------------------------------------------------- */

static bool is_name(const char *name, const char *more)
{
    if (!isalpha((unsigned char)*name) && *name != '_' && (*more == '\0' || *name != *more))
        return false;
    for (const char *c = name; *c != '\0'; c++) {
        if (!isalnum((unsigned char)*c) && *c != '_' && (*more == '\0' || *c != *more))
            return false;
    }
    return true;
}

static bool ends_in(const char *name, size_t n, const char *ending)
{
    size_t m = strlen(ending);
    return n >= m && strncmp(name + n - m, ending, m) == 0;
}

static bool has_other_unit(const char *name, size_t n)
{
    static const char *const others[] = {
        "_us",    "_ms",   "_s",    "_microseconds", "_milliseconds", "_minutes",
        "_hours", "_days", "_kb",   "_mb",           "_gb",           "_kib",
        "_mib",   "_gib",  "_bits", "_kilobytes",    "_megabytes",    "_percent",
    };
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        if (ends_in(name, n, others[i]))
            return true;
    }
    return false;
}

static void misuse(struct esp_exposition *x, int invariant, const char *family, const char *what)
{
    esp_fail(&x->failure, ESP_EBUG, "metrics: invariant (%d) is broken by %s: %s", invariant,
             family, what);
}

static void check_family(struct esp_exposition *x, enum esp_family_type type, const char *name)
{
    size_t n = strlen(name);
    bool is_total = ends_in(name, n, "_total");
    for (size_t i = 0; i < x->n_families; i++) {
        if (strcmp(x->families[i], name) == 0)
            misuse(x, 2, name, "the name is taken");
    }
    if (!is_name(name, ":"))
        misuse(x, 3, name, "no name of a metric");
    if (is_total != (type == ESP_COUNTER))
        misuse(x, 4, name, is_total ? "a gauge named _total" : "a counter without _total");
    if (has_other_unit(name, is_total ? n - strlen("_total") : n))
        misuse(x, 5, name, "not a base unit");
}

static const char *const type_words[] = {"counter", "gauge"};

void esp_exposition_family(struct esp_exposition *x, enum esp_family_type type, const char *name,
                           const char *help)
{
    if (x->n_families == ESP_MAX_FAMILIES)
        esp_fail(&x->failure, ESP_ELIMIT, "metrics: over %d families", ESP_MAX_FAMILIES);
    check_family(x, type, name);
    if (x->failure.status != ESP_OK)
        return;
    x->families[x->n_families++] = name;
    x->type = type;
    put(x, "# HELP ");
    put(x, name);
    put(x, " ");
    put_escaped(x, help, "\\\n");
    put(x, "\n# TYPE ");
    put(x, name);
    put(x, " ");
    put(x, type_words[type]);
    put(x, "\n");
}

/* Labels of one sample: "{a="1",b="2"}", or nothing. */
static void put_labels(struct esp_exposition *x, const char *family, va_list pairs)
{
    const char *labels[ESP_MAX_LABELS];
    size_t n = 0;
    for (const char *label; (label = va_arg(pairs, const char *)) != NULL;) {
        const char *value = va_arg(pairs, const char *);
        if (n == ESP_MAX_LABELS) {
            esp_fail(&x->failure, ESP_ELIMIT, "metrics: %s has over %d labels", family,
                     ESP_MAX_LABELS);
            return;
        }
        if (!is_name(label, "") || strncmp(label, "__", 2) == 0)
            misuse(x, 3, family, label);
        for (size_t i = 0; i < n; i++) {
            if (strcmp(labels[i], label) == 0)
                misuse(x, 7, family, label);
        }
        labels[n++] = label;
        put(x, n == 1 ? "{" : ",");
        put(x, label);
        put(x, "=\"");
        put_escaped(x, value, "\\\n\"");
        put(x, "\"");
    }
    if (n > 0)
        put(x, "}");
}

static void put_sample(struct esp_exposition *x, const char *value, va_list pairs)
{
    if (x->n_families == 0)
        misuse(x, 1, "a sample", "it stands before any family");
    if (x->failure.status != ESP_OK)
        return;
    const char *family = x->families[x->n_families - 1];
    put(x, family);
    put_labels(x, family, pairs);
    put(x, " ");
    put(x, value);
    put(x, "\n");
}

void esp_exposition_sample(struct esp_exposition *x, double value, ...)
{
    char text[ESP_REAL_TEXT_SIZE];
    if (x->n_families > 0 && x->type == ESP_COUNTER && !(value >= 0))
        misuse(x, 6, x->families[x->n_families - 1], esp_real_format(value, text));
    va_list pairs;
    va_start(pairs, value);
    put_sample(x, esp_real_format(value, text), pairs);
    va_end(pairs);
}

void esp_exposition_count(struct esp_exposition *x, uint64_t value, ...)
{
    char text[ESP_REAL_TEXT_SIZE];
    snprintf(text, sizeof text, "%llu", (unsigned long long)value);
    va_list pairs;
    va_start(pairs, value);
    put_sample(x, text, pairs);
    va_end(pairs);
}
