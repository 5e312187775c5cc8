/* snapshot.c - see snapshot.h. */
#include "snapshot/snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/hash.h"
#include "model/parameters.h"

struct esp_snapshot {
    struct esp_bytes file; /* mapped */
    struct esp_file_head head;
    struct esp_manifest manifest;
    struct esp_network network;
    struct esp_features *features;
    float *params, *packed;             /* copies of the dense tensors: small, and packed anyway */
    float *rows[ESP_MAX_TOWERS];        /* owned, where the file has them as BF16 */
    uint32_t *defaults[ESP_MAX_TOWERS]; /* (F) owned */
    size_t n_rows[ESP_MAX_TOWERS];
    struct esp_forward_model model;
};

/* ---- the file -------------------------------------------------------------------------------- */

static enum esp_status map_file(const char *path, struct esp_bytes *out, struct esp_error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat stat;
    if (fd < 0 || fstat(fd, &stat) != 0) {
        enum esp_status status =
            esp_fail(err, ESP_EIO, "%s: cannot be opened: %s", path, strerror(errno));
        if (fd >= 0)
            close(fd);
        return status;
    }
    enum esp_status status = ESP_OK;
    if (!S_ISREG(stat.st_mode))
        status = esp_fail(err, ESP_EDATA, "%s: is no file", path);
    else if (stat.st_size == 0)
        status = esp_fail(err, ESP_EDATA, "%s: is empty", path);
    else {
        void *memory = mmap(NULL, (size_t)stat.st_size, PROT_READ, MAP_SHARED, fd, 0);
        if (memory == MAP_FAILED)
            status = esp_fail(err, ESP_ENOMEM, "%s: cannot be mapped: %s", path, strerror(errno));
        else
            *out = esp_bytes(memory, (size_t)stat.st_size);
    }
    close(fd);
    return status;
}

static void unmap_file(struct esp_bytes file)
{
    if (file.data != NULL)
        munmap((void *)(uintptr_t)file.data, file.size);
}

/* Head and manifest of mapped bytes; on failure both are released. */
static enum esp_status read_head(struct esp_bytes file, struct esp_file_head *head,
                                 struct esp_manifest *manifest, struct esp_error *err)
{
    enum esp_status status = esp_file_read_head(file, file.size, ESP_MANIFEST_KEY, head, err);
    if (status != ESP_OK)
        return status;
    if (head->text == NULL)
        status = esp_fail(err, ESP_EDATA, "it is no snapshot of Espalier: its metadata has no %s",
                          ESP_MANIFEST_KEY);
    else
        status = esp_manifest_read(head->text, manifest, err);
    if (status != ESP_OK)
        esp_file_head_release(head);
    return status;
}

/* ---- tensors --------------------------------------------------------------------------------- */

struct esp_bytes esp_snapshot_tensor(const struct esp_snapshot *snapshot,
                                     const struct esp_file_tensor *tensor)
{
    return esp_bytes(snapshot->file.data + snapshot->head.data_offset + tensor->begin,
                     tensor->end - tensor->begin);
}

/* A tensor that must be there with that type and shape; rows, cols UINT64_MAX: any; cols 0: it has
 * one dimension. */
static enum esp_status find(const struct esp_snapshot *snapshot, const char *name,
                            enum esp_dtype dtype, uint64_t rows, uint64_t cols,
                            const struct esp_file_tensor **out, struct esp_error *err)
{
    const struct esp_file_tensor *tensor = esp_file_layout_find(&snapshot->head.layout, name);
    *out = NULL;
    if (tensor == NULL)
        return esp_fail(err, ESP_EDATA, "tensor %s is missing", name);
    if (tensor->dtype != dtype || tensor->n_dims != (cols == 0 ? 1 : 2) ||
        (rows != UINT64_MAX && tensor->shape[0] != rows) || (cols != 0 && tensor->shape[1] != cols))
        return esp_fail(err, ESP_EDATA, "tensor %s has not the shape of the manifest's model",
                        name);
    uintptr_t place = (uintptr_t)esp_snapshot_tensor(snapshot, tensor).data;
    if (place % esp_dtype_bytes(dtype) != 0)
        return esp_fail(err, ESP_EDATA, "tensor %s is not aligned", name);
    *out = tensor;
    return ESP_OK;
}

