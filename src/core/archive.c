/* archive.c - see archive.h. */
#include "core/archive.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/hash.h"

void esp_archive_write_to(struct esp_archive *archive, esp_archive_sink *sink, void *context)
{
    *archive = (struct esp_archive){.sink = sink, .context = context};
}

void esp_archive_read_from(struct esp_archive *archive, struct esp_bytes bytes)
{
    *archive = (struct esp_archive){.left = bytes};
}

void esp_archive_fail(struct esp_archive *archive, enum esp_status status, const char *format, ...)
{
    char text[ESP_ERROR_TEXT_SIZE];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    esp_fail(&archive->error, status, "%s", text);
}

bool esp_archive_check(struct esp_archive *archive, bool condition, const char *what)
{
    if (!condition)
        esp_archive_fail(archive, esp_archive_reads(archive) ? ESP_EDATA : ESP_EBUG,
                         "%s is not possible", what);
    return esp_archive_is_ok(archive);
}

static void drain(struct esp_archive *archive)
{
    if (archive->n_buffered > 0 && esp_archive_is_ok(archive))
        archive->sink(archive->context, archive->buffer, archive->n_buffered, &archive->error);
    archive->n_buffered = 0;
}

enum esp_status esp_archive_end(struct esp_archive *archive, struct esp_error *err)
{
    if (!esp_archive_reads(archive))
        drain(archive);
    else if (archive->left.size > 0)
        esp_archive_fail(archive, ESP_EDATA, "%zu bytes are left over", archive->left.size);
    if (esp_archive_is_ok(archive))
        return ESP_OK;
    return esp_fail(err, archive->error.status, "%s", archive->error.text);
}

static void put(struct esp_archive *archive, const void *bytes, size_t n)
{
    if (n > sizeof archive->buffer - archive->n_buffered)
        drain(archive);
    if (n > sizeof archive->buffer) {
        if (esp_archive_is_ok(archive))
            archive->sink(archive->context, bytes, n, &archive->error);
        return;
    }
    memcpy(archive->buffer + archive->n_buffered, bytes, n);
    archive->n_buffered += n;
}

static void get(struct esp_archive *archive, void *bytes, size_t n)
{
    if (esp_archive_is_ok(archive) && n > archive->left.size)
        esp_archive_fail(archive, ESP_EDATA, "it is truncated: %zu bytes are wanted, %zu are left",
                         n, archive->left.size);
    if (!esp_archive_is_ok(archive)) {
        memset(bytes, 0, n);
        return;
    }
    memcpy(bytes, archive->left.data, n);
    archive->left.data += n;
    archive->left.size -= n;
}

void esp_archive_bytes(struct esp_archive *archive, void *bytes, size_t n)
{
    if (n == 0)
        return;
    if (esp_archive_reads(archive))
        get(archive, bytes, n);
    else
        put(archive, bytes, n);
}

void esp_archive_mark(struct esp_archive *archive, const char *name, uint32_t version)
{
    uint64_t expected = esp_hash(esp_bytes_of(name)), found = expected;
    uint32_t found_version = version;
    esp_archive_u64(archive, &found);
    esp_archive_u32(archive, &found_version);
    if (!esp_archive_is_ok(archive))
        return;
    if (found != expected)
        esp_archive_fail(archive, ESP_EDATA, "no state of the %s stands where it should", name);
    else if (found_version != version)
        esp_archive_fail(archive, ESP_EDATA,
                         "the state of the %s is of version %u, this program reads %u", name,
                         found_version, version);
}

void esp_archive_u8(struct esp_archive *archive, uint8_t *value)
{
    esp_archive_bytes(archive, value, sizeof *value);
}

void esp_archive_u16(struct esp_archive *archive, uint16_t *value)
{
    esp_archive_bytes(archive, value, sizeof *value);
}

void esp_archive_u32(struct esp_archive *archive, uint32_t *value)
{
    esp_archive_bytes(archive, value, sizeof *value);
}

void esp_archive_u64(struct esp_archive *archive, uint64_t *value)
{
    esp_archive_bytes(archive, value, sizeof *value);
}

void esp_archive_i64(struct esp_archive *archive, int64_t *value)
{
    esp_archive_bytes(archive, value, sizeof *value);
}

void esp_archive_f64(struct esp_archive *archive, double *value)
{
    esp_archive_bytes(archive, value, sizeof *value);
}

void esp_archive_f32(struct esp_archive *archive, float *value)
{
    esp_archive_bytes(archive, value, sizeof *value);
}

void esp_archive_bool(struct esp_archive *archive, bool *value)
{
    uint8_t byte = *value ? 1 : 0;
    esp_archive_u8(archive, &byte);
    if (esp_archive_check(archive, byte <= 1, "a truth value"))
        *value = byte != 0;
}

void esp_archive_size(struct esp_archive *archive, size_t *value)
{
    uint64_t wide = *value;
    esp_archive_u64(archive, &wide);
    if (esp_archive_check(archive, wide <= SIZE_MAX, "a size"))
        *value = (size_t)wide;
}

void esp_archive_same(struct esp_archive *archive, uint64_t value, const char *what)
{
    uint64_t saved = value;
    esp_archive_u64(archive, &saved);
    if (esp_archive_is_ok(archive) && saved != value)
        esp_archive_fail(archive, ESP_EDATA, "%s is %llu, and was %llu when the state was saved",
                         what, (unsigned long long)value, (unsigned long long)saved);
}

void esp_archive_count(struct esp_archive *archive, size_t *n, size_t item_bytes)
{
    uint64_t count = *n;
    esp_archive_u64(archive, &count);
    if (esp_archive_reads(archive) && count > archive->left.size / item_bytes)
        esp_archive_fail(archive, ESP_EDATA, "it is truncated: %llu items are announced",
                         (unsigned long long)count);
    *n = esp_archive_is_ok(archive) ? (size_t)count : 0;
}

void esp_archive_array(struct esp_archive *archive, void **items, size_t *n, size_t item_bytes)
{
    esp_archive_count(archive, n, item_bytes);
    if (esp_archive_reads(archive)) {
        *items = *n == 0 ? NULL : malloc(*n * item_bytes);
        if (*items == NULL && *n > 0) {
            esp_archive_fail(archive, ESP_ENOMEM, "out of memory for %zu bytes", *n * item_bytes);
            *n = 0;
        }
    }
    if (*n > 0)
        esp_archive_bytes(archive, *items, *n * item_bytes);
}

void esp_archive_text(struct esp_archive *archive, char **text)
{
    bool is_there = *text != NULL;
    esp_archive_bool(archive, &is_there);
    if (esp_archive_reads(archive))
        *text = NULL;
    if (!is_there || !esp_archive_is_ok(archive))
        return;
    size_t n = *text == NULL ? 0 : strlen(*text);
    esp_archive_count(archive, &n, 1);
    if (esp_archive_reads(archive)) {
        *text = calloc(1, n + 1);
        if (*text == NULL) {
            esp_archive_fail(archive, ESP_ENOMEM, "out of memory for a text of %zu bytes", n);
            return;
        }
    }
    esp_archive_bytes(archive, *text, n);
    esp_archive_check(archive, memchr(*text, 0, n) == NULL, "a NUL inside a text");
}
