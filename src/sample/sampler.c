/*
 * sampler.c - the two hash splits and the weight; see sampler.h and docs/sampling.md.
 *
 * The negative split comes first: it needs the id alone, so a payload is read only for impressions
 * that survive it.
 */
#include "sample/sampler.h"

#include "core/hash.h"

enum esp_status esp_sampler_validate(const struct esp_sampler_config *config, struct esp_error *err)
{
    /* written so that NaN fails */
    if (!(config->holdout >= 0 && config->holdout < 1))
        return esp_fail(err, ESP_ECONFIG, "the holdout's share is %g; it must be in [0, 1)",
                        config->holdout);
    if (!(config->negatives > 0 && config->negatives <= 1))
        return esp_fail(err, ESP_ECONFIG, "the share of negatives kept is %g; it must be in (0, 1]",
                        config->negatives);
    return ESP_OK;
}

/* u(domain, key, seed) < share; a share of 0 takes nobody, 1 everybody. */
static bool falls_in(enum esp_hash_domain domain, struct esp_bytes key, uint64_t seed, double share)
{
    return esp_unit_of_bits(esp_hash_domain(domain, key, seed)) < share;
}

void esp_sampler_decide(const struct esp_sampler_config *config,
                        const struct esp_decoder *impressions, const struct esp_label *label,
                        struct esp_sample *out)
{
    /* y is final at every stage: the click stage comes when the click window has passed, and only
     * clicked impressions have an install stage. So all stages of an impression agree. */
    out->kept = label->y || config->negatives >= 1 ||
                falls_in(ESP_DOMAIN_NEGATIVE, label->id, config->negative_seed, config->negatives);
    if (!out->kept)
        return;

    struct esp_sampling_fields fields = {.holdout_key = label->id, .weight = 1};
    if (config->reads_fields)
        esp_writer_sampling_fields(esp_decoder_writer(impressions, label->writer), label->payload,
                                   &fields);
    out->holdout = config->holdout > 0 && falls_in(ESP_DOMAIN_HOLDOUT, fields.holdout_key,
                                                   config->holdout_seed, config->holdout);
    out->base_weight = fields.weight;
    out->weight = label->y ? fields.weight : fields.weight / config->negatives;
}
