/* values.c - see values.h. */
#include "values.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/timespan.h"
#include "event/encode.h"

enum { MAX_SCALAR_TEXT = 63 };

static bool has_logical(const struct esp_avro_type *avro, const char *name)
{
    return avro->logical != NULL && strcmp(avro->logical, name) == 0;
}

bool load_is_time(const struct esp_avro_type *avro)
{
    return avro->kind == ESP_AVRO_LONG &&
           (has_logical(avro, "timestamp-millis") || has_logical(avro, "timestamp-micros"));
}

bool load_is_whole(const struct esp_avro_type *avro)
{
    return avro->kind == ESP_AVRO_INT || avro->kind == ESP_AVRO_LONG;
}

bool load_type_fits(enum load_type type, const struct esp_avro_type *avro)
{
    switch (type) {
    case LOAD_TYPE_NONE:
        return true;
    case LOAD_TYPE_STRING:
        return avro->kind == ESP_AVRO_STRING;
    case LOAD_TYPE_INT:
        return avro->kind == ESP_AVRO_INT;
    case LOAD_TYPE_LONG:
        return avro->kind == ESP_AVRO_LONG && !load_is_time(avro);
    case LOAD_TYPE_FLOAT:
        return avro->kind == ESP_AVRO_FLOAT;
    case LOAD_TYPE_DOUBLE:
        return avro->kind == ESP_AVRO_DOUBLE;
    case LOAD_TYPE_BOOLEAN:
        return avro->kind == ESP_AVRO_BOOLEAN;
    default:
        return load_is_time(avro);
    }
}

/* Scans a whole number in decimal, all of text. */
static bool scan_long(struct esp_bytes text, int64_t *out)
{
    bool negative = text.size > 0 && text.data[0] == '-';
    size_t i = negative;
    if (i == text.size)
        return false;
    int64_t value = 0; /* negative, for there is one more of these */
    for (; i < text.size; i++) {
        int digit = text.data[i] - '0';
        if (digit < 0 || digit > 9 || __builtin_mul_overflow(value, 10, &value) ||
            __builtin_sub_overflow(value, digit, &value))
            return false;
    }
    if (!negative && value == INT64_MIN)
        return false;
    *out = negative ? value : -value;
    return true;
}

static bool scan_double(const char *text, double *out)
{
    char *end;
    errno = 0;
    double value = strtod(text, &end);
    if (end == text || *end != '\0' || !isfinite(value) || *text == ' ')
        return false;
    *out = value;
    return true;
}

/* A time in us, from its text or from a number of a unit. */
static bool scan_time(struct esp_bytes text, const char *terminated, enum load_type type,
                      int64_t *out_us)
{
    int64_t unit = type == LOAD_TYPE_EPOCH_S    ? ESP_SECOND
                   : type == LOAD_TYPE_EPOCH_MS ? ESP_MS
                   : type == LOAD_TYPE_EPOCH_US ? 1
                                                : 0;
    if (unit == 0)
        return esp_time_parse(terminated, out_us, NULL) == ESP_OK;
    return scan_long(text, out_us) && !__builtin_mul_overflow(*out_us, unit, out_us);
}

static bool scan_bool(const char *text, bool *out)
{
    *out = strcmp(text, "true") == 0 || strcmp(text, "1") == 0;
    return *out || strcmp(text, "false") == 0 || strcmp(text, "0") == 0;
}

static enum esp_status fail_value(const struct esp_avro_type *avro, struct esp_bytes text,
                                  struct esp_error *err)
{
    char what[64];
    esp_avro_describe(avro, what, sizeof what);
    return esp_fail(err, ESP_EDATA, "\"%.*s\" is no %s", (int)(text.size < 60 ? text.size : 60),
                    (const char *)text.data, load_is_time(avro) ? "time" : what);
}

/* Rounds down, also before 1970. */
static int64_t to_millis(int64_t us)
{
    return us / ESP_MS - (us % ESP_MS < 0);
}

