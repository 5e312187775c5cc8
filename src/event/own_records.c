/*
 * own_records.c - encodes and decodes the records of snapshots, field by field in the order of
 * their schemas. See own_records.h.
 */
#include "event/own_records.h"

#include <inttypes.h>
#include <stdlib.h>

#include "event/avro_bytes.h"

enum {
    FRAME_BYTES = 10, /* 0xC3 0x01, 8 bytes of fingerprint */
    CHUNK_VERSION = 1,
    MANIFEST_VERSION = 2, /* 1: without rewind */
    FIRST_OFFSET = -2,    /* ESP_OFFSET_EARLIEST, of log/ */
};

/* Of snapshot_manifest.avsc in version 1. */
static const uint64_t manifest_1 = UINT64_C(0x1372b0e59e68a25c);

/* ---- framing --------------------------------------------------------------------------------- */

enum esp_status esp_own_fingerprints_init(struct esp_own_fingerprints *own, struct esp_error *err)
{
    for (int i = 0; i < ESP_N_OWN_SCHEMAS; i++) {
        const char *json = esp_own_schema_json((enum esp_own_schema)i);
        own->of[i] = 0;
        own->before[i] = i == ESP_SCHEMA_SNAPSHOT_MANIFEST ? manifest_1 : 0;
        if (i == ESP_SCHEMA_EXAMPLE)
            continue; /* an envelope: its schema is the users' impression's, too */
        enum esp_status status = esp_schema_fingerprint(json, strlen(json), &own->of[i], err);
        if (status != ESP_OK)
            return status;
    }
    return ESP_OK;
}

enum esp_status esp_own_unframe(const struct esp_own_fingerprints *own, enum esp_own_schema schema,
                                struct esp_bytes value, struct esp_bytes *out,
                                struct esp_error *err)
{
    if (value.size < FRAME_BYTES || value.data[0] != 0xC3 || value.data[1] != 0x01)
        return esp_fail(err, ESP_EDECODE, "a value without single-object framing");
    uint64_t fingerprint = esp_avro_word(value.data + 2);
    if (fingerprint != own->of[schema] &&
        (fingerprint != own->before[schema] || own->before[schema] == 0))
        return esp_fail(err, ESP_ESCHEMA, "a record of the unknown schema %016" PRIx64,
                        fingerprint);
    *out = esp_bytes(value.data + FRAME_BYTES, value.size - FRAME_BYTES);
    return ESP_OK;
}

/* ---- identities ------------------------------------------------------------------------------ */

static bool is_run(const char *run)
{
    return strlen(run) == ESP_RUN_TEXT_SIZE - 1 &&
           strspn(run, "0123456789abcdef") == ESP_RUN_TEXT_SIZE - 1;
}

static bool is_model(const char *model)
{
    bool good = model[0] != '\0' && model[0] != '.';
    for (const char *c = model; *c != '\0'; c++)
        good = good && (unsigned char)*c >= 0x20 && *c != 0x7f && *c != '/';
    return good;
}

enum esp_status esp_snapshot_id_check(const struct esp_snapshot_id *id, struct esp_error *err)
{
    if (!is_run(id->run))
        return esp_fail(err, ESP_EINVAL, "\"%s\" is no run: 16 digits 0-9 a-f", id->run);
    if (!is_model(id->model))
        return esp_fail(err, ESP_EINVAL,
                        "\"%s\" cannot be the name of a model with snapshots: 1 to %d printable "
                        "bytes without /, not beginning with a dot",
                        id->model, ESP_MODEL_NAME_SIZE - 1);
    if (id->number < 0)
        return esp_fail(err, ESP_EINVAL, "snapshot %" PRId64 ": numbers are not negative",
                        id->number);
    return ESP_OK;
}

int esp_snapshot_id_compare(const struct esp_snapshot_id *a, const struct esp_snapshot_id *b)
{
    int order = strcmp(a->run, b->run);
    if (order == 0)
        order = strcmp(a->model, b->model);
    return order != 0 ? order : (a->number > b->number) - (a->number < b->number);
}