static float *new_floats(size_t n)
{
    float *floats = n > SIZE_MAX / sizeof(float) - 16
                        ? NULL
                        : aligned_alloc(64, (n * sizeof(float) + 63) / 64 * 64 + 64);
    if (floats != NULL)
        memset(floats, 0, n * sizeof *floats);
    return floats;
}

/* The dense tensors are looked up before memory is taken for them: the file is at least as large.
 */
static enum esp_status load_dense(struct esp_snapshot *snapshot, struct esp_error *err)
{
    const struct esp_network *network = &snapshot->network;
    const struct esp_file_tensor *found[ESP_MAX_TENSORS];
    for (size_t i = 0; i < network->n_tensors; i++) {
        const struct esp_tensor *tensor = &network->tensors[i];
        enum esp_status status = find(snapshot, tensor->name, ESP_DTYPE_F32, tensor->n_rows,
                                      tensor->n_cols, &found[i], err);
        if (status != ESP_OK)
            return status;
    }
    snapshot->params = new_floats(network->n_params);
    snapshot->packed = new_floats(network->n_packed);
    if (snapshot->params == NULL || snapshot->packed == NULL)
        return esp_fail(err, ESP_ENOMEM, "out of memory for %zu dense weights", network->n_params);
    for (size_t i = 0; i < network->n_tensors; i++) {
        struct esp_bytes bytes = esp_snapshot_tensor(snapshot, found[i]);
        memcpy(snapshot->params + network->tensors[i].offset, bytes.data, bytes.size);
    }
    esp_network_pack(network, snapshot->params, snapshot->packed);
    snapshot->model.weights = (struct esp_weights){snapshot->params, snapshot->packed};
    return ESP_OK;
}

/* Every used slot names a row that is there, and some slot is empty, so that a search ends. */
static enum esp_status check_index(const struct esp_table_view *view, uint64_t n_rows, size_t t,
                                   struct esp_error *err)
{
    size_t n_empty = 0, n_wrong = 0;
    for (size_t i = 0; i <= view->mask; i++) {
        n_empty += view->keys[i] == 0;
        n_wrong += (view->keys[i] != 0) & (view->row_of[i] >= n_rows);
    }
    for (size_t i = 0; n_wrong > 0; i++) {
        if (view->keys[i] != 0 && view->row_of[i] >= n_rows)
            return esp_fail(err, ESP_EDATA, "embedding.%zu: slot %zu names row %" PRIu32 " of %llu",
                            t, i, view->row_of[i], (unsigned long long)n_rows);
    }
    return n_empty > 0 ? ESP_OK
                       : esp_fail(err, ESP_EDATA, "embedding.%zu: its index has no empty slot", t);
}

static enum esp_status find_defaults(struct esp_snapshot *snapshot, size_t t, struct esp_error *err)
{
    struct esp_table_view *view = &snapshot->model.tables[t];
    size_t F = snapshot->manifest.n_features;
    uint32_t *defaults = snapshot->defaults[t] = calloc(F, sizeof *defaults);
    if (defaults == NULL)
        return esp_fail(err, ESP_ENOMEM, "out of memory for default rows");
    for (size_t f = 0; f < F; f++) {
        const char *name = snapshot->manifest.features[f].name;
        defaults[f] = esp_table_find(view, esp_feature_default_key(name));
        if (defaults[f] == ESP_NO_ROW)
            return esp_fail(err, ESP_EDATA, "embedding.%zu has no default row of feature %s", t,
                            name);
    }
    view->defaults = defaults;
    return ESP_OK;
}

/* BF16 rows are widened once: the forward pass reads floats. */
static enum esp_status widen_rows(struct esp_snapshot *snapshot, size_t t, struct esp_bytes bytes,
                                  const float **out, struct esp_error *err)
{
    size_t n = bytes.size / sizeof(uint16_t);
    float *rows = snapshot->rows[t] = new_floats(n);
    if (rows == NULL)
        return esp_fail(err, ESP_ENOMEM, "out of memory for %zu embedding weights", n);
    for (size_t i = 0; i < n; i++) {
        uint16_t half;
        memcpy(&half, bytes.data + i * sizeof half, sizeof half);
        uint32_t bits = (uint32_t)half << 16;
        memcpy(&rows[i], &bits, sizeof bits);
    }
    *out = rows;
    return ESP_OK;
}

