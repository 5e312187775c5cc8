/* schema_ids.c - see schema_ids.h. */
#include "event/schema_ids.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/buf.h"

/* The place of the first id that is not below this one. */
static size_t place_of(const struct esp_schema_ids *ids, uint32_t id)
{
    size_t low = 0, high = ids->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (ids->items[middle].id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

const struct esp_schema_id *esp_schema_ids_find(const struct esp_schema_ids *ids, uint32_t id)
{
    size_t place = place_of(ids, id);
    return place < ids->n && ids->items[place].id == id ? &ids->items[place] : NULL;
}

enum esp_status esp_schema_ids_add(struct esp_schema_ids *ids, uint32_t id,
                                   const struct esp_writer *writer, struct esp_error *err)
{
    assert(esp_schema_ids_find(ids, id) == NULL);
    if (ids->n == ESP_MAX_SCHEMA_IDS)
        return esp_fail(err, ESP_ELIMIT, "more than %d schema ids", ESP_MAX_SCHEMA_IDS);
    void *items = ids->items;
    enum esp_status status =
        esp_array_grow(&items, &ids->capacity, ids->n + 1, sizeof *ids->items, err);
    if (status != ESP_OK)
        return status;
    ids->items = items;
    size_t place = place_of(ids, id);
    memmove(&ids->items[place + 1], &ids->items[place], (ids->n - place) * sizeof *ids->items);
    ids->items[place] = (struct esp_schema_id){id, writer};
    ids->n++;
    return ESP_OK;
}

void esp_schema_ids_release(struct esp_schema_ids *ids)
{
    free(ids->items);
    *ids = (struct esp_schema_ids){0};
}
