/* encode.c - see encode.h. */
#include "event/encode.h"

#include <stdlib.h>

#include "core/varint.h"
#include "event/avro_schema.h"
#include "event/plan.h"

enum esp_status esp_put_long(struct esp_buf *buf, int64_t value, struct esp_error *err)
{
    uint8_t bytes[10];
    size_t n = esp_varint_put(value, bytes);
    return esp_buf_append(buf, bytes, n, err);
}

/* IEEE 754, little-endian: as it lies in memory on every machine that we support. */
enum esp_status esp_put_float(struct esp_buf *buf, float value, struct esp_error *err)
{
    return esp_buf_append(buf, &value, sizeof value, err);
}

enum esp_status esp_put_double(struct esp_buf *buf, double value, struct esp_error *err)
{
    return esp_buf_append(buf, &value, sizeof value, err);
}

enum esp_status esp_put_bool(struct esp_buf *buf, bool value, struct esp_error *err)
{
    uint8_t byte = value;
    return esp_buf_append(buf, &byte, 1, err);
}

enum esp_status esp_put_bytes(struct esp_buf *buf, struct esp_bytes value, struct esp_error *err)
{
    if (value.size > INT64_MAX)
        return esp_fail(err, ESP_EINVAL, "a value of %zu bytes", value.size);
    uint8_t head[10];
    size_t n = esp_varint_put((int64_t)value.size, head);
    enum esp_status status = n > SIZE_MAX - value.size
                                 ? esp_fail(err, ESP_ELIMIT, "a value of %zu bytes", value.size)
                                 : esp_buf_reserve(buf, n + value.size, err);
    if (status == ESP_OK)
        status = esp_buf_append(buf, head, n, err);
    if (status == ESP_OK)
        status = esp_buf_append(buf, value.data, value.size, err);
    return status;
}

enum esp_status esp_put_raw(struct esp_buf *buf, struct esp_bytes value, struct esp_error *err)
{
    return esp_buf_append(buf, value.data, value.size, err);
}

enum esp_status esp_put_single_object(struct esp_buf *buf, uint64_t fingerprint,
                                      struct esp_error *err)
{
    uint8_t head[10] = {0xc3, 0x01};
    for (size_t i = 0; i < 8; i++)
        head[2 + i] = (uint8_t)(fingerprint >> (8 * i));
    return esp_buf_append(buf, head, sizeof head, err);
}

enum esp_status esp_schema_fingerprint(const char *json, size_t size, uint64_t *out,
                                       struct esp_error *err)
{
    struct esp_schema *schema = NULL;
    enum esp_status status = esp_schema_parse(json, size, &schema, err);
    if (status == ESP_OK)
        *out = schema->fingerprint;
    esp_schema_free(schema);
    return status;
}

/* The users' record goes in under its own name: one without a namespace must not inherit ours. */
static json_t *own_namespace(json_t *impression)
{
    const char *name = json_string_value(json_object_get(impression, "name"));
    if (json_is_object(impression) && name != NULL && strchr(name, '.') == NULL &&
        json_object_get(impression, "namespace") == NULL &&
        json_object_set_new(impression, "namespace", json_string("")) != 0)
        return NULL;
    return impression;
}

/* Replaces the type of the envelope's field "impression". */
static enum esp_status put_impression(json_t *envelope, json_t *impression, struct esp_error *err)
{
    json_t *fields = json_object_get(envelope, "fields"), *field;
    size_t i;
    json_array_foreach(fields, i, field)
    {
        const char *name = json_string_value(json_object_get(field, "name"));
        if (name == NULL || strcmp(name, "impression") != 0)
            continue;
        if (own_namespace(impression) == NULL || json_object_set(field, "type", impression) != 0)
            return esp_fail(err, ESP_ENOMEM, "out of memory for the schema of examples");
        return ESP_OK;
    }
    return esp_fail(err, ESP_ESCHEMA, "the example's schema has no field \"impression\"");
}

enum esp_status esp_example_schema(const char *envelope_json, const char *impression_json,
                                   char **out, struct esp_error *err)
{
    const size_t flags = JSON_DECODE_ANY | JSON_ALLOW_NUL;
    json_t *envelope = json_loads(envelope_json, flags, NULL);
    json_t *impression = json_loads(impression_json, flags, NULL);
    struct esp_schema *schema = NULL;
    struct esp_error inner = {0};
    char *text = NULL;
    enum esp_status status;
    if (envelope == NULL || impression == NULL)
        status = esp_fail(err, ESP_ESCHEMA, "the %s schema is not JSON",
                          envelope == NULL ? "example's" : "impression's");
    else
        status = put_impression(envelope, impression, err);
    if (status == ESP_OK) {
        text = json_dumps(envelope, JSON_COMPACT);
        if (text == NULL)
            status = esp_fail(err, ESP_ENOMEM, "out of memory for the schema of examples");
        else if ((status = esp_schema_parse(text, strlen(text), &schema, &inner)) != ESP_OK)
            esp_fail(err, status, "the schema of examples: %s", inner.text);
    }
    if (status == ESP_OK) {
        *out = text;
        text = NULL; /* moved to the caller */
    }
    free(text);
    esp_schema_free(schema);
    json_decref(envelope);
    json_decref(impression);
    return status;
}