size_t esp_snapshot_key(const struct esp_snapshot_id *id, int32_t index,
                        char key[ESP_SNAPSHOT_KEY_SIZE])
{
    int n = snprintf(key, ESP_SNAPSHOT_KEY_SIZE, "%s/%s/%" PRId64, id->run, id->model, id->number);
    if (index != ESP_KEY_NO_INDEX)
        n += snprintf(key + n, ESP_SNAPSHOT_KEY_SIZE - (size_t)n, "/%" PRId32, index);
    return (size_t)n;
}

/* The part up to the next '/' or the end. False: it does not fit. */
static bool next_part(const char **at, char *part, size_t size)
{
    size_t n = strcspn(*at, "/");
    if (n >= size)
        return false;
    memcpy(part, *at, n);
    part[n] = '\0';
    *at += n + ((*at)[n] == '/');
    return true;
}

bool esp_snapshot_key_parse(struct esp_bytes key, struct esp_snapshot_id *id, int32_t *index)
{
    char text[ESP_SNAPSHOT_KEY_SIZE], again[ESP_SNAPSHOT_KEY_SIZE], part[24];
    if (key.size == 0 || key.size >= sizeof text || memchr(key.data, 0, key.size) != NULL)
        return false;
    memcpy(text, key.data, key.size);
    text[key.size] = '\0';
    const char *at = text;
    *index = ESP_KEY_NO_INDEX;
    if (!next_part(&at, id->run, sizeof id->run) || !next_part(&at, id->model, sizeof id->model) ||
        !next_part(&at, part, sizeof part))
        return false;
    id->number = strtoll(part, NULL, 10);
    if (*at != '\0') {
        if (!next_part(&at, part, sizeof part))
            return false;
        long long number = strtoll(part, NULL, 10);
        if (number < 0 || number >= ESP_CHUNK_MAX_COUNT)
            return false;
        *index = (int32_t)number;
    }
    /* Whatever was read otherwise than it would be written shows here. */
    return esp_snapshot_id_check(id, NULL) == ESP_OK &&
           esp_snapshot_key(id, *index, again) == key.size && strcmp(text, again) == 0;
}

static enum esp_status put_id(struct esp_buf *buf, int version, const struct esp_snapshot_id *id,
                              struct esp_error *err)
{
    enum esp_status status = esp_put_long(buf, version, err);
    if (status == ESP_OK)
        status = esp_put_bytes(buf, esp_bytes_of(id->run), err);
    if (status == ESP_OK)
        status = esp_put_bytes(buf, esp_bytes_of(id->model), err);
    return status == ESP_OK ? esp_put_long(buf, id->number, err) : status;
}

/* The version comes first and decides alone whether the rest is understood. */
static enum esp_status take_version(struct esp_cursor *cursor, const char *record, int newest,
                                    int *version, struct esp_error *err)
{
    *version = esp_take_int(cursor, "version");
    if (cursor->fault != NULL)
        return esp_fail(err, ESP_EDECODE, "%s: its field version cannot be read", record);
    if (*version < 1 || *version > newest)
        return esp_fail(err, ESP_ESCHEMA, "%s: version %d is unknown", record, *version);
    return ESP_OK;
}

static void take_id(struct esp_cursor *cursor, struct esp_snapshot_id *id)
{
    esp_take_text(cursor, id->run, sizeof id->run, "run");
    esp_take_text(cursor, id->model, sizeof id->model, "model");
    id->number = esp_take_long_within(cursor, 0, INT64_MAX, "snapshot");
    if (cursor->fault == NULL && !is_run(id->run))
        esp_cursor_stop(cursor, "run");
    if (cursor->fault == NULL && !is_model(id->model))
        esp_cursor_stop(cursor, "model");
}

/* ---- chunks ---------------------------------------------------------------------------------- */

