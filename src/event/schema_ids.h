/*
 * schema_ids.h - which writer each schema id of Confluent's framing means in one topic.
 *
 * INVARIANTS
 *  (1) Ids rise strictly.
 *  (2) An id that is in the table never leaves it, for what an id means never changes.
 */
#ifndef ESP_EVENT_SCHEMA_IDS_H
#define ESP_EVENT_SCHEMA_IDS_H

#include <stddef.h>
#include <stdint.h>

#include "core/status.h"

struct esp_writer;

struct esp_schema_id {
    uint32_t id;
    const struct esp_writer *writer; /* NULL: its schema does not fit the topic */
};

/* { 0 } is empty. */
struct esp_schema_ids {
    struct esp_schema_id *items; /* owned */
    size_t n, capacity;
};

enum { ESP_MAX_SCHEMA_IDS = 4096 };

/* NULL: not in the table. */
const struct esp_schema_id *esp_schema_ids_find(const struct esp_schema_ids *ids, uint32_t id);

/* Adds an id that is not in the table. Errors: ESP_ELIMIT (ESP_MAX_SCHEMA_IDS), ESP_ENOMEM. */
enum esp_status esp_schema_ids_add(struct esp_schema_ids *ids, uint32_t id,
                                   const struct esp_writer *writer, struct esp_error *err);

void esp_schema_ids_release(struct esp_schema_ids *ids);

#endif
