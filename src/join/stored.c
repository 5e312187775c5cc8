/* stored.c - see stored.h. */
#include "join/stored.h"

#include <assert.h>

static_assert(offsetof(struct esp_stored, payload) == ESP_STORED_HEAD, "the layout in stored.h");
static_assert(sizeof(struct esp_long_head) == ESP_RING_UNIT, "keeps what follows aligned");

static bool contains(struct esp_bytes outer, struct esp_bytes inner)
{
    uintptr_t begin = (uintptr_t)outer.data, at = (uintptr_t)inner.data;
    return at >= begin && inner.size <= outer.size && at - begin <= outer.size - inner.size;
}

bool esp_stored_fits(const struct esp_ring *ring, struct esp_bytes payload, struct esp_bytes id)
{
    size_t room = esp_ring_max_record(ring);
    size_t heads = sizeof(struct esp_long_head) + ESP_STORED_HEAD;
    room = room < UINT32_MAX ? room : UINT32_MAX;
    return id.size <= ESP_MAX_ID_SIZE && id.size + heads <= room &&
           payload.size <= room - heads - id.size;
}

enum esp_status esp_stored_append(struct esp_ring *ring, enum esp_lane lane,
                                  const struct esp_long_head *head, int64_t time_us,
                                  struct esp_bytes payload, struct esp_bytes id, uint16_t writer,
                                  uint32_t *out_ref, struct esp_error *err)
{
    bool inside = contains(payload, id);
    size_t size = ESP_STORED_HEAD + payload.size + (inside ? 0 : id.size);
    void *at;
    enum esp_status status =
        esp_ring_append(ring, lane, size + (head != NULL ? sizeof *head : 0), out_ref, &at, err);
    if (status != ESP_OK)
        return status;
    if (head != NULL) {
        memcpy(at, head, sizeof *head);
        at = (uint8_t *)at + sizeof *head;
    }
    struct esp_stored *stored = at;
    stored->time_us = time_us;
    stored->size = (uint32_t)payload.size;
    stored->id_at = (uint32_t)(inside ? (size_t)(id.data - payload.data) : payload.size);
    stored->id_size = (uint16_t)id.size;
    stored->writer = writer;
    if (payload.size > 0)
        memcpy(stored->payload, payload.data, payload.size);
    if (!inside && id.size > 0)
        memcpy(stored->payload + payload.size, id.data, id.size);
    return ESP_OK;
}
