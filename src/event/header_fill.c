/* header_fill.c - see header_fill.h. */
#include "event/header_fill.h"

#include "core/hash.h"
#include "event/event_writer.h"

/* Beyond these a weight is a mistake upstream, and one such record would ruin a model. */
static const double least_weight = 1e-6, most_weight = 1e6;

static bool is_weight(const struct esp_value *value)
{
    double weight = value->type == ESP_VALUE_INT ? (double)value->u.i : value->u.f;
    return (value->type == ESP_VALUE_INT || value->type == ESP_VALUE_REAL) &&
           weight >= least_weight && weight <= most_weight;
}

static struct esp_bytes id_of(const struct esp_value *value)
{
    bool has_bytes = value->type == ESP_VALUE_TEXT || value->type == ESP_VALUE_BYTES;
    return has_bytes ? value->u.bytes : (struct esp_bytes){NULL, 0};
}

enum esp_reject esp_header_fill(const struct esp_decoder_config *config,
                                const struct esp_value *slots, struct esp_header *header)
{
    header->id = id_of(&slots[ESP_SLOT_ID]);
    header->click_id = id_of(&slots[ESP_SLOT_CLICK_ID]);
    if (header->id.size == 0)
        return ESP_REJECT_NO_ID;
    if (config->time_path == NULL)
        header->time_us = header->log_time_us;
    else if (slots[ESP_SLOT_TIME].type == ESP_VALUE_INT)
        header->time_us = slots[ESP_SLOT_TIME].u.i;
    else if (slots[ESP_SLOT_TIME].type == ESP_VALUE_OUT_OF_RANGE)
        return ESP_REJECT_TIME_RANGE;
    else
        return ESP_REJECT_NO_TIME;
    if (config->time_path == NULL && header->time_us == ESP_TIME_NONE)
        return ESP_REJECT_NO_TIME;
    if (header->time_us < config->time_min_us || header->time_us > config->time_max_us)
        return ESP_REJECT_TIME_RANGE;
    if (config->weight_path != NULL && !is_weight(&slots[ESP_SLOT_WEIGHT]))
        return ESP_REJECT_BAD_WEIGHT;
    header->id_hash = esp_hash(header->id);
    header->click_id_hash = header->click_id.size > 0 ? esp_hash(header->click_id) : 0;
    return ESP_REJECT_NONE;
}
