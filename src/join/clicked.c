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

/* Do the free entries make up the list, and are there as many of either sort as it says? */
static bool is_sound(const struct esp_clicked_table *table)
{
    size_t n_free = 0, n_used = 0, n_listed = 0;
    for (size_t i = 1; i < table->n; i++) {
        n_free += table->entries[i].ref == 0;
        n_used += table->entries[i].ref != 0;
    }
    for (uint32_t index = table->first_free; index != 0; n_listed++) {
        if (index >= table->n || table->entries[index].ref != 0 || n_listed == n_free)
            return false;
        index = table->entries[index].next_free;
    }
    return n_listed == n_free && n_used == table->n_used;
}

void esp_clicked_table_archive(struct esp_archive *archive, struct esp_clicked_table *table)
{
    void *entries = table->entries;
    size_t n = table->n;
    esp_archive_mark(archive, "clicked impressions", 1);
    esp_archive_array(archive, &entries, &n, sizeof *table->entries);
    if (esp_archive_reads(archive)) {
        table->entries = entries;
        table->n = table->capacity = n;
    }
    esp_archive_u32(archive, &table->first_free);
    esp_archive_size(archive, &table->n_used);
    if (esp_archive_is_ok(archive))
        esp_archive_check(archive, is_sound(table), "the table of clicked impressions");
}
