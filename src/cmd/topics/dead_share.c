/* dead_share.c - see dead_share.h. */
#include "cmd/topics/dead_share.h"

#include <inttypes.h>

enum esp_status dead_share_judge(const struct inputs *inputs, enum esp_event_kind kind,
                                 const struct dead_share *share, uint64_t least_read,
                                 struct esp_error *err)
{
    const struct options *options = &inputs->config->options;
    if (share->read < least_read || share->dead == 0 ||
        (double)share->dead <= options->max_dead_share * (double)share->read)
        return ESP_OK;
    size_t worst = 0;
    for (size_t i = 0; i < ESP_N_REJECTS; i++) {
        if (share->dead_by_reason[i] > share->dead_by_reason[worst])
            worst = i;
    }
    enum esp_status status = inputs_check_schemas(inputs, kind, err);
    if (status != ESP_OK)
        return status;
    const struct esp_decoder *decoder = inputs->kinds[kind].decoder;
    const char *schema = esp_decoder_n_writers(decoder) > 0
                             ? esp_writer_name(esp_decoder_writer(decoder, 0))
                             : "none";
    return esp_fail(err, ESP_EDATA,
                    "topic %s: %" PRIu64 " of %" PRIu64 " records cannot be used, mostly: %s "
                    "(schema tried: %s); mend [%ss], or raise input.max_dead_share",
                    options->inputs[kind].topic, share->dead, share->read,
                    esp_reject_text((enum esp_reject)worst), schema, esp_event_kind_name(kind));
}
