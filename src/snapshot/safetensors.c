/* safetensors.c - see safetensors.h. */
#include "snapshot/safetensors.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    size_t bytes;
} dtypes[] = {
    [ESP_DTYPE_F32] = {"F32", 4}, [ESP_DTYPE_BF16] = {"BF16", 2}, [ESP_DTYPE_U64] = {"U64", 8},
    [ESP_DTYPE_U32] = {"U32", 4}, [ESP_DTYPE_U8] = {"U8", 1},
};

enum { N_DTYPES = sizeof dtypes / sizeof dtypes[0], HEAD_SIZE = 8 };

size_t esp_dtype_bytes(enum esp_dtype dtype)
{
    return dtypes[dtype].bytes;
}

const char *esp_dtype_name(enum esp_dtype dtype)
{
    return dtypes[dtype].name;
}

/* Bytes of a tensor; false: they overflow. */
static bool tensor_bytes(const struct esp_file_tensor *tensor, uint64_t *out)
{
    uint64_t bytes = dtypes[tensor->dtype].bytes;
    for (size_t i = 0; i < tensor->n_dims; i++)
        if (__builtin_mul_overflow(bytes, tensor->shape[i], &bytes))
            return false;
    *out = bytes;
    return bytes <= INT64_MAX;
}

/* ---- layout ---------------------------------------------------------------------------------- */

void esp_file_layout_release(struct esp_file_layout *layout)
{
    free(layout->tensors);
    *layout = (struct esp_file_layout){0};
}

static enum esp_status append(struct esp_file_layout *layout, const struct esp_file_tensor *tensor,
                              struct esp_error *err)
{
    if (layout->n >= ESP_FILE_MAX_TENSORS)
        return esp_fail(err, ESP_ELIMIT, "more than %d tensors", ESP_FILE_MAX_TENSORS);
    void *tensors = layout->tensors;
    enum esp_status status =
        esp_array_grow(&tensors, &layout->capacity, layout->n + 1, sizeof *tensor, err);
    layout->tensors = tensors;
    if (status == ESP_OK)
        layout->tensors[layout->n++] = *tensor;
    return status;
}

/* Appends a tensor at the section's end. */
static enum esp_status append_at_end(struct esp_file_layout *layout, struct esp_file_tensor *tensor,
                                     struct esp_error *err)
{
    uint64_t bytes, end;
    if (!tensor_bytes(tensor, &bytes) || __builtin_add_overflow(layout->data_bytes, bytes, &end) ||
        end > INT64_MAX)
        return esp_fail(err, ESP_ELIMIT, "tensor %s is too large", tensor->name);
    tensor->begin = layout->data_bytes;
    tensor->end = end;
    enum esp_status status = append(layout, tensor, err);
    if (status == ESP_OK)
        layout->data_bytes = end;
    return status;
}

static enum esp_status append_pad(struct esp_file_layout *layout, struct esp_error *err)
{
    uint64_t over = layout->data_bytes % ESP_FILE_ALIGNMENT;
    if (over == 0)
        return ESP_OK;
    struct esp_file_tensor pad = {
        .dtype = ESP_DTYPE_U8, .n_dims = 1, .shape = {ESP_FILE_ALIGNMENT - over}};
    snprintf(pad.name, sizeof pad.name, "pad.%zu", layout->n_pads++);
    return append_at_end(layout, &pad, err);
}

enum esp_status esp_file_layout_add(struct esp_file_layout *layout, const char *name,
                                    enum esp_dtype dtype, size_t n_dims, const uint64_t *shape,
                                    size_t *out, struct esp_error *err)
{
    struct esp_file_tensor tensor = {.dtype = dtype, .n_dims = n_dims};
    if (strlen(name) >= sizeof tensor.name || n_dims == 0 || n_dims > ESP_FILE_MAX_DIMS)
        return esp_fail(err, ESP_EINVAL, "tensor \"%s\" of %zu dimensions", name, n_dims);
    memcpy(tensor.name, name, strlen(name) + 1);
    memcpy(tensor.shape, shape, n_dims * sizeof *shape);
    enum esp_status status = append_pad(layout, err);
    if (status == ESP_OK)
        status = append_at_end(layout, &tensor, err);
    if (status == ESP_OK && out != NULL)
        *out = layout->n - 1;
    return status;
}

