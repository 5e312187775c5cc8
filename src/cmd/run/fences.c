/* fences.c - see fences.h. */
#include "cmd/run/fences.h"

#include <stdlib.h>
#include <string.h>

#include "core/buf.h"

void fences_release(struct fences *fences)
{
    free(fences->items);
    *fences = (struct fences){0};
}

enum esp_status fences_add(struct fences *fences, struct esp_log_writer *writer,
                           struct esp_error *err)
{
    void *items = fences->items;
    enum esp_status status =
        esp_array_grow(&items, &fences->capacity, fences->n + 1, sizeof *fences->items, err);
    fences->items = items;
    uint64_t number = 0;
    if (status == ESP_OK)
        status = esp_log_fence(writer, &number, err);
    if (status == ESP_OK)
        fences->items[fences->n++] = (struct fence){writer, number};
    return status;
}

enum esp_status fences_copy(const struct fences *from, struct fences *to, struct esp_error *err)
{
    *to = (struct fences){0};
    if (from->n == 0)
        return ESP_OK;
    to->items = calloc(from->n, sizeof *to->items);
    if (to->items == NULL)
        return esp_fail(err, ESP_ENOMEM, "out of memory");
    memcpy(to->items, from->items, from->n * sizeof *to->items);
    to->n = to->capacity = from->n;
    return ESP_OK;
}

enum esp_status fences_settled(const struct fences *fences, bool *out_done, struct esp_error *err)
{
    enum esp_status status = ESP_OK;
    *out_done = true;
    for (size_t i = 0; i < fences->n && status == ESP_OK; i++) {
        bool done = false;
        status = esp_log_settled(fences->items[i].writer, fences->items[i].number, &done, err);
        *out_done &= done;
    }
    return status;
}