enum esp_status esp_encode_snapshot_chunk(struct esp_buf *buf,
                                          const struct esp_snapshot_chunk_record *record,
                                          struct esp_error *err)
{
    size_t before = buf->size;
    enum esp_status status;
    if ((status = put_id(buf, CHUNK_VERSION, &record->id, err)) != ESP_OK ||
        (status = esp_put_long(buf, record->index, err)) != ESP_OK ||
        (status = esp_put_long(buf, record->count, err)) != ESP_OK ||
        (status = esp_put_long(buf, record->offset, err)) != ESP_OK ||
        (status = esp_put_long(buf, (int64_t)record->checksum, err)) != ESP_OK ||
        (status = esp_put_bytes(buf, record->data, err)) != ESP_OK)
        buf->size = before;
    return status;
}

enum esp_status esp_decode_snapshot_chunk(struct esp_bytes bytes,
                                          struct esp_snapshot_chunk_record *out,
                                          struct esp_error *err)
{
    static const char name[] = "a snapshot's chunk";
    struct esp_cursor cursor = esp_cursor(bytes);
    int version;
    enum esp_status status = take_version(&cursor, name, CHUNK_VERSION, &version, err);
    if (status != ESP_OK)
        return status;
    take_id(&cursor, &out->id);
    out->index = (int32_t)esp_take_long_within(&cursor, 0, ESP_CHUNK_MAX_COUNT - 1, "index");
    out->count = (int32_t)esp_take_long_within(&cursor, (int64_t)out->index + 1,
                                               ESP_CHUNK_MAX_COUNT, "count");
    out->offset = esp_take_long_within(&cursor, 0, INT64_MAX, "offset");
    out->checksum = (uint64_t)esp_take_long(&cursor, "checksum");
    out->data = esp_take_bytes(&cursor, ESP_CHUNK_MAX_BYTES, "data");
    if (out->data.size == 0)
        esp_cursor_stop(&cursor, "data");
    return esp_cursor_finish(&cursor, name, err);
}

/* ---- manifests ------------------------------------------------------------------------------- */

static enum esp_status put_longs(struct esp_buf *buf, const void *values, size_t n,
                                 struct esp_error *err)
{
    enum esp_status status = n > 0 ? esp_put_long(buf, (int64_t)n, err) : ESP_OK;
    for (size_t i = 0; i < n && status == ESP_OK; i++) {
        int64_t value;
        memcpy(&value, (const uint8_t *)values + i * sizeof value, sizeof value);
        status = esp_put_long(buf, value, err);
    }
    return status == ESP_OK ? esp_put_long(buf, 0, err) : status;
}

static enum esp_status put_inputs(struct esp_buf *buf, const struct esp_input_offset *inputs,
                                  size_t n, struct esp_error *err)
{
    enum esp_status status = n > 0 ? esp_put_long(buf, (int64_t)n, err) : ESP_OK;
    for (size_t i = 0; i < n && status == ESP_OK; i++) {
        status = esp_put_bytes(buf, inputs[i].topic, err);
        if (status == ESP_OK)
            status = esp_put_long(buf, inputs[i].partition, err);
        if (status == ESP_OK)
            status = esp_put_long(buf, inputs[i].offset, err);
    }
    return status == ESP_OK ? esp_put_long(buf, 0, err) : status;
}

static enum esp_status put_rewind(struct esp_buf *buf, const struct esp_rewind_offset *rewind,
                                  struct esp_error *err)
{
    bool has_time = rewind->largest_us != ESP_TIME_NONE;
    enum esp_status status = esp_put_bytes(buf, rewind->topic, err);
    if (status == ESP_OK)
        status = esp_put_long(buf, rewind->partition, err);
    if (status == ESP_OK)
        status = esp_put_long(buf, rewind->offset, err);
    if (status == ESP_OK)
        status = esp_put_long(buf, has_time, err);
    return status == ESP_OK && has_time ? esp_put_long(buf, rewind->largest_us, err) : status;
}