const struct esp_file_tensor *esp_file_layout_find(const struct esp_file_layout *layout,
                                                   const char *name)
{
    for (size_t i = 0; i < layout->n; i++)
        if (strcmp(layout->tensors[i].name, name) == 0)
            return &layout->tensors[i];
    return NULL;
}

/* ---- writing --------------------------------------------------------------------------------- */

static json_t *tensor_json(const struct esp_file_tensor *tensor)
{
    json_t *shape = json_array();
    for (size_t i = 0; i < tensor->n_dims; i++)
        json_array_append_new(shape, json_integer((json_int_t)tensor->shape[i]));
    return json_pack("{s:s, s:o, s:[I, I]}", "dtype", dtypes[tensor->dtype].name, "shape", shape,
                     "data_offsets", (json_int_t)tensor->begin, (json_int_t)tensor->end);
}

/* NULL: out of memory. To be free()d. */
static char *header_text(const struct esp_file_layout *layout, const char *key, const char *text)
{
    json_t *header = json_pack("{s:{s:s}}", "__metadata__", key, text);
    bool ok = header != NULL;
    for (size_t i = 0; ok && i < layout->n; i++)
        ok = json_object_set_new(header, layout->tensors[i].name,
                                 tensor_json(&layout->tensors[i])) == 0;
    char *out = ok ? json_dumps(header, JSON_COMPACT) : NULL;
    json_decref(header);
    return out;
}

enum esp_status esp_file_write_head(const struct esp_file_layout *layout, const char *key,
                                    const char *text, struct esp_buf *out, struct esp_error *err)
{
    char *header = header_text(layout, key, text);
    if (header == NULL)
        return esp_fail(err, ESP_ENOMEM, "out of memory for a snapshot's header");
    size_t n = strlen(header), over = (HEAD_SIZE + n) % ESP_FILE_ALIGNMENT;
    size_t n_blanks = over == 0 ? 0 : ESP_FILE_ALIGNMENT - over;
    static const char blanks[ESP_FILE_ALIGNMENT + 1] =
        "                                                                ";
    uint64_t size = n + n_blanks; /* little-endian on every machine that we support */
    enum esp_status status = esp_buf_append(out, &size, sizeof size, err);
    if (status == ESP_OK)
        status = esp_buf_append(out, header, n, err);
    if (status == ESP_OK)
        status = esp_buf_append(out, blanks, n_blanks, err);
    free(header);
    return status;
}

/* ---- reading --------------------------------------------------------------------------------- */

void esp_file_head_release(struct esp_file_head *head)
{
    esp_file_layout_release(&head->layout);
    free(head->text);
    *head = (struct esp_file_head){0};
}

/* A whole number from 0 to 2^63 - 1. */
static bool read_number(const json_t *value, uint64_t *out)
{
    if (!json_is_integer(value) || json_integer_value(value) < 0)
        return false;
    *out = (uint64_t)json_integer_value(value);
    return true;
}

static bool read_dtype(const json_t *value, enum esp_dtype *out)
{
    const char *name = json_string_value(value);
    for (size_t i = 0; name != NULL && i < N_DTYPES; i++) {
        if (strcmp(name, dtypes[i].name) == 0) {
            *out = (enum esp_dtype)i;
            return true;
        }
    }
    return false;
}

static bool read_shape(const json_t *value, struct esp_file_tensor *out)
{
    out->n_dims = json_array_size(value);
    if (!json_is_array(value) || out->n_dims == 0 || out->n_dims > ESP_FILE_MAX_DIMS)
        return false;
    for (size_t i = 0; i < out->n_dims; i++)
        if (!read_number(json_array_get(value, i), &out->shape[i]))
            return false;
    return true;
}

