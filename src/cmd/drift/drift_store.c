/* drift_store.c - see drift_store.h. */
#include "cmd/drift/drift_store.h"

#include <stdlib.h>
#include <string.h>

#include "core/hash.h"

enum { FIRST_SLOTS = 1024 };

/* Where the key is, or the empty slot where it would be. */
static size_t find_slot(const struct drift_store *store, struct esp_bytes key)
{
    size_t mask = store->n_slots - 1, at = (size_t)esp_hash(key) & mask;
    for (; store->slots[at] != 0; at = (at + 1) & mask) {
        char text[ESP_DRIFT_KEY_SIZE];
        esp_drift_key(&store->records[store->slots[at] - 1], text);
        if (esp_bytes_equal(esp_bytes_of(text), key))
            break;
    }
    return at;
}

static enum esp_status grow_slots(struct drift_store *store, struct esp_error *err)
{
    size_t n_slots = store->n_slots == 0 ? FIRST_SLOTS : 2 * store->n_slots;
    uint32_t *slots = calloc(n_slots, sizeof *slots);
    if (slots == NULL)
        return esp_fail(err, ESP_ENOMEM, "out of memory for %zu drift records", store->n);
    free(store->slots);
    store->slots = slots;
    store->n_slots = n_slots;
    for (size_t i = 0; i < store->n; i++) {
        char text[ESP_DRIFT_KEY_SIZE];
        esp_drift_key(&store->records[i], text);
        store->slots[find_slot(store, esp_bytes_of(text))] = (uint32_t)(i + 1);
    }
    return ESP_OK;
}

/* There are few of them: a run or two, models, set-ups. */
static enum esp_status keep_text(struct drift_store *store, struct esp_bytes *text,
                                 struct esp_error *err)
{
    for (size_t i = 0; i < store->n_texts; i++) {
        if (esp_bytes_equal(esp_bytes_of(store->texts[i]), *text)) {
            text->data = (const uint8_t *)store->texts[i];
            return ESP_OK;
        }
    }
    enum esp_status status = esp_array_grow((void **)&store->texts, &store->text_capacity,
                                            store->n_texts + 1, sizeof *store->texts, err);
    if (status != ESP_OK)
        return status;
    char *copy = strndup((const char *)text->data, text->size);
    if (copy == NULL)
        return esp_fail(err, ESP_ENOMEM, "out of memory");
    store->texts[store->n_texts++] = copy;
    text->data = (const uint8_t *)copy;
    return ESP_OK;
}

static enum esp_status make_room(struct drift_store *store, struct esp_error *err)
{
    if (store->n == DRIFT_MAX_RECORDS)
        return esp_fail(err, ESP_ELIMIT,
                        "more than %d drift records; choose fewer with --since, --task or --model",
                        DRIFT_MAX_RECORDS);
    enum esp_status status = esp_array_grow((void **)&store->records, &store->capacity,
                                            store->n + 1, sizeof *store->records, err);
    if (status == ESP_OK)
        status = esp_array_grow((void **)&store->dead, &store->dead_capacity, store->n + 1,
                                sizeof *store->dead, err);
    if (status == ESP_OK && store->n_slots <= 2 * (store->n + 1))
        status = grow_slots(store, err);
    return status;
}

enum esp_status drift_store_put(struct drift_store *store, const struct esp_drift_record *record,
                                struct esp_error *err)
{
    struct esp_drift_record copy = *record;
    char key[ESP_DRIFT_KEY_SIZE];
    esp_drift_key(record, key);
    enum esp_status status = make_room(store, err);
    if (status == ESP_OK)
        status = keep_text(store, &copy.run, err);
    if (status == ESP_OK)
        status = keep_text(store, &copy.model, err);
    if (status == ESP_OK)
        status = keep_text(store, &copy.setup, err);
    if (status != ESP_OK)
        return status;
    size_t slot = find_slot(store, esp_bytes_of(key));
    bool is_new = store->slots[slot] == 0;
    size_t i = is_new ? store->n++ : store->slots[slot] - 1;
    store->n_replaced += !is_new && !store->dead[i];
    store->n_put++;
    store->records[i] = copy;
    store->dead[i] = false;
    store->slots[slot] = (uint32_t)(i + 1);
    return ESP_OK;
}

void drift_store_remove(struct drift_store *store, struct esp_bytes key)
{
    if (store->n_slots == 0)
        return;
    size_t slot = find_slot(store, key);
    if (store->slots[slot] != 0)
        store->dead[store->slots[slot] - 1] = true;
}

size_t drift_store_keep(struct drift_store *store,
                        bool (*is_wanted)(const void *context,
                                          const struct esp_drift_record *record),
                        const void *context)
{
    size_t kept = 0;
    for (size_t i = 0; i < store->n; i++) {
        if (!store->dead[i] && is_wanted(context, &store->records[i])) {
            store->dead[kept] = false;
            store->records[kept++] = store->records[i];
        }
    }
    free(store->slots);
    store->slots = NULL;
    store->n_slots = 0;
    store->n = kept;
    return kept;
}

void drift_store_release(struct drift_store *store)
{
    for (size_t i = 0; i < store->n_texts; i++)
        free(store->texts[i]);
    free(store->texts);
    free(store->records);
    free(store->dead);
    free(store->slots);
    *store = (struct drift_store){0};
}
