/* columns.c - see columns.h. */
#include "columns.h"

#include <stdlib.h>
#include <string.h>

#include "core/buf.h"

enum esp_status load_columns_add(struct load_columns *columns, const char *name, size_t size,
                                 size_t *out, struct esp_error *err)
{
    for (size_t i = 0; i < columns->n; i++) {
        if (strlen(columns->names[i]) == size && memcmp(columns->names[i], name, size) == 0) {
            *out = i;
            return ESP_OK;
        }
    }
    enum esp_status status = esp_array_grow((void **)&columns->names, &columns->capacity,
                                            columns->n + 1, sizeof *columns->names, err);
    if (status != ESP_OK)
        return status;
    char *copy = strndup(name, size);
    if (copy == NULL)
        return esp_fail(err, ESP_ENOMEM, "out of memory for a column's name");
    columns->names[columns->n] = copy;
    *out = columns->n++;
    return ESP_OK;
}

void load_columns_release(struct load_columns *columns)
{
    for (size_t i = 0; i < columns->n; i++)
        free(columns->names[i]);
    free(columns->names);
    *columns = (struct load_columns){0};
}