static enum esp_status read_tensor(const char *name, const json_t *entry,
                                   struct esp_file_layout *layout, struct esp_error *err)
{
    struct esp_file_tensor tensor = {0};
    uint64_t bytes;
    const json_t *offsets = json_object_get(entry, "data_offsets");
    if (strlen(name) >= sizeof tensor.name)
        return esp_fail(err, ESP_EDATA, "a tensor's name has %zu bytes", strlen(name));
    memcpy(tensor.name, name, strlen(name) + 1);
    if (!read_dtype(json_object_get(entry, "dtype"), &tensor.dtype) ||
        !read_shape(json_object_get(entry, "shape"), &tensor))
        return esp_fail(err, ESP_EDATA, "tensor %s has no dtype and shape that is read here", name);
    if (json_array_size(offsets) != 2 || !read_number(json_array_get(offsets, 0), &tensor.begin) ||
        !read_number(json_array_get(offsets, 1), &tensor.end) || tensor.end < tensor.begin ||
        !tensor_bytes(&tensor, &bytes) || tensor.end - tensor.begin != bytes)
        return esp_fail(err, ESP_EDATA, "tensor %s: its offsets are not those of its shape", name);
    return append(layout, &tensor, err);
}

static int by_begin(const void *a, const void *b)
{
    const struct esp_file_tensor *x = a, *y = b;
    if (x->begin != y->begin)
        return x->begin < y->begin ? -1 : 1;
    return (x->end > y->end) - (x->end < y->end); /* empty ones first */
}

static enum esp_status check_cover(struct esp_file_layout *layout, uint64_t data_bytes,
                                   struct esp_error *err)
{
    if (layout->n > 0)
        qsort(layout->tensors, layout->n, sizeof *layout->tensors, by_begin);
    uint64_t at = 0;
    for (size_t i = 0; i < layout->n; i++) {
        if (layout->tensors[i].begin != at)
            return esp_fail(err, ESP_EDATA, "tensor %s does not begin where the one before ends",
                            layout->tensors[i].name);
        at = layout->tensors[i].end;
    }
    if (at != data_bytes)
        return esp_fail(err, ESP_EDATA, "it has %llu bytes of data, its header tells of %llu",
                        (unsigned long long)data_bytes, (unsigned long long)at);
    layout->data_bytes = at;
    return ESP_OK;
}

static enum esp_status read_entries(const json_t *header, const char *key,
                                    struct esp_file_head *out, struct esp_error *err)
{
    const char *name;
    json_t *entry;
    json_object_foreach((json_t *)(uintptr_t)header, name, entry)
    {
        if (strcmp(name, "__metadata__") == 0) {
            const char *text = json_string_value(json_object_get(entry, key));
            if (text != NULL && (out->text = strdup(text)) == NULL)
                return esp_fail(err, ESP_ENOMEM, "out of memory for a snapshot's metadata");
            continue;
        }
        enum esp_status status = read_tensor(name, entry, &out->layout, err);
        if (status != ESP_OK)
            return status;
    }
    return ESP_OK;
}

enum esp_status esp_file_read_head(struct esp_bytes bytes, uint64_t file_size, const char *key,
                                   struct esp_file_head *out, struct esp_error *err)
{
    *out = (struct esp_file_head){0};
    uint64_t n = 0;
    if (bytes.size < HEAD_SIZE)
        return esp_fail(err, ESP_EDATA, "it is too short for a safetensors file");
    memcpy(&n, bytes.data, sizeof n);
    if (n > ESP_FILE_MAX_HEADER || n > file_size - HEAD_SIZE)
        return esp_fail(err, ESP_EDATA, "it is no safetensors file: a header of %llu bytes",
                        (unsigned long long)n);
    if (n > bytes.size - HEAD_SIZE)
        return esp_fail(err, ESP_EDATA, "it ends inside its header");
    json_error_t why;
    json_t *header =
        json_loadb((const char *)bytes.data + HEAD_SIZE, n, JSON_REJECT_DUPLICATES, &why);
    if (header == NULL || !json_is_object(header)) {
        json_decref(header);
        return esp_fail(err, ESP_EDATA, "its header is no JSON object");
    }
    out->data_offset = HEAD_SIZE + n;
    enum esp_status status = read_entries(header, key, out, err);
    if (status == ESP_OK)
        status = check_cover(&out->layout, file_size - out->data_offset, err);
    json_decref(header);
    if (status != ESP_OK)
        esp_file_head_release(out);
    return status;
}
