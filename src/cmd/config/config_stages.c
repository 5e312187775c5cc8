/* config_stages.c - what the stages take of a configuration. See config.h. */
#include <string.h>

#include "cmd/config/config.h"

struct esp_sampler_config config_sampler(const struct config *config)
{
    const struct options *options = &config->options;
    return (struct esp_sampler_config){
        .holdout = options->holdout,
        .negatives = options->negatives,
        .holdout_seed = (uint64_t)options->holdout_seed,
        .negative_seed = (uint64_t)options->negative_seed,
        .reads_fields = options->holdout_key != NULL || options->weight_field != NULL,
    };
}

struct esp_learner_config config_learner(const struct config *config, size_t i)
{
    const struct options *options = &config->options;
    return (struct esp_learner_config){
        .model = config->models[i],
        .feature_names = config->feature_names,
        .n_features = config->n_features,
        .has_installs = config->has_installs,
        .window_us = options->metric_window_us,
        .windows_kept = (size_t)options->metric_windows_kept,
        .fault_folder = options->fault_folder,
    };
}

struct esp_decoder_config config_decoder(const struct config *config, enum esp_event_kind kind)
{
    const struct options *options = &config->options;
    const struct input_options *input = &options->inputs[kind];
    bool by_click =
        config->has_installs && options->inputs[ESP_INSTALL].refers_to == REFERS_TO_CLICK;
    bool is_impression = kind == ESP_IMPRESSION;
    return (struct esp_decoder_config){
        .kind = kind,
        .topic = input->topic,
        .framing = (enum esp_framing)input->framing,
        .reader_schema = input->schema,
        .writers = config->schemas,
        .n_writers = config->n_schemas,
        .id_path = input->id,
        .time_path = strcmp(input->time, "@log") == 0 ? NULL : input->time,
        .time_unit = (enum esp_time_unit)input->time_unit,
        .click_id_path = kind == ESP_CLICK && by_click ? input->click_id : NULL,
        .holdout_path = is_impression ? options->holdout_key : NULL,
        .weight_path = is_impression ? options->weight_field : NULL,
        .time_min_us = options->time_min_us,
        .time_max_us = options->time_max_us,
        .max_record_bytes = (size_t)options->max_record_bytes,
        .feature_paths = is_impression ? config->feature_paths : NULL,
        .n_features = is_impression ? config->n_feature_paths : 0,
    };
}
