/*
 * sampler.h - who is holdout, which negatives are kept, what they weigh.
 *
 * Two hash splits and a weight (docs/design.md, section 4). Stateless: the answer depends on the
 * label and the seeds alone.
 */
#ifndef ESP_SAMPLE_SAMPLER_H
#define ESP_SAMPLE_SAMPLER_H

#include <stdbool.h>
#include <stdint.h>

#include "core/status.h"
#include "event/event.h"
#include "join/joiner.h"

struct esp_sampler_config {
    double holdout;   /* q in [0, 1): share of keys that are holdout */
    double negatives; /* r in (0, 1]: share of unclicked impressions kept */
    uint64_t holdout_seed, negative_seed;
    bool reads_fields; /* a holdout key or an upstream weight is configured: payloads are read */
};

struct esp_sample {
    bool kept;          /* survives; else the rest is unset */
    bool holdout;       /* never trained on */
    double weight;      /* u_i (y ? 1 : 1/r): weighs losses and metrics */
    double base_weight; /* u_i: weighs losses that carry the offset ln r instead of 1/r */
};

/* Errors: ESP_ECONFIG (q or r out of range). */
enum esp_status esp_sampler_validate(const struct esp_sampler_config *config,
                                     struct esp_error *err);

/*
 * Decides on a label. The holdout and the keep of one impression are the same at every stage.
 *
 * impressions  the decoder that knows the label's writer; read only where reads_fields
 */
void esp_sampler_decide(const struct esp_sampler_config *config,
                        const struct esp_decoder *impressions, const struct esp_label *label,
                        struct esp_sample *out);

#endif
