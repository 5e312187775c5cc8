/*
 * snapshot_write.c - see snapshot_write.h.
 *
 * DESIGN  The data section is streamed first, at the offset where the head will end, and hashed on
 * the way; the head, whose length does not depend on the checksum, is written last.
 */
#include "snapshot/snapshot_write.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/atomic_file.h"
#include "core/hash.h"

enum {
    BUFFER_BYTES = 1 << 20,
    ROWS_AHEAD = 8, /* that are prefetched while one is copied */
};

/* One file on its way. */
struct output {
    struct esp_atomic_file file;
    uint64_t at; /* bytes written to the data section */
    uint64_t data_offset;
    struct esp_hasher *hasher;
    uint8_t *buffer; /* (BUFFER_BYTES) */
    size_t n;        /* bytes in it */
};

static enum esp_status write_at(const struct output *output, uint64_t offset, const void *data,
                                size_t size, struct esp_error *err)
{
    const uint8_t *bytes = data;
    while (size > 0) {
        ssize_t n = pwrite(output->file.fd, bytes, size, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return esp_fail(err, ESP_EIO, "%s: cannot be written: %s", output->file.path,
                            n < 0 ? strerror(errno) : "no space");
        bytes += n;
        offset += (uint64_t)n;
        size -= (size_t)n;
    }
    return ESP_OK;
}

/* Appends to the data section. */
static enum esp_status append(struct output *output, const uint8_t *bytes, size_t size,
                              struct esp_error *err)
{
    esp_hasher_add(output->hasher, bytes, size);
    enum esp_status status = write_at(output, output->data_offset + output->at, bytes, size, err);
    output->at += size;
    return status;
}

static enum esp_status flush(struct output *output, struct esp_error *err)
{
    enum esp_status status = append(output, output->buffer, output->n, err);
    output->n = 0;
    return status;
}

/* Small pieces gather in the buffer; large ones are written from where they are, a piece at a time
 * so that it is hashed and written while it is in the cache. */
static enum esp_status put(struct output *output, const void *data, size_t size,
                           struct esp_error *err)
{
    const uint8_t *bytes = data;
    enum esp_status status = ESP_OK;
    if (size > BUFFER_BYTES - output->n)
        status = flush(output, err);
    for (; status == ESP_OK && size > BUFFER_BYTES; size -= BUFFER_BYTES, bytes += BUFFER_BYTES)
        status = append(output, bytes, BUFFER_BYTES, err);
    if (status != ESP_OK)
        return status;
    memcpy(output->buffer + output->n, bytes, size);
    output->n += size;
    return ESP_OK;
}

/* The upper half of a float, rounded to nearest, ties to even; NaNs stay NaNs. */
static uint16_t to_bf16(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    if (value != value)
        return (uint16_t)(bits >> 16 | 0x40);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

/* One row at `place`, of a table's type; returns its end. */
static uint8_t *copy_row(uint8_t *place, const float *row, size_t D, enum esp_dtype dtype)
{
    if (dtype == ESP_DTYPE_F32) {
        memcpy(place, row, D * sizeof *row);
        return place + D * sizeof *row;
    }
    for (size_t d = 0; d < D; d++) {
        uint16_t half = to_bf16(row[d]);
        memcpy(place + d * sizeof half, &half, sizeof half);
    }
    return place + D * sizeof(uint16_t);
}

/* Rows [0, n) of a view, as many at a time as there is room for. A row fits the empty buffer. */
static enum esp_status put_rows(struct output *output, const struct esp_table_view *view, size_t n,
                                size_t D, enum esp_dtype dtype, struct esp_error *err)
{
    size_t row_bytes = D * esp_dtype_bytes(dtype);
    for (size_t r = 0; r < n;) {
        size_t n_fit = (BUFFER_BYTES - output->n) / row_bytes;
        uint8_t *place = output->buffer + output->n;
        for (size_t end = n_fit < n - r ? r + n_fit : n; r < end; r++) {
            size_t ahead = r + ROWS_AHEAD < n ? r + ROWS_AHEAD : r;
            __builtin_prefetch(view->rows + ahead * view->stride);
            place = copy_row(place, view->rows + r * view->stride, D, dtype);
        }
        output->n = (size_t)(place - output->buffer);
        enum esp_status status = r < n ? flush(output, err) : ESP_OK;
        if (status != ESP_OK)
            return status;
    }
    return ESP_OK;
}

/* ---- what stands where ----------------------------------------------------------------------- */

/* A tensor with what fills it: contiguous bytes, the rows of a table, or an archive. */
struct content {
    const void *bytes;
    const struct esp_parameter_table *rows; /* not NULL: rows */
    const struct esp_snapshot_rest *rest;   /* not NULL: an archive */
};

struct plan {
    struct esp_file_layout layout;
    struct content contents[ESP_MAX_TENSORS + 3 * ESP_MAX_TOWERS + 2]; /* of tensors but pads */
    size_t n;
};

static enum esp_status plan_add(struct plan *plan, const char *name, enum esp_dtype dtype,
                                size_t n_dims, const uint64_t *shape, struct content content,
                                struct esp_error *err)
{
    plan->contents[plan->n++] = content;
    return esp_file_layout_add(&plan->layout, name, dtype, n_dims, shape, NULL, err);
}

static enum esp_status plan_dense(struct plan *plan, const struct esp_parameters *parameters,
                                  struct esp_error *err)
{
    const struct esp_network *network = parameters->network;
    for (size_t i = 0; i < network->n_tensors; i++) {
        const struct esp_tensor *tensor = &network->tensors[i];
        uint64_t shape[2] = {tensor->n_rows, tensor->n_cols};
        enum esp_status status =
            plan_add(plan, tensor->name, ESP_DTYPE_F32, tensor->n_cols == 0 ? 1 : 2, shape,
                     (struct content){.bytes = parameters->params + tensor->offset}, err);
        if (status != ESP_OK)
            return status;
    }
    return ESP_OK;
}

static enum esp_status plan_table(struct plan *plan, const struct esp_parameters *parameters,
                                  size_t t, enum esp_dtype row_dtype, struct esp_error *err)
{
    const struct esp_parameter_table *table = &parameters->tables[t];
    uint64_t capacity = table->view.mask + 1;
    uint64_t shape[2] = {table->n_rows, parameters->network->width};
    char name[ESP_FILE_TENSOR_NAME_SIZE];
    snprintf(name, sizeof name, "embedding.%zu.keys", t);
    enum esp_status status = plan_add(plan, name, ESP_DTYPE_U64, 1, &capacity,
                                      (struct content){.bytes = table->view.keys}, err);
    snprintf(name, sizeof name, "embedding.%zu.row_of", t);
    if (status == ESP_OK)
        status = plan_add(plan, name, ESP_DTYPE_U32, 1, &capacity,
                          (struct content){.bytes = table->view.row_of}, err);
    snprintf(name, sizeof name, "embedding.%zu.rows", t);
    if (status == ESP_OK)
        status = plan_add(plan, name, row_dtype, 2, shape, (struct content){.rows = table}, err);
    return status;
}

/* Counts what an archive writes. */
static enum esp_status count_bytes(void *context, const void *bytes, size_t n,
                                   struct esp_error *err)
{
    (void)bytes;
    (void)err;
    *(uint64_t *)context += n;
    return ESP_OK;
}

static enum esp_status plan_rest(struct plan *plan, const struct esp_snapshot_rest *rest,
                                 struct esp_error *err)
{
    struct esp_archive archive;
    uint64_t n_bytes = 0;
    esp_archive_write_to(&archive, count_bytes, &n_bytes);
    rest->archive(&archive, rest->context);
    enum esp_status status = esp_archive_end(&archive, err);
    return status != ESP_OK ? status
                            : plan_add(plan, ESP_REST_TENSOR, ESP_DTYPE_U8, 1, &n_bytes,
                                       (struct content){.rest = rest}, err);
}

static enum esp_status make_plan(struct plan *plan, const struct esp_manifest *manifest,
                                 const struct esp_parameters *parameters, enum esp_dtype row_dtype,
                                 const struct esp_snapshot_rest *rest, struct esp_error *err)
{
    enum esp_status status = plan_dense(plan, parameters, err);
    for (size_t t = 0; status == ESP_OK && t < parameters->network->n_towers; t++)
        status = plan_table(plan, parameters, t, row_dtype, err);
    struct esp_bytes state = esp_features_state(manifest->statistics);
    uint64_t n_state = state.size;
    if (status == ESP_OK)
        status = plan_add(plan, "features.state", ESP_DTYPE_U8, 1, &n_state,
                          (struct content){.bytes = state.data}, err);
    return status == ESP_OK && rest != NULL ? plan_rest(plan, rest, err) : status;
}

static enum esp_status put_archived(void *context, const void *bytes, size_t n,
                                    struct esp_error *err)
{
    return put(context, bytes, n, err);
}

static enum esp_status put_rest(struct output *output, const struct esp_snapshot_rest *rest,
                                struct esp_error *err)
{
    struct esp_archive archive;
    esp_archive_write_to(&archive, put_archived, output);
    rest->archive(&archive, rest->context);
    return esp_archive_end(&archive, err);
}

static enum esp_status put_tensor(struct output *output, const struct esp_file_tensor *tensor,
                                  const struct content *content, struct esp_error *err)
{
    if (content->rest != NULL)
        return put_rest(output, content->rest, err);
    if (content->rows == NULL)
        return put(output, content->bytes, tensor->end - tensor->begin, err);
    return put_rows(output, &content->rows->view, content->rows->n_rows, tensor->shape[1],
                    tensor->dtype, err);
}

static enum esp_status put_data(struct output *output, const struct plan *plan,
                                struct esp_error *err)
{
    static const uint8_t zeros[ESP_FILE_ALIGNMENT];
    size_t next = 0;
    enum esp_status status = ESP_OK;
    for (size_t i = 0; status == ESP_OK && i < plan->layout.n; i++) {
        const struct esp_file_tensor *tensor = &plan->layout.tensors[i];
        bool is_pad = strncmp(tensor->name, "pad.", 4) == 0;
        status = is_pad ? put(output, zeros, tensor->end - tensor->begin, err)
                        : put_tensor(output, tensor, &plan->contents[next++], err);
    }
    return status == ESP_OK ? flush(output, err) : status;
}

/* ---- the file -------------------------------------------------------------------------------- */

/* The head with a checksum, in a buffer. */
static enum esp_status make_head(const struct plan *plan, const struct esp_manifest *manifest,
                                 uint64_t checksum, struct esp_buf *out, struct esp_error *err)
{
    struct esp_manifest copy = *manifest;
    char *text = NULL;
    copy.checksum = checksum;
    esp_buf_clear(out);
    enum esp_status status = esp_manifest_write(&copy, &text, err);
    if (status == ESP_OK)
        status = esp_file_write_head(&plan->layout, ESP_MANIFEST_KEY, text, out, err);
    free(text);
    return status;
}

/* Lazy: the learning thread waits for it, and a file that was lost with the power is made again by
 * the run that goes on; a checkpoint brings to the disk what it names. */
static enum esp_status output_open(struct output *output, const char *path, struct esp_error *err)
{
    *output = (struct output){.file = {.fd = -1}};
    output->buffer = malloc(BUFFER_BYTES);
    output->hasher = esp_hasher_new();
    if (output->buffer == NULL || output->hasher == NULL)
        return esp_fail(err, ESP_ENOMEM, "out of memory for a snapshot's buffer");
    enum esp_status status = esp_atomic_file_open(&output->file, path, err);
    output->file.is_lazy = true;
    return status;
}

/* Renames what is whole; removes what is not. */
static enum esp_status output_close(struct output *output, enum esp_status status,
                                    struct esp_error *err)
{
    free(output->buffer);
    esp_hasher_free(output->hasher);
    return esp_atomic_file_close(&output->file, status, err);
}

enum esp_status esp_snapshot_write(const char *path, const struct esp_manifest *manifest,
                                   const struct esp_parameters *parameters,
                                   enum esp_dtype row_dtype, uint64_t *out_bytes,
                                   struct esp_error *err)
{
    return esp_snapshot_write_with(path, manifest, parameters, row_dtype, NULL, out_bytes, err);
}

enum esp_status esp_snapshot_write_with(const char *path, const struct esp_manifest *manifest,
                                        const struct esp_parameters *parameters,
                                        enum esp_dtype row_dtype,
                                        const struct esp_snapshot_rest *rest, uint64_t *out_bytes,
                                        struct esp_error *err)
{
    struct plan plan = {.n = 0};
    struct output output;
    struct esp_buf head;
    esp_buf_init(&head, (size_t)ESP_FILE_MAX_HEADER + 64);
    enum esp_status status = output_open(&output, path, err);
    if (status == ESP_OK)
        status = make_plan(&plan, manifest, parameters, row_dtype, rest, err);
    if (status == ESP_OK)
        status = make_head(&plan, manifest, 0, &head, err);
    output.data_offset = head.size;
    if (status == ESP_OK)
        status = put_data(&output, &plan, err);
    if (status == ESP_OK) {
        assert(output.at == plan.layout.data_bytes);
        status = make_head(&plan, manifest, esp_hasher_value(output.hasher), &head, err);
    }
    if (status == ESP_OK) {
        assert(head.size == output.data_offset);
        status = write_at(&output, 0, head.data, head.size, err);
    }
    status = output_close(&output, status, err);
    if (status == ESP_OK && out_bytes != NULL)
        *out_bytes = head.size + plan.layout.data_bytes;
    esp_file_layout_release(&plan.layout);
    esp_buf_release(&head);
    return status;
}