static enum esp_status load_rows(struct esp_snapshot *snapshot, size_t t, uint64_t *out_n,
                                 struct esp_error *err)
{
    char name[ESP_FILE_TENSOR_NAME_SIZE];
    snprintf(name, sizeof name, "embedding.%zu.rows", t);
    const struct esp_file_tensor *any = esp_file_layout_find(&snapshot->head.layout, name),
                                 *rows = NULL;
    bool is_half = any != NULL && any->dtype == ESP_DTYPE_BF16;
    enum esp_status status = find(snapshot, name, is_half ? ESP_DTYPE_BF16 : ESP_DTYPE_F32,
                                  UINT64_MAX, snapshot->network.width, &rows, err);
    if (status != ESP_OK)
        return status;
    struct esp_table_view *view = &snapshot->model.tables[t];
    struct esp_bytes bytes = esp_snapshot_tensor(snapshot, rows);
    *out_n = rows->shape[0];
    view->stride = snapshot->network.width;
    view->rows = (const float *)(const void *)bytes.data;
    return is_half ? widen_rows(snapshot, t, bytes, &view->rows, err) : ESP_OK;
}

static enum esp_status load_table(struct esp_snapshot *snapshot, size_t t,
                                  enum esp_snapshot_check check, struct esp_error *err)
{
    char name[ESP_FILE_TENSOR_NAME_SIZE];
    const struct esp_file_tensor *keys = NULL, *row_of = NULL;
    uint64_t n_rows = 0;
    snprintf(name, sizeof name, "embedding.%zu.keys", t);
    enum esp_status status = find(snapshot, name, ESP_DTYPE_U64, UINT64_MAX, 0, &keys, err);
    if (status != ESP_OK)
        return status;
    uint64_t capacity = keys->shape[0];
    if (capacity == 0 || (capacity & (capacity - 1)) != 0)
        return esp_fail(err, ESP_EDATA, "%s has %llu slots, no power of two", name,
                        (unsigned long long)capacity);
    snprintf(name, sizeof name, "embedding.%zu.row_of", t);
    status = find(snapshot, name, ESP_DTYPE_U32, capacity, 0, &row_of, err);
    if (status == ESP_OK)
        status = load_rows(snapshot, t, &n_rows, err);
    if (status != ESP_OK)
        return status;
    struct esp_table_view *view = &snapshot->model.tables[t];
    view->keys = (const uint64_t *)(const void *)esp_snapshot_tensor(snapshot, keys).data;
    view->row_of = (const uint32_t *)(const void *)esp_snapshot_tensor(snapshot, row_of).data;
    view->mask = capacity - 1;
    snapshot->n_rows[t] = n_rows;
    if (check != ESP_SNAPSHOT_KNOWN)
        status = check_index(view, n_rows, t, err);
    return status == ESP_OK ? find_defaults(snapshot, t, err) : status;
}

static enum esp_status load_features(struct esp_snapshot *snapshot, struct esp_error *err)
{
    const struct esp_manifest *manifest = &snapshot->manifest;
    const struct esp_file_tensor *state = NULL;
    enum esp_status status =
        find(snapshot, "features.state", ESP_DTYPE_U8, UINT64_MAX, 0, &state, err);
    struct esp_error why = {0};
    if (status != ESP_OK)
        return status;
    status = esp_features_new(manifest->features, manifest->n_features, &snapshot->features, &why);
    if (status == ESP_OK)
        status =
            esp_features_restore(snapshot->features, esp_snapshot_tensor(snapshot, state), &why);
    if (status == ESP_OK)
        return ESP_OK;
    return esp_fail(err, status == ESP_ENOMEM ? status : ESP_EDATA, "%s", why.text);
}

static enum esp_status check_sum(const struct esp_snapshot *snapshot, struct esp_error *err)
{
    uint64_t offset = snapshot->head.data_offset;
    struct esp_bytes data = esp_bytes(snapshot->file.data + offset, snapshot->file.size - offset);
    if (esp_hash(data) == snapshot->manifest.checksum)
        return ESP_OK;
    return esp_fail(err, ESP_EDATA, "its data is not what was written: the checksum differs");
}

