/*
 * example.c - see example.h.
 *
 * An example's id and payload lie side by side in the arena, in the order of the examples, so that
 * sealing finds them by their sizes alone. Until then their pointers are NULL.
 */
#include "sample/example.h"

#include <stdlib.h>

void esp_example_batch_init(struct esp_example_batch *batch, size_t max_bytes)
{
    *batch = (struct esp_example_batch){.watermark_us = ESP_TIME_NONE};
    esp_buf_init(&batch->bytes, max_bytes);
}

void esp_example_batch_release(struct esp_example_batch *batch)
{
    size_t max_bytes = batch->bytes.cap;
    free(batch->examples);
    esp_buf_release(&batch->bytes);
    esp_example_batch_init(batch, max_bytes);
}

void esp_example_batch_reset(struct esp_example_batch *batch)
{
    batch->n = 0;
    batch->watermark_us = ESP_TIME_NONE;
    esp_buf_clear(&batch->bytes);
}

enum esp_status esp_example_batch_add(struct esp_example_batch *batch,
                                      const struct esp_label *label,
                                      const struct esp_sample *sample,
                                      const struct esp_writer *writer, struct esp_error *err)
{
    if (label->payload.size > SIZE_MAX - label->id.size)
        return esp_fail(err, ESP_ELIMIT, "an impression of %zu bytes", label->payload.size);
    void *examples = batch->examples;
    enum esp_status status =
        esp_array_grow(&examples, &batch->capacity, batch->n + 1, sizeof *batch->examples, err);
    batch->examples = examples;
    if (status == ESP_OK)
        status = esp_buf_reserve(&batch->bytes, label->id.size + label->payload.size, err);
    if (status == ESP_OK)
        status = esp_buf_append(&batch->bytes, label->id.data, label->id.size, err);
    if (status == ESP_OK)
        status = esp_buf_append(&batch->bytes, label->payload.data, label->payload.size, err);
    if (status != ESP_OK)
        return status;

    batch->examples[batch->n++] = (struct esp_example){
        .due_us = label->maturity_us,
        .impression_us = label->impression_us,
        .click_us = label->click_us,
        .install_us = label->install_us,
        .ticket = label->ticket,
        .id_hash = label->id_hash,
        .id = {.size = label->id.size},
        .payload = {.size = label->payload.size},
        .writer = writer,
        .weight = sample->weight,
        .base_weight = sample->base_weight,
        .stage = label->stage,
        .y = label->y,
        .z = label->z,
        .holdout = sample->holdout,
    };
    return ESP_OK;
}

/* Takes the bytes' place at *next and moves it behind them. An empty arena has no address. */
static void place(struct esp_bytes *bytes, const uint8_t **next)
{
    bytes->data = *next;
    if (bytes->size > 0)
        *next += bytes->size;
}

void esp_example_batch_seal(struct esp_example_batch *batch)
{
    const uint8_t *next = batch->bytes.data;
    for (size_t i = 0; i < batch->n; i++) {
        place(&batch->examples[i].id, &next);
        place(&batch->examples[i].payload, &next);
    }
}
