/* clicked.c - see clicked.h. */
#include "join/clicked.h"

#include "core/buf.h"

void esp_clicked_table_release(struct esp_clicked_table *table)
{
    free(table->entries);
    *table = (struct esp_clicked_table){0};
}

enum esp_status esp_clicked_take(struct esp_clicked_table *table, struct esp_clicked value,
                                 uint32_t *out, struct esp_error *err)
{
    uint32_t index = table->first_free;
    if (index != 0) {
        table->first_free = table->entries[index].next_free;
    } else {
        size_t n = table->n == 0 ? 1 : table->n; /* entry 0 stands for none */
        enum esp_status status = esp_array_grow((void **)&table->entries, &table->capacity, n + 1,
                                                sizeof *table->entries, err);
        if (status != ESP_OK)
            return status;
        if (table->n == 0)
            table->entries[0] = (struct esp_clicked){0};
        index = (uint32_t)n; /* no more than records in the ring, so below 2^31 */
        table->n = n + 1;
    }
    table->entries[index] = value;
    table->n_used++;
    *out = index;
    return ESP_OK;
}

void esp_clicked_give(struct esp_clicked_table *table, uint32_t index)
{
    table->entries[index] = (struct esp_clicked){.next_free = table->first_free};
    table->first_free = index;
    table->n_used--;
}