static enum esp_status load(struct esp_snapshot *snapshot, enum esp_snapshot_check check,
                            struct esp_error *err)
{
    enum esp_status status = read_head(snapshot->file, &snapshot->head, &snapshot->manifest, err);
    if (status == ESP_OK && check == ESP_SNAPSHOT_CHECKSUM)
        status = check_sum(snapshot, err);
    if (status == ESP_OK)
        status = esp_manifest_network(&snapshot->manifest, &snapshot->network, err);
    if (status == ESP_OK)
        status = load_features(snapshot, err);
    if (status == ESP_OK)
        status = load_dense(snapshot, err);
    snapshot->model.network = &snapshot->network;
    for (size_t t = 0; status == ESP_OK && t < snapshot->network.n_towers; t++)
        status = load_table(snapshot, t, check, err);
    return status;
}

enum esp_status esp_snapshot_open(const char *path, enum esp_snapshot_check check,
                                  struct esp_snapshot **out, struct esp_error *err)
{
    struct esp_snapshot *snapshot = calloc(1, sizeof *snapshot);
    if (snapshot == NULL)
        return esp_fail(err, ESP_ENOMEM, "out of memory for a snapshot");
    enum esp_status status = map_file(path, &snapshot->file, err);
    if (status == ESP_OK) {
        struct esp_error why = {0};
        status = load(snapshot, check, &why);
        if (status != ESP_OK)
            esp_fail(err, status, "%s: %s", path, why.text);
    }
    if (status == ESP_OK) {
        *out = snapshot;
        snapshot = NULL; /* moved to the caller */
    }
    esp_snapshot_close(snapshot);
    return status;
}

void esp_snapshot_close(struct esp_snapshot *snapshot)
{
    if (snapshot == NULL)
        return;
    for (size_t t = 0; t < ESP_MAX_TOWERS; t++) {
        free(snapshot->rows[t]);
        free(snapshot->defaults[t]);
    }
    free(snapshot->params);
    free(snapshot->packed);
    esp_features_free(snapshot->features);
    esp_manifest_release(&snapshot->manifest);
    esp_file_head_release(&snapshot->head);
    unmap_file(snapshot->file);
    free(snapshot);
}

/* ---- what it tells --------------------------------------------------------------------------- */

const struct esp_manifest *esp_snapshot_manifest(const struct esp_snapshot *snapshot)
{
    return &snapshot->manifest;
}

const char *esp_snapshot_manifest_text(const struct esp_snapshot *snapshot)
{
    return snapshot->head.text;
}

const struct esp_file_layout *esp_snapshot_layout(const struct esp_snapshot *snapshot)
{
    return &snapshot->head.layout;
}

struct esp_features *esp_snapshot_features(const struct esp_snapshot *snapshot)
{
    return snapshot->features;
}

const struct esp_forward_model *esp_snapshot_model(const struct esp_snapshot *snapshot)
{
    return &snapshot->model;
}

size_t esp_snapshot_n_rows(const struct esp_snapshot *snapshot, size_t t)
{
    return snapshot->n_rows[t];
}

uint64_t esp_snapshot_bytes(const struct esp_snapshot *snapshot)
{
    return snapshot->file.size;
}

enum esp_status esp_snapshot_peek(const char *path, struct esp_snapshot_info *out,
                                  struct esp_error *err)
{
    *out = (struct esp_snapshot_info){.manifest_json = NULL};
    struct esp_bytes file;
    enum esp_status status = map_file(path, &file, err);
    if (status != ESP_OK)
        return status;
    struct esp_file_head head = {.text = NULL};
    struct esp_manifest manifest = {.root = NULL};
    struct esp_error why = {0};
    status = read_head(file, &head, &manifest, &why);
    if (status == ESP_OK) {
        memcpy(out->run, manifest.run, sizeof out->run);
        memcpy(out->model, manifest.model, sizeof out->model);
        out->number = manifest.number;
        out->boundary_us = manifest.boundary_us;
        out->checksum = manifest.checksum;
        out->size = file.size;
        out->manifest_json = head.text;
        head.text = NULL; /* moved to the caller */
        esp_manifest_release(&manifest);
        esp_file_head_release(&head);
    } else {
        esp_fail(err, status, "%s: %s", path, why.text);
    }
    unmap_file(file);
    return status;
}

void esp_snapshot_info_release(struct esp_snapshot_info *info)
{
    free(info->manifest_json);
    *info = (struct esp_snapshot_info){.manifest_json = NULL};
}

void esp_snapshot_file_name(const char *model, const char *run, int64_t number,
                            char out[ESP_SNAPSHOT_NAME_SIZE])
{
    snprintf(out, ESP_SNAPSHOT_NAME_SIZE, "%s-%s-%012" PRId64 ".safetensors", model, run, number);
}
