/*
 * records.c - encodes our own records, field by field in the order of their schemas.
 *
 * Source: Avro 1.11 specification, "Binary Encoding": a union is its branch's index and the value.
 */
#include "event/records.h"

#include <math.h>

enum { BRANCH_NULL, BRANCH_VALUE }; /* of ["null", ...] */

static enum esp_status put_optional_time(struct esp_buf *buf, int64_t time_us,
                                         struct esp_error *err)
{
    if (time_us == ESP_TIME_NONE)
        return esp_put_long(buf, BRANCH_NULL, err);
    enum esp_status status = esp_put_long(buf, BRANCH_VALUE, err);
    return status != ESP_OK ? status : esp_put_long(buf, time_us, err);
}

static enum esp_status put_optional_bool(struct esp_buf *buf, bool is_set, bool value,
                                         struct esp_error *err)
{
    if (!is_set)
        return esp_put_long(buf, BRANCH_NULL, err);
    enum esp_status status = esp_put_long(buf, BRANCH_VALUE, err);
    return status != ESP_OK ? status : esp_put_bool(buf, value, err);
}

static enum esp_status put_optional_bytes(struct esp_buf *buf, struct esp_bytes value,
                                          struct esp_error *err)
{
    if (value.data == NULL)
        return esp_put_long(buf, BRANCH_NULL, err);
    enum esp_status status = esp_put_long(buf, BRANCH_VALUE, err);
    return status != ESP_OK ? status : esp_put_bytes(buf, value, err);
}

enum esp_status esp_encode_example(struct esp_buf *buf, const struct esp_example_record *record,
                                   struct esp_error *err)
{
    size_t before = buf->size;
    enum esp_status status;
    if ((status = esp_put_bytes(buf, record->impression_id, err)) != ESP_OK ||
        (status = esp_put_long(buf, record->impression_time_us, err)) != ESP_OK ||
        (status = put_optional_time(buf, record->click_time_us, err)) != ESP_OK ||
        (status = put_optional_time(buf, record->install_time_us, err)) != ESP_OK ||
        (status = esp_put_long(buf, record->maturity_us, err)) != ESP_OK ||
        (status = esp_put_long(buf, record->stage, err)) != ESP_OK ||
        (status = esp_put_bool(buf, record->click, err)) != ESP_OK ||
        (status = put_optional_bool(buf, record->stage != ESP_EXAMPLE_CLICK, record->install,
                                    err)) != ESP_OK ||
        (status = esp_put_double(buf, record->weight, err)) != ESP_OK ||
        (status = esp_put_double(buf, record->base_weight, err)) != ESP_OK ||
        (status = esp_put_bool(buf, record->holdout, err)) != ESP_OK ||
        (status = esp_put_raw(buf, record->impression, err)) != ESP_OK)
        buf->size = before;
    return status;
}

enum esp_status esp_encode_dead_letter(struct esp_buf *buf,
                                       const struct esp_dead_letter_record *record,
                                       struct esp_error *err)
{
    size_t before = buf->size;
    enum esp_status status;
    if ((status = esp_put_long(buf, record->kind, err)) != ESP_OK ||
        (status = esp_put_long(buf, record->verdict, err)) != ESP_OK ||
        (status = esp_put_bytes(buf, esp_bytes_of(record->reason), err)) != ESP_OK ||
        (status = esp_put_bytes(buf, esp_bytes_of(record->topic), err)) != ESP_OK ||
        (status = esp_put_long(buf, record->partition, err)) != ESP_OK ||
        (status = esp_put_long(buf, record->offset, err)) != ESP_OK ||
        (status = put_optional_time(buf, record->log_time_us, err)) != ESP_OK ||
        (status = put_optional_time(buf, record->event_time_us, err)) != ESP_OK ||
        (status = put_optional_bytes(buf, record->value, err)) != ESP_OK)
        buf->size = before;
    return status;
}

static enum esp_status put_optional_double(struct esp_buf *buf, double value, struct esp_error *err)
{
    if (isnan(value))
        return esp_put_long(buf, BRANCH_NULL, err);
    enum esp_status status = esp_put_long(buf, BRANCH_VALUE, err);
    return status != ESP_OK ? status : esp_put_double(buf, value, err);
}

enum esp_status esp_encode_score(struct esp_buf *buf, const struct esp_score_record *record,
                                 struct esp_error *err)
{
    size_t before = buf->size;
    enum esp_status status;
    if ((status = esp_put_bytes(buf, record->impression_id, err)) == ESP_OK &&
        (status = esp_put_long(buf, record->event_time_us, err)) == ESP_OK &&
        (status = esp_put_bytes(buf, esp_bytes_of(record->model), err)) == ESP_OK &&
        (status = esp_put_bytes(buf, esp_bytes_of(record->run), err)) == ESP_OK)
        status = esp_put_long(buf, record->snapshot, err);
    for (size_t i = 0; status == ESP_OK && i < ESP_N_SCORE_TASKS; i++)
        status = put_optional_double(buf, record->p[i], err);
    if (status != ESP_OK)
        buf->size = before;
    return status;
}
