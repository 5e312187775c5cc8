/* snapshot_export.c - see snapshot_export.h. */
#include "snapshot/snapshot_export.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/atomic_file.h"

static const size_t most_head_bytes = (size_t)64 << 20;

/* A key that has a row. */
struct keyed_row {
    uint64_t key;
    uint32_t row;
};

struct exported {
    const struct esp_snapshot *snapshot;
    struct esp_file_layout layout;
    struct keyed_row *rows[ESP_MAX_TOWERS]; /* ascending by key, owned */
    size_t n_rows[ESP_MAX_TOWERS];
    size_t width;
    FILE *stream;
};

static int compare_keys(const void *a, const void *b)
{
    uint64_t left = ((const struct keyed_row *)a)->key, right = ((const struct keyed_row *)b)->key;
    return (left > right) - (left < right);
}

static enum esp_status gather_rows(struct exported *exported, size_t t, struct esp_error *err)
{
    const struct esp_table_view *view = &esp_snapshot_model(exported->snapshot)->tables[t];
    size_t n = 0;
    for (size_t slot = 0; slot <= view->mask; slot++)
        n += view->keys[slot] != 0;
    struct keyed_row *rows = calloc(n + 1, sizeof *rows);
    if (rows == NULL)
        return esp_fail(err, ESP_ENOMEM, "out of memory for %zu rows", n);
    exported->rows[t] = rows;
    exported->n_rows[t] = n;
    n = 0;
    for (size_t slot = 0; slot <= view->mask; slot++) {
        if (view->keys[slot] != 0)
            rows[n++] = (struct keyed_row){
                view->keys[slot], view->row_of != NULL ? view->row_of[slot] : (uint32_t)slot};
    }
    qsort(rows, n, sizeof *rows, compare_keys);
    return ESP_OK;
}

/* Appends a tensor without a pad. */
static enum esp_status add(struct exported *exported, const char *name, enum esp_dtype dtype,
                           size_t n_dims, const uint64_t *shape, struct esp_error *err)
{
    struct esp_file_layout *layout = &exported->layout;
    enum esp_status status = esp_array_grow((void **)&layout->tensors, &layout->capacity,
                                            layout->n + 1, sizeof *layout->tensors, err);
    if (status != ESP_OK)
        return status;
    struct esp_file_tensor *tensor = &layout->tensors[layout->n++];
    *tensor = (struct esp_file_tensor){.dtype = dtype, .n_dims = n_dims};
    snprintf(tensor->name, sizeof tensor->name, "%s", name);
    uint64_t size = esp_dtype_bytes(dtype);
    for (size_t i = 0; i < n_dims; i++) {
        tensor->shape[i] = shape[i];
        size *= shape[i];
    }
    tensor->begin = layout->data_bytes;
    tensor->end = layout->data_bytes += size;
    return ESP_OK;
}

static bool is_ours(const char *name)
{
    return strncmp(name, "pad.", 4) == 0 || strncmp(name, "embedding.", 10) == 0 ||
           strncmp(name, "features.", 9) == 0 || strncmp(name, "resume.", 7) == 0;
}

/* Keys come first, so that all numbers stand at multiples of their size. */
static enum esp_status lay_out(struct exported *exported, struct esp_error *err)
{
    const struct esp_network *network = esp_snapshot_model(exported->snapshot)->network;
    const struct esp_file_layout *from = esp_snapshot_layout(exported->snapshot);
    enum esp_status status = ESP_OK;
    char name[ESP_FILE_TENSOR_NAME_SIZE];
    exported->width = network->width;
    for (size_t t = 0; t < network->n_towers && status == ESP_OK; t++) {
        status = gather_rows(exported, t, err);
        snprintf(name, sizeof name, "embedding.%zu.keys", t);
        if (status == ESP_OK)
            status =
                add(exported, name, ESP_DTYPE_U64, 1, (const uint64_t[]){exported->n_rows[t]}, err);
    }
    for (size_t t = 0; t < network->n_towers && status == ESP_OK; t++) {
        snprintf(name, sizeof name, "embedding.%zu.rows", t);
        status = add(exported, name, ESP_DTYPE_F32, 2,
                     (const uint64_t[]){exported->n_rows[t], exported->width}, err);
    }
    for (size_t i = 0; i < from->n && status == ESP_OK; i++) {
        const struct esp_file_tensor *tensor = &from->tensors[i];
        if (!is_ours(tensor->name))
            status = add(exported, tensor->name, tensor->dtype, tensor->n_dims, tensor->shape, err);
    }
    return status;
}

/* The stream keeps its first error; it is looked at once, at the end. */
static void write_tables(struct exported *exported)
{
    const struct esp_forward_model *model = esp_snapshot_model(exported->snapshot);
    for (size_t t = 0; t < model->network->n_towers; t++) {
        for (size_t i = 0; i < exported->n_rows[t]; i++)
            fwrite(&exported->rows[t][i].key, sizeof(uint64_t), 1, exported->stream);
    }
    for (size_t t = 0; t < model->network->n_towers; t++) {
        const struct esp_table_view *view = &model->tables[t];
        for (size_t i = 0; i < exported->n_rows[t]; i++)
            fwrite(view->rows + exported->rows[t][i].row * view->stride, sizeof(float),
                   exported->width, exported->stream);
    }
}

static enum esp_status write_all(struct exported *exported, struct esp_error *err)
{
    const struct esp_file_layout *from = esp_snapshot_layout(exported->snapshot);
    struct esp_buf head;
    esp_buf_init(&head, most_head_bytes);
    enum esp_status status =
        esp_file_write_head(&exported->layout, "espalier.snapshot",
                            esp_snapshot_manifest_text(exported->snapshot), &head, err);
    if (status == ESP_OK) {
        fwrite(head.data, 1, head.size, exported->stream);
        write_tables(exported);
        for (size_t i = 0; i < from->n; i++) {
            struct esp_bytes bytes = esp_snapshot_tensor(exported->snapshot, &from->tensors[i]);
            if (!is_ours(from->tensors[i].name))
                fwrite(bytes.data, 1, bytes.size, exported->stream);
        }
    }
    esp_buf_release(&head);
    return status;
}

enum esp_status esp_snapshot_export(const struct esp_snapshot *snapshot, const char *path,
                                    struct esp_error *err)
{
    struct exported exported = {.snapshot = snapshot};
    struct esp_atomic_file file;
    enum esp_status status = lay_out(&exported, err);
    if (status == ESP_OK) {
        status = esp_atomic_file_open(&file, path, err);
        if (status == ESP_OK)
            exported.stream = esp_atomic_file_stream(&file, err);
        if (status == ESP_OK)
            status = exported.stream == NULL ? ESP_ENOMEM : write_all(&exported, err);
        status = esp_atomic_file_close(&file, status, err);
    }
    for (size_t t = 0; t < ESP_MAX_TOWERS; t++)
        free(exported.rows[t]);
    esp_file_layout_release(&exported.layout);
    return status;
}
