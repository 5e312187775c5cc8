/*
 * example.h - labelled examples on their way from the join to the learners: batches that own their
 * bytes, so that the join may go on.
 */
#ifndef ESP_SAMPLE_EXAMPLE_H
#define ESP_SAMPLE_EXAMPLE_H

#include "core/buf.h"
#include "join/joiner.h"
#include "sample/sampler.h"

struct esp_example {
    int64_t due_us;        /* the label's maturity */
    int64_t impression_us; /* t_i */
    int64_t click_us;      /* ESP_TIME_NONE if none */
    int64_t install_us;    /* ESP_TIME_NONE if none */
    uint64_t ticket;       /* see esp_label */
    uint64_t id_hash;
    struct esp_bytes id;      /* in the batch's bytes */
    struct esp_bytes payload; /* in the batch's bytes */
    const struct esp_writer *writer;
    double weight;      /* u_i (y ? 1 : 1/r) */
    double base_weight; /* u_i */
    uint8_t stage;      /* enum esp_stage */
    bool y, z;
    bool holdout;
};

/* Examples in label order. Reset to reuse; bytes and array keep their memory. */
struct esp_example_batch {
    struct esp_example *examples;
    size_t n, capacity;
    struct esp_buf bytes; /* ids and payloads; examples point into it once sealed */
    int64_t watermark_us; /* W when the batch was cut: everything due before it is in this batch
                             or an earlier one */
};

void esp_example_batch_init(struct esp_example_batch *batch, size_t max_bytes);
void esp_example_batch_release(struct esp_example_batch *batch);
void esp_example_batch_reset(struct esp_example_batch *batch);

/* Appends a kept label with copies of its id and payload. Errors: ESP_ENOMEM, ESP_ELIMIT. */
enum esp_status esp_example_batch_add(struct esp_example_batch *batch,
                                      const struct esp_label *label,
                                      const struct esp_sample *sample,
                                      const struct esp_writer *writer, struct esp_error *err);

/* Points the examples into the bytes, which do not move any more. Call once before handing over. */
void esp_example_batch_seal(struct esp_example_batch *batch);

#endif
