/* crossings.c - see crossings.h. */
#include "cmd/run/crossings.h"

#include <stdlib.h>
#include <string.h>

#include "core/buf.h"

int64_t crossings_boundary_after(const struct config *config, int64_t time_us)
{
    int64_t every_us = config->options.snapshot_every_us;
    return (time_us / every_us - (time_us % every_us < 0) + 1) * every_us;
}

void crossing_release(struct crossing *crossing)
{
    rewinds_release(&crossing->rewinds);
    fences_release(&crossing->fences);
}

void crossings_init(struct crossings *crossings, const struct config *config)
{
    *crossings = (struct crossings){.config = config, .next_us = ESP_TIME_NONE};
    pthread_mutex_init(&crossings->lock, NULL);
}

void crossings_release(struct crossings *crossings)
{
    if (crossings->config == NULL)
        return;
    for (size_t i = 0; i < crossings->n; i++)
        crossing_release(&crossings->items[i]);
    free(crossings->items);
    pthread_mutex_destroy(&crossings->lock);
    *crossings = (struct crossings){.config = NULL};
}

/* ---- the ingest thread's --------------------------------------------------------------------- */

/* The boundary ahead is crossed. */
static bool cross(struct crossings *crossings, int64_t *out_boundary_us)
{
    if (crossings->is_noted)
        return false;
    crossings->is_noted = true;
    *out_boundary_us = crossings->next_us;
    return true;
}

bool crossings_meets(struct crossings *crossings, int64_t due_us, int64_t *out_boundary_us)
{
    bool is_first = crossings->next_us == ESP_TIME_NONE;
    if (crossings->config->options.snapshot_every_us == 0 ||
        (!is_first && due_us < crossings->next_us))
        return false;
    bool crossed = !is_first && cross(crossings, out_boundary_us);
    crossings->next_us = crossings_boundary_after(crossings->config, due_us);
    return crossed;
}

void crossings_kept(struct crossings *crossings)
{
    crossings->is_noted = false;
}

bool crossings_ends(struct crossings *crossings, int64_t *out_boundary_us)
{
    return crossings->next_us != ESP_TIME_NONE && cross(crossings, out_boundary_us);
}

/* Takes it over, on failure as well. With the lock held, or while both threads stand. */
static enum esp_status append(struct crossings *crossings, struct crossing *crossing,
                              struct esp_error *err)
{
    void *items = crossings->items;
    enum esp_status status = esp_array_grow(&items, &crossings->capacity, crossings->n + 1,
                                            sizeof *crossings->items, err);
    crossings->items = items;
    if (status == ESP_OK)
        crossings->items[crossings->n++] = *crossing;
    else
        crossing_release(crossing);
    *crossing = (struct crossing){0};
    return status;
}

enum esp_status crossings_note(struct crossings *crossings, struct crossing *crossing,
                               struct esp_error *err)
{
    pthread_mutex_lock(&crossings->lock);
    size_t n = crossings->n;
    if (n > 0 && crossings->items[n - 1].boundary_us == crossing->boundary_us)
        crossing_release(&crossings->items[--crossings->n]);
    enum esp_status status = append(crossings, crossing, err);
    pthread_mutex_unlock(&crossings->lock);
    return status;
}

/* ---- the learning thread's ------------------------------------------------------------------- */

enum esp_status crossings_find(struct crossings *crossings, int64_t boundary_us,
                               struct crossing *out, struct esp_error *err)
{
    enum esp_status status = ESP_OK;
    size_t n_before = 0;
    *out = (struct crossing){.boundary_us = boundary_us};
    pthread_mutex_lock(&crossings->lock);
    while (n_before < crossings->n && crossings->items[n_before].boundary_us < boundary_us)
        crossing_release(&crossings->items[n_before++]);
    crossings->n -= n_before;
    if (n_before > 0)
        memmove(crossings->items, crossings->items + n_before,
                crossings->n * sizeof *crossings->items);
    const struct crossing *found = crossings->items;
    if (crossings->n > 0 && found->boundary_us == boundary_us) {
        status = rewinds_copy(&found->rewinds, &out->rewinds, err);
        if (status == ESP_OK)
            status = fences_copy(&found->fences, &out->fences, err);
    }
    pthread_mutex_unlock(&crossings->lock);
    return status;
}

/* ---- checkpoints ----------------------------------------------------------------------------- */

/* Appends an empty one to read into; NULL: the archive has failed. */
static struct crossing *add_item(struct esp_archive *archive, struct crossings *crossings)
{
    struct crossing none = {0};
    struct esp_error err = {0};
    if (append(crossings, &none, &err) == ESP_OK)
        return &crossings->items[crossings->n - 1];
    esp_archive_fail(archive, err.status, "%s", err.text);
    return NULL;
}

void crossings_archive(struct esp_archive *archive, struct crossings *crossings)
{
    size_t n = crossings->n;
    int64_t last_us = ESP_TIME_NONE;
    esp_archive_mark(archive, "crossings", 1);
    esp_archive_i64(archive, &crossings->next_us);
    esp_archive_bool(archive, &crossings->is_noted);
    esp_archive_count(archive, &n, sizeof(int64_t) + sizeof(uint64_t));
    for (size_t i = 0; i < n && esp_archive_is_ok(archive); i++) {
        struct crossing *item =
            esp_archive_reads(archive) ? add_item(archive, crossings) : &crossings->items[i];
        if (item == NULL)
            return;
        esp_archive_i64(archive, &item->boundary_us);
        esp_archive_check(archive, item->boundary_us > last_us, "the order of boundaries");
        last_us = item->boundary_us;
        rewinds_archive(archive, &item->rewinds, crossings->config);
    }
}
