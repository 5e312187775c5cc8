/*
 * stored.h - how one event stands in the ring. Never changes once written.
 *
 *     offset size
 *          0    8  time_us
 *          8    4  size of the payload
 *         12    4  id_at: where the id begins, counted from the payload's first byte
 *         16    2  id_size
 *         18    2  writer
 *         20       payload; behind it the id, unless the payload contains it (as a record does
 *                  whose id is a string, bytes, an int: then it is not stored again)
 *
 * What the three lanes keep in this form:
 *
 *     lane         id           payload          time_us
 *     IMPRESSIONS  its id       its record       t_i
 *     LONG         its id       its record       t_i; 16 bytes more before it: struct esp_long_head
 *                  a click id   impression's id  when the click id is free again
 *     WAITING      the id that  a click's own    t_c, t_z
 *                  it names     click id
 */
#ifndef ESP_JOIN_STORED_H
#define ESP_JOIN_STORED_H

#include <stdbool.h>

#include "core/bytes.h"
#include "join/ring.h"

struct esp_stored {
    int64_t time_us;
    uint32_t size;
    uint32_t id_at;
    uint16_t id_size;
    uint16_t writer;
    uint8_t payload[];
};

/* What is known for good about an impression once its click stage has passed. */
struct esp_long_head {
    int64_t click_us;          /* ESP_TIME_NONE: no click counted */
    uint64_t ticket_and_whole; /* ticket * 2 + [a label of ESP_STAGE_WHOLE follows] */
};

enum {
    ESP_STORED_HEAD = 20, /* offset of the payload */
    ESP_MAX_ID_SIZE = UINT16_MAX,
    ESP_SURELY_FITS = 1024, /* payload and id below this fit into the smallest segment */
};

static inline struct esp_bytes esp_stored_id(const struct esp_stored *stored)
{
    return esp_bytes(stored->payload + stored->id_at, stored->id_size);
}

static inline struct esp_bytes esp_stored_payload(const struct esp_stored *stored)
{
    return esp_bytes(stored->payload, stored->size);
}

/* Can this be stored in the ring's segments, with the long head? */
bool esp_stored_fits(const struct esp_ring *ring, struct esp_bytes payload, struct esp_bytes id);

/*
 * Appends a record; head is NULL but for impressions in lane LONG. Payload and id may themselves
 * lie in the ring. Errors: ESP_ENOMEM.
 */
enum esp_status esp_stored_append(struct esp_ring *ring, enum esp_lane lane,
                                  const struct esp_long_head *head, int64_t time_us,
                                  struct esp_bytes payload, struct esp_bytes id, uint16_t writer,
                                  uint32_t *out_ref, struct esp_error *err);

#endif