static enum esp_status put_rewinds(struct esp_buf *buf, const struct esp_rewind_offset *rewinds,
                                   size_t n, struct esp_error *err)
{
    enum esp_status status = n > 0 ? esp_put_long(buf, (int64_t)n, err) : ESP_OK;
    for (size_t i = 0; i < n && status == ESP_OK; i++)
        status = put_rewind(buf, &rewinds[i], err);
    return status == ESP_OK ? esp_put_long(buf, 0, err) : status;
}

enum esp_status esp_encode_snapshot_manifest(struct esp_buf *buf,
                                             const struct esp_snapshot_manifest_record *record,
                                             struct esp_error *err)
{
    size_t before = buf->size, n = record->n_chunks;
    enum esp_status status;
    if ((status = put_id(buf, MANIFEST_VERSION, &record->id, err)) != ESP_OK ||
        (status = esp_put_long(buf, record->boundary_us, err)) != ESP_OK ||
        (status = esp_put_long(buf, record->created_us, err)) != ESP_OK ||
        (status = esp_put_long(buf, (int64_t)record->size, err)) != ESP_OK ||
        (status = esp_put_long(buf, (int64_t)record->checksum, err)) != ESP_OK ||
        (status = esp_put_long(buf, record->chunk_partition, err)) != ESP_OK ||
        (status = put_longs(buf, record->chunk_offsets, n, err)) != ESP_OK ||
        (status = put_longs(buf, record->chunk_checksums, n, err)) != ESP_OK ||
        (status = put_inputs(buf, record->inputs, record->n_inputs, err)) != ESP_OK ||
        (status = esp_put_bytes(buf, record->manifest, err)) != ESP_OK ||
        (status = put_rewinds(buf, record->rewinds, record->n_rewinds, err)) != ESP_OK)
        buf->size = before;
    return status;
}

/* An array of longs, owned by the caller whatever comes. */
static enum esp_status take_longs(struct esp_cursor *cursor, void **values, size_t *n, int64_t low,
                                  const char *field, struct esp_error *err)
{
    size_t capacity = 0;
    uint64_t n_block;
    while ((n_block = esp_take_block(cursor, field)) > 0) {
        if (*n + n_block > ESP_CHUNK_MAX_COUNT) {
            esp_cursor_stop(cursor, field);
            break;
        }
        enum esp_status status =
            esp_array_grow(values, &capacity, *n + n_block, sizeof(int64_t), err);
        if (status != ESP_OK)
            return status;
        for (; n_block > 0; n_block--)
            ((int64_t *)*values)[(*n)++] = esp_take_long_within(cursor, low, INT64_MAX, field);
    }
    return ESP_OK;
}

static enum esp_status take_inputs(struct esp_cursor *cursor,
                                   struct esp_snapshot_manifest_record *out, struct esp_error *err)
{
    static const char field[] = "input_offsets";
    size_t capacity = 0;
    uint64_t n_block;
    while ((n_block = esp_take_block(cursor, field)) > 0) {
        for (; n_block > 0 && cursor->fault == NULL; n_block--) {
            enum esp_status status = esp_array_grow((void **)&out->inputs, &capacity,
                                                    out->n_inputs + 1, sizeof *out->inputs, err);
            if (status != ESP_OK)
                return status;
            struct esp_input_offset *input = &out->inputs[out->n_inputs++];
            input->topic = esp_take_bytes(cursor, SIZE_MAX, field);
            input->partition = esp_take_int(cursor, field);
            input->offset = esp_take_long(cursor, field);
        }
    }
    return ESP_OK;
}

