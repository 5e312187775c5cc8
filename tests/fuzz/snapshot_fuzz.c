/*
 * snapshot_fuzz.c - any bytes as a snapshot's file: refused with a line, or its tensors lie inside
 * of it, and scoring with it reads nothing else.
 *
 * The head alone is tried with the file's true size and with one that fits the tensors it tells of;
 * the whole as a file in memory.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/check.h"
#include "model/scorer.h"
#include "snapshot/snapshot.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* (1) tensors cover the data section without hole or overlap, whatever their order in the header */
static void check_layout(const struct esp_file_layout *layout, uint64_t n_data)
{
    uint64_t at = 0;
    ESP_CHECK(1, layout->n <= ESP_FILE_MAX_TENSORS && layout->data_bytes == n_data);
    for (size_t i = 0; i < layout->n; i++) {
        const struct esp_file_tensor *tensor = &layout->tensors[i];
        uint64_t n = esp_dtype_bytes(tensor->dtype);
        for (size_t d = 0; d < tensor->n_dims; d++)
            n *= tensor->shape[d];
        ESP_CHECK(1, tensor->begin == at && tensor->end - tensor->begin == n);
        ESP_CHECK(1, esp_file_layout_find(layout, tensor->name) != NULL);
        at = tensor->end;
    }
    ESP_CHECK(1, at == n_data);
}

static void try_head(struct esp_bytes bytes, uint64_t file_size)
{
    struct esp_file_head head = {0};
    struct esp_error err = {0};
    enum esp_status status = esp_file_read_head(bytes, file_size, "espalier.manifest", &head, &err);
    /* (2) what is refused is refused with a reason, and holds nothing */
    ESP_CHECK(2, (status == ESP_OK) == (err.text[0] == '\0'));
    ESP_CHECK(2, status == ESP_OK || status == ESP_EDATA);
    if (status == ESP_OK) {
        ESP_CHECK(2, head.data_offset <= bytes.size && head.data_offset <= file_size);
        check_layout(&head.layout, file_size - head.data_offset);
    }
    esp_file_head_release(&head);
}

/* A row of missing values reads default rows and dense weights, one of numbers the index. */
static void score(const struct esp_snapshot *snapshot)
{
    const struct esp_forward_model *model = esp_snapshot_model(snapshot);
    size_t n_values = esp_snapshot_manifest(snapshot)->n_fields;
    struct esp_value *values = calloc(n_values + 1, sizeof *values);
    struct esp_features *features = esp_snapshot_features(snapshot);
    struct esp_feature_batch batch;
    struct esp_scorer *scorer = NULL;
    float logits[2 * ESP_N_TASKS];
    esp_feature_batch_init(&batch, esp_features_count(features));
    ESP_CHECK(3, values != NULL);
    enum esp_status status = esp_features_add_row(features, values, false, &batch, NULL);
    for (size_t i = 0; i < n_values; i++)
        values[i] = (struct esp_value){.type = ESP_VALUE_INT, .u.i = (int64_t)i};
    if (status == ESP_OK)
        status = esp_features_add_row(features, values, false, &batch, NULL);
    if (status == ESP_OK)
        status = esp_scorer_new(model->network, &scorer, NULL);
    if (status == ESP_OK)
        status = esp_scorer_score(scorer, model, &batch, logits, NULL);
    ESP_CHECK(3, status == ESP_OK || status == ESP_ENOMEM);
    esp_scorer_free(scorer);
    esp_feature_batch_release(&batch);
    free(values);
}

static void try_file(const uint8_t *data, size_t size)
{
    char path[64];
    int fd = memfd_create("snapshot", MFD_CLOEXEC);
    ESP_CHECK(4, fd >= 0 && write(fd, data, size) == (ssize_t)size);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    struct esp_snapshot *snapshot = NULL;
    struct esp_error err = {0};
    enum esp_status status = esp_snapshot_open(path, ESP_SNAPSHOT_STRUCTURE, &snapshot, &err);
    ESP_CHECK(5, (status == ESP_OK) == (snapshot != NULL));
    ESP_CHECK(5, status == ESP_OK || strncmp(err.text, path, strlen(path)) == 0);
    if (snapshot != NULL)
        score(snapshot);
    esp_snapshot_close(snapshot);
    close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint64_t n_header = 0;
    struct esp_bytes bytes = esp_bytes(data, size);
    try_head(bytes, size);
    if (size >= sizeof n_header) {
        memcpy(&n_header, data, sizeof n_header);
        if (n_header <= size - sizeof n_header)
            try_head(bytes, sizeof n_header + n_header); /* of a file without data */
    }
    try_file(data, size);
    return 0;
}
