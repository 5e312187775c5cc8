/* orphans.c - see orphans.h. */
#include "snapshot/orphans.h"

#include <stdlib.h>

#include "core/buf.h"

/* Below this opening another reader costs more than reading on. */
enum { WORTH_A_SEEK = 64 };

struct search {
    struct esp_orphans *orphans;
    const struct esp_live_set *live;
    const struct esp_snapshot_id *below;
    int64_t *named; /* offsets that live manifests name in this partition, ascending; owned */
    size_t n_named, capacity;
    size_t at; /* the first of them that was not passed */
};

void esp_orphans_release(struct esp_orphans *orphans)
{
    for (size_t i = 0; i < orphans->n; i++)
        free(orphans->items[i].bits);
    free(orphans->items);
    *orphans = (struct esp_orphans){0};
}

static enum esp_status find_item(struct esp_orphans *orphans, const struct esp_snapshot_id *id,
                                 struct esp_orphan **out, struct esp_error *err)
{
    /* From the end: a snapshot's chunks stand together. */
    for (size_t i = orphans->n; i > 0; i--) {
        *out = &orphans->items[i - 1];
        if (esp_snapshot_id_equal(&(*out)->id, id))
            return ESP_OK;
    }
    enum esp_status status = esp_array_grow((void **)&orphans->items, &orphans->capacity,
                                            orphans->n + 1, sizeof *orphans->items, err);
    if (status != ESP_OK)
        return status;
    *out = &orphans->items[orphans->n++];
    **out = (struct esp_orphan){.id = *id};
    return ESP_OK;
}

static enum esp_status note(struct esp_orphans *orphans, const struct esp_snapshot_id *id,
                            size_t index, bool is_there, struct esp_error *err)
{
    struct esp_orphan *item = NULL;
    enum esp_status status = find_item(orphans, id, &item, err);
    if (status != ESP_OK)
        return status;
    if (index / 8 >= item->n_bytes) {
        size_t n_bytes = 2 * (index / 8 + 1);
        uint8_t *bits = realloc(item->bits, n_bytes);
        if (bits == NULL)
            return esp_fail(err, ESP_ENOMEM, "out of memory for chunks");
        memset(bits + item->n_bytes, 0, n_bytes - item->n_bytes);
        item->bits = bits;
        item->n_bytes = n_bytes;
    }
    uint8_t bit = (uint8_t)(1u << (index % 8));
    item->bits[index / 8] =
        is_there ? (uint8_t)(item->bits[index / 8] | bit) : (uint8_t)(item->bits[index / 8] & ~bit);
    return ESP_OK;
}

/* True where a long stretch of named offsets begins here; *end is behind it. */
static bool is_named_stretch(struct search *search, int64_t offset, int64_t *end)
{
    while (search->at < search->n_named && search->named[search->at] < offset)
        search->at++;
    size_t i = search->at;
    while (i < search->n_named && search->named[i] == offset + (int64_t)(i - search->at))
        i++;
    *end = offset + (int64_t)(i - search->at);
    return i - search->at >= WORTH_A_SEEK;
}

static enum esp_status visit(void *context, const struct esp_record *record, bool *out_enough,
                             struct esp_error *err)
{
    struct search *search = context;
    const struct esp_snapshot_id *below = search->below;
    struct esp_snapshot_id id;
    int32_t index;
    int64_t end;
    *out_enough = is_named_stretch(search, record->offset + 1, &end);
    if (!esp_snapshot_key_parse(record->key, &id, &index) || index == ESP_KEY_NO_INDEX ||
        strcmp(id.run, below->run) != 0 || strcmp(id.model, below->model) != 0 ||
        id.number >= below->number || esp_live_set_find(search->live, &id) != NULL)
        return ESP_OK;
    return note(search->orphans, &id, (size_t)index, record->value.data != NULL, err);
}

static int compare_offsets(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;
    return (left > right) - (left < right);
}

static enum esp_status gather_named(struct search *search, int32_t partition, struct esp_error *err)
{
    for (size_t i = 0; i < search->live->n; i++) {
        const struct esp_snapshot_manifest_record *manifest = &search->live->items[i].manifest;
        if (manifest->chunk_partition != partition)
            continue;
        enum esp_status status =
            esp_array_grow((void **)&search->named, &search->capacity,
                           search->n_named + manifest->n_chunks, sizeof *search->named, err);
        if (status != ESP_OK)
            return status;
        memcpy(search->named + search->n_named, manifest->chunk_offsets,
               manifest->n_chunks * sizeof *search->named);
        search->n_named += manifest->n_chunks;
    }
    if (search->n_named > 0)
        qsort(search->named, search->n_named, sizeof *search->named, compare_offsets);
    return ESP_OK;
}

enum esp_status esp_orphans_find(struct esp_orphans *orphans, struct esp_log *log,
                                 const char *topic, int32_t partition,
                                 const struct esp_live_set *live,
                                 const struct esp_snapshot_id *below,
                                 const struct esp_patience *patience, bool *stopped,
                                 struct esp_error *err)
{
    struct search search = {.orphans = orphans, .live = live, .below = below};
    int64_t offset = ESP_OFFSET_EARLIEST;
    enum esp_read_end how = ESP_READ_ENOUGH;
    enum esp_status status = gather_named(&search, partition, err);
    while (status == ESP_OK && how == ESP_READ_ENOUGH) {
        struct esp_error why = {0};
        int64_t before = offset, end;
        if (offset >= 0 && is_named_stretch(&search, offset, &end))
            offset = end;
        status = esp_partition_read(log, topic, (size_t)partition, &offset, patience, visit,
                                    &search, &how, &why);
        if (status == ESP_EDATA && offset != before) {
            search.n_named = 0; /* a manifest names what is not there: read everything */
            offset = before;
            how = ESP_READ_ENOUGH;
            status = ESP_OK;
        } else if (status != ESP_OK) {
            esp_fail(err, status, "%s", why.text);
        }
    }
    *stopped = status == ESP_OK && how == ESP_READ_STOPPED;
    free(search.named);
    return status;
}

enum esp_status esp_orphans_each(const struct esp_orphans *orphans,
                                 enum esp_status (*call)(void *context,
                                                         const struct esp_snapshot_id *id,
                                                         int32_t index, struct esp_error *err),
                                 void *context, struct esp_error *err)
{
    enum esp_status status = ESP_OK;
    for (size_t i = 0; i < orphans->n; i++) {
        const struct esp_orphan *item = &orphans->items[i];
        for (size_t j = 0; j < 8 * item->n_bytes && status == ESP_OK; j++) {
            if ((item->bits[j / 8] >> (j % 8) & 1) != 0)
                status = call(context, &item->id, (int32_t)j, err);
        }
    }
    return status;
}