static void take_rewind(struct esp_cursor *cursor, struct esp_rewind_offset *rewind)
{
    static const char field[] = "rewind";
    rewind->topic = esp_take_bytes(cursor, SIZE_MAX, field);
    rewind->partition = (int32_t)esp_take_long_within(cursor, 0, INT32_MAX, field);
    rewind->offset = esp_take_long_within(cursor, FIRST_OFFSET, INT64_MAX, field);
    rewind->largest_us = ESP_TIME_NONE;
    if (rewind->offset == FIRST_OFFSET + 1) /* no offset is -1 */
        esp_cursor_stop(cursor, field);
    if (esp_take_branch(cursor, 2, field) == 1)
        rewind->largest_us = esp_take_long_within(cursor, INT64_MIN + 1, INT64_MAX, field);
}

static enum esp_status take_rewinds(struct esp_cursor *cursor,
                                    struct esp_snapshot_manifest_record *out, struct esp_error *err)
{
    size_t capacity = 0;
    uint64_t n_block;
    while ((n_block = esp_take_block(cursor, "rewind")) > 0) {
        for (; n_block > 0 && cursor->fault == NULL; n_block--) {
            enum esp_status status = esp_array_grow((void **)&out->rewinds, &capacity,
                                                    out->n_rewinds + 1, sizeof *out->rewinds, err);
            if (status != ESP_OK)
                return status;
            take_rewind(cursor, &out->rewinds[out->n_rewinds++]);
        }
    }
    return ESP_OK;
}

static enum esp_status take_manifest(struct esp_cursor *cursor,
                                     struct esp_snapshot_manifest_record *out,
                                     struct esp_error *err)
{
    size_t n_checksums = 0;
    take_id(cursor, &out->id);
    out->boundary_us = esp_take_long(cursor, "boundary");
    out->created_us = esp_take_long(cursor, "created_at");
    out->size = (uint64_t)esp_take_long_within(cursor, 1, INT64_MAX, "size");
    out->checksum = (uint64_t)esp_take_long(cursor, "checksum");
    out->chunk_partition = (int32_t)esp_take_long_within(cursor, 0, INT32_MAX, "chunk_partition");
    enum esp_status status =
        take_longs(cursor, (void **)&out->chunk_offsets, &out->n_chunks, 0, "chunk_offsets", err);
    if (status == ESP_OK)
        status = take_longs(cursor, (void **)&out->chunk_checksums, &n_checksums, INT64_MIN,
                            "chunk_checksums", err);
    if (status == ESP_OK)
        status = take_inputs(cursor, out, err);
    if (status != ESP_OK)
        return status;
    if (out->n_chunks == 0)
        esp_cursor_stop(cursor, "chunk_offsets");
    if (n_checksums != out->n_chunks)
        esp_cursor_stop(cursor, "chunk_checksums");
    /* n chunks hold n bytes at least, and n times the largest at most. */
    if (out->size < out->n_chunks || out->size > (uint64_t)out->n_chunks * ESP_CHUNK_MAX_BYTES)
        esp_cursor_stop(cursor, "size");
    out->manifest = esp_take_bytes(cursor, ESP_MANIFEST_JSON_MAX_BYTES, "manifest");
    return ESP_OK;
}

enum esp_status esp_decode_snapshot_manifest(struct esp_bytes bytes,
                                             struct esp_snapshot_manifest_record *out,
                                             struct esp_error *err)
{
    static const char name[] = "a snapshot's manifest";
    struct esp_cursor cursor = esp_cursor(bytes);
    int version;
    *out = (struct esp_snapshot_manifest_record){0};
    enum esp_status status = take_version(&cursor, name, MANIFEST_VERSION, &version, err);
    if (status == ESP_OK)
        status = take_manifest(&cursor, out, err);
    if (status == ESP_OK && version >= 2)
        status = take_rewinds(&cursor, out, err);
    if (status == ESP_OK)
        status = esp_cursor_finish(&cursor, name, err);
    if (status != ESP_OK)
        esp_snapshot_manifest_record_release(out);
    return status;
}

void esp_snapshot_manifest_record_release(struct esp_snapshot_manifest_record *record)
{
    free(record->chunk_offsets);
    free(record->chunk_checksums);
    free(record->inputs);
    free(record->rewinds);
    *record = (struct esp_snapshot_manifest_record){0};
}