/* Scalars that are read from a short NUL-terminated text. */
static enum esp_status put_scalar(struct esp_buf *buf, const struct esp_avro_type *avro,
                                  enum load_type type, struct esp_bytes text, int64_t *out_number,
                                  struct esp_error *err)
{
    char terminated[MAX_SCALAR_TEXT + 1];
    if (text.size > MAX_SCALAR_TEXT || memchr(text.data, '\0', text.size) != NULL)
        return fail_value(avro, text, err);
    memcpy(terminated, text.data, text.size);
    terminated[text.size] = '\0';
    double real;
    bool truth;
    if (load_is_time(avro)) {
        if (!scan_time(text, terminated, type, out_number))
            return fail_value(avro, text, err);
        return esp_put_long(
            buf, has_logical(avro, "timestamp-millis") ? to_millis(*out_number) : *out_number, err);
    }
    switch (avro->kind) {
    case ESP_AVRO_INT:
    case ESP_AVRO_LONG:
        if (!scan_long(text, out_number) ||
            (avro->kind == ESP_AVRO_INT && *out_number != (int32_t)*out_number))
            return fail_value(avro, text, err);
        return esp_put_long(buf, *out_number, err);
    case ESP_AVRO_FLOAT:
    case ESP_AVRO_DOUBLE:
        if (!scan_double(terminated, &real))
            return fail_value(avro, text, err);
        return avro->kind == ESP_AVRO_FLOAT ? esp_put_float(buf, (float)real, err)
                                            : esp_put_double(buf, real, err);
    default:
        if (avro->kind != ESP_AVRO_BOOLEAN || !scan_bool(terminated, &truth))
            return fail_value(avro, text, err);
        return esp_put_bool(buf, truth, err);
    }
}

static enum esp_status put_symbol(struct esp_buf *buf, const struct esp_avro_type *avro,
                                  struct esp_bytes text, struct esp_error *err)
{
    for (size_t i = 0; i < avro->symbols.n; i++)
        if (esp_bytes_equal(text, esp_bytes_of(avro->symbols.names[i])))
            return esp_put_long(buf, (int64_t)i, err);
    return fail_value(avro, text, err);
}

enum esp_status load_put_value(struct esp_buf *buf, const struct esp_avro_type *avro,
                               enum load_type type, struct esp_bytes text, int64_t *out_number,
                               struct esp_error *err)
{
    *out_number = 0;
    switch (avro->kind) {
    case ESP_AVRO_STRING:
    case ESP_AVRO_BYTES:
        return esp_put_bytes(buf, text, err);
    case ESP_AVRO_FIXED:
        return text.size == avro->size ? esp_put_raw(buf, text, err) : fail_value(avro, text, err);
    case ESP_AVRO_ENUM:
        return put_symbol(buf, avro, text, err);
    default:
        return put_scalar(buf, avro, type, text, out_number, err);
    }
}

/* Whether a default can be one of this type. */
static bool default_fits(const struct esp_avro_type *avro, const json_t *fallback)
{
    switch (avro->kind) {
    case ESP_AVRO_NULL:
        return json_is_null(fallback);
    case ESP_AVRO_BOOLEAN:
        return json_is_boolean(fallback);
    case ESP_AVRO_INT:
    case ESP_AVRO_LONG:
        return json_is_integer(fallback);
    case ESP_AVRO_FLOAT:
    case ESP_AVRO_DOUBLE:
        return json_is_number(fallback);
    case ESP_AVRO_STRING:
    case ESP_AVRO_ENUM:
        return json_is_string(fallback);
    case ESP_AVRO_ARRAY:
        return json_is_array(fallback) && json_array_size(fallback) == 0;
    case ESP_AVRO_MAP:
        return json_is_object(fallback) && json_object_size(fallback) == 0;
    default:
        return false;
    }
}

enum esp_status load_put_default(struct esp_buf *buf, const struct esp_avro_type *avro,
                                 const json_t *fallback, struct esp_error *err)
{
    size_t branch = 0;
    while (branch < avro->n_branches && !default_fits(avro->branches[branch], fallback))
        branch++;
    if (branch < avro->n_branches) {
        enum esp_status status = esp_put_long(buf, (int64_t)branch, err);
        return status == ESP_OK ? load_put_default(buf, avro->branches[branch], fallback, err)
                                : status;
    }
    if (!default_fits(avro, fallback))
        return esp_fail(err, ESP_ECONFIG, "a default of this kind is not supported");
    switch (avro->kind) {
    case ESP_AVRO_NULL:
        return ESP_OK;
    case ESP_AVRO_BOOLEAN:
        return esp_put_bool(buf, json_is_true(fallback), err);
    case ESP_AVRO_INT:
    case ESP_AVRO_LONG:
        return esp_put_long(buf, json_integer_value(fallback), err);
    case ESP_AVRO_FLOAT:
        return esp_put_float(buf, (float)json_number_value(fallback), err);
    case ESP_AVRO_DOUBLE:
        return esp_put_double(buf, json_number_value(fallback), err);
    case ESP_AVRO_STRING:
        return esp_put_bytes(
            buf, esp_bytes(json_string_value(fallback), json_string_length(fallback)), err);
    case ESP_AVRO_ENUM:
        return put_symbol(
            buf, avro, esp_bytes(json_string_value(fallback), json_string_length(fallback)), err);
    default: /* an empty array or map */
        return esp_put_long(buf, 0, err);
    }
}
