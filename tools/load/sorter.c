/* sorter.c - see sorter.h. */
#include "sorter.h"

#include <stdlib.h>

void load_sorter_init(struct load_sorter *sorter, size_t max_bytes)
{
    *sorter = (struct load_sorter){0};
    esp_buf_init(&sorter->bytes, max_bytes);
}

void load_sorter_release(struct load_sorter *sorter)
{
    esp_buf_release(&sorter->bytes);
    free(sorter->items);
    *sorter = (struct load_sorter){0};
}

enum esp_status load_sorter_add(struct load_sorter *sorter, int64_t sort, int64_t time_us,
                                struct esp_bytes key, struct esp_bytes value, struct esp_error *err)
{
    struct load_sorted item = {
        .sort = sort,
        .time_us = time_us,
        .begin = sorter->bytes.size,
        .key_size = (uint32_t)key.size,
        .value_size = (uint32_t)value.size,
    };
    enum esp_status status = esp_array_grow((void **)&sorter->items, &sorter->capacity,
                                            sorter->n + 1, sizeof *sorter->items, err);
    if (status == ESP_OK)
        status = esp_buf_append(&sorter->bytes, key.data, key.size, err);
    if (status == ESP_OK)
        status = esp_buf_append(&sorter->bytes, value.data, value.size, err);
    if (status == ESP_OK)
        sorter->items[sorter->n++] = item;
    return status;
}

/* Records were added in the order of their place, which breaks ties. */
static int compare(const void *left, const void *right)
{
    const struct load_sorted *a = left;
    const struct load_sorted *b = right;
    if (a->sort != b->sort)
        return a->sort < b->sort ? -1 : 1;
    return (a->begin > b->begin) - (a->begin < b->begin);
}

void load_sorter_sort(struct load_sorter *sorter)
{
    if (sorter->n > 0)
        qsort(sorter->items, sorter->n, sizeof *sorter->items, compare);
}
