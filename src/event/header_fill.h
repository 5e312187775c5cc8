/*
 * header_fill.h - from what a header plan has read to a header, or to the reason why it is none.
 */
#ifndef ESP_EVENT_HEADER_FILL_H
#define ESP_EVENT_HEADER_FILL_H

#include "event/event.h"

/*
 * Sets time, ids and hashes.
 *
 * slots  (ESP_N_SLOTS) of a header plan
 * Returns ESP_REJECT_NONE if the record can be used.
 */
enum esp_reject esp_header_fill(const struct esp_decoder_config *config,
                                const struct esp_value *slots, struct esp_header *header);

#endif
