/* live_set.c - see live_set.h. */
#include "snapshot/live_set.h"

#include <stdlib.h>

#include "core/buf.h"
#include "snapshot/snapshot.h"

void esp_live_snapshot_release(struct esp_live_snapshot *live)
{
    esp_snapshot_manifest_record_release(&live->manifest);
    free(live->bytes);
    free(live->path);
    *live = (struct esp_live_snapshot){0};
}

void esp_live_set_release(struct esp_live_set *set)
{
    for (size_t i = 0; i < set->n; i++)
        esp_live_snapshot_release(&set->items[i]);
    free(set->items);
    *set = (struct esp_live_set){0};
}

/* The first item that is not below the identity. */
static size_t lower_bound(const struct esp_live_set *set, const struct esp_snapshot_id *id)
{
    size_t low = 0, high = set->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (esp_snapshot_id_compare(&set->items[middle].manifest.id, id) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct esp_live_snapshot *esp_live_set_find(const struct esp_live_set *set,
                                            const struct esp_snapshot_id *id)
{
    size_t at = lower_bound(set, id);
    if (at == set->n || !esp_snapshot_id_equal(&set->items[at].manifest.id, id))
        return NULL;
    return &set->items[at];
}

static size_t manifest_bytes(const struct esp_live_snapshot *live)
{
    const struct esp_snapshot_manifest_record *manifest = &live->manifest;
    return manifest->manifest.size +
           manifest->n_chunks *
               (sizeof *manifest->chunk_offsets + sizeof *manifest->chunk_checksums) +
           manifest->n_inputs * sizeof *manifest->inputs;
}

enum esp_status esp_live_set_put(struct esp_live_set *set, struct esp_live_snapshot *live,
                                 struct esp_error *err)
{
    struct esp_live_snapshot *before = esp_live_set_find(set, &live->manifest.id);
    size_t n_bytes =
        set->n_bytes - (before == NULL ? 0 : manifest_bytes(before)) + manifest_bytes(live);
    if (n_bytes > ESP_LIVE_MAX_BYTES)
        return esp_fail(err, ESP_ELIMIT, "manifests of live snapshots take over %d bytes",
                        ESP_LIVE_MAX_BYTES);
    if (before != NULL) {
        set->n_bytes = n_bytes;
        esp_live_snapshot_release(before);
        *before = *live;
        *live = (struct esp_live_snapshot){0};
        return ESP_OK;
    }
    if (set->n == ESP_LIVE_MAX)
        return esp_fail(err, ESP_ELIMIT, "more than %d snapshots are live", ESP_LIVE_MAX);
    enum esp_status status =
        esp_array_grow((void **)&set->items, &set->capacity, set->n + 1, sizeof *set->items, err);
    if (status != ESP_OK)
        return status;
    size_t at = lower_bound(set, &live->manifest.id);
    memmove(&set->items[at + 1], &set->items[at], (set->n - at) * sizeof *set->items);
    set->items[at] = *live;
    set->n++;
    set->n_bytes = n_bytes;
    *live = (struct esp_live_snapshot){0};
    return ESP_OK;
}

bool esp_live_set_remove(struct esp_live_set *set, const struct esp_snapshot_id *id)
{
    struct esp_live_snapshot *item = esp_live_set_find(set, id);
    if (item == NULL)
        return false;
    size_t at = (size_t)(item - set->items);
    set->n_bytes -= manifest_bytes(item);
    esp_live_snapshot_release(item);
    memmove(item, item + 1, (set->n - at - 1) * sizeof *item);
    set->n--;
    return true;
}

size_t esp_live_set_series(const struct esp_live_set *set, const struct esp_snapshot_id *id,
                           size_t *begin)
{
    struct esp_snapshot_id first = *id;
    first.number = 0;
    size_t end = *begin = lower_bound(set, &first);
    while (end < set->n && strcmp(set->items[end].manifest.id.run, id->run) == 0 &&
           strcmp(set->items[end].manifest.id.model, id->model) == 0)
        end++;
    return end;
}

/* ---- records of partition 0 ------------------------------------------------------------------ */

/* Decodes a copy of the record's value, which the texts of the result point into. */
static enum esp_status read_manifest(const struct esp_own_fingerprints *own,
                                     const struct esp_record *record, struct esp_live_snapshot *out,
                                     struct esp_error *why)
{
    struct esp_bytes bare;
    enum esp_status status =
        esp_own_unframe(own, ESP_SCHEMA_SNAPSHOT_MANIFEST, record->value, &bare, why);
    if (status != ESP_OK)
        return status;
    out->bytes = malloc(bare.size + 1);
    if (out->bytes == NULL)
        return esp_fail(why, ESP_ENOMEM, "out of memory for a manifest");
    memcpy(out->bytes, bare.data, bare.size);
    out->offset = record->offset;
    return esp_decode_snapshot_manifest(esp_bytes(out->bytes, bare.size), &out->manifest, why);
}

static enum esp_status take_manifest(struct esp_live_set *set,
                                     const struct esp_own_fingerprints *own,
                                     const struct esp_record *record, struct esp_snapshot_id *id,
                                     struct esp_error *why)
{
    struct esp_live_snapshot live = {0};
    char key[ESP_SNAPSHOT_KEY_SIZE];
    enum esp_status status = read_manifest(own, record, &live, why);
    if (status == ESP_OK) {
        size_t n = esp_snapshot_key(&live.manifest.id, ESP_KEY_NO_INDEX, key);
        if (!esp_bytes_equal(record->key, esp_bytes(key, n)))
            status =
                esp_fail(why, ESP_EDECODE, "a snapshot's manifest under a key that is not %s", key);
    }
    if (status == ESP_OK) {
        *id = live.manifest.id;
        status = esp_live_set_put(set, &live, why);
    }
    esp_live_snapshot_release(&live);
    return status;
}

static enum esp_status take_tombstone(struct esp_live_set *set, const struct esp_record *record,
                                      bool *went, struct esp_snapshot_id *id, struct esp_error *why)
{
    int32_t index;
    if (!esp_snapshot_key_parse(record->key, id, &index) || index != ESP_KEY_NO_INDEX)
        return esp_fail(why, ESP_EDECODE, "a tombstone whose key is no manifest's");
    *went = esp_live_set_remove(set, id);
    return ESP_OK;
}

enum esp_status esp_live_set_take(struct esp_live_set *set, const struct esp_own_fingerprints *own,
                                  const struct esp_record *record,
                                  struct esp_manifest_counts *counts, enum esp_manifest_change *out,
                                  struct esp_snapshot_id *id, struct esp_error *why,
                                  struct esp_error *err)
{
    struct esp_error reason = {0};
    bool is_tombstone = record->value.data == NULL, went = false;
    enum esp_status status = is_tombstone ? take_tombstone(set, record, &went, id, &reason)
                                          : take_manifest(set, own, record, id, &reason);
    if (status == ESP_ENOMEM || status == ESP_ELIMIT)
        return esp_fail(err, status, "%s", reason.text);
    counts->read++;
    counts->tombstones += status == ESP_OK && is_tombstone;
    counts->manifests += status == ESP_OK && !is_tombstone;
    counts->unknown_version += status == ESP_ESCHEMA;
    counts->malformed += status == ESP_EDECODE;
    *out = status != ESP_OK || (is_tombstone && !went) ? ESP_MANIFEST_NOTHING
           : is_tombstone                              ? ESP_MANIFEST_WENT
                                                       : ESP_MANIFEST_CAME;
    if (why != NULL)
        *why = reason;
    return ESP_OK;
}

/* ---- names of files -------------------------------------------------------------------------- */

bool esp_snapshot_file_name_parse(const char *name, struct esp_snapshot_id *id)
{
    /* MODEL-RUN-NUMBER.safetensors, from the right: a model's name may hold anything. */
    const char *end = strstr(name, ".safetensors"), *number = NULL;
    for (const char *c = name; end != NULL && c < end; c++)
        number = *c == '-' ? c + 1 : number;
    if (number == NULL || number - name < ESP_RUN_SIZE + 1)
        return false;
    const char *run = number - ESP_RUN_SIZE;
    size_t n_model = (size_t)(run - name) - 1;
    if (run[-1] != '-' || n_model == 0 || n_model >= sizeof id->model)
        return false;
    memcpy(id->run, run, ESP_RUN_SIZE - 1);
    id->run[ESP_RUN_SIZE - 1] = '\0';
    memcpy(id->model, name, n_model);
    id->model[n_model] = '\0';
    id->number = strtoll(number, NULL, 10);
    char again[ESP_SNAPSHOT_NAME_SIZE];
    esp_snapshot_file_name(id->model, id->run, id->number, again);
    return esp_snapshot_id_check(id, NULL) == ESP_OK && strcmp(again, name) == 0;
}
