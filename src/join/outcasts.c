/* outcasts.c - see outcasts.h. */
#include "join/outcasts.h"

void esp_outcasts_init(struct esp_outcasts *outcasts)
{
    *outcasts = (struct esp_outcasts){0};
    /* A batch's worth of records, each of which the decoder bounded: no cap is needed here. */
    esp_buf_init(&outcasts->bytes, SIZE_MAX / 2);
}

void esp_outcasts_release(struct esp_outcasts *outcasts)
{
    free(outcasts->items);
    esp_buf_release(&outcasts->bytes);
    *outcasts = (struct esp_outcasts){0};
}

void esp_outcasts_clear(struct esp_outcasts *outcasts)
{
    outcasts->n = 0;
    esp_buf_clear(&outcasts->bytes);
}

enum esp_status esp_outcasts_add(struct esp_outcasts *outcasts, const struct esp_turned_away *item,
                                 struct esp_error *err)
{
    enum esp_status status = esp_array_grow((void **)&outcasts->items, &outcasts->capacity,
                                            outcasts->n + 1, sizeof *outcasts->items, err);
    if (status == ESP_OK)
        status = esp_buf_append(&outcasts->bytes, item->raw.data, item->raw.size, err);
    if (status != ESP_OK)
        return status;
    outcasts->items[outcasts->n++] = *item;
    return ESP_OK;
}

void esp_outcasts_seal(struct esp_outcasts *outcasts)
{
    size_t at = 0;
    for (size_t i = 0; i < outcasts->n; i++) {
        struct esp_bytes *raw = &outcasts->items[i].raw;
        /* A tombstone stays a tombstone: NULL is not the same as no bytes. */
        if (raw->data != NULL)
            raw->data =
                outcasts->bytes.data != NULL ? outcasts->bytes.data + at : (const uint8_t *)"";
        at += raw->size;
    }
}
