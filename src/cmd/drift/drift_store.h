/*
 * drift_store.h - the newest drift record of each key, as a topic is read.
 *
 * A later record of a key takes the earlier one's place, a tombstone takes both away, so that
 * replays and compaction make no difference to what is shown.
 */
#ifndef ESP_CMD_DRIFT_DRIFT_STORE_H
#define ESP_CMD_DRIFT_DRIFT_STORE_H

#include "event/drift_record.h"

enum { DRIFT_MAX_RECORDS = 4000000 }; /* 3 GB of memory */

struct drift_store {
    struct esp_drift_record *records; /* (n) in the order of their keys' first coming; owned */
    size_t n, capacity;
    bool *dead; /* (capacity) taken away by a tombstone */
    size_t dead_capacity;
    uint32_t *slots; /* (n_slots) open addressing by the key's hash: index + 1, 0 empty */
    size_t n_slots;  /* a power of two, more than 2 n */
    char **texts;    /* (n_texts) runs, models and set-ups, each once; owned */
    size_t n_texts, text_capacity;
    uint64_t n_put, n_replaced;
};

/* Takes a record, copying its texts. Errors: ESP_ENOMEM, ESP_ELIMIT. */
enum esp_status drift_store_put(struct drift_store *store, const struct esp_drift_record *record,
                                struct esp_error *err);

/* Takes away what has the key, if anything. */
void drift_store_remove(struct drift_store *store, struct esp_bytes key);

/*
 * Moves the records that are left and wanted to the front, and forgets the keys: nothing can be put
 * any more. Returns how many they are; store->n is that number afterwards.
 */
size_t drift_store_keep(struct drift_store *store,
                        bool (*is_wanted)(const void *context,
                                          const struct esp_drift_record *record),
                        const void *context);

/* { 0 } is an empty store, and fine here. */
void drift_store_release(struct drift_store *store);

#endif
